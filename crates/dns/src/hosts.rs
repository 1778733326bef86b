use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
};

use regex::Regex;
use waypost_net::DomainName;

use crate::{Family, ResolveError};

/// How many aliases of one name are followed, as in Xray.
const MAX_ALIASES: usize = 5;

/// The names that an entry of `hosts` answers for. Texts are in the form of [`DomainName`].
#[derive(Debug, Clone)]
pub enum Pattern {
    /// This name.
    Full(Box<str>),
    /// This name and every name below it.
    Suffix(Box<str>),
    /// Every name with this text in it.
    Keyword(Box<str>),
    /// Every name in which the expression is found.
    Regexp(Regex),
}

/// What an entry of `hosts` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// What this other name resolves to.
    Alias(DomainName),
}

/// The `hosts` section: a full name wins, then the longest suffix, then the first keyword or regular
/// expression. Of equal patterns the first one counts.
#[derive(Debug, Default)]
pub struct Hosts {
    full: HashMap<Box<str>, Answer>,
    suffix: HashMap<Box<str>, Answer>,
    other: Vec<(Other, Answer)>,
}

#[derive(Debug)]
enum Other {
    Keyword(Box<str>),
    Regexp(Regex),
}

/// What `hosts` makes of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Addresses(Vec<IpAddr>),
    /// The system has to be asked for this name.
    Elsewhere(DomainName),
}

impl FromIterator<(Pattern, Answer)> for Hosts {
    fn from_iter<I: IntoIterator<Item = (Pattern, Answer)>>(entries: I) -> Self {
        let mut hosts = Self::default();
        for (pattern, answer) in entries {
            match pattern {
                Pattern::Full(name) => insert_first(&mut hosts.full, name, answer),
                Pattern::Suffix(name) => insert_first(&mut hosts.suffix, name, answer),
                Pattern::Keyword(text) => hosts.other.push((Other::Keyword(text), answer)),
                Pattern::Regexp(regexp) => hosts.other.push((Other::Regexp(regexp), answer)),
            }
        }
        hosts
    }
}

fn insert_first(map: &mut HashMap<Box<str>, Answer>, name: Box<str>, answer: Answer) {
    if let Entry::Vacant(vacant) = map.entry(name) {
        vacant.insert(answer);
    }
}

impl Hosts {
    /// Follows aliases until there are addresses, or a name that is not listed.
    pub(crate) fn resolve(&self, name: &DomainName, family: Family) -> Result<Listed, ResolveError> {
        let mut current = name;
        for _ in 0..=MAX_ALIASES {
            match self.find(current) {
                None => return Ok(Listed::Elsewhere(current.clone())),
                Some(Answer::Alias(alias)) => current = alias,
                Some(Answer::Addresses(addresses)) => {
                    let wanted: Vec<IpAddr> =
                        addresses.iter().copied().filter(|&address| family.contains(address)).collect();
                    if wanted.is_empty() {
                        return Err(ResolveError::NoData { name: name.clone(), family });
                    }
                    return Ok(Listed::Addresses(wanted));
                }
            }
        }
        Err(ResolveError::Aliases { name: name.clone() })
    }

    fn find(&self, name: &DomainName) -> Option<&Answer> {
        let name = name.as_str();
        self.full.get(name).or_else(|| self.find_suffix(name)).or_else(|| {
            let found = self.other.iter().find(|(pattern, _)| match pattern {
                Other::Keyword(text) => name.contains(&**text),
                Other::Regexp(regexp) => regexp.is_match(name),
            });
            found.map(|(_, answer)| answer)
        })
    }

