//! What rules with logic and rule sets ask, what they show, and how a decision goes on behind what a rule
//! has done.

use std::net::IpAddr;

use waypost_net::{Flow, Host, Network, PortRange, Tag};
use waypost_router::{
    Action, Answer, Conditions, Effect, IpList, Logical, LogicalMode, Matcher, Process, ProcessPattern,
    Question, RouteOptions, Router, RouterSpec, RuleSetSpec, RuleSets, RuleSpec, Step, Strategy, Verdict,
    Way,
};

use crate::asking::{rule, suffix};

fn flow(target: &str) -> Flow {
    Flow::new(Network::Tcp, target.parse().unwrap())
}

fn name(suffix_of_it: &'static str) -> Conditions<'static> {
    Conditions { domain: suffix(suffix_of_it), either: true, ..Conditions::default() }
}

fn curl() -> Conditions<'static> {
    Conditions { process: vec![vec![ProcessPattern::Name("curl".into())]], ..Conditions::default() }
}

fn set(conditions: Conditions<'static>, named: &[usize]) -> Conditions<'static> {
    let sets = RuleSets { sets: named.to_vec(), match_source: false };
    Conditions { rule_sets: Some(sets), either: true, ..conditions }
}

fn joined(mode: LogicalMode, parts: Vec<Conditions<'static>>, invert: bool) -> Matcher<'static> {
    Matcher::Logical(Logical { mode, matchers: parts.into_iter().map(Matcher::from).collect(), invert })
}

/// Set 0 wants a name and curl, set 1 a name, set 2 a name or another name.
fn build(rules: Vec<RuleSpec<'static>>) -> Router {
    let sets = [
        vec![Conditions { domain: suffix("curl.test"), ..curl() }.into()],
        vec![name("one.test").into()],
        vec![joined(LogicalMode::Or, vec![name("two.test"), name("three.test")], false)],
    ];
    let sets = sets.into_iter().enumerate();
    let rule_sets =
        sets.map(|(index, rules)| RuleSetSpec { tag: Tag::from(format!("set-{index}")), rules }).collect();
    Router::new(RouterSpec { rules, rule_sets, ..RouterSpec::default() }).unwrap()
}

fn one(matcher: impl Into<Matcher<'static>>) -> Router {
    build(vec![RuleSpec { matcher: matcher.into(), ..rule("one", Conditions::default()) }])
}

/// Whether the process is asked for, and whether the rule holds if it is not curl.
#[track_caller]
fn check(router: &Router, target: &str, asks: bool, holds: bool) {
    let flow = flow(target);
    let (step, asked) = match router.route(&flow) {
        Step::Ask(pending) => {
            assert_eq!(*pending.question(), Question::Process);
            (
                pending.with_process(
                    &flow,
                    Some(Process { path: Some("/bin/wget".into()), ..Process::default() }),
                ),
                true,
            )
        }
        step @ (Step::Decided(_) | Step::Perform(_)) => (step, false),
    };
    let Step::Decided(decision) = step else { unreachable!("all is known: {step:?}") };
    assert_eq!((asked, decision.rule.is_some()), (asks, holds), "{target}");

    let mut explained = false;
    let (decision, _) = router.explain(
        &flow,
        |_process| {
            explained = true;
            Answer::Process(None)
        },
        |effect, _flow| unreachable!("{effect:?}"),
    );
    assert_eq!((explained, decision.rule.is_some()), (asks, holds), "explained: {target}");
}

#[test]
fn the_process_is_asked_for_only_if_it_decides() {
    let both = one(joined(LogicalMode::And, vec![curl(), name("one.test")], false));
    check(&both, "one.test:1", true, false);
    check(&both, "other.test:1", false, false);
    let any = one(joined(LogicalMode::Or, vec![curl(), name("one.test")], false));
    check(&any, "one.test:1", false, true);
    check(&any, "other.test:1", true, false);
    let none = one(joined(LogicalMode::Or, vec![curl(), name("one.test")], true));
    check(&none, "one.test:1", false, false);
    check(&none, "other.test:1", true, true);
    let inverted = one(Conditions { invert: true, domain: suffix("one.test"), ..curl() });
    check(&inverted, "one.test:1", true, true);
    check(&inverted, "other.test:1", false, true);
}

#[test]
fn a_rule_set_asks_for_the_process_only_if_nothing_else_decides() {
    let sets = one(set(Conditions::default(), &[0, 1]));
    check(&sets, "curl.test:1", true, false);
    check(&sets, "one.test:1", false, true);
    check(&sets, "other.test:1", false, false);
    let port = Some([PortRange { first: 443, last: 443 }].into_iter().collect());
    let with_port = one(set(Conditions { port, ..Conditions::default() }, &[0]));
    check(&with_port, "curl.test:443", true, false);
    check(&with_port, "curl.test:80", false, false);
    let of_curl = one(set(curl(), &[1, 2]));
    check(&of_curl, "three.test:1", true, false);
    check(&of_curl, "other.test:1", false, false);
}

#[test]
fn an_explanation_names_conditions_by_their_place() {
    let port = Some([PortRange { first: 443, last: 443 }].into_iter().collect());
    let inner = Conditions { port, invert: true, ..name("a.test") };
    let router = one(joined(LogicalMode::Or, vec![set(Conditions::default(), &[1, 2]), inner], true));
    let never = |question: &Question| -> Answer { unreachable!("{question:?}") };
    let (decision, explanation) =
        router.explain(&flow("www.a.test:443"), never, |effect, _flow| unreachable!("{effect:?}"));
    assert_eq!(decision.rule.map(|rule| rule.index()), Some(0));
    let conditions = &explanation.rules[0].conditions;
    let seen: Vec<_> =
        conditions.iter().map(|c| (&*c.name, &*c.wanted, c.verdict, c.seen.as_deref())).collect();
    assert_eq!(
        seen,
        [
            ("rules[0].rule_set", "set-1, set-2", Verdict::Fails, None),
            ("rules[1].port", "443", Verdict::Holds, Some("443")),
            ("rules[1].domain", "domain:a.test", Verdict::Holds, Some("domain:a.test")),
            ("rules[1].invert", "true", Verdict::Fails, None),
            ("invert", "true", Verdict::Holds, None),
        ]
    );
    let (_, explanation) =
        router.explain(&flow("three.test:443"), never, |effect, _flow| unreachable!("{effect:?}"));
    let set = &explanation.rules[0].conditions[0];
    assert_eq!((set.verdict, set.seen.as_deref()), (Verdict::Holds, Some("set-2")));
}

#[test]
fn the_rule_set_of_a_decision_is_the_first_that_matches_by_itself() {
    let check = |router: &Router, target: &str, expected: Option<&str>| {
        let flow = flow(target);
        let Step::Decided(decision) = router.route(&flow) else { panic!("nothing to ask") };
        assert!(decision.rule.is_some(), "{target}");
        assert_eq!(router.rule_set(&decision, &flow), expected, "{target}");
    };
    let sets = one(set(Conditions::default(), &[2, 1]));
    check(&sets, "one.test:1", Some("set-1"));
    check(&sets, "two.test:1", Some("set-2"));
    let own = one(set(name("own.test"), &[1]));
    check(&own, "own.test:1", None);
    check(&own, "one.test:1", Some("set-1"));
    let parts =
        || vec![name("www.one.test"), set(Conditions::default(), &[2]), set(Conditions::default(), &[1])];
    check(&one(joined(LogicalMode::Or, parts(), false)), "www.one.test:1", Some("set-1"));
    check(&one(joined(LogicalMode::Or, parts(), true)), "other.test:1", None);
    check(&one(Conditions { invert: true, ..set(Conditions::default(), &[1]) }), "other.test:1", None);
}

/// What is done to a name's flow, and then a rule for 10.0.0.0/8 which asks for addresses.
fn behind(effect: Effect) -> Router {
    let ten = IpList { label: None, inverse: false, addresses: vec!["10.0.0.0/8".parse().unwrap()].into() };
    let ten = || Conditions { ip: Some(vec![ten.clone()]), ..Conditions::default() };
    let port = Some([PortRange { first: 9, last: 9 }].into_iter().collect());
    let rules = vec![
        rule("never", Conditions { port, ..ten() }),
        RuleSpec { action: Action::Perform(effect), ..rule("perform", Conditions { ip: None, ..ten() }) },
        rule("ten", ten()),
    ];
    Router::new(RouterSpec { strategy: Strategy::IpOnDemand, rules, ..RouterSpec::default() }).unwrap()
}

#[test]
fn a_decision_goes_on_behind_what_was_done_with_the_flow_as_it_is_then() {
    let ten: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap()];
    let options = |host: Option<&str>| {
        let host = host.map(|host| Host::parse(host).unwrap());
        Effect::Options(RouteOptions { host, port: Some(9), ..RouteOptions::default() })
    };
    // The first rule asks for the name, and the name is another one then.
    let router = behind(options(Some("other.test")));
    let mut flow = flow("name.test:9");
    let Step::Ask(pending) = router.route(&flow) else { panic!("the name is not resolved") };
    let Step::Perform(performing) = pending.with_addresses(&flow, vec!["9.9.9.9".parse().unwrap()]) else {
        panic!("the second rule holds")
    };
    assert_eq!((performing.rule().index(), performing.effect()), (1, &options(Some("other.test"))));
    flow.target.host = Host::parse("other.test").unwrap();
    let Step::Ask(pending) = performing.done(&flow) else { panic!("the other name is not resolved") };
    assert_eq!(*pending.question(), Question::Addresses("other.test".parse().unwrap()));
    let Step::Decided(decision) = pending.with_addresses(&flow, ten) else { panic!("all is known") };
    assert_eq!(decision.rule.and_then(|rule| rule.way()), Some(&Way::Outbound(Tag::from("ten"))));

    // The name stays, and so do its addresses.
    let router = behind(options(None));
    let mut n_questions = 0;
    let (decision, _) = router.explain(
        &crate::steps::flow("name.test:9"),
        |_name| {
            n_questions += 1;
            Answer::Addresses(vec!["9.9.9.9".parse().unwrap()])
        },
        |effect, _flow| assert_eq!(*effect, options(None)),
    );
    assert_eq!((decision.rule.is_none(), n_questions), (true, 1));
}
