//! Rules with logic, inversion and rule sets against a naive model of what sing-box 1.14.4 does.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;
use waypost_net::{Flow, Host, Network, Networks, PortRange, PortSet, Tag};
use waypost_router::{
    Action, Answer, Conditions, Decision, DomainList, Effect, EntryKind, IpList, Logical, LogicalMode,
    Matcher, Process, ProcessPattern, Question, Resolve, RouteOptions, Router, RouterSpec, RuleSetSpec,
    RuleSets, RuleSpec, Sniff, Step, Way,
};

use crate::model::{any_address, any_entry, any_flow, any_net, has_name};

/// A part of a rule, or of a rule of a set.
#[derive(Debug, Clone)]
enum Part {
    One(Box<Plain>),
    Joined { all: bool, parts: Vec<Part>, invert: bool },
}

/// Conditions in a form that the model evaluates directly; what is empty is absent.
#[derive(Debug, Clone)]
struct Plain {
    domain: Vec<(EntryKind, String)>,
    ip: Vec<IpNet>,
    source: Vec<IpNet>,
    port: Option<(u16, u16)>,
    source_port: Option<(u16, u16)>,
    network: Option<Network>,
    inbound: Option<String>,
    process: Option<char>,
    sets: Vec<usize>,
    match_source: bool,
    invert: bool,
}

#[derive(Debug, Clone)]
struct Rule {
    part: Part,
    effect: Option<Effect>,
}

const N_SETS: usize = 5;

fn program(letter: char) -> String {
    format!("/bin/{letter}")
}

fn matcher(part: &Part) -> Matcher<'_> {
    let plain = match part {
        Part::One(plain) => plain,
        Part::Joined { all, parts, invert } => {
            let mode = if *all { LogicalMode::And } else { LogicalMode::Or };
            let matchers = parts.iter().map(matcher).collect();
            return Matcher::Logical(Logical { mode, matchers, invert: *invert });
        }
    };
    let nets = |nets: &[IpNet]| {
        let list = IpList { label: None, inverse: false, addresses: nets.to_vec().into() };
        (!nets.is_empty()).then(|| vec![list])
    };
    let ports = |(first, last)| -> PortSet { [PortRange { first, last }].into_iter().collect::<PortSet>() };
    let entries = plain.domain.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
    let named = RuleSets { sets: plain.sets.clone(), match_source: plain.match_source };
    Conditions {
        domain: (!plain.domain.is_empty()).then(|| vec![DomainList { label: None, entries }]),
        ip: nets(&plain.ip),
        source: nets(&plain.source),
        port: plain.port.map(ports),
        source_port: plain.source_port.map(ports),
        network: plain.network.map(|network| {
            let mut networks = Networks::default();
            networks.insert(network);
            networks
        }),
        inbound: plain.inbound.as_ref().map(|tag| vec![Tag::from(tag.as_str())]),
        process: plain
            .process
            .map(|letter| vec![ProcessPattern::Path(program(letter).into())])
            .into_iter()
            .collect(),
        rule_sets: (!plain.sets.is_empty()).then_some(named),
        either: true,
        invert: plain.invert,
        ..Conditions::default()
    }
    .into()
}

/// The same, decided part by part: twice inverted.
fn made_slow(matcher: Matcher<'_>) -> Matcher<'_> {
    let inverted =
        |matcher| Matcher::Logical(Logical { mode: LogicalMode::And, matchers: vec![matcher], invert: true });
    inverted(inverted(matcher))
}

/// Rules behind `n_idle` others that hold for nothing.
fn router<'a>(
    n_idle: usize,
    rules: &'a [Rule],
    sets: &'a [Vec<Part>],
    form: impl Fn(Matcher<'a>) -> Matcher<'a>,
) -> Router {
    let idle = Conditions { inbound: Some(vec![Tag::from("nobody")]), ..Conditions::default() };
    let idle = std::iter::repeat_n((Matcher::from(idle), None), n_idle);
    let rules = rules.iter().map(|rule| (form(matcher(&rule.part)), rule.effect.clone()));
    let rules = idle.chain(rules).map(|(matcher, effect)| RuleSpec {
        tag: None,
        line: 0,
        file: None,
        action: effect.map_or_else(|| Way::Outbound(Tag::from("out")).into(), Action::Perform),
        matcher,
    });
    let sets = sets.iter().enumerate().map(|(index, parts)| RuleSetSpec {
        tag: Tag::from(index.to_string()),
        rules: parts.iter().map(matcher).collect(),
    });
    Router::new(RouterSpec { rules: rules.collect(), rule_sets: sets.collect(), ..RouterSpec::default() })
        .unwrap()
}

/// What a model looks at.
struct World<'w> {
    sets: &'w [Vec<Part>],
    flow: &'w Flow,
    process: Option<char>,
}

