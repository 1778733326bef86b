//! The decision itself.

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell},
    net::IpAddr,
};

use waypost_net::{Flow, Host};

use crate::{
    Action, Answer, Decision, Effect, Pending, Performing, Question, Rule, Step, Strategy, Words,
    bits::contains,
    condition::{process_holds, process_text},
    explain::{Explanation, Pass, Recorder, Silent, Trace, Verdict},
    index::{DomainRules, IpRules},
    step::{Facts, Position},
    tree::{LeafHits, RuleSet, Trial, known_addresses},
};

/// An immutable set of rules; made by [`Router::new`].
#[derive(Debug)]
pub struct Router {
    pub(crate) strategy: Strategy,
    pub(crate) naming: Words,
    pub(crate) rules: Box<[Rule]>,
    pub(crate) sets: Box<[RuleSet]>,
    /// By part: the rule set that is nothing but the lists of this part.
    pub(crate) set_of_part: Box<[Option<usize>]>,
    pub(crate) domain: DomainRules,
    pub(crate) ip: IpRules,
    pub(crate) source: IpRules,
    pub(crate) local: IpRules,
    /// What is enough of each rule, one bit per rule.
    pub(crate) enough: Box<[Enough]>,
    /// A row without any bit, and one with all.
    pub(crate) no_rule: Box<[u64]>,
    pub(crate) every_rule: Box<[u64]>,
}

/// Of 64 rules: what the indexes need not find.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Enough {
    /// No domain condition.
    pub(crate) domain: u64,
    /// No IP condition.
    pub(crate) ip: u64,
    /// One of both is enough.
    pub(crate) either: u64,
}

/// The rows of bits that candidates are found in, all of the same length.
#[derive(Clone, Copy)]
struct Rows<'c> {
    domain: &'c [u64],
    ip: &'c [u64],
    enough: &'c [Enough],
}

/// What one decision works with.
pub(crate) struct Context<'c> {
    pub(crate) flow: &'c Flow,
    pub(crate) facts: &'c Facts,
    /// Whether a name may be asked for.
    pub(crate) may_ask: bool,
    /// The rules whose domain condition holds.
    domain_hits: &'c [u64],
    /// The rules whose IP condition holds, if the addresses are known.
    ip_hits: Option<&'c [u64]>,
    /// The rules whose condition on an end of the connection holds, once one was asked for.
    source_hits: Cell<Option<&'c [u64]>>,
    local_hits: Cell<Option<&'c [u64]>>,
    /// Once a rule of more than plain conditions is tried.
    leaf_hits: &'c OnceCell<Box<LeafHits>>,
}

impl Context<'_> {
    pub(crate) fn leaf_hits(&self) -> &LeafHits {
        self.leaf_hits.get_or_init(Box::default)
    }
}

/// What explanations call conditions on lists.
pub(crate) struct ListNames {
    pub(crate) ip: &'static str,
    pub(crate) source: &'static str,
}

/// How one time through the rules ended.
enum PassEnd<'r> {
    Matched(&'r Rule),
    Perform { rule: &'r Rule, effect: &'r Effect },
    Ask { rule: usize, question: Question },
    NoMatch,
}

enum Outcome {
    Holds,
    Fails,
    Ask(Question),
}

