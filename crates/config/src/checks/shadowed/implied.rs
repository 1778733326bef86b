//! Whether a rule can hold only where another one holds.

use waypost_net::{Networks, PortSet};

use super::{
    Steps,
    entries::{covering_addresses, covering_names, has_keyword},
    parts::{End, Parts, Tree},
};
use crate::{
    Spanned,
    model::{Conditions, DomainEntry, IpEntry, LogicalMode, ProcessEntry, UserEntry},
};

/// Compares parts of rules.
pub(super) struct Comparison<'p, 'r> {
    parts: &'p Parts<'r>,
    steps: &'p Steps,
}

/// A tree, with or without its inversion.
#[derive(Clone, Copy)]
struct View<'t> {
    tree: &'t Tree,
    invert: bool,
}

impl<'t> From<&'t Tree> for View<'t> {
    fn from(tree: &'t Tree) -> Self {
        let (Tree::One { invert, .. } | Tree::Joined { invert, .. }) = tree;
        Self { tree, invert: *invert }
    }
}

impl View<'_> {
    fn not_inverted(self) -> Self {
        Self { invert: false, ..self }
    }
}

impl<'p, 'r> Comparison<'p, 'r> {
    pub(super) fn new(parts: &'p Parts<'r>, steps: &'p Steps) -> Self {
        Self { parts, steps }
    }

    /// Whether `later` holds only where `earlier` holds; `false` if that is not clear.
    pub(super) fn implies(&self, later: &Tree, earlier: &Tree) -> bool {
        self.is_implied(later.into(), earlier.into())
    }

    fn is_implied(&self, later: View<'_>, earlier: View<'_>) -> bool {
        if !self.steps.spend(1) || later.invert != earlier.invert {
            return false;
        }
        if later.invert {
            return self.is_implied(earlier.not_inverted(), later.not_inverted());
        }
        match (later.tree, earlier.tree) {
            (Tree::Joined { mode: LogicalMode::Or, parts, .. }, _) => {
                parts.iter().all(|part| self.is_implied(part.into(), earlier))
            }
            (_, Tree::Joined { mode: LogicalMode::And, parts, .. }) => {
                parts.iter().all(|part| self.is_implied(later, part.into()))
            }
            (Tree::One { part: later, .. }, Tree::One { part: earlier, .. }) => {
                self.part_implies(*later, *earlier)
            }
            (later_tree, earlier_tree) => {
                let of_earlier = match earlier_tree {
                    Tree::Joined { mode: LogicalMode::Or, parts, .. } => parts.as_slice(),
                    Tree::Joined { mode: LogicalMode::And, .. } | Tree::One { .. } => &[],
                };
                let of_later = match later_tree {
                    Tree::Joined { mode: LogicalMode::And, parts, .. } => parts.as_slice(),
                    Tree::Joined { mode: LogicalMode::Or, .. } | Tree::One { .. } => &[],
                };
                of_earlier.iter().any(|part| self.is_implied(later, part.into()))
                    || of_later.iter().any(|part| self.is_implied(part.into(), earlier))
            }
        }
    }

    /// Whether conditions hold only where others hold, both before they are inverted.
    fn part_implies(&self, later: usize, earlier: usize) -> bool {
        let conditions = &self.parts.conditions;
        let (Some(a), Some(b)) = (conditions.get(later), conditions.get(earlier)) else { return false };
        a.either == b.either
            && self.others_implied(a, b)
            && self.addresses_implied(End::Local, [later, earlier], [&a.local_ip, &b.local_ip])
            && self.sets_allow(a, b)
            && ports_implied(a.source_port.as_ref(), b.source_port.as_ref())
            && (is_every_port(b.port.as_ref()) || ports_implied(a.port.as_ref(), b.port.as_ref()))
            && self.addresses_implied(End::Source, [later, earlier], [&a.source, &b.source])
            && self.target_implied([later, earlier], a, b)
    }

    /// Conditions that are neither on lists of names and addresses nor on ports and rule sets.
    fn others_implied(&self, a: &Conditions, b: &Conditions) -> bool {
        // Named one by one, so that none is forgotten when there are more.
        let Conditions {
            domain: _,
            ip: _,
            source: _,
            local_ip: _,
            port: _,
            source_port: _,
            local_port,
            network,
            user,
            inbound_tag,
            protocol,
            attributes,
            process,
            local_os,
            ip_version,
            clash_mode,
            client,
            rule_sets: _,
            either: _,
            invert: _,
        } = b;
        let mode_of = |mode: &Option<Box<str>>| mode.as_ref().map(|mode| mode.to_ascii_lowercase());
        network.is_none_or(|b| b == Networks::ALL || a.network.is_some_and(|a| is_subset(a, b)))
            && ports_implied(a.local_port.as_ref(), local_port.as_ref())
            && (ip_version.is_none() || *ip_version == a.ip_version)
            && (clash_mode.is_none() || mode_of(clash_mode) == mode_of(&a.clash_mode))
            && self.all_covered(a.inbound_tag.as_ref(), inbound_tag.as_ref(), |a, b| a.value == b.value)
            && self.all_covered(a.user.as_ref(), user.as_ref(), same_user)
            && self.all_covered(a.protocol.as_ref(), protocol.as_ref(), |a, b| covers_protocol(a, b))
            && self.all_covered(a.client.as_ref(), client.as_ref(), |a, b| a == b)
            && self.all_covered(a.local_os.as_ref(), local_os.as_ref(), |a, b| a == b)
            // All of them have to hold, not one: the earlier rule wants no more than the later one.
            && attributes.as_ref().is_none_or(|b| {
                !b.is_empty() && self.all_covered(Some(b), a.attributes.as_ref(), |b, a| a.value == b.value)
                    && a.attributes.is_some()
            })
            && process.iter().all(|b| a.process.iter().any(|a| self.all_covered(Some(a), Some(b), same_process)))
    }