/// By group: whether it holds, if there is such a condition.
type Groups = [Option<bool>; 4];

impl World<'_> {
    fn part(&self, part: &Part, as_source: bool) -> bool {
        match part {
            Part::One(plain) => self.wanted(plain, as_source) != plain.invert,
            Part::Joined { all: true, parts, invert } => {
                parts.iter().all(|part| self.part(part, as_source)) != *invert
            }
            Part::Joined { all: false, parts, invert } => {
                parts.iter().any(|part| self.part(part, as_source)) != *invert
            }
        }
    }

    fn wanted(&self, plain: &Plain, as_source: bool) -> bool {
        let (others, groups) = self.look(plain, as_source);
        let has_set = || plain.sets.iter().any(|&set| self.set(set, groups, plain.match_source));
        others
            && if plain.sets.is_empty() {
                groups.iter().all(|group| *group != Some(false))
            } else {
                has_set()
            }
    }

    /// Whether a set matches for a rule that has `groups` of its own.
    fn set(&self, set: usize, groups: Groups, as_source: bool) -> bool {
        let parts = &self.sets[set];
        if let [Part::One(plain)] = parts.as_slice()
            && !plain.invert
        {
            let (others, theirs) = self.look(plain, as_source);
            let both = groups.iter().zip(theirs);
            return others
                && both.into_iter().all(|(mine, theirs)| {
                    (mine.is_none() && theirs.is_none()) || *mine == Some(true) || theirs == Some(true)
                });
        }
        groups.iter().all(|group| *group != Some(false))
            && parts.iter().any(|part| self.part(part, as_source))
    }

    fn look(&self, plain: &Plain, as_source: bool) -> (bool, Groups) {
        let flow = self.flow;
        let has = |nets: &[IpNet], address: &IpAddr| nets.iter().any(|net| net.contains(address));
        let name = flow.domain().map(|name| name.as_str());
        let by_name =
            name.is_some_and(|name| plain.domain.iter().any(|(kind, text)| has_name(*kind, text, name)));
        let by_address = match &flow.target.host {
            Host::Ip(address) => has(&plain.ip, address),
            Host::Domain(_) => flow.addresses.iter().any(|address| has(&plain.ip, address)),
        };
        let client = flow.source.map(|source| source.ip());
        let by_client =
            client.is_some_and(|client| has(&plain.source, &client) || as_source && has(&plain.ip, &client));
        let has_ip = !plain.ip.is_empty();
        let in_range = |range: (u16, u16), port| range.0 <= port && port <= range.1;
        let groups = [
            (!plain.domain.is_empty() || has_ip && !as_source).then_some(by_name || by_address && !as_source),
            (!plain.source.is_empty() || has_ip && as_source).then_some(by_client),
            plain.port.map(|range| in_range(range, flow.target.port)),
            plain.source_port.map(|range| flow.source.is_some_and(|source| in_range(range, source.port()))),
        ];
        let others = plain.network.is_none_or(|network| network == flow.network)
            && plain.inbound.as_deref().is_none_or(|tag| flow.inbound.as_deref() == Some(tag))
            && plain.process.is_none_or(|letter| self.process == Some(letter));
        (others, groups)
    }

    /// The first rule set by which a part that holds does so.
    fn first_set(&self, part: &Part) -> Option<usize> {
        match part {
            Part::One(plain) if plain.invert => None,
            Part::One(plain) => {
                plain.sets.iter().copied().find(|&set| self.set(set, Groups::default(), plain.match_source))
            }
            Part::Joined { invert: true, .. } => None,
            Part::Joined { parts, .. } => {
                parts.iter().filter(|part| self.part(part, false)).find_map(|part| self.first_set(part))
            }
        }
    }
}

