//! Rules in one line.

use waypost_config::{Options, Source, parse, rule_text};

fn texts(file: &str) -> Vec<String> {
    let outcome = parse(&Source::new("config.json", file).expect("a text"), &Options::default());
    let config = outcome.config.unwrap_or_else(|| panic!("{:?}", outcome.diagnostics));
    config.routing.rules.iter().map(rule_text).collect()
}

#[test]
fn rules_of_sing_box_read_as_it_shows_them() {
    let file = r#"{
        "inbounds": [{"type": "mixed", "listen": "127.0.0.1", "listen_port": 1080}],
        "outbounds": [{"type": "direct", "tag": "d"}],
        "route": {"rules": [
            {"domain_suffix": ".cn", "outbound": "d"},
            {"domain": ["a.example", "b.example"], "port": 443, "invert": true, "outbound": "d"},
            {"type": "logical", "mode": "or", "rules": [{"port": 80}, {"network": "udp"}], "outbound": "d"},
            {"outbound": "d"},
        ]},
    }"#;
    assert_eq!(
        texts(file),
        ["domain_suffix=.cn", "!(domain=[a.example b.example] port=443)", "port=80 || network=udp", ""]
    );
}

#[test]
fn rules_of_v2ray_read_with_its_own_keys_where_sing_box_has_none() {
    let file = r#"{
        "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 1080}],
        "outbounds": [{"protocol": "freedom", "tag": "d"}],
        "routing": {"rules": [
            {"domain": ["domain:one.example"], "port": "1-10,53", "outboundTag": "d"},
            {"attrs": {":method": "GET"}, "outboundTag": "d"},
        ]},
    }"#;
    assert_eq!(texts(file), ["domain_suffix=one.example port=53 port_range=1:10", "attrs={:method=GET}"]);
}

#[test]
fn a_long_list_is_cut() {
    let names: Vec<String> = (0..20).map(|number| format!("\"n{number}.example\"")).collect();
    let file = format!(
        r#"{{"inbounds": [{{"type": "mixed", "listen": "127.0.0.1", "listen_port": 1080}}],
        "outbounds": [{{"type": "direct", "tag": "d"}}],
        "route": {{"rules": [{{"domain": [{}], "outbound": "d"}}]}}}}"#,
        names.join(",")
    );
    let [text] = &*texts(&file) else { panic!() };
    assert!(text.starts_with("domain=[n0.example n1.example") && text.ends_with("… 8 more]"), "{text}");
}
