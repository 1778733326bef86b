use std::net::IpAddr;

use waypost_net::{Flow, Network, Tag};
use waypost_router::{
    Answer, Conditions, Decision, DomainList, EntryKind, IpList, Pass, Process, ProcessPattern, Question,
    Router, RouterSpec, RuleSpec, Step, Strategy, Verdict, Way,
};

pub(crate) fn rule(name: &str, conditions: Conditions<'static>) -> RuleSpec<'static> {
    RuleSpec {
        tag: Some(Tag::from(name)),
        line: 0,
        file: None,
        action: Way::Outbound(Tag::from(name)).into(),
        matcher: conditions.into(),
    }
}

pub(crate) fn build(strategy: Strategy, rules: Vec<RuleSpec<'static>>) -> Router {
    Router::new(RouterSpec { strategy, rules, ..RouterSpec::default() }).unwrap()
}

pub(crate) fn suffix(name: &'static str) -> Option<Vec<DomainList<'static>>> {
    Some(vec![DomainList { label: None, entries: vec![(EntryKind::Suffix, name)] }])
}

pub(crate) fn nets(prefixes: &[&str], inverse: bool) -> Option<Vec<IpList<'static>>> {
    let list = |prefix: &&str| IpList {
        label: Some(format!("list-of-{prefix}").into()),
        inverse,
        addresses: vec![prefix.parse().unwrap()].into(),
    };
    Some(prefixes.iter().map(list).collect())
}

fn flow(target: &str) -> Flow {
    Flow::new(Network::Tcp, target.parse().unwrap())
}

/// Runs a decision to its end, counting look-ups.
fn decide<'r>(router: &'r Router, flow: &Flow, addresses: &[&str]) -> (Decision<'r>, usize) {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let (mut step, mut lookups) = (router.route(flow), 0);
    loop {
        match step {
            Step::Decided(decision) => return (decision, lookups),
            Step::Ask(pending) => {
                assert!(matches!(pending.question(), Question::Addresses(_)));
                lookups += 1;
                step = pending.with_addresses(flow, addresses.clone());
            }
            Step::Perform(performing) => unreachable!("{:?}", performing.effect()),
        }
    }
}

fn chosen<'r>(decision: &Decision<'r>) -> Option<&'r str> {
    decision.rule.map(|rule| rule.way().unwrap().tag().unwrap().as_str())
}

fn domain_then_ip(strategy: Strategy) -> Router {
    let rules = vec![
        rule("dom", Conditions { domain: suffix("foo.com"), ..Conditions::default() }),
        rule("ten", Conditions { ip: nets(&["10.0.0.0/8"], false), ..Conditions::default() }),
        rule(
            "both",
            Conditions {
                domain: suffix("bar.com"),
                ip: nets(&["11.0.0.0/8"], false),
                ..Conditions::default()
            },
        ),
    ];
    build(strategy, rules)
}

#[test]
fn as_is_never_asks() {
    let router = domain_then_ip(Strategy::AsIs);
    for (target, expected) in [("a.foo.com:1", Some("dom")), ("x.com:1", None), ("10.1.1.1:1", Some("ten"))] {
        let (decision, lookups) = decide(&router, &flow(target), &["10.0.0.1"]);
        assert_eq!((chosen(&decision), lookups), (expected, 0), "{target}");
    }
}