/// What stands for the outside world.
fn perform(effect: &Effect, flow: &mut Flow) {
    match effect {
        Effect::Sniff(_) => flow.route_domain = Some("b.a".parse().unwrap()),
        Effect::Resolve(_) => {
            if flow.target.host.domain().is_some() {
                flow.addresses = vec!["10.0.0.1".parse().unwrap(), "12.1.0.1".parse().unwrap()];
            }
        }
        Effect::Options(options) => {
            flow.target.port = options.port.unwrap_or(flow.target.port);
            if let Some(host) = &options.host {
                flow.target.host = host.clone();
                flow.addresses.clear();
            }
        }
    }
}

fn model(
    rules: &[Rule],
    sets: &[Vec<Part>],
    flow: &Flow,
    process: Option<char>,
) -> (Option<usize>, Option<usize>, Flow) {
    let mut flow = flow.clone();
    for (index, rule) in rules.iter().enumerate() {
        let world = World { sets, flow: &flow, process };
        if world.part(&rule.part, false) {
            match &rule.effect {
                Some(effect) => perform(effect, &mut flow),
                None => {
                    // Which process it was is not known any more when the rule set is asked for.
                    let set = World { sets, flow: &flow, process: None }.first_set(&rule.part);
                    return (Some(index), set, flow);
                }
            }
        }
    }
    (None, None, flow)
}

fn as_process(letter: char) -> Process {
    Process { path: Some(program(letter).into()), ..Process::default() }
}

/// Runs a decision to its end; the flow as it is then.
fn decide<'r>(router: &'r Router, flow: &Flow, process: Option<char>) -> (Decision<'r>, Flow) {
    let (mut flow, mut n_questions) = (flow.clone(), 0);
    let mut step = router.route(&flow);
    loop {
        step = match step {
            Step::Decided(decision) => return (decision, flow),
            Step::Ask(pending) => {
                assert_eq!(*pending.question(), Question::Process);
                n_questions += 1;
                assert_eq!(n_questions, 1, "the same question again");
                pending.with_process(&flow, process.map(as_process))
            }
            Step::Perform(performing) => {
                perform(performing.effect(), &mut flow);
                performing.done(&flow)
            }
        }
    }
}

fn any_ports(weight: f64) -> impl Strategy<Value = Option<(u16, u16)>> {
    prop::option::weighted(weight, (0_u16..4, 1_u16..6))
}

fn any_plain(with_sets: bool) -> impl Strategy<Value = Part> {
    let some = |weight: f64, net| {
        prop::option::weighted(weight, prop::collection::vec(net, 1..3)).prop_map(Option::unwrap_or_default)
    };
    let names = prop::option::weighted(0.4, prop::collection::vec(any_entry(), 1..3));
    let groups = (
        names.prop_map(Option::unwrap_or_default),
        some(0.3, any_net().boxed()),
        some(0.2, any_net().boxed()),
        any_ports(0.25),
        any_ports(0.15),
    );
    let others = (
        prop::option::weighted(0.1, prop::sample::select(vec![Network::Tcp, Network::Udp])),
        prop::option::weighted(0.1, "[xy]"),
        prop::option::weighted(0.1, prop::char::range('p', 'q')),
        prop::option::weighted(0.5, prop::collection::vec(0..N_SETS, 1..4)),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.15),
    );
    (groups, others).prop_map(move |((domain, ip, source, port, source_port), others)| {
        let (network, inbound, process, sets, match_source, invert) = others;
        let sets = sets.filter(|_| with_sets).unwrap_or_default();
        let plain = Plain {
            domain,
            ip,
            source,
            port,
            source_port,
            network,
            inbound,
            process,
            sets,
            match_source,
            invert,
        };
        Part::One(Box::new(plain))
    })
}

