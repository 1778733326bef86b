//! What the values of a file become.

use std::net::IpAddr;

use waypost_config::model::{
    AddressFamily, ClientProtocol, Config, DomainEntry, DomainStrategy, FreedomResolve, HostsAnswer,
    InboundProtocol, LogLevel, OutboundProtocol, ProcessEntry, RuleAction, RuleTarget, UdpInbound, UserEntry,
};
use waypost_net::{Host, PortRange};

use crate::read;

#[track_caller]
fn config(name: &str, text: &str) -> Config {
    let (outcome, rendered) = read(name, text);
    outcome.config.unwrap_or_else(|| panic!("{rendered}"))
}

macro_rules! good {
    ($name:literal) => {
        config($name, include_str!(concat!("../../../../testdata/config/good/", $name, ".json")))
    };
}

#[test]
fn old_forms_come_first() {
    let config = good!("06-legacy");
    let ports: Vec<u16> =
        config.inbounds.iter().filter_map(|inbound| Some(inbound.listen.ports()?.first)).collect();
    assert_eq!(ports, [1080, 8080]);
    assert!(matches!(
        config.outbounds.first().map(|first| &first.protocol),
        Some(OutboundProtocol::Freedom { .. })
    ));
    assert_eq!(config.routing.domain_strategy, DomainStrategy::IpIfNonMatch);
    assert_eq!(config.routing.rules.len(), 1);
}

#[test]
fn datagrams_are_carried_where_the_file_says_so() {
    let udp = |config: Config| config.inbounds.iter().map(|inbound| inbound.udp).collect::<Vec<_>>();
    let own = UdpInbound { address: "127.0.0.1".parse().ok(), port: None };
    let shared = UdpInbound { address: None, port: Some(1081) };
    assert_eq!(udp(good!("12-datagrams")), [Some(own), Some(shared), Some(shared)]);
    assert_eq!(udp(good!("03-v2ray-manual"))[0], None);
}

#[test]
fn rules_of_the_old_wrapper_come_last() {
    let config = config(
        "wrapper",
        r#"{
            "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 1080}],
            "outbounds": [{"protocol": "freedom", "tag": "a"}],
            "routing": {
                "settings": {"rules": [{"port": 1, "outboundTag": "a"}], "domainStrategy": "IPOnDemand"},
                "domainStrategy": "AsIs",
                "rules": [{"port": 2, "outboundTag": "a"}]
            }
        }"#,
    );
    let ports: Vec<String> = config
        .routing
        .rules
        .iter()
        .filter_map(|rule| Some(rule.matcher.one()?.port.as_ref()?.to_string()))
        .collect();
    assert_eq!(ports, ["2", "1"]);
    assert_eq!(config.routing.domain_strategy, DomainStrategy::AsIs);
}

#[test]
fn whoever_listens_for_everybody_was_told_to() {
    let config = good!("09-open-on-purpose");
    let everywhere = IpAddr::from([0, 0, 0, 0]);
    let listens: Vec<_> = config
        .inbounds
        .iter()
        .map(|inbound| (inbound.protocol.clone(), inbound.listen.ip().expect("an address")))
        .collect();
    assert_eq!(
        listens,
        [
            (InboundProtocol::Client(ClientProtocol::Socks), everywhere),
            (InboundProtocol::Client(ClientProtocol::Http), everywhere),
            (InboundProtocol::Client(ClientProtocol::Mixed), IpAddr::from([0_u16; 8])),
        ]
    );
    let ports: Vec<_> = config.inbounds.iter().filter_map(|inbound| inbound.listen.ports()).collect();
    assert_eq!(ports.first(), Some(&PortRange { first: 1080, last: 1083 }));
    assert_eq!(ports.get(1), Some(&PortRange { first: 1234, last: 1234 }));
    let rule = config.routing.rules.first().expect("a rule");
    assert_eq!(
        rule.matcher.one().unwrap().port.as_ref().map(ToString::to_string).as_deref(),
        Some("1234,6881-6889")
    );
}

