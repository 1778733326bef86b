//! What the settings of `selector` and `urltest` outbounds become.

use std::time::Duration;

use waypost_config::{
    Spanned,
    model::{Config, DialPace, OutboundProtocol, ProbeMethod, Selector, UrlTest},
};
use waypost_net::Tag;

use crate::read;

const FILE: &str = include_str!("../../../../testdata/config/good/14-groups.json");

fn file() -> Config {
    let (outcome, rendered) = read("14-groups.json", FILE);
    outcome.config.unwrap_or_else(|| panic!("{rendered}"))
}

fn protocol(config: &Config, tag: &str) -> OutboundProtocol {
    let is_wanted =
        |found: &Option<Spanned<Tag>>| found.as_ref().is_some_and(|found| found.value.as_str() == tag);
    config
        .outbounds
        .iter()
        .find(|outbound| is_wanted(&outbound.tag))
        .expect("an outbound with this tag")
        .protocol
        .clone()
}

fn selector(config: &Config, tag: &str) -> Selector {
    let protocol = protocol(config, tag);
    let OutboundProtocol::Selector(selector) = protocol else { panic!("no selector: {protocol:?}") };
    *selector
}

fn url_test(config: &Config, tag: &str) -> UrlTest {
    let protocol = protocol(config, tag);
    let OutboundProtocol::UrlTest(group) = protocol else { panic!("no urltest: {protocol:?}") };
    *group
}

fn tags(members: &[Spanned<Tag>]) -> Vec<&str> {
    members.iter().map(|member| member.value.as_str()).collect()
}

#[test]
fn every_field_of_a_selector_is_read() {
    let config = file();
    let pick = selector(&config, "pick");
    assert_eq!(tags(&pick.members), ["auto", "node-a", "direct", "none"]);
    assert_eq!((pick.initial, pick.interrupt_exist_connections, pick.fallback), (1, true, true));
    let plain = selector(&config, "plain");
    assert_eq!(tags(&plain.members), ["node-b", "auto"]);
    assert_eq!((plain.initial, plain.interrupt_exist_connections, plain.fallback), (0, false, false));
}

#[test]
fn every_field_of_a_urltest_group_is_read() {
    let config = file();
    let auto = url_test(&config, "auto");
    assert_eq!(tags(&auto.members), ["node-a", "node-b"]);
    assert_eq!(&*auto.probe.url.text, "http://example.com/generate_204");
    assert_eq!(auto.probe.interval, Duration::from_secs(60));
    assert_eq!(auto.probe.idle_timeout, Duration::from_secs(600));
    assert_eq!(auto.probe.timeout, Duration::from_secs(2));
    assert_eq!((auto.probe.method, auto.probe.fall.get()), (ProbeMethod::Get, 3));
    assert_eq!((auto.tolerance, auto.interrupt_exist_connections), (Duration::from_millis(80), true));
    assert_eq!(auto.dial.hedge_delay, Duration::from_millis(300));
    assert_eq!(url_test(&config, "quick").tolerance, Duration::from_millis(20));
}

#[test]
fn what_is_not_written_has_the_defaults_of_sing_box() {
    for tolerance in ["", r#", "tolerance": 0"#] {
        let text = format!(
            r#"{{"inbounds": [{{"protocol": "socks", "listen": "127.0.0.1", "port": 1080}}],
            "outbounds": [{{"protocol": "urltest", "settings": {{"outbounds": ["a"]{tolerance}}}, "tag": "u"}},
            {{"protocol": "freedom", "tag": "a"}}]}}"#
        );
        let config = read("defaults.json", &text).0.config.expect("a sound file");
        let group = url_test(&config, "u");
        assert_eq!(&*group.probe.url.text, "https://www.gstatic.com/generate_204");
        assert_eq!(group.probe.interval, Duration::from_secs(180));
        assert_eq!(group.probe.idle_timeout, Duration::from_secs(1800));
        assert_eq!(group.tolerance, Duration::from_millis(50));
        assert_eq!((group.interrupt_exist_connections, group.dial), (false, DialPace::default()));
    }
}