#[test]
fn if_non_match_asks_once_and_tries_all_rules_again() {
    let router = domain_then_ip(Strategy::IpIfNonMatch);
    let (decision, lookups) = decide(&router, &flow("a.foo.com:1"), &["10.0.0.1"]);
    assert_eq!((chosen(&decision), lookups), (Some("dom"), 0));
    let (decision, lookups) = decide(&router, &flow("x.com:1"), &["9.9.9.9", "10.0.0.1"]);
    assert_eq!((chosen(&decision), lookups), (Some("ten"), 1));
    assert_eq!(decision.matched_addresses, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    let (decision, lookups) = decide(&router, &flow("bar.com:1"), &["11.0.0.1"]);
    assert_eq!((chosen(&decision), lookups), (Some("both"), 1));
    let (decision, lookups) = decide(&router, &flow("x.com:1"), &[]);
    assert_eq!((chosen(&decision), lookups), (None, 1));
    assert!(decision.matched_addresses.is_empty());
}

#[test]
fn on_demand_asks_only_when_an_ip_condition_decides() {
    let router = domain_then_ip(Strategy::IpOnDemand);
    let (decision, lookups) = decide(&router, &flow("a.foo.com:1"), &["10.0.0.1"]);
    assert_eq!((chosen(&decision), lookups), (Some("dom"), 0));
    let (decision, lookups) = decide(&router, &flow("x.com:1"), &["::ffff:10.0.0.1"]);
    assert_eq!((chosen(&decision), lookups), (Some("ten"), 1));
    let only_both = build(
        Strategy::IpOnDemand,
        vec![rule(
            "both",
            Conditions {
                domain: suffix("bar.com"),
                ip: nets(&["11.0.0.0/8"], false),
                ..Conditions::default()
            },
        )],
    );
    let (decision, lookups) = decide(&only_both, &flow("x.com:1"), &["11.0.0.1"]);
    assert_eq!((chosen(&decision), lookups), (None, 0));
}

#[test]
fn inverse_entries_are_all_needed_and_positive_ones_are_alternatives() {
    let inverse = |prefixes: &[&str]| nets(prefixes, true).unwrap();
    let mut lists = inverse(&["10.0.0.0/8", "11.0.0.0/8"]);
    lists.extend(nets(&["10.1.0.0/16"], false).unwrap());
    let router =
        build(Strategy::AsIs, vec![rule("r", Conditions { ip: Some(lists), ..Conditions::default() })]);
    for (target, expected) in [
        ("9.9.9.9:1", Some("r")),
        ("10.2.0.1:1", None),
        ("11.2.0.1:1", None),
        ("10.1.0.1:1", Some("r")),
        ("[2001:db8::1]:1", Some("r")),
        ("unresolved.test:1", None),
    ] {
        assert_eq!(chosen(&decide(&router, &flow(target), &[]).0), expected, "{target}");
    }
}

#[test]
fn the_process_is_asked_for_when_all_else_holds() {
    let conditions = Conditions {
        process: vec![vec![ProcessPattern::Name("curl".into()), ProcessPattern::Folder("/opt/".into())]],
        network: Some(waypost_net::Networks { tcp: true, udp: false }),
        ..Conditions::default()
    };
    let router = build(Strategy::AsIs, vec![rule("p", conditions)]);
    let ask = |path: Option<&str>| {
        let flow = flow("a.com:1");
        let Step::Ask(pending) = router.route(&flow) else { panic!("the process is not known") };
        assert_eq!(*pending.question(), Question::Process);
        let process = path.map(|path| Process { path: Some(path.into()), ..Process::default() });
        let Step::Decided(decision) = pending.with_process(&flow, process) else { panic!("all is known") };
        chosen(&decision)
    };
    assert_eq!(ask(Some("/usr/bin/curl")), Some("p"));
    assert_eq!(ask(Some("/opt/x/y")), Some("p"));
    assert_eq!(ask(Some("/usr/bin/curlx")), None);
    assert_eq!(ask(None), None);
    let mut udp = flow("a.com:1");
    udp.network = Network::Udp;
    assert!(matches!(router.route(&udp), Step::Decided(Decision { rule: None, .. })));
}

#[test]
fn an_explanation_names_the_entry_that_hit() {
    let router = domain_then_ip(Strategy::IpIfNonMatch);
    let mut questions = Vec::new();
    let (decision, explanation) = router.explain(
        &flow("www.bar.com:443"),
        |question| {
            questions.push(question.clone());
            Answer::Addresses(vec!["11.0.0.7".parse().unwrap()])
        },
        |effect, _flow| unreachable!("{effect:?}"),
    );
    assert_eq!(chosen(&decision), Some("both"));
    assert_eq!(questions.len(), 1);
    let last = explanation.rules.last().unwrap();
    assert_eq!((last.index, last.pass, last.holds), (2, Pass::Resolving, true));
    let seen: Vec<_> = last.conditions.iter().map(|c| (&*c.name, c.verdict, c.seen.as_deref())).collect();
    assert_eq!(
        seen,
        [
            ("domain", Verdict::Holds, Some("domain:bar.com")),
            ("ip", Verdict::Holds, Some("11.0.0.7 (11.0.0.0-11.255.255.255) in list-of-11.0.0.0/8")),
        ]
    );
    assert_eq!(explanation.rules.len(), 6, "three rules in each pass");
}

#[test]
fn every_bad_entry_is_reported_with_its_place() {
    let bad = Conditions {
        domain: Some(vec![
            DomainList { label: None, entries: vec![(EntryKind::Full, "a.com")] },
            DomainList {
                label: Some("bad".into()),
                entries: vec![(EntryKind::Regexp, "("), (EntryKind::Full, "a b")],
            },
        ]),
        user: Some(vec![waypost_router::UserPattern::Regexp("[".into())]),
        ..Conditions::default()
    };
    let errors =
        Router::new(RouterSpec { rules: vec![rule("x", bad)], ..RouterSpec::default() }).unwrap_err();
    let places: Vec<_> = errors.iter().map(|error| (error.place.rule, error.list, error.entry)).collect();
    assert_eq!(places, [(0, 1, 0), (0, 1, 1), (0, 0, 0)]);
}
