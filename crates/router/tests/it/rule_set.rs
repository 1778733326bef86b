use std::net::IpAddr;

use waypost_net::{DomainName, Flow, Network, PortRange};
use waypost_router::{
    Answer, Conditions, DomainList, EntryKind, IpList, Question, Router, RuleSpec, Step, Strategy,
};

use crate::asking::{build, rule};

fn site(label: &'static str, entries: &[(EntryKind, &'static str)]) -> DomainList<'static> {
    DomainList { label: Some(label.into()), entries: entries.to_vec() }
}

fn own(kind: EntryKind, text: &'static str) -> DomainList<'static> {
    DomainList { label: None, entries: vec![(kind, text)] }
}

fn nets(label: Option<&'static str>, inverse: bool, prefix: &str) -> IpList<'static> {
    IpList { label: label.map(Into::into), inverse, addresses: vec![prefix.parse().unwrap()].into() }
}

fn domains(lists: &[DomainList<'static>]) -> Conditions<'static> {
    Conditions { domain: Some(lists.to_vec()), ..Conditions::default() }
}

fn ips(lists: &[IpList<'static>]) -> Conditions<'static> {
    Conditions { ip: Some(lists.to_vec()), ..Conditions::default() }
}

fn flow(target: &str) -> Flow {
    let mut flow = Flow::new(Network::Tcp, target.parse().unwrap());
    flow.source = Some("192.0.2.7:5000".parse().unwrap());
    flow
}

fn router(conditions: impl IntoIterator<Item = Conditions<'static>>) -> Router {
    let rules: Vec<RuleSpec> = conditions.into_iter().map(|conditions| rule("rule", conditions)).collect();
    build(Strategy::IpOnDemand, rules)
}

/// Decides about `flow`, whose name has `addresses`, and asks for the rule set. What an explanation
/// shows has to hold it; of several addresses it shows the first that matches.
#[track_caller]
fn check_flow(router: &Router, flow: &Flow, addresses: &[&str], expected: Option<&str>) {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let mut step = router.route(flow);
    let decision = loop {
        match step {
            Step::Decided(decision) => break decision,
            Step::Ask(pending) => step = pending.with_addresses(flow, addresses.clone()),
            Step::Perform(performing) => unreachable!("{:?}", performing.effect()),
        }
    };
    let rule_set = router.rule_set(&decision, flow);
    assert_eq!(rule_set, expected);

    let (explained, explanation) = router.explain(
        flow,
        |question| match question {
            Question::Addresses(_) => Answer::Addresses(addresses.clone()),
            Question::Process => Answer::Process(None),
        },
        |effect, _flow| unreachable!("{effect:?}"),
    );
    assert_eq!(router.rule_set(&explained, flow), rule_set);
    if let Some(rule_set) = rule_set.filter(|_| addresses.len() < 2) {
        let shown = |text: &str| text.split([',', ' ']).any(|word| word == rule_set);
        let conditions = &explanation.rules.last().unwrap().conditions;
        let evidence = conditions.iter().filter_map(|condition| condition.seen.as_deref());
        assert!(evidence.clone().any(shown), "{rule_set} is not in {:?}", evidence.collect::<Vec<_>>());
    }
}

#[track_caller]
fn check(conditions: Conditions<'static>, target: &str, addresses: &[&str], expected: Option<&str>) {
    check_flow(&router([conditions]), &flow(target), addresses, expected);
}

#[test]
fn the_first_of_several_lists_that_has_the_name_counts() {
    let conditions = domains(&[
        site("geosite:netflix", &[(EntryKind::Suffix, "netflix.com"), (EntryKind::Full, "both.com")]),
        site("geosite:disney", &[(EntryKind::Suffix, "disney.com"), (EntryKind::Suffix, "both.com")]),
    ]);
    check(conditions.clone(), "www.netflix.com:443", &[], Some("geosite:netflix"));
    check(conditions.clone(), "www.disney.com:443", &[], Some("geosite:disney"));
    check(conditions.clone(), "both.com:443", &[], Some("geosite:netflix"));
    check(conditions.clone(), "www.both.com:443", &[], Some("geosite:disney"));
    check(conditions, "other.com:443", &[], None);
}

#[test]
fn a_list_with_an_attribute_and_one_of_another_file_keep_their_names() {
    let conditions = domains(&[
        site("geosite:google@cn", &[(EntryKind::Full, "www.google.cn")]),
        site("ext:my.dat:work@ads", &[(EntryKind::Keyword, "work")]),
    ]);
    check(conditions.clone(), "www.google.cn:443", &[], Some("geosite:google@cn"));
    check(conditions, "homework.com:443", &[], Some("ext:my.dat:work@ads"));
}

#[test]
fn a_list_of_nothing_but_regular_expressions_counts() {
    let conditions = domains(&[
        own(EntryKind::Regexp, r"^own\d+\."),
        site("geosite:numbered", &[(EntryKind::Regexp, r"^cdn\d+\.")]),
    ]);
    check(conditions.clone(), "cdn7.example.com:443", &[], Some("geosite:numbered"));
    check(conditions, "own7.example.com:443", &[], None);
}

#[test]
fn entries_of_the_rule_itself_are_no_set() {
    let conditions =
        domains(&[own(EntryKind::Suffix, "a.com"), site("geosite:a", &[(EntryKind::Full, "x.a.com")])]);
    check(conditions.clone(), "a.com:443", &[], None);
    check(conditions, "x.a.com:443", &[], Some("geosite:a"));
    check(ips(&[nets(None, false, "10.0.0.0/8")]), "10.1.1.1:443", &[], None);
    check(Conditions::default(), "a.com:443", &[], None);
}

#[test]
fn lists_of_addresses_count_for_the_target_and_for_what_its_name_resolves_to() {
    let lists = [nets(Some("geoip:us"), false, "1.0.0.0/8"), nets(Some("geoip:jp"), false, "2.0.0.0/8")];
    check(ips(&lists), "2.1.1.1:443", &[], Some("geoip:jp"));
    check(ips(&lists), "a.com:443", &["9.9.9.9", "2.1.1.1"], Some("geoip:jp"));
    // The order of the file decides, not that of the answer.
    check(ips(&lists), "a.com:443", &["2.1.1.1", "1.1.1.1"], Some("geoip:us"));
    check(ips(&lists), "a.com:443", &["::ffff:2.1.1.1"], Some("geoip:jp"));
    check(ips(&lists), "a.com:443", &["9.9.9.9"], None);
}

#[test]
fn an_inverse_list_does_not_count() {
    let inverse = nets(Some("geoip:cn"), true, "3.0.0.0/8");
    check(ips(std::slice::from_ref(&inverse)), "9.9.9.9:443", &[], None);
    let mixed = [inverse, nets(Some("geoip:hk"), false, "3.3.0.0/16")];
    check(ips(&mixed), "9.9.9.9:443", &[], None);
    check(ips(&mixed), "3.3.3.3:443", &[], Some("geoip:hk"));
    check(ips(&mixed), "a.com:443", &["9.9.9.9", "3.3.3.3"], Some("geoip:hk"));
}

#[test]
fn names_go_before_addresses_and_these_before_the_client() {
    let name = site("geosite:a", &[(EntryKind::Suffix, "a.com")]);
    let conditions = |name: DomainList<'static>, ip: IpList<'static>| Conditions {
        domain: Some(vec![name]),
        ip: Some(vec![ip]),
        source: Some(vec![nets(Some("geoip:private"), false, "192.0.2.0/24")]),
        ..Conditions::default()
    };
    let (own_name, own_ip) = (own(EntryKind::Suffix, "a.com"), nets(None, false, "1.0.0.0/8"));
    let ip = nets(Some("geoip:us"), false, "1.0.0.0/8");
    check(conditions(name.clone(), ip.clone()), "a.com:443", &["1.1.1.1"], Some("geosite:a"));
    check(conditions(own_name.clone(), ip), "a.com:443", &["1.1.1.1"], Some("geoip:us"));
    check(conditions(own_name, own_ip), "a.com:443", &["1.1.1.1"], Some("geoip:private"));
}

#[test]
fn only_the_rule_that_decided_counts() {
    let list = |label| domains(&[site(label, &[(EntryKind::Suffix, "a.com")])]);
    let port = [PortRange { first: 80, last: 80 }].into_iter().collect();
    let router = router([Conditions { port: Some(port), ..list("geosite:first") }, list("geosite:second")]);
    check_flow(&router, &flow("a.com:80"), &[], Some("geosite:first"));
    check_flow(&router, &flow("a.com:443"), &[], Some("geosite:second"));
    check_flow(&router, &flow("b.com:443"), &[], None);
}

#[test]
fn the_recognised_name_is_the_one_that_is_looked_up() {
    let router = router([domains(&[
        site("geosite:asked", &[(EntryKind::Full, "asked.com")]),
        site("geosite:seen", &[(EntryKind::Full, "seen.com")]),
    ])]);
    let mut flow = flow("asked.com:443");
    check_flow(&router, &flow, &[], Some("geosite:asked"));
    flow.route_domain = Some(DomainName::new("seen.com").unwrap());
    check_flow(&router, &flow, &[], Some("geosite:seen"));
}