fn any_part(with_sets: bool) -> impl Strategy<Value = Part> {
    let joined = any_plain(with_sets).prop_recursive(2, 8, 3, |part| {
        (any::<bool>(), prop::collection::vec(part, 1..4), prop::bool::weighted(0.2))
            .prop_map(|(all, parts, invert)| Part::Joined { all, parts, invert })
    });
    prop_oneof![2 => any_plain(with_sets), 1 => joined]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let effect = prop_oneof![
        Just(Effect::Sniff(Sniff { protocols: Vec::new(), timeout: std::time::Duration::ZERO })),
        Just(Effect::Resolve(Resolve::default())),
        (0_u16..6)
            .prop_map(|port| Effect::Options(RouteOptions { port: Some(port), ..RouteOptions::default() })),
        any_address().prop_map(|host| Effect::Options(RouteOptions {
            host: Some(Host::Ip(host)),
            ..RouteOptions::default()
        })),
    ];
    (any_part(true), prop::option::weighted(0.2, effect)).prop_map(|(part, effect)| Rule { part, effect })
}

/// One plain rule in half of them: those are merged.
fn any_set() -> impl Strategy<Value = Vec<Part>> {
    prop_oneof![any_plain(false).prop_map(|part| vec![part]), prop::collection::vec(any_part(false), 0..4),]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rules_with_logic_and_sets_agree_with_the_model(
        // Words of rules end at 64, and more than 512 rules are not in place.
        n_idle in prop::sample::select(vec![0, 0, 0, 60, 63, 64, 509, 512, 700]),
        rules in prop::collection::vec(any_rule(), 0..8),
        sets in prop::collection::vec(any_set(), N_SETS),
        flows in prop::collection::vec((any_flow(), prop::option::of(prop::char::range('p', 'q'))), 1..10),
    ) {
        let router_of_sets = router(n_idle, &rules, &sets, |matcher| matcher);
        let slow = router(n_idle, &rules, &sets, made_slow);
        for (flow, process) in flows {
            let (index, set, last_flow) = model(&rules, &sets, &flow, process);
            let index = index.map(|index| index + n_idle);
            let place = |decision: &Decision<'_>| decision.rule.map(|rule| rule.index());
            let (decision, decided_flow) = decide(&router_of_sets, &flow, process);
            prop_assert_eq!(place(&decision), index, "{:?} {:?}", flow, process);
            prop_assert_eq!(&decided_flow, &last_flow);
            prop_assert_eq!(place(&decide(&slow, &flow, process).0), index, "slow: {:?} {:?}", flow, process);
            let set = set.map(|set| set.to_string());
            prop_assert_eq!(router_of_sets.rule_set(&decision, &last_flow), set.as_deref());

            let mut asked = 0;
            let (explained, explanation) = router_of_sets.explain(
                &flow,
                |_process| {
                    asked += 1;
                    Answer::Process(process.map(as_process))
                },
                perform,
            );
            prop_assert_eq!(place(&explained), index);
            prop_assert!(asked <= 1);
            prop_assert_eq!(&explained.matched_addresses, &decision.matched_addresses);
            let tried: Vec<usize> = explanation.rules.iter().map(|rule| rule.index).collect();
            let n_tried = index.map_or(n_idle + rules.len(), |index| index + 1);
            prop_assert_eq!(tried, (0..n_tried).collect::<Vec<_>>());
            let performed = explanation.rules.iter().filter(|rule| rule.goes_on);
            prop_assert!(performed.clone().all(|rule| rule.holds && rules[rule.index - n_idle].effect.is_some()));
            prop_assert_eq!(explanation.rules.last().is_some_and(|rule| rule.holds && !rule.goes_on), index.is_some());
        }
    }
}