impl Router {
    /// Decides where `flow` goes, or asks.
    #[must_use]
    pub fn route(&self, flow: &Flow) -> Step<'_> {
        self.run(flow, Facts::default(), Position { pass: Pass::First, rule: 0 }, &mut Silent)
    }

    /// The same decision with a record of every rule and condition; `answer` is asked what
    /// [`Step::Ask`] would ask, and `perform` does what [`Step::Perform`] would have done.
    pub fn explain(
        &self,
        flow: &Flow,
        mut answer: impl FnMut(&Question) -> Answer,
        mut perform: impl FnMut(&Effect, &mut Flow),
    ) -> (Decision<'_>, Explanation) {
        let mut recorder = Recorder::default();
        let (mut facts, mut position) = (Facts::default(), Position { pass: Pass::First, rule: 0 });
        let mut flow = Cow::Borrowed(flow);
        loop {
            match self.run(&flow, facts, position, &mut recorder) {
                Step::Decided(decision) => return (decision, recorder.finish()),
                Step::Perform(performing) => {
                    perform(performing.effect, flow.to_mut());
                    position = performing.position();
                    facts = performing.into_facts();
                }
                Step::Ask(pending) => {
                    position = pending.position;
                    facts = pending.facts;
                    recorder.asked(&pending.question);
                    match (answer(&pending.question), &pending.question) {
                        (Answer::Addresses(addresses), Question::Addresses(_)) => {
                            facts.addresses =
                                Some(addresses.into_iter().map(waypost_net::canonical_ip).collect());
                        }
                        (Answer::Process(process), Question::Process) => facts.process = Some(process),
                        // An answer to another question is no knowledge.
                        (Answer::Process(_), Question::Addresses(_)) => facts.addresses = Some(Vec::new()),
                        (Answer::Addresses(_), Question::Process) => facts.process = Some(None),
                    }
                }
            }
        }
    }

    /// The rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Bytes that the combined indexes take on the heap.
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        self.domain.index.heap_bytes()
            + self.ip.index.heap_bytes()
            + self.source.index.heap_bytes()
            + self.local.index.heap_bytes()
    }

    pub(crate) fn run<'r, T: Trace>(
        &'r self,
        flow: &Flow,
        facts: Facts,
        mut position: Position,
        trace: &mut T,
    ) -> Step<'r> {
        let name_bits;
        let domain_hits = match flow.domain() {
            Some(name) => {
                name_bits = self.domain.hits(name);
                name_bits.as_slice()
            }
            None => &self.no_rule,
        };
        // Names are asked for only in a pass that may ask, and answers come back to that same pass, so
        // that no other pass ever sees the addresses.
        let address_bits;
        let ip_hits = match (&flow.target.host, known_addresses(flow, facts.addresses.as_deref())) {
            (Host::Ip(address), _) => Some(self.ip.hits(*address)),
            (Host::Domain(_), None) => None,
            (Host::Domain(_), Some(addresses)) => {
                address_bits = self.ip.hits_of_any(addresses);
                Some(address_bits.as_slice())
            }
        };
        let leaf_hits = OnceCell::new();
        let mut context = Context {
            flow,
            facts: &facts,
            may_ask: false,
            domain_hits,
            ip_hits,
            source_hits: Cell::new(None),
            local_hits: Cell::new(None),
            leaf_hits: &leaf_hits,
        };
        loop {
            context.may_ask = match (self.strategy, position.pass) {
                (Strategy::AsIs, _) | (Strategy::IpIfNonMatch, Pass::First) => false,
                (Strategy::IpOnDemand, _) | (Strategy::IpIfNonMatch, Pass::Resolving) => true,
            };
            match self.run_pass(&context, position, trace) {
                PassEnd::Matched(rule) => {
                    let matched_addresses = self.matched_addresses(rule, flow, &facts);
                    return Step::Decided(Decision { rule: Some(rule), matched_addresses });
                }
                PassEnd::Perform { rule, effect } => {
                    let pass = position.pass;
                    return Step::Perform(Performing { router: self, pass, facts, rule, effect });
                }
                PassEnd::Ask { rule, question } => {
                    let position = Position { pass: position.pass, rule };
                    return Step::Ask(Pending { router: self, position, facts, question });
                }
                PassEnd::NoMatch => {}
            }
            let again = self.strategy == Strategy::IpIfNonMatch
                && position.pass == Pass::First
                && flow.target.host.domain().is_some();
            if !again {
                return Step::Decided(Decision { rule: None, matched_addresses: Vec::new() });
            }
            position = Position { pass: Pass::Resolving, rule: 0 };
        }
    }

    /// Tries the rules from `position` on.
    #[inline]
    fn run_pass<'r: 'c, 'c, T: Trace>(
        &'r self,
        context: &Context<'c>,
        position: Position,
        trace: &mut T,
    ) -> PassEnd<'r> {
        let mut next = position.rule;
        let rows = self.rows(context);
        while let Some(rule) = Self::next_candidate::<T>(rows, next).and_then(|index| self.rules.get(index)) {
            trace.rule(position.pass, rule);
            match self.holds(rule, context, trace) {
                Outcome::Fails => trace.rule_ends(false),
                Outcome::Holds => {
                    trace.rule_ends(true);
                    return match &rule.action {
                        Action::Go { .. } => PassEnd::Matched(rule),
                        Action::Perform(effect) => PassEnd::Perform { rule, effect },
                    };
                }
                Outcome::Ask(question) => {
                    trace.rule_is_tried_again();
                    return PassEnd::Ask { rule: rule.index, question };
                }
            }
            next = rule.index + 1;
        }
        PassEnd::NoMatch
    }

    #[inline]
    fn rows<'c>(&'c self, context: &Context<'c>) -> Rows<'c> {
        // A rule that would ask is a candidate; one that may not ask cannot hold.
        let unknown = if context.may_ask { &*self.every_rule } else { &self.no_rule };
        let ip = context.ip_hits.unwrap_or(unknown);
        Rows { domain: context.domain_hits, ip, enough: &self.enough }
    }

    /// The first rule from `from` on that the combined indexes do not rule out.
    ///
    /// All words are looked at before the first that is not zero is chosen: a loop of the same length
    /// every time is predicted by the processor, one that ends early is not.
    #[inline]
    fn next_candidate<T: Trace>(rows: Rows<'_>, from: usize) -> Option<usize> {
        if T::EVERY_CONDITION {
            return Some(from);
        }
        let words = rows.enough.len();
        let start = from / 64;
        // The rules of the first word that are still to come.
        let mut ahead = u64::MAX << (from % 64);
        let mut block = start;
        while block < words {
            let end = words.min(block + 64);
            let mut not_zero = 0_u64;
            let mut mask = ahead;
            for (bit, word) in candidates(rows, block..end).enumerate() {
                not_zero |= u64::from(word & mask != 0) << bit;
                mask = u64::MAX;
            }
            if not_zero != 0 {
                let at = block + not_zero.trailing_zeros() as usize;
                let mask = if at == block { ahead } else { u64::MAX };
                let word = candidates(rows, at..at + 1).next()? & mask;
                return Some(at * 64 + word.trailing_zeros() as usize);
            }
            ahead = u64::MAX;
            block = end;
        }
        None
    }

    /// Tries the conditions of one rule: cheap ones first, then those that may have to ask.
    #[inline]
    fn holds<'c, T: Trace>(&'c self, rule: &Rule, context: &Context<'c>, trace: &mut T) -> Outcome {
        // A candidate's domain condition holds, and its IP condition too if the addresses are known.
        if !T::EVERY_CONDITION && rule.only_lists && context.ip_hits.is_some() {
            return Outcome::Holds;
        }
        if let Some(tree) = &rule.tree {
            return match (Trial { router: self, context }).holds(tree, trace) {
                Ok(true) => Outcome::Holds,
                Ok(false) => Outcome::Fails,
                Err(question) => Outcome::Ask(question),
            };
        }
        let mut holds = true;
        for condition in &rule.conditions {
            let verdict = condition.holds(context.flow);
            if T::EVERY_CONDITION {
                let seen = Some(condition.subject(context.flow)).filter(|seen| !seen.is_empty());
                trace.condition(
                    condition.name(self.naming).into(),
                    condition.to_string(),
                    Verdict::from(verdict),
                    seen,
                );
            }
            holds &= verdict;
            if !holds && !T::EVERY_CONDITION {
                return Outcome::Fails;
            }
        }
        if rule.on.source || rule.on.local {
            holds &= self.endpoints_hold(rule, context, trace);
        }
        if !holds && !T::EVERY_CONDITION {
            return Outcome::Fails;
        }
        let by_name = self.domain_holds(rule, context, trace);
        if !rule.on.either {
            holds &= by_name;
        }
        if !holds && !T::EVERY_CONDITION {
            return Outcome::Fails;
        }
        if !rule.process.is_empty() {
            match self.process_holds(rule, context, holds, trace) {
                Outcome::Holds => {}
                Outcome::Fails => holds = false,
                Outcome::Ask(question) => return Outcome::Ask(question),
            }
        }
        if rule.on.either && by_name {
            if T::EVERY_CONDITION {
                let _also = self.ip_holds(rule, context, false, trace);
            }
            return if holds { Outcome::Holds } else { Outcome::Fails };
        }
        match self.ip_holds(rule, context, holds, trace) {
            Outcome::Holds if holds => Outcome::Holds,
            Outcome::Holds | Outcome::Fails => Outcome::Fails,
            Outcome::Ask(question) => Outcome::Ask(question),
        }
    }

    /// `source` and `localIP`.
    #[inline(never)]
    fn endpoints_hold<'r, T: Trace>(&'r self, rule: &Rule, context: &Context<'r>, trace: &mut T) -> bool {
        let flow = context.flow;
        let (source_hits, local_hits) = (&context.source_hits, &context.local_hits);
        let ends = [
            (
                self.list_name(|names| names.source),
                rule.on.source,
                &self.source,
                flow.source,
                source_hits,
                &rule.lists.source,
            ),
            ("localIP", rule.on.local, &self.local, flow.local, local_hits, &rule.lists.local),
        ];
        let mut all = true;
        for (name, present, rules, end, hits, labels) in ends {
            if !present {
                continue;
            }
            let address = end.map(|end| waypost_net::canonical_ip(end.ip()));
            let row = hits.get().unwrap_or_else(|| address.map_or(&[], |address| rules.hits(address)));
            hits.set(Some(row));
            let verdict = contains(row, rule.index);
            if T::EVERY_CONDITION {
                let seen = address.map(|address| {
                    rules.evidence(rule.index, address).unwrap_or_else(|| address.to_string())
                });
                trace.condition(name.into(), labels.to_string(), Verdict::from(verdict), seen);
            }
            all &= verdict;
        }
        all
    }

    fn domain_holds<T: Trace>(&self, rule: &Rule, context: &Context<'_>, trace: &mut T) -> bool {
        if !rule.on.domain {
            return true;
        }
        let verdict = contains(context.domain_hits, rule.index);
        if T::EVERY_CONDITION {
            let seen = match context.flow.domain() {
                Some(name) => self.domain.evidence(rule.index, name).unwrap_or_else(|| name.to_string()),
                None => "the target is an address".to_owned(),
            };
            trace.condition(
                "domain".into(),
                rule.lists.domain.to_string(),
                Verdict::from(verdict),
                Some(seen),
            );
        }
        verdict
    }

    #[inline(never)]
    fn process_holds<T: Trace>(
        &self,
        rule: &Rule,
        context: &Context<'_>,
        so_far: bool,
        trace: &mut T,
    ) -> Outcome {
        let (verdict, seen) = match &context.facts.process {
            Some(Some(process)) => {
                (Verdict::from(process_holds(&rule.process, process)), Some(process.to_string()))
            }
            Some(None) => (Verdict::Fails, Some("unknown".to_owned())),
            None if so_far => return Outcome::Ask(Question::Process),
            None => (Verdict::NotNeeded, None),
        };
        if T::EVERY_CONDITION {
            trace.condition("process".into(), process_text(&rule.process), verdict, seen);
        }
        verdict.outcome()
    }

    fn ip_holds<T: Trace>(&self, rule: &Rule, context: &Context<'_>, so_far: bool, trace: &mut T) -> Outcome {
        if !rule.on.ip {
            return Outcome::Holds;
        }
        let verdict = match (context.ip_hits, &context.flow.target.host) {
            (Some(hits), _) => Verdict::from(contains(hits, rule.index)),
            (None, Host::Domain(name)) if context.may_ask && so_far => {
                return Outcome::Ask(Question::Addresses(name.clone()));
            }
            (None, Host::Domain(_)) if context.may_ask => Verdict::NotNeeded,
            (None, Host::Domain(_) | Host::Ip(_)) => Verdict::Fails,
        };
        if T::EVERY_CONDITION {
            trace.condition(
                self.list_name(|names| names.ip).into(),
                rule.lists.ip.to_string(),
                verdict,
                self.ip_evidence(rule, context),
            );
        }
        verdict.outcome()
    }

    #[inline(never)]
    fn ip_evidence(&self, rule: &Rule, context: &Context<'_>) -> Option<String> {
        let addresses = match (&context.flow.target.host, context.addresses()) {
            (_, Some(addresses)) => addresses,
            (Host::Domain(_), None) if context.may_ask => return None,
            (Host::Domain(_) | Host::Ip(_), None) => {
                return Some("the name is not resolved in this pass".to_owned());
            }
        };
        if addresses.is_empty() {
            return Some("the name has no address".to_owned());
        }
        let hit = addresses.iter().find_map(|&address| self.ip.evidence(rule.index, address));
        Some(hit.unwrap_or_else(|| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))
    }

    /// The resolved addresses that made an IP condition hold.
    fn matched_addresses(&self, rule: &Rule, flow: &Flow, facts: &Facts) -> Vec<IpAddr> {
        let resolved =
            if flow.addresses.is_empty() { facts.addresses.as_deref() } else { Some(&*flow.addresses) };
        match resolved {
            Some(resolved) if rule.on.ip => {
                let holds = |address: &IpAddr| contains(self.ip.hits(*address), rule.index);
                resolved.iter().copied().filter(holds).collect()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// What the rule set of a decision is looked up with.
    pub(crate) fn context_of<'c>(
        flow: &'c Flow,
        facts: &'c Facts,
        leaf_hits: &'c OnceCell<Box<LeafHits>>,
    ) -> Context<'c> {
        Context {
            flow,
            facts,
            may_ask: false,
            domain_hits: &[],
            ip_hits: None,
            source_hits: Cell::new(None),
            local_hits: Cell::new(None),
            leaf_hits,
        }
    }

    /// What explanations call a condition on lists.
    pub(crate) fn list_name(&self, pick: impl Fn(&ListNames) -> &'static str) -> &'static str {
        pick(match self.naming {
            Words::V2ray => &ListNames { ip: "ip", source: "source" },
            Words::SingBox => &ListNames { ip: "ip_cidr", source: "source_ip_cidr" },
        })
    }
}

/// The rules of some words that the combined indexes do not rule out.
#[inline]
fn candidates(rows: Rows<'_>, words: std::ops::Range<usize>) -> impl Iterator<Item = u64> {
    let domain = rows.domain.get(words.clone()).unwrap_or_default();
    let ip = rows.ip.get(words.clone()).unwrap_or_default();
    let enough = rows.enough.get(words).unwrap_or_default();
    domain.iter().zip(ip).zip(enough).map(|((domain, ip), enough)| {
        (domain | enough.domain) & (ip | enough.ip) | enough.either & (domain | ip)
    })
}

impl Verdict {
    fn outcome(self) -> Outcome {
        match self {
            Self::Holds => Outcome::Holds,
            Self::Fails | Self::NotNeeded => Outcome::Fails,
        }
    }
}
