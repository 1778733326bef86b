//! Rules that are more than a row of conditions: joined, inverted, or with rule sets that have
//! conditions of their own.
//!
//! Conditions are of five kinds: on the target (its name or its address), on the target's port, on the
//! client's address, on the client's port, and others. The first four are *groups*. A rule set that
//! consists of one plain rule is merged with the rule that names it: in each group that either of them
//! has, one match of either is enough. Any other set just matches or does not, and so do rules that are
//! joined. That is what sing-box 1.14.4 does; earlier versions merged more.

use std::{borrow::Cow, cell::OnceCell, net::IpAddr};

use waypost_net::{Flow, Tag, canonical_ip};

use crate::{
    LogicalMode, Question, Router,
    build::ProcessTests,
    condition::{FlowCondition, process_holds, process_text},
    decide::Context,
    explain::{Silent, Trace, Verdict},
    index::Leaf,
    rule::{ListConditions, ListLabels},
};

/// A part of a rule or of a rule set.
#[derive(Debug)]
pub(crate) enum Node {
    Items(Box<Items>),
    Logical { mode: LogicalMode, nodes: Box<[Node]>, invert: bool },
}

/// Conditions of one part.
#[derive(Debug)]
pub(crate) struct Items {
    /// Of its lists, of its inverse lists, and of its target lists compared with the client's address.
    pub(crate) leaves: [Leaf; 3],
    pub(crate) on: ListConditions,
    pub(crate) inverse: Inverse,
    pub(crate) conditions: Box<[FlowCondition]>,
    pub(crate) process: ProcessTests,
    pub(crate) sets: Option<NodeSets>,
    pub(crate) invert: bool,
    pub(crate) lists: ListLabels,
}

/// Which kinds of IP lists some are inverse of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inverse {
    pub(crate) ip: bool,
    pub(crate) source: bool,
    pub(crate) local: bool,
}

/// The rule sets that a part names.
#[derive(Debug)]
pub(crate) struct NodeSets {
    pub(crate) sets: Box<[usize]>,
    /// The same in order, if each of them is one list or two of which one is enough.
    pub(crate) listed: Option<Box<[usize]>>,
    pub(crate) match_source: bool,
}

/// A compiled rule set.
#[derive(Debug)]
pub(crate) struct RuleSet {
    pub(crate) tag: Tag,
    pub(crate) nodes: Box<[Node]>,
}

const SOURCE: u8 = 1;
const SOURCE_PORT: u8 = 2;
const TARGET: u8 = 4;
const TARGET_PORT: u8 = 8;

/// The parts that the flow is in lists of, found when the first part asks.
#[derive(Debug, Default)]
pub(crate) struct LeafHits {
    domain: OnceCell<Vec<Leaf>>,
    /// By address.
    ip: OnceCell<Vec<Vec<Leaf>>>,
    source: OnceCell<Vec<Leaf>>,
    local: OnceCell<Vec<Leaf>>,
    /// The rule sets that match because of nothing but lists.
    sets: OnceCell<Vec<usize>>,
}

/// What the parts of one rule are tried with.
pub(crate) struct Trial<'t, 'c> {
    pub(crate) router: &'t Router,
    pub(crate) context: &'t Context<'c>,
}

/// How a part is looked at.
#[derive(Clone, Copy)]
struct Look<'p> {
    /// Whether conditions on the target's address look at the client's.
    as_source: bool,
    /// What stands before the names of its conditions.
    path: &'p str,
}

const PLAIN: Look<'static> = Look { as_source: false, path: "" };

impl Trial<'_, '_> {
    /// Whether a whole rule matches.
    pub(crate) fn holds<T: Trace>(&self, node: &Node, trace: &mut T) -> Result<bool, Question> {
        self.node(node, PLAIN, trace)
    }

