//! Which entries have all names or addresses that another one has.

use std::iter;

use ipnet::IpNet;

use super::parts::{End, Key, domain_key, ip_key};
use crate::model::{DomainEntry, IpEntry, IpSet};

/// The entries that have all names that an entry has; keywords are not among them.
pub(super) fn covering_names(entry: &DomainEntry) -> impl Iterator<Item = Key<'_>> {
    let (name, wider) = match entry {
        DomainEntry::Full(name) | DomainEntry::Below(name) => (&**name, Some(Key::Suffix(name))),
        DomainEntry::Suffix(name) => (&**name, None),
        DomainEntry::List(list) => ("", Some(Key::Site(&list.file, &list.code, &[]))),
        DomainEntry::Keyword(_) | DomainEntry::Regexp(_) => ("", None),
    };
    let above = name.match_indices('.').filter_map(move |(dot, _)| name.get(dot + 1..));
    let above = above.flat_map(|name| [Key::Suffix(name), Key::Below(name)]);
    domain_key(entry).into_iter().chain(wider).chain(above)
}

/// Whether all names that an entry has have a keyword.
pub(super) fn has_keyword(entry: &DomainEntry, keyword: &str) -> bool {
    match entry {
        DomainEntry::Full(name) | DomainEntry::Suffix(name) => name.contains(keyword),
        DomainEntry::Below(name) => {
            name.contains(keyword) || keyword.strip_prefix('.').is_some_and(|rest| name.starts_with(rest))
        }
        DomainEntry::Keyword(text) => text.contains(keyword),
        DomainEntry::Regexp(_) | DomainEntry::List(_) => keyword.is_empty(),
    }
}

/// The entries that have all addresses that an entry has, among prefixes of these lengths.
pub(super) fn covering_addresses(end: End, entry: &IpEntry, lengths: u128) -> impl Iterator<Item = Key<'_>> {
    let net = match &entry.set {
        IpSet::Net(net) => Some(*net),
        IpSet::NotPublic | IpSet::List { .. } => None,
    };
    let inverse = entry.inverse;
    let wider = move |net: IpNet| {
        let used = (0..net.prefix_len()).filter(move |length| lengths >> length & 1 == 1);
        used.filter_map(move |length| Some(IpNet::new(net.addr(), length).ok()?.trunc()))
    };
    let above = net.into_iter().flat_map(wider);
    iter::once(ip_key(end, entry)).chain(above.map(move |net| Key::Net(end, inverse, net)))
}
