//! Collects the lists of all rules and rule sets for the combined indexes.

use waypost_geoip::IpIndexBuilder;
use waypost_geosite::{DomainIndexBuilder, EntryKind, go_regexp};

use crate::{
    Addresses, DomainList, IpList,
    build::{BuildError, Place, Problem},
    index::{DomainRules, IpRules, Leaf, ListInfo},
};

/// All lists, by what they are compared with.
#[derive(Debug, Default)]
pub(crate) struct Collector<'a> {
    domain: DomainIndexBuilder<'a>,
    domain_lists: Vec<ListInfo>,
    ip: IpLists,
    source: IpLists,
    local: IpLists,
    n_leaves: u32,
    pub(crate) errors: Vec<BuildError>,
}

#[derive(Debug, Default)]
struct IpLists {
    builder: IpIndexBuilder,
    infos: Vec<ListInfo>,
}

/// The indexes.
pub(crate) struct Indexes {
    pub(crate) domain: DomainRules,
    pub(crate) ip: IpRules,
    pub(crate) source: IpRules,
    pub(crate) local: IpRules,
}

/// Which address an IP list is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Target,
    Source,
    Local,
}

/// Whom a list belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'o> {
    /// The rules that it decides without more ado.
    pub(crate) rules: &'o [usize],
    pub(crate) leaf: Option<Leaf>,
    /// What it is called if it has no name of its own.
    pub(crate) label: Option<&'o str>,
}

impl<'a> Collector<'a> {
    /// Makes room for so many names.
    pub(crate) fn reserve_names(&mut self, additional: usize) {
        self.domain.reserve(additional);
    }

    /// The numbers of a new part: for its lists, for those that are inverse, and for those of the
    /// target's addresses when they are compared with the client's.
    pub(crate) fn new_leaves(&mut self) -> [Leaf; 3] {
        let first = self.n_leaves;
        self.n_leaves = first.saturating_add(3);
        [Leaf(first), Leaf(first.saturating_add(1)), Leaf(first.saturating_add(2))]
    }

    /// How many parts have numbers.
    pub(crate) fn n_parts(&self) -> usize {
        self.n_leaves as usize / 3
    }

    pub(crate) fn domain(&mut self, place: Place, lists: &[DomainList<'a>], owner: Owner<'_>) {
        for (list_position, list) in lists.iter().enumerate() {
            let id = u32::try_from(self.domain_lists.len()).unwrap_or(u32::MAX);
            self.domain_lists.push(owner.info(false, list.label.as_deref()));
            for (entry, &(kind, text)) in list.entries.iter().enumerate() {
                if let Err(problem) = insert(&mut self.domain, kind, text, id) {
                    self.errors.push(BuildError {
                        place,
                        field: "domain",
                        list: list_position,
                        entry,
                        problem,
                    });
                }
            }
        }
    }

    pub(crate) fn ip<'o>(&mut self, end: End, lists: &[IpList<'_>], owner: impl Fn(bool) -> Owner<'o>) {
        for list in lists {
            let info = owner(list.inverse).info(list.inverse, list.label.as_deref());
            self.lists_of(end).push(info, &list.addresses);
        }
    }

    /// IP lists of a plain rule, which decide it without more ado.
    pub(crate) fn own_ip(&mut self, end: End, lists: &[IpList<'_>], rule: usize) {
        let rules = [rule];
        self.ip(end, lists, |_inverse| Owner { rules: &rules, leaf: None, label: None });
    }

    fn lists_of(&mut self, end: End) -> &mut IpLists {
        match end {
            End::Target => &mut self.ip,
            End::Source => &mut self.source,
            End::Local => &mut self.local,
        }
    }

    /// Builds the indexes; what is wrong is among the errors already if `None`.
    pub(crate) fn finish(self, words: usize) -> Result<Indexes, Vec<BuildError>> {
        let mut errors = self.errors;
        let domain = match self.domain.build() {
            Ok(index) => Some(DomainRules::new(index, self.domain_lists, words)),
            Err(error) => {
                let problem = Problem::Index(error);
                let place = Place::default();
                errors.push(BuildError { place, field: "domain", list: 0, entry: 0, problem });
                None
            }
        };
        match domain {
            Some(domain) if errors.is_empty() => Ok(Indexes {
                domain,
                ip: self.ip.finish(words),
                source: self.source.finish(words),
                local: self.local.finish(words),
            }),
            Some(_) | None => Err(errors),
        }
    }
}

impl Owner<'_> {
    fn info(&self, inverse: bool, label: Option<&str>) -> ListInfo {
        let label = label.or(self.label).map(Into::into);
        ListInfo { rules: self.rules.into(), leaf: self.leaf, inverse, label }
    }
}

impl IpLists {
    fn push(&mut self, info: ListInfo, addresses: &Addresses<'_>) {
        let id = u32::try_from(self.infos.len()).unwrap_or(u32::MAX);
        self.infos.push(info);
        match addresses {
            Addresses::Prefixes(prefixes) => prefixes.iter().for_each(|&net| self.builder.insert(net, id)),
            Addresses::Ranges(ranges) => {
                ranges.iter().for_each(|&(first, last)| self.builder.insert_range(first, last, id));
            }
        }
    }

    fn finish(self, words: usize) -> IpRules {
        IpRules::new(self.builder.build(), self.infos, words)
    }
}

fn insert<'a>(
    builder: &mut DomainIndexBuilder<'a>,
    kind: EntryKind,
    text: &'a str,
    id: u32,
) -> Result<(), Problem> {
    let name = |error| Problem::Name { name: text.into(), error };
    match kind {
        EntryKind::Full => builder.full(text, id).map_err(name),
        EntryKind::Suffix => builder.suffix(text, id).map_err(name),
        EntryKind::Below => builder.below(text, id).map_err(name),
        EntryKind::Keyword => {
            builder.keyword(text, id);
            Ok(())
        }
        EntryKind::Regexp => {
            let problem = |error: go_regexp::Error| Problem::Regexp { expression: text.into(), error };
            builder.regexp(text, id).map_err(problem)
        }
    }
}