    fn node<T: Trace>(&self, node: &Node, look: Look<'_>, trace: &mut T) -> Result<bool, Question> {
        let (holds, invert) = match node {
            Node::Items(items) => (self.items(items, look, trace)?, items.invert),
            Node::Logical { mode: LogicalMode::And, nodes, invert } => {
                (!self.one_is(nodes, false, look, trace)?, *invert)
            }
            Node::Logical { mode: LogicalMode::Or, nodes, invert } => {
                (self.one_is(nodes, true, look, trace)?, *invert)
            }
        };
        if T::EVERY_CONDITION && invert {
            trace.condition(named(look.path, "invert"), "true".to_owned(), (!holds).into(), None);
        }
        Ok(holds != invert)
    }

    /// Whether one of joined parts comes to `wanted`; asks only if no other part does.
    fn one_is<T: Trace>(
        &self,
        nodes: &[Node],
        wanted: bool,
        look: Look<'_>,
        trace: &mut T,
    ) -> Result<bool, Question> {
        let mut found = Ok(false);
        for (index, node) in nodes.iter().enumerate() {
            let path = part_path::<T>(look.path, index);
            let holds = self.node(node, Look { path: &path, ..look }, trace);
            found = either(found, holds.map(|holds| holds == wanted));
            if found == Ok(true) && !T::EVERY_CONDITION {
                break;
            }
        }
        found
    }

    /// Whether conditions hold, before they are inverted.
    fn items<T: Trace>(&self, items: &Items, look: Look<'_>, trace: &mut T) -> Result<bool, Question> {
        let groups = self.groups(items, look, trace)?;
        let so_far = match (groups, &items.sets) {
            (Some(groups), None) => Ok(groups.all_matched()),
            (Some(groups), Some(sets)) => self.any_set(sets, groups, look, trace),
            (None, Some(sets)) if T::EVERY_CONDITION => {
                let _shown = self.any_set(sets, Groups::default(), look, trace);
                Ok(false)
            }
            (None, _) => Ok(false),
        };
        self.and_process(so_far, items, look, trace)
    }

    /// The groups of a part; `None` if another condition fails, of which the process is not one.
    fn groups<T: Trace>(
        &self,
        items: &Items,
        look: Look<'_>,
        trace: &mut T,
    ) -> Result<Option<Groups>, Question> {
        let mut groups = Groups::default();
        let mut holds = true;
        for condition in &items.conditions {
            let verdict = condition.holds(self.context.flow);
            match group_of(condition) {
                Some(group) => groups.note(group, verdict),
                None => holds &= verdict,
            }
            self.note_condition(condition, verdict, look, trace);
            if !holds && !T::EVERY_CONDITION {
                return Ok(None);
            }
        }
        holds &= self.local_holds(items, look, trace);
        self.source(items, &mut groups, look, trace);
        self.target(items, &mut groups, holds, look, trace)?;
        Ok(holds.then_some(groups))
    }

    fn note_condition<T: Trace>(
        &self,
        condition: &FlowCondition,
        verdict: bool,
        look: Look<'_>,
        trace: &mut T,
    ) {
        if T::EVERY_CONDITION {
            let seen = Some(condition.subject(self.context.flow)).filter(|seen| !seen.is_empty());
            let name = named(look.path, condition.name(self.router.naming));
            trace.condition(name, condition.to_string(), Verdict::from(verdict), seen);
        }
    }

    fn local_holds<T: Trace>(&self, items: &Items, look: Look<'_>, trace: &mut T) -> bool {
        if !items.on.local {
            return true;
        }
        let address = self.context.flow.local.map(|local| canonical_ip(local.ip()));
        let hits = self
            .context
            .leaf_hits()
            .local
            .get_or_init(|| address.map(|address| self.router.local.leaves(address)).unwrap_or_default());
        let [leaf, inverse, _] = items.leaves;
        let verdict = address.is_some() && in_lists(hits, leaf, items.inverse.local.then_some(inverse));
        if T::EVERY_CONDITION {
            let seen = address.map(|address| address.to_string());
            trace.condition(named(look.path, "localIP"), items.lists.local.to_string(), verdict.into(), seen);
        }
        verdict
    }