    fn find_suffix(&self, name: &str) -> Option<&Answer> {
        if self.suffix.is_empty() {
            return None;
        }
        let mut suffix = Some(name);
        std::iter::from_fn(|| {
            let current = suffix?;
            suffix = current.split_once('.').map(|(_label, parent)| parent);
            Some(current)
        })
        .find_map(|candidate| self.suffix.get(candidate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        DomainName::new(text).unwrap()
    }

    fn addresses(texts: &[&str]) -> Answer {
        Answer::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    /// The entries of `app/dns/hosts_test.go` of V2Ray, where the alias beats the addresses that the
    /// same entry has there.
    fn upstream_hosts() -> Hosts {
        Hosts::from_iter([
            (Pattern::Full("v2fly.org".into()), addresses(&["1.1.1.1"])),
            (Pattern::Full("proxy.v2fly.org".into()), Answer::Alias(name("another-proxy.v2fly.org"))),
            (Pattern::Full("proxy2.v2fly.org".into()), Answer::Alias(name("proxy.v2fly.org"))),
            (Pattern::Suffix("v2ray.cn".into()), addresses(&["2.2.2.2"])),
            (Pattern::Suffix("baidu.com".into()), addresses(&["127.0.0.1", "::1"])),
        ])
    }

    #[track_caller]
    fn check(hosts: &Hosts, query: &str, family: Family, expected: &[&str]) {
        let Answer::Addresses(expected) = addresses(expected) else { unreachable!() };
        assert_eq!(hosts.resolve(&name(query), family).unwrap(), Listed::Addresses(expected));
    }

    #[test]
    fn answers_as_v2ray_does() {
        let hosts = upstream_hosts();
        check(&hosts, "v2fly.org", Family::Any, &["1.1.1.1"]);
        let elsewhere = hosts.resolve(&name("proxy2.v2fly.org"), Family::V4).unwrap();
        assert_eq!(elsewhere, Listed::Elsewhere(name("another-proxy.v2fly.org")));
        check(&hosts, "www.v2ray.cn", Family::Any, &["2.2.2.2"]);
        check(&hosts, "baidu.com", Family::V6, &["::1"]);
        let unlisted = hosts.resolve(&name("xv2ray.cn"), Family::Any).unwrap();
        assert_eq!(unlisted, Listed::Elsewhere(name("xv2ray.cn")));
    }

    #[test]
    fn an_answer_without_wanted_addresses_is_no_data() {
        let result = upstream_hosts().resolve(&name("v2ray.cn"), Family::V6);
        assert!(matches!(result, Err(ResolveError::NoData { family: Family::V6, .. })), "{result:?}");
    }

    #[test]
    fn the_more_exact_pattern_wins() {
        let hosts = Hosts::from_iter([
            (Pattern::Keyword("b.c".into()), addresses(&["0.0.0.1"])),
            (Pattern::Regexp(Regex::new("^x.*d$").unwrap()), addresses(&["0.0.0.2"])),
            (Pattern::Suffix("c.d".into()), addresses(&["0.0.0.3"])),
            (Pattern::Suffix("b.c.d".into()), addresses(&["0.0.0.4"])),
            (Pattern::Full("a.b.c.d".into()), addresses(&["0.0.0.5"])),
            (Pattern::Full("a.b.c.d".into()), addresses(&["0.0.0.6"])),
        ]);
        for (query, expected) in [
            ("a.b.c.d", "0.0.0.5"),
            ("x.b.c.d", "0.0.0.4"),
            ("x.c.d", "0.0.0.3"),
            ("x.d", "0.0.0.2"),
            ("xb.c.d.e", "0.0.0.1"),
            ("xb.c.d", "0.0.0.3"),
        ] {
            check(&hosts, query, Family::Any, &[expected]);
        }
    }

    #[test]
    fn five_aliases_are_followed_and_circles_are_errors() {
        let chain = |count: usize| -> Hosts {
            let alias = |n: usize| {
                (Pattern::Full(format!("n{n}").into()), Answer::Alias(name(&format!("n{}", n + 1))))
            };
            (0..count)
                .map(alias)
                .chain([(Pattern::Full(format!("n{count}").into()), addresses(&["1.1.1.1"]))])
                .collect()
        };
        check(&chain(5), "n0", Family::Any, &["1.1.1.1"]);
        let circle = Hosts::from_iter([(Pattern::Suffix("a".into()), Answer::Alias(name("b.a")))]);
        for (hosts, query) in [(chain(6), "n0"), (circle, "a")] {
            let result = hosts.resolve(&name(query), Family::Any);
            assert!(matches!(result, Err(ResolveError::Aliases { .. })), "{result:?}");
        }
    }
}
