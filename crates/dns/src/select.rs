use waypost_geosite::{BuildError, DomainIndex, DomainIndexBuilder, EntryKind, go_regexp};
use waypost_net::{DomainError, DomainName};

/// Collects which names come to which server first. Servers are numbers, their places in the list.
///
/// All names of all servers go into one index, so that a long list costs a look-up nothing.
#[derive(Debug, Default)]
pub struct NamesBuilder<'a> {
    index: DomainIndexBuilder<'a>,
}

/// Which names come to which server first.
#[derive(Debug)]
pub struct Names {
    index: DomainIndex,
}

/// A number in the index: the server, and whether it has the name in full. The index itself does not
/// tell a full name from a suffix that is the whole name.
fn id(server: u16, is_full: bool) -> u32 {
    u32::from(server) * 2 + u32::from(is_full)
}

impl<'a> NamesBuilder<'a> {
    /// Gives `name` to `server`.
    ///
    /// # Errors
    ///
    /// If it is not a domain name.
    pub fn full(&mut self, name: &'a str, server: u16) -> Result<(), DomainError> {
        self.index.full(name, id(server, true))
    }

    /// Gives `name` and all names below it to `server`.
    ///
    /// # Errors
    ///
    /// If it is not a domain name.
    pub fn suffix(&mut self, name: &'a str, server: u16) -> Result<(), DomainError> {
        self.index.suffix(name, id(server, false))
    }

    /// Gives every name with `keyword` in it to `server`.
    pub fn keyword(&mut self, keyword: &str, server: u16) {
        self.index.keyword(keyword, id(server, false));
    }

    /// Gives every name that `expression` is found in to `server`.
    ///
    /// # Errors
    ///
    /// If it is not an expression that Go would accept.
    pub fn regexp(&mut self, expression: &'a str, server: u16) -> Result<(), go_regexp::Error> {
        self.index.regexp(expression, id(server, false))
    }

    /// The finished table.
    ///
    /// # Errors
    ///
    /// If all entries together are too large.
    pub fn build(self) -> Result<Names, BuildError> {
        Ok(Names { index: self.index.build()? })
    }
}

impl Names {
    /// The servers that `name` was given to: by the full name, then by the longest suffix, then by
    /// keywords and expressions; of equals the first server comes first.
    #[must_use]
    pub fn servers(&self, name: &DomainName) -> Vec<u16> {
        let mut found: Vec<(Rank, u16)> = Vec::new();
        for hit in self.index.explain(name) {
            for &id in self.index.sets().get(hit.set) {
                let rank = match hit.kind {
                    EntryKind::Full | EntryKind::Suffix | EntryKind::Below if id % 2 == 1 => Rank::Full,
                    EntryKind::Full | EntryKind::Suffix | EntryKind::Below => Rank::Suffix {
                        missing: name.as_str().len() - hit.text.len().min(name.as_str().len()),
                    },
                    EntryKind::Keyword | EntryKind::Regexp => Rank::Other,
                };
                found.extend(u16::try_from(id / 2).ok().map(|server| (rank, server)));
            }
        }
        found.sort_unstable();
        let mut servers = Vec::with_capacity(found.len());
        for (_, server) in found {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        servers
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Full,
    Suffix { missing: usize },
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_exact_entry_wins_and_then_the_first_server() {
        let mut builder = NamesBuilder::default();
        builder.keyword("ample", 0);
        builder.regexp("^w", 1).unwrap();
        builder.suffix("com", 2).unwrap();
        builder.suffix("example.com", 3).unwrap();
        builder.full("www.example.com", 5).unwrap();
        builder.suffix("www.example.com", 4).unwrap();
        builder.suffix("example.com", 1).unwrap();
        let names = builder.build().unwrap();
        for (name, servers) in [
            ("www.example.com", &[5, 4, 1, 3, 2, 0][..]),
            ("a.example.com", &[1, 3, 2, 0]),
            ("com", &[2]),
            ("wide.org", &[1]),
            ("other.org", &[]),
        ] {
            assert_eq!(names.servers(&DomainName::new(name).unwrap()), servers, "{name}");
        }
    }
}