    /// The group of the client's address.
    fn source<T: Trace>(&self, items: &Items, groups: &mut Groups, look: Look<'_>, trace: &mut T) {
        let as_source = look.as_source && items.on.ip;
        if !items.on.source && !as_source {
            return;
        }
        let address = self.context.flow.source.map(|source| canonical_ip(source.ip()));
        let hits =
            self.context.leaf_hits().source.get_or_init(|| {
                address.map(|address| self.router.source.leaves(address)).unwrap_or_default()
            });
        let [leaf, inverse, source_leaf] = items.leaves;
        let own = items.on.source && in_lists(hits, leaf, items.inverse.source.then_some(inverse));
        let verdict = address.is_some() && (own || as_source && hits.binary_search(&source_leaf).is_ok());
        groups.note(SOURCE, verdict);
        if T::EVERY_CONDITION {
            let wanted = if as_source { &items.lists.ip } else { &items.lists.source };
            let seen = address.map(|address| address.to_string());
            let name = named(look.path, self.router.list_name(|names| names.source));
            trace.condition(name, wanted.to_string(), verdict.into(), seen);
        }
    }

    /// The group of the target: its name and its address.
    fn target<T: Trace>(
        &self,
        items: &Items,
        groups: &mut Groups,
        so_far: bool,
        look: Look<'_>,
        trace: &mut T,
    ) -> Result<(), Question> {
        let on_ip = items.on.ip && !look.as_source;
        if !items.on.domain && !on_ip {
            return Ok(());
        }
        let by_name = items.on.domain.then(|| self.name_holds(items, look, trace));
        let needs_address = match by_name {
            None => true,
            Some(holds) => holds != items.on.either || T::EVERY_CONDITION,
        };
        let may_ask = so_far && (by_name.is_none() || by_name != Some(items.on.either));
        let by_address = match on_ip {
            true if needs_address => Some(self.address_holds(items, may_ask, look, trace)?),
            true => Some(false),
            false => None,
        };
        let verdict = match (by_name, by_address) {
            (Some(name), Some(address)) if items.on.either => name || address,
            (name, address) => name.unwrap_or(true) && address.unwrap_or(true),
        };
        groups.note(TARGET, verdict);
        Ok(())
    }

    fn name_holds<T: Trace>(&self, items: &Items, look: Look<'_>, trace: &mut T) -> bool {
        let name = self.context.flow.domain();
        let hits = self
            .context
            .leaf_hits()
            .domain
            .get_or_init(|| name.map(|name| self.router.domain.leaves(name)).unwrap_or_default());
        let [leaf, ..] = items.leaves;
        let verdict = hits.binary_search(&leaf).is_ok();
        if T::EVERY_CONDITION {
            let seen = match name {
                Some(name) => self.router.domain.evidence_in(leaf, name).unwrap_or_else(|| name.to_string()),
                None => "the target is an address".to_owned(),
            };
            trace.condition(
                named(look.path, "domain"),
                items.lists.domain.to_string(),
                verdict.into(),
                Some(seen),
            );
        }
        verdict
    }

    fn address_holds<T: Trace>(
        &self,
        items: &Items,
        may_ask: bool,
        look: Look<'_>,
        trace: &mut T,
    ) -> Result<bool, Question> {
        let addresses = match (self.context.addresses(), self.context.flow.target.host.domain()) {
            (Some(addresses), _) => addresses,
            (None, Some(name)) if self.context.may_ask && may_ask => {
                return Err(Question::Addresses(name.clone()));
            }
            (None, _) => &[],
        };
        let hits = self
            .context
            .leaf_hits()
            .ip
            .get_or_init(|| addresses.iter().map(|&address| self.router.ip.leaves(address)).collect());
        let [leaf, inverse, _] = items.leaves;
        let inverse = items.inverse.ip.then_some(inverse);
        let verdict = hits.iter().any(|hits| in_lists(hits, leaf, inverse));
        if T::EVERY_CONDITION {
            let seen: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let seen = if seen.is_empty() { "the name is not resolved".to_owned() } else { seen.join(", ") };
            let name = named(look.path, self.router.list_name(|names| names.ip));
            trace.condition(name, items.lists.ip.to_string(), verdict.into(), Some(seen));
        }
        Ok(verdict)
    }

