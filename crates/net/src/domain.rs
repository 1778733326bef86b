use std::{borrow::Borrow, fmt, str::FromStr};

/// The longest textual domain name without the trailing dot (RFC 1035 §2.3.4: 255 octets on the
/// wire, of which two are the first length octet and the root).
const MAX_LEN: usize = 253;

/// A domain name in the one form that all matching uses: lower case, A-labels, no trailing dot.
///
/// Letters, digits, `-`, `_` and `.` are allowed. Empty labels inside the name (`a..b`, `.a`) are
/// kept as they are, because V2Ray passes them on and rules see them.
///
/// ```
/// use waypost_net::DomainName;
///
/// assert_eq!(DomainName::new("WWW.Example.com.")?.as_str(), "www.example.com");
/// assert_eq!(DomainName::new("v2fly.公益")?.as_str(), "v2fly.xn--55qw42g");
/// assert!(DomainName::new("two words").is_err());
/// # Ok::<(), waypost_net::DomainError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Box<str>);

/// Why a text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// The text is empty, or dots only.
    #[error("a domain name cannot be empty")]
    Empty,
    /// The name has more than 253 characters in its ASCII form.
    #[error("a domain name has at most 253 characters, this one has {length}")]
    TooLong {
        /// Length of the name in its ASCII form, or of the text if it was not converted.
        length: usize,
    },
    /// The name holds a character that no host name has.
    #[error("a domain name has letters, digits, `-`, `_` and `.`, not {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
    /// The name is not ASCII and cannot be converted to A-labels (RFC 5890, UTS 46).
    #[error("not a valid internationalised domain name: `{name}`")]
    Idna {
        /// The name as given.
        name: Box<str>,
    },
}

impl DomainName {
    /// Normalises `name`.
    ///
    /// # Errors
    ///
    /// See [`DomainError`]; nothing is cut or replaced to make a name fit.
    pub fn new(name: &str) -> Result<Self, DomainError> {
        // A non-ASCII name is at most four times longer in UTF-8 than in characters; anything
        // beyond is too long before the conversion spends time on it.
        if name.len() > 4 * (MAX_LEN + 1) {
            return Err(DomainError::TooLong { length: name.len() });
        }
        if name.is_ascii() {
            return Self::from_ascii(name);
        }
        let converted =
            idna::domain_to_ascii(name).map_err(|_invalid| DomainError::Idna { name: name.into() })?;
        Self::from_ascii(&converted)
    }

    fn from_ascii(name: &str) -> Result<Self, DomainError> {
        let name = name.trim_end_matches('.');
        if name.is_empty() {
            return Err(DomainError::Empty);
        }
        if name.len() > MAX_LEN {
            return Err(DomainError::TooLong { length: name.len() });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if let Some(character) = name.chars().find(|&c| !allowed(c)) {
            return Err(DomainError::Character { character });
        }
        Ok(Self(name.to_ascii_lowercase().into_boxed_str()))
    }

    /// The normalised name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for DomainName {
    type Err = DomainError;

    fn from_str(name: &str) -> Result<Self, DomainError> {
        Self::new(name)
    }
}

impl Borrow<str> for DomainName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for DomainName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expected: &Result<&str, DomainError>) {
        assert_eq!(DomainName::new(input).as_ref().map(DomainName::as_str), expected.as_ref().copied());
    }

    #[test]
    fn names_are_folded_to_one_form() {
        check("example.com", &Ok("example.com"));
        check("EXAMPLE.Com.", &Ok("example.com"));
        check("a..b", &Ok("a..b"));
        check(".a", &Ok(".a"));
        check("a..", &Ok("a"));
        check("foo_bar.com", &Ok("foo_bar.com"));
        check("bücher.example", &Ok("xn--bcher-kva.example"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        check("", &Err(DomainError::Empty));
        check(".", &Err(DomainError::Empty));
        check("a b", &Err(DomainError::Character { character: ' ' }));
        check("a\nb", &Err(DomainError::Character { character: '\n' }));
        check(&"a".repeat(254), &Err(DomainError::TooLong { length: 254 }));
        assert_eq!(DomainName::new(&"a".repeat(253)).map(|name| name.as_str().len()), Ok(253));
        check(&"ä".repeat(5000), &Err(DomainError::TooLong { length: 10_000 }));
    }
}
