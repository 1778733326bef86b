//! What `sniffing` becomes.

use waypost_config::model::{Config, DomainEntry, OverrideProtocol, Sniffing};

use crate::read;

fn sniffing(text: &str) -> Option<Sniffing> {
    let file = format!(
        r#"{{"inbounds": [{{"protocol": "socks", "listen": "127.0.0.1", "port": 1080, {text}}}],
            "outbounds": [{{"protocol": "freedom"}}]}}"#
    );
    let (outcome, rendered) = read("sniffing.json", &file);
    let config: Config = outcome.config.unwrap_or_else(|| panic!("{rendered}"));
    config.inbounds.into_iter().next().expect("an inbound").sniffing
}

#[test]
fn everything_is_read() {
    let sniffing = sniffing(
        r#""sniffing": {"enabled": true, "destOverride": ["SSL", "http", "https"], "routeOnly": true,
            "domainsExcluded": "push.APPLE.com,domain:b.example", "ipsExcluded": ["10.0.0.0/8"]}"#,
    );
    let sniffing = sniffing.unwrap();
    assert_eq!(sniffing.dest_override, [OverrideProtocol::Tls, OverrideProtocol::Http]);
    assert!(sniffing.route_only && !sniffing.metadata_only);
    let excluded: Vec<DomainEntry> = sniffing.domains_excluded.into_iter().map(|entry| entry.value).collect();
    assert_eq!(
        excluded,
        [DomainEntry::Full("push.apple.com".into()), DomainEntry::Suffix("b.example".into())]
    );
    assert_eq!(sniffing.ips_excluded.len(), 1);
}

#[test]
fn what_is_switched_off_is_nothing() {
    for text in [
        r#""tag": "a""#,
        r#""sniffing": {"enabled": false, "destOverride": ["http"]}"#,
        r#""sniffing": {"destOverride": ["http"]}"#,
        r#""sniffing": null"#,
        r#""domainOverride": []"#,
        r#""domainOverride": ["http"], "sniffing": {}"#,
    ] {
        assert!(sniffing(text).is_none(), "{text}");
    }
}

#[test]
fn the_old_form_means_the_same() {
    let sniffing = sniffing(r#""domainOverride": "http,tls""#).unwrap();
    assert_eq!(sniffing.dest_override, [OverrideProtocol::Http, OverrideProtocol::Tls]);
    assert!(!sniffing.route_only && !sniffing.metadata_only);
}