    /// Whether the process is one that is wanted, too; asks only if the rest may hold.
    fn and_process<T: Trace>(
        &self,
        so_far: Result<bool, Question>,
        items: &Items,
        look: Look<'_>,
        trace: &mut T,
    ) -> Result<bool, Question> {
        if items.process.is_empty() {
            return so_far;
        }
        let (verdict, seen) = match &self.context.facts.process {
            Some(Some(process)) => (process_holds(&items.process, process).into(), Some(process.to_string())),
            Some(None) => (Verdict::Fails, Some("unknown".to_owned())),
            None => (Verdict::NotNeeded, None),
        };
        if T::EVERY_CONDITION {
            trace.condition(named(look.path, "process"), process_text(&items.process), verdict, seen);
        }
        match (so_far, verdict) {
            (Ok(false), _) | (_, Verdict::Fails) => Ok(false),
            (so_far, Verdict::Holds) => so_far,
            (Ok(true) | Err(_), Verdict::NotNeeded) => Err(Question::Process),
        }
    }

    /// Whether one of the sets matches, merged with the groups of the part that names it.
    fn any_set<T: Trace>(
        &self,
        named_sets: &NodeSets,
        groups: Groups,
        look: Look<'_>,
        trace: &mut T,
    ) -> Result<bool, Question> {
        if !T::EVERY_CONDITION
            && let Some(holds) = self.any_listed(named_sets, groups)
        {
            return Ok(holds);
        }
        let (mut found, mut tag) = (Ok(false), None);
        for set in named_sets.sets.iter().filter_map(|&set| self.router.sets.get(set)) {
            found = either(found, self.set_holds(set, groups, named_sets.match_source));
            if found == Ok(true) {
                tag = Some(set.tag.to_string());
                break;
            }
        }
        if T::EVERY_CONDITION {
            let tags =
                named_sets.sets.iter().filter_map(|&set| Some(self.router.sets.get(set)?.tag.as_str()));
            let wanted = tags.collect::<Vec<_>>().join(", ");
            let verdict = found.as_ref().map_or(Verdict::NotNeeded, |&found| found.into());
            trace.condition(named(look.path, "rule_set"), wanted, verdict, tag);
        }
        found
    }

    /// The same if all sets are lists and nothing has to be asked: the sets that match are found at once.
    fn any_listed(&self, named_sets: &NodeSets, groups: Groups) -> Option<bool> {
        let listed = named_sets.listed.as_ref()?;
        let addresses = match self.context.addresses() {
            None if self.context.may_ask => return None,
            addresses => addresses.unwrap_or_default(),
        };
        if !groups.merged(Groups { matched: TARGET, needed: 0 }).all_matched() {
            return Some(false);
        }
        if groups.matched & TARGET != 0 {
            return Some(!listed.is_empty());
        }
        let matching = self.context.leaf_hits().sets.get_or_init(|| {
            let router = self.router;
            let by_name = self.context.flow.domain().map(|name| router.domain.leaves(name));
            let by_address = addresses.iter().flat_map(|&address| router.ip.leaves(address));
            let leaves = by_name.into_iter().flatten().chain(by_address);
            leaves.filter_map(|leaf| *router.set_of_part.get(leaf.part())?).collect()
        });
        Some(matching.iter().any(|set| listed.binary_search(set).is_ok()))
    }

    fn set_holds(&self, set: &RuleSet, groups: Groups, as_source: bool) -> Result<bool, Question> {
        let look = Look { as_source, path: "" };
        if let [Node::Items(items)] = &*set.nodes
            && !items.invert
        {
            let merged = self.groups(items, look, &mut Silent)?.map(|theirs| groups.merged(theirs));
            let so_far = Ok(merged.is_some_and(Groups::all_matched));
            return self.and_process(so_far, items, look, &mut Silent);
        }
        if !groups.all_matched() {
            return Ok(false);
        }
        self.one_is(&set.nodes, true, look, &mut Silent)
    }

