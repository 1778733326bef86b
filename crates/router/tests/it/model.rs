//! A naive model of a decision, compared on generated rules and flows.

use std::net::IpAddr;

use proptest::prelude::*;
use waypost_net::{Flow, Host, Network, Networks, PortRange, Tag, Target};
use waypost_router::{
    Answer, Conditions, DomainList, EntryKind, IpList, Router, RouterSpec, RuleSpec, Step,
    Strategy as Resolve, UserPattern, Way,
};

/// A rule in a form that the model evaluates directly.
#[derive(Debug, Clone)]
struct Plain {
    domain: Option<Vec<(EntryKind, String)>>,
    ip: Option<Vec<(bool, ipnet::IpNet)>>,
    source: Option<Vec<(bool, ipnet::IpNet)>>,
    port: Option<(u16, u16)>,
    network: Option<Networks>,
    inbound: Option<String>,
    user: Option<String>,
}

fn spec(index: usize, plain: &Plain) -> RuleSpec<'_> {
    let lists = |entries: &Option<Vec<(bool, ipnet::IpNet)>>| {
        entries.as_ref().map(|entries| {
            entries
                .iter()
                .map(|&(inverse, net)| IpList { label: None, inverse, addresses: vec![net].into() })
                .collect()
        })
    };
    let conditions = Conditions {
        domain: plain.domain.as_ref().map(|entries| {
            entries
                .iter()
                .map(|(kind, text)| DomainList { label: None, entries: vec![(*kind, text)] })
                .collect()
        }),
        ip: lists(&plain.ip),
        source: lists(&plain.source),
        port: plain.port.map(|(first, last)| [PortRange { first, last }].into_iter().collect()),
        network: plain.network,
        inbound: plain.inbound.as_ref().map(|tag| vec![Tag::from(tag.as_str())]),
        user: plain.user.as_ref().map(|user| vec![UserPattern::Exact(user.as_str().into())]),
        ..Conditions::default()
    };
    RuleSpec {
        tag: None,
        line: index,
        file: None,
        action: Way::Outbound(Tag::from(index.to_string())).into(),
        matcher: conditions.into(),
    }
}

