use std::borrow::Cow;

use waypost_net::{DomainError, DomainName, IdSetsBuilder};

use crate::{
    DomainIndex, go_regexp,
    keywords::KeywordsBuilder,
    names::{NamesBuilder, Scope, TooLarge},
    regexps::RegexpsBuilder,
};

/// Collects entries for a [`DomainIndex`].
///
/// Texts are borrowed until [`build`](Self::build), so that a whole geosite file goes in without
/// copies.
#[derive(Debug, Default)]
pub struct DomainIndexBuilder<'a> {
    names: NamesBuilder<'a>,
    keywords: KeywordsBuilder,
    regexps: RegexpsBuilder<'a>,
}

/// Why an index could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There are more names than the table's 32-bit offsets can address.
    #[error("the domain entries together are larger than 4 GiB")]
    TooLarge,
    /// The keyword automaton cannot be built.
    #[error("the keywords are too many: {reason}")]
    Keywords {
        /// What the automaton says.
        reason: Box<str>,
    },
    /// The expressions together are too large; each alone was checked when it was added.
    #[error(transparent)]
    Regexps(#[from] go_regexp::Error),
}

impl<'a> DomainIndexBuilder<'a> {
    /// Makes room for so many more names at once, which takes less memory than to grow by and by.
    pub fn reserve(&mut self, additional: usize) {
        self.names.reserve(additional);
    }

    /// Puts exactly `name` under `id`.
    ///
    /// # Errors
    ///
    /// If it is not a domain name.
    pub fn full(&mut self, name: &'a str, id: u32) -> Result<(), DomainError> {
        self.names.push(normalise(name)?, id, Scope::Full);
        Ok(())
    }

    /// Puts `name` and every name below it under `id`.
    ///
    /// # Errors
    ///
    /// If it is not a domain name.
    pub fn suffix(&mut self, name: &'a str, id: u32) -> Result<(), DomainError> {
        self.names.push(normalise(name)?, id, Scope::Suffix);
        Ok(())
    }

    /// Puts every name below `name`, but not `name` itself, under `id`.
    ///
    /// # Errors
    ///
    /// If it is not a domain name.
    pub fn below(&mut self, name: &'a str, id: u32) -> Result<(), DomainError> {
        self.names.push(normalise(name)?, id, Scope::Below);
        Ok(())
    }

    /// Puts every name that has `keyword` in it, in any case, under `id`; the empty keyword is in
    /// every name.
    pub fn keyword(&mut self, keyword: &str, id: u32) {
        self.keywords.push(keyword, id);
    }

    /// Puts every name that `expression` is found in under `id`. The expression has Go's syntax and
    /// sees names in lower case.
    ///
    /// # Errors
    ///
    /// If it is not an expression that Go would accept.
    pub fn regexp(&mut self, expression: &'a str, id: u32) -> Result<(), go_regexp::Error> {
        if !self.regexps.contains(expression) {
            go_regexp::check(expression)?;
        }
        self.regexps.push(expression, id);
        Ok(())
    }

    /// Builds the index.
    ///
    /// # Errors
    ///
    /// If the entries together are too large.
    pub fn build(self) -> Result<DomainIndex, BuildError> {
        let mut sets = IdSetsBuilder::default();
        let names = self.names.build(&mut sets).map_err(|TooLarge| BuildError::TooLarge)?;
        let keywords = self
            .keywords
            .build(&mut sets)
            .map_err(|error| BuildError::Keywords { reason: error.to_string().into() })?;
        let regexps = self.regexps.build(&mut sets)?;
        Ok(DomainIndex { names, keywords, regexps, sets: sets.build() })
    }
}

/// Normalises a name, without a copy where it is normal already, as nearly all of a list are.
fn normalise(name: &str) -> Result<Cow<'_, str>, DomainError> {
    let normal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if (1..=MAX_NORMAL_LEN).contains(&name.len()) && !name.ends_with('.') && name.bytes().all(normal) {
        return Ok(Cow::Borrowed(name));
    }
    Ok(Cow::Owned(DomainName::new(name)?.as_str().to_owned()))
}

/// The longest domain name (RFC 1035 §2.3.4), which is what a slot of the table has room for.
const MAX_NORMAL_LEN: usize = 253;