    /// The first of `sets` that matches by itself.
    pub(crate) fn first_set(&self, sets: &[usize], match_source: bool) -> Option<&Tag> {
        let mut sets = sets.iter().filter_map(|&set| self.router.sets.get(set));
        let matches = |set: &&RuleSet| self.set_holds(set, Groups::default(), match_source).unwrap_or(false);
        sets.find(matches).map(|set| &set.tag)
    }

    /// The first rule set by which a part matches.
    pub(crate) fn matching_set(&self, node: &Node) -> Option<&Tag> {
        let matches = |node| self.holds(node, &mut Silent).unwrap_or(false);
        match node {
            Node::Items(items) if items.invert => None,
            Node::Logical { invert: true, .. } => None,
            Node::Items(items) => {
                let named_sets = items.sets.as_ref()?;
                self.first_set(&named_sets.sets, named_sets.match_source)
            }
            Node::Logical { nodes, .. } => {
                nodes.iter().filter(|node| matches(node)).find_map(|node| self.matching_set(node))
            }
        }
    }
}

/// The groups that a part needs, and those that have been matched.
#[derive(Debug, Clone, Copy, Default)]
struct Groups {
    matched: u8,
    needed: u8,
}

impl Groups {
    fn note(&mut self, group: u8, matches: bool) {
        self.needed |= group;
        if matches {
            self.matched |= group;
        }
    }

    fn merged(self, other: Self) -> Self {
        Self { needed: self.needed | other.needed, matched: self.matched | other.matched }
    }

    fn all_matched(self) -> bool {
        self.needed & !self.matched == 0
    }
}

fn group_of(condition: &FlowCondition) -> Option<u8> {
    match condition {
        FlowCondition::Port(_) => Some(TARGET_PORT),
        FlowCondition::SourcePort(_) => Some(SOURCE_PORT),
        FlowCondition::OperatingSystem(_)
        | FlowCondition::Network(_)
        | FlowCondition::Inbound(_)
        | FlowCondition::LocalPort(_)
        | FlowCondition::User(_)
        | FlowCondition::Protocol(_)
        | FlowCondition::Attributes(_)
        | FlowCondition::IpVersion(_)
        | FlowCondition::Mode(_)
        | FlowCondition::Client(_) => None,
    }
}

/// Whether one of two is true, as far as is known.
fn either(first: Result<bool, Question>, second: Result<bool, Question>) -> Result<bool, Question> {
    match (first, second) {
        (Ok(true), _) | (_, Ok(true)) => Ok(true),
        (Err(question), _) | (_, Err(question)) => Err(question),
        (Ok(false), Ok(false)) => Ok(false),
    }
}

/// Whether an address is in a list, or in none of the inverse ones.
fn in_lists(hits: &[Leaf], leaf: Leaf, inverse: Option<Leaf>) -> bool {
    let has = |leaf: Leaf| hits.binary_search(&leaf).is_ok();
    has(leaf) || inverse.is_some_and(|inverse| !has(inverse))
}

fn part_path<T: Trace>(path: &str, index: usize) -> Cow<'static, str> {
    if T::EVERY_CONDITION { format!("{path}rules[{index}].").into() } else { Cow::Borrowed("") }
}

fn named(path: &str, name: &'static str) -> Cow<'static, str> {
    if path.is_empty() { Cow::Borrowed(name) } else { format!("{path}{name}").into() }
}

impl Context<'_> {
    /// The addresses that IP conditions look at, if they are known.
    pub(crate) fn addresses(&self) -> Option<&[IpAddr]> {
        known_addresses(self.flow, self.facts.addresses.as_deref())
    }
}

/// The target's own address; else those that a rule had resolved; else those that were asked for.
pub(crate) fn known_addresses<'f>(flow: &'f Flow, asked: Option<&'f [IpAddr]>) -> Option<&'f [IpAddr]> {
    match &flow.target.host {
        waypost_net::Host::Ip(address) => Some(std::slice::from_ref(address)),
        waypost_net::Host::Domain(_) if !flow.addresses.is_empty() => Some(&flow.addresses),
        waypost_net::Host::Domain(_) => asked,
    }
}