pub(crate) fn has_name(kind: EntryKind, text: &str, name: &str) -> bool {
    match kind {
        EntryKind::Full => name == text,
        EntryKind::Suffix => {
            name.strip_suffix(text).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
        EntryKind::Below => name.strip_suffix(text).is_some_and(|rest| rest.ends_with('.')),
        EntryKind::Keyword => name.contains(text),
        EntryKind::Regexp => regex::Regex::new(text).unwrap().is_match(name),
    }
}

fn ip_holds(entries: &[(bool, ipnet::IpNet)], address: IpAddr) -> bool {
    let positive = entries.iter().any(|(inverse, net)| !inverse && net.contains(&address));
    let mut inverse = entries.iter().filter(|(inverse, _)| *inverse).peekable();
    positive || (inverse.peek().is_some() && inverse.all(|(_, net)| !net.contains(&address)))
}

fn holds(plain: &Plain, flow: &Flow, addresses: Option<&[IpAddr]>) -> bool {
    let domain = plain.domain.as_ref().is_none_or(|entries| {
        let Host::Domain(name) = &flow.target.host else { return false };
        let name = name.as_str();
        entries.iter().any(|(kind, text)| has_name(*kind, text, name))
    });
    let ip = plain.ip.as_ref().is_none_or(|entries| match &flow.target.host {
        Host::Ip(address) => ip_holds(entries, *address),
        Host::Domain(_) => addresses.unwrap_or_default().iter().any(|&address| ip_holds(entries, address)),
    });
    let source = plain
        .source
        .as_ref()
        .is_none_or(|entries| flow.source.is_some_and(|source| ip_holds(entries, source.ip())));
    domain
        && ip
        && source
        && plain.port.is_none_or(|(first, last)| first <= flow.target.port && flow.target.port <= last)
        && plain.network.is_none_or(|networks| networks.contains(flow.network))
        && plain.inbound.as_ref().is_none_or(|tag| flow.inbound.as_deref() == Some(tag.as_str()))
        && plain.user.as_ref().is_none_or(|user| flow.user.as_deref() == Some(user.as_str()))
}

fn model(strategy: Resolve, rules: &[Plain], flow: &Flow, addresses: &[IpAddr]) -> Option<usize> {
    let pass = |addresses: Option<&[IpAddr]>| rules.iter().position(|rule| holds(rule, flow, addresses));
    match strategy {
        Resolve::AsIs => pass(None),
        Resolve::IpIfNonMatch => pass(None).or_else(|| pass(Some(addresses))),
        Resolve::IpOnDemand => pass(Some(addresses)),
    }
}

pub(crate) fn any_net() -> impl Strategy<Value = ipnet::IpNet> {
    (0_u8..4, 0_u8..4, prop::sample::select(vec![8_u8, 16, 32])).prop_map(|(a, b, length)| {
        ipnet::IpNet::new(IpAddr::from([10 + a, b, 0, 1]), length).unwrap().trunc()
    })
}

pub(crate) fn any_address() -> impl Strategy<Value = IpAddr> {
    (0_u8..4, 0_u8..4).prop_map(|(a, b)| IpAddr::from([10 + a, b, 0, 1]))
}

pub(crate) fn any_entry() -> impl Strategy<Value = (EntryKind, String)> {
    let name = r"[ab]{1,2}(\.[ab]){0,2}";
    prop_oneof![
        (Just(EntryKind::Full), name),
        (Just(EntryKind::Suffix), name),
        (Just(EntryKind::Below), name),
        (Just(EntryKind::Keyword), "[ab]{1,2}"),
        (Just(EntryKind::Regexp), "\\^[ab]{1,2}"),
    ]
}

fn any_plain() -> impl Strategy<Value = Plain> {
    let entry = any_entry();
    (
        prop::option::of(prop::collection::vec(entry, 1..4)),
        prop::option::weighted(0.3, prop::collection::vec((prop::bool::weighted(0.2), any_net()), 1..4)),
        prop::option::weighted(0.2, prop::collection::vec((prop::bool::weighted(0.2), any_net()), 1..3)),
        prop::option::weighted(0.3, (0_u16..4, 0_u16..6)),
        prop::option::weighted(
            0.2,
            (any::<bool>(), any::<bool>()).prop_map(|(tcp, udp)| Networks { tcp, udp }),
        ),
        prop::option::weighted(0.2, "[xy]"),
        prop::option::weighted(0.2, "[uv]"),
    )
        .prop_map(|(domain, ip, source, port, network, inbound, user)| Plain {
            domain,
            ip,
            source,
            port,
            network,
            inbound,
            user,
        })
}

pub(crate) fn any_flow() -> impl Strategy<Value = Flow> {
    let host = prop_oneof![
        r"[ab]{1,2}(\.[ab]){0,2}".prop_map(|name| Host::parse(&name).unwrap()),
        any_address().prop_map(Host::from),
    ];
    (
        host,
        0_u16..6,
        any::<bool>(),
        prop::option::of(any_address()),
        prop::option::of("[xy]"),
        prop::option::of("[uv]"),
    )
        .prop_map(|(host, port, tcp, source, inbound, user)| {
            let network = if tcp { Network::Tcp } else { Network::Udp };
            let mut flow = Flow::new(network, Target::new(host, port));
            flow.source = source.map(|address| (address, 1).into());
            flow.inbound = inbound.map(Tag::from);
            flow.user = user.map(Into::into);
            flow
        })
}

fn any_strategy() -> impl Strategy<Value = Resolve> {
    prop::sample::select(vec![Resolve::AsIs, Resolve::IpIfNonMatch, Resolve::IpOnDemand])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_the_model_and_with_its_own_explanation(
        strategy in any_strategy(),
        // Up to three words of rules, so that word edges are crossed.
        rules in prop_oneof![prop::collection::vec(any_plain(), 0..10), prop::collection::vec(any_plain(), 60..150)],
        flows in prop::collection::vec(any_flow(), 1..20),
        addresses in prop::collection::vec(any_address(), 0..3),
    ) {
        let specs = rules.iter().enumerate().map(|(index, plain)| spec(index, plain)).collect();
        let router = Router::new(RouterSpec { strategy, rules: specs, ..RouterSpec::default() }).unwrap();
        for flow in &flows {
            let expected = model(strategy, &rules, flow, &addresses);
            let mut step = router.route(flow);
            let mut lookups = 0;
            let decision = loop {
                match step {
                    Step::Decided(decision) => break decision,
                    Step::Ask(pending) => {
                        lookups += 1;
                        step = pending.with_addresses(flow, addresses.clone());
                    }
                    Step::Perform(performing) => unreachable!("{:?}", performing.effect()),
                }
            };
            prop_assert!(lookups <= 1);
            prop_assert_eq!(decision.rule.map(|rule| rule.index()), expected, "{:?}", flow);
            let mut explained_lookups = 0;
            let (explained, explanation) = router.explain(flow, |_| {
                explained_lookups += 1;
                Answer::Addresses(addresses.clone())
            }, |effect, _flow| unreachable!("{effect:?}"));
            prop_assert_eq!(explained.rule.map(|rule| rule.index()), expected);
            prop_assert_eq!(explained.matched_addresses, decision.matched_addresses);
            prop_assert_eq!(explained_lookups, lookups);
            prop_assert_eq!(explanation.rules.last().is_some_and(|rule| rule.holds), expected.is_some());
        }
    }
}