#[test]
fn an_open_inbound_without_address_listens_on_loopback() {
    let text = include_str!("../../../../testdata/config/warn/09-open-by-default.json");
    let config = config("open", text);
    assert!(
        config
            .inbounds
            .iter()
            .all(|inbound| inbound.listen.ip().is_some_and(|ip| ip.is_loopback())
                && inbound.accounts.is_empty())
    );
}

#[test]
fn upstream_servers_keep_their_accounts() {
    let config = good!("04-balancers");
    let OutboundProtocol::Http(servers) = &config.outbounds.get(1).expect("jp1").protocol else {
        panic!("not an HTTP outbound");
    };
    let server = servers.first().expect("a server");
    assert_eq!((&server.host, server.port), (&Host::parse("jp1.example.com").expect("a name"), 8443));
    let account = server.account.as_ref().expect("an account");
    assert_eq!((&*account.user, account.password.expose()), ("u", "p"));
    assert!(!format!("{config:?}").contains("\"p\""));
}

#[test]
fn hosts_keep_their_order_and_kinds() {
    let config = good!("07-dns-hosts");
    assert_eq!(config.dns.family, AddressFamily::V4);
    let first = config.dns.hosts.first().expect("an entry");
    assert_eq!(first.pattern.value, DomainEntry::Full("router.home".into()));
    assert_eq!(first.answer, HostsAnswer::Addresses(vec![[192, 168, 1, 1].into()]));
    let last = config.dns.hosts.last().expect("an entry");
    assert_eq!(last.answer, HostsAnswer::Alias("router.home".parse().expect("a name")));
    assert!(matches!(
        config.outbounds.first().map(|first| &first.protocol),
        Some(OutboundProtocol::Freedom { resolve: FreedomResolve::Use(AddressFamily::Any), redirect: None })
    ));
}

#[test]
fn conditions_of_xray_are_read() {
    let config = good!("05-xray");
    let rule = config.routing.rules.first().expect("a rule");
    assert_eq!(rule.tag.as_deref(), Some("office"));
    assert!(
        matches!(&rule.action, RuleAction::Route { target: RuleTarget::Outbound(tag), .. } if &*tag.value == "block")
    );
    let conditions = rule.matcher.one().unwrap();
    let users: Vec<_> = conditions.user.iter().flatten().map(|user| &user.value).collect();
    assert_eq!(users, [&UserEntry::Regexp("^al".into()), &UserEntry::Exact("bob".into())]);
    let processes: Vec<_> = conditions.process.iter().flatten().map(|process| &process.value).collect();
    assert_eq!(
        processes,
        [
            &ProcessEntry::Name("curl".into()),
            &ProcessEntry::Path("/usr/bin/wget".into()),
            &ProcessEntry::Folder("/opt/browser/".into()),
        ]
    );
    let inverse: Vec<bool> = conditions.ip.iter().flatten().map(|entry| entry.value.inverse).collect();
    assert_eq!(inverse, [true, true, true]);
    assert_eq!(conditions.local_os.as_deref(), Some(["linux".into(), "windows".into()].as_slice()));
}

#[test]
fn a_rule_that_is_switched_off_is_left_out() {
    let config = good!("08-front-end");
    assert_eq!(config.routing.rules.len(), 1);
    assert!(config.routing.rules.iter().all(|rule| rule.matcher.one().unwrap().inbound_tag.is_none()));
}

#[test]
fn places_point_at_the_values() {
    let text = include_str!("../../../../testdata/config/good/03-v2ray-manual.json");
    let config = config("manual", text);
    assert_eq!(config.log.level, Some(LogLevel::Warning));
    for rule in &config.routing.rules {
        for entry in rule.matcher.one().unwrap().domain.iter().flatten() {
            assert!(text.get(entry.span.start..entry.span.end).is_some_and(|text| text.starts_with('"')));
        }
        assert!(text.get(rule.span.start..rule.span.end).is_some_and(|text| text.starts_with('{')));
    }
}
