use std::fmt;

use super::MAX_NAME_BYTES;

/// How a domain name of a set is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DomainMatch {
    /// The name itself (`domain`).
    Full,
    /// The name itself and every name below it (`domain_suffix`).
    Suffix,
    /// Every name below it, but not itself (`domain_suffix` with a dot in front).
    Below,
}

impl DomainMatch {
    /// What ends an entry of this kind in the text.
    fn mark(self) -> char {
        match self {
            Self::Full => '\u{1}',
            Self::Suffix => '\u{2}',
            Self::Below => '\u{3}',
        }
    }
}

/// Domain names, each with how it is compared, in one piece of memory.
///
/// ```
/// use waypost_geodata::rule_set::{DomainMatch, Domains};
///
/// let mut domains = Domains::default();
/// domains.push(DomainMatch::Suffix, "example.org")?;
/// assert_eq!(domains.iter().collect::<Vec<_>>(), [(DomainMatch::Suffix, "example.org")]);
/// # Ok::<(), waypost_geodata::rule_set::NotADomain>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Domains {
    /// Each name with its mark behind it. A name has no control characters.
    text: String,
    count: usize,
}

/// A text that cannot be a domain name: it is empty, not UTF-8, too long, or has a control character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a domain name: not empty, UTF-8, no control characters")]
pub struct NotADomain;

impl Domains {
    /// Adds a name, without the dot in front that `domain_suffix` has for [`DomainMatch::Below`].
    ///
    /// # Errors
    ///
    /// If it is empty or has a control character.
    pub fn push(&mut self, how: DomainMatch, name: &str) -> Result<(), NotADomain> {
        if name.is_empty() || name.bytes().any(|byte| byte < b' ') {
            return Err(NotADomain);
        }
        self.text.push_str(name);
        self.end(how);
        Ok(())
    }

    /// Adds a name that is written from its last character to its first.
    pub(super) fn push_reversed(&mut self, how: DomainMatch, reversed: &[u8]) -> Result<(), NotADomain> {
        if reversed.is_empty() || reversed.iter().any(|&byte| byte < b' ') {
            return Err(NotADomain);
        }
        let reversed = std::str::from_utf8(reversed).map_err(|_| NotADomain)?;
        if reversed.is_ascii() {
            let mut name = [0; MAX_NAME_BYTES];
            let name = name.get_mut(..reversed.len()).ok_or(NotADomain)?;
            name.iter_mut().zip(reversed.bytes().rev()).for_each(|(to, byte)| *to = byte);
            self.text.push_str(std::str::from_utf8(name).map_err(|_| NotADomain)?);
        } else {
            self.text.extend(reversed.chars().rev());
        }
        self.end(how);
        Ok(())
    }

    /// The names in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (DomainMatch, &str)> {
        Iter { rest: &self.text, left: self.count }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Gives back memory that is not used.
    pub fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
    }

    /// Bytes that the names take, with one more each.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    fn end(&mut self, how: DomainMatch) {
        self.text.push(how.mark());
        self.count += 1;
    }
}

struct Iter<'a> {
    rest: &'a str,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (DomainMatch, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.rest.bytes().position(|byte| byte < b' ')?;
        let (name, marked) = self.rest.split_at_checked(at)?;
        let (mark, after) = marked.split_at_checked(1)?;
        (self.rest, self.left) = (after, self.left.saturating_sub(1));
        let how = match mark {
            "\u{1}" => DomainMatch::Full,
            "\u{2}" => DomainMatch::Suffix,
            _ => DomainMatch::Below,
        };
        Some((how, name))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl fmt::Debug for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_went_in() {
        let mut domains = Domains::default();
        domains.push(DomainMatch::Full, "a.example").unwrap();
        domains.push_reversed(DomainMatch::Below, "elpmaxe.重".as_bytes()).unwrap();
        domains.push(DomainMatch::Suffix, "b").unwrap();
        let expected = [
            (DomainMatch::Full, "a.example"),
            (DomainMatch::Below, "重.example"),
            (DomainMatch::Suffix, "b"),
        ];
        assert_eq!((domains.iter().collect::<Vec<_>>(), domains.len()), (expected.to_vec(), 3));
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        let mut domains = Domains::default();
        for name in ["", "a\nb", "\u{1}"] {
            assert_eq!(domains.push(DomainMatch::Full, name), Err(NotADomain), "{name:?}");
        }
        assert_eq!(domains.push_reversed(DomainMatch::Full, b"\x80a"), Err(NotADomain));
        assert!(domains.is_empty());
    }
}