    /// Whether a list that is there at all has no entry that the other one does not cover.
    fn all_covered<T, U>(
        &self,
        later: Option<&Vec<T>>,
        earlier: Option<&Vec<U>>,
        covers: impl Fn(&T, &U) -> bool,
    ) -> bool {
        let Some(earlier) = earlier else { return true };
        later.is_some_and(|later| {
            self.steps.spend(later.len().saturating_mul(earlier.len()))
                && !later.is_empty()
                && later.iter().all(|a| earlier.iter().any(|b| covers(a, b)))
        })
    }

    /// Rule sets have conditions that count for the rule that names them, and the other way round.
    fn sets_allow(&self, a: &Conditions, b: &Conditions) -> bool {
        let groups = |conditions: &Conditions| {
            [
                conditions.domain.is_some() || conditions.ip.is_some(),
                conditions.source.is_some(),
                conditions.port.is_some(),
                conditions.source_port.is_some(),
            ]
        };
        match (&a.rule_sets, &b.rule_sets) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(_), None) => groups(b) == [false; 4],
            (Some(a_sets), Some(b_sets)) => {
                a_sets.match_source == b_sets.match_source
                    && groups(a) == groups(b)
                    && self.all_covered(Some(&a_sets.tags), Some(&b_sets.tags), |a, b| a.value == b.value)
            }
        }
    }

    fn target_implied(&self, parts: [usize; 2], a: &Conditions, b: &Conditions) -> bool {
        let names = || self.names_implied(parts, a.domain.as_deref(), b.domain.as_deref());
        let addresses = || self.addresses_implied(End::Target, parts, [&a.ip, &b.ip]);
        if !b.either {
            return names() && addresses();
        }
        if b.domain.is_none() && b.ip.is_none() {
            return true;
        }
        // Either half of the later rule is enough for it, so each has to be enough for the earlier one.
        let names_are_enough = a.domain.is_none() || b.domain.is_some() && names();
        let addresses_are_enough = a.ip.is_none() || b.ip.is_some() && addresses();
        (a.domain.is_some() || a.ip.is_some()) && names_are_enough && addresses_are_enough
    }

    fn names_implied(
        &self,
        [_, earlier]: [usize; 2],
        a: Option<&[Spanned<DomainEntry>]>,
        b: Option<&[Spanned<DomainEntry>]>,
    ) -> bool {
        if b.is_none() {
            return true;
        }
        let keywords = self.parts.keywords.get(earlier).map_or(&[] as &[&str], Vec::as_slice);
        a.is_some_and(|entries| {
            entries.iter().all(|entry| {
                self.steps.spend(keywords.len() + 2)
                    && (covering_names(&entry.value).any(|key| self.parts.has(earlier, key))
                        || keywords.iter().any(|keyword| has_keyword(&entry.value, keyword)))
            })
        })
    }

    fn addresses_implied(
        &self,
        end: End,
        [later, earlier]: [usize; 2],
        [a, b]: [&Option<Vec<Spanned<IpEntry>>>; 2],
    ) -> bool {
        let Some(b) = b else { return true };
        let Some(a) = a else { return false };
        let is_covered = |entry: &IpEntry, by: usize| {
            self.steps.spend(2)
                && covering_addresses(end, entry, self.parts.lengths).any(|key| self.parts.has(by, key))
        };
        let (a_inverse, a_own): (Vec<_>, Vec<_>) = a.iter().partition(|entry| entry.value.inverse);
        let mut b_inverse = b.iter().filter(|entry| entry.value.inverse).peekable();
        // What none of the later rule's inverse lists has must be in none of the earlier rule's.
        let inverse_implied = a_inverse.is_empty()
            || b_inverse.peek().is_some() && b_inverse.all(|entry| is_covered(&entry.value, later));
        inverse_implied && a_own.iter().all(|entry| is_covered(&entry.value, earlier))
    }
}

fn ports_implied(a: Option<&PortSet>, b: Option<&PortSet>) -> bool {
    let Some(b) = b else { return true };
    a.is_some_and(|a| {
        let mut wider = b.ranges().iter().peekable();
        a.ranges().iter().all(|range| {
            while wider.next_if(|wider| wider.last < range.last).is_some() {}
            wider.peek().is_some_and(|wider| wider.first <= range.first)
        })
    })
}

fn is_every_port(ports: Option<&PortSet>) -> bool {
    let every = |ports: &PortSet| matches!(ports.ranges(), [all] if (all.first, all.last) == (0, u16::MAX));
    ports.is_some_and(every)
}

fn is_subset(a: Networks, b: Networks) -> bool {
    (!a.tcp || b.tcp) && (!a.udp || b.udp)
}

fn same_user(a: &Spanned<UserEntry>, b: &Spanned<UserEntry>) -> bool {
    a.value == b.value
}

fn same_process(a: &Spanned<ProcessEntry>, b: &Spanned<ProcessEntry>) -> bool {
    a.value == b.value
}

/// Protocols are compared by how they begin; nothing begins with an empty one.
fn covers_protocol(a: &str, b: &str) -> bool {
    !b.is_empty() && a.starts_with(b)
}
