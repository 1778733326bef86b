use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};
use waypost_config::{Options, Source};
use waypost_net::{Host, Network};
use waypost_testkit::tcp_pair;

use super::*;
use crate::{
    Stream,
    build::{Assets, load},
};

/// What an inbound with these settings and one rule with these conditions sniffs by.
fn lower(sniffing: &Value, rule: &Value) -> Option<Arc<Sniffing>> {
    let mut rule = rule.clone();
    rule["outboundTag"] = json!("out");
    let file = json!({
        "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 0, "sniffing": sniffing}],
        "outbounds": [{"protocol": "freedom", "tag": "out"}],
        "routing": {"rules": [rule]},
    });
    let source = Source::new("config.json", file.to_string()).unwrap();
    let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
    let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    ready.snapshot.sniffing(0)
}

fn sniffing(settings: &Value) -> Arc<Sniffing> {
    let mut settings = settings.clone();
    settings["enabled"] = json!(true);
    lower(&settings, &json!({"protocol": "tls"})).expect("a rule depends on it")
}

fn sniffed(protocol: &'static str, host: &str) -> Sniffed {
    let host = (!host.is_empty()).then(|| Host::parse(host).unwrap());
    Sniffed { protocol, host, attributes: waypost_net::Attributes::default() }
}

fn flow(target: &str) -> Flow {
    Flow::new(Network::Tcp, target.parse().unwrap())
}

/// Checks the target that is dialled and the name that only rules see.
#[track_caller]
fn check(settings: &Value, protocol: &'static str, host: &str, dialled: &str, for_rules: Option<&str>) {
    let mut flow = flow("1.2.3.4:8443");
    sniffing(settings).enter(sniffed(protocol, host), &mut flow);
    assert_eq!(flow.protocol.as_deref(), Some(protocol));
    assert_eq!(flow.target.to_string(), dialled);
    assert_eq!(flow.route_domain.as_ref().map(waypost_net::DomainName::as_str), for_rules);
}

/// The vectors of the kind `should_override`.
#[test]
fn a_name_takes_the_place_of_a_target_as_in_v2ray_and_xray() {
    let file: Value =
        serde_json::from_str(include_str!("../../../../testdata/vectors/routing.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap().iter();
    let mut n_vectors = 0;
    for vector in vectors.filter(|vector| vector["kind"] == "should_override") {
        n_vectors += 1;
        let label = vector["sniffed"]["protocol"].as_str().unwrap();
        // Nothing recognises QUIC in this version, so that no label is `quic`; what decides is the same.
        let label = ["http1", "tls", "quic", "bittorrent"].into_iter().find(|known| *known == label).unwrap();
        let mut settings = json!({"destOverride": vector["destOverride"]});
        for key in ["domainsExcluded", "ipsExcluded"] {
            if let Some(list) = vector.get(key) {
                settings[key] = list.clone();
            }
        }
        let target = format!("{}:443", vector["destination"].as_str().unwrap());
        let mut flow = flow(&target);
        let name = vector["sniffed"]["domain"].as_str().unwrap();
        sniffing(&settings).enter(sniffed(label, name), &mut flow);
        let overridden = flow.target.to_string() != target;
        assert_eq!(Some(overridden), vector["expect"].as_bool(), "{vector}");
        assert_eq!(flow.target.port, 443);
    }
    assert_eq!(n_vectors, 6);
}

#[test]
fn names_are_dialled_or_shown_to_rules_only() {
    let both = json!(["http", "tls"]);
    check(&json!({"destOverride": both}), "tls", "a.example", "a.example:8443", None);
    check(&json!({"destOverride": both}), "tls", "5.6.7.8", "5.6.7.8:8443", None);
    check(&json!({"destOverride": []}), "tls", "a.example", "1.2.3.4:8443", None);
    let route_only = json!({"destOverride": both, "routeOnly": true});
    check(&route_only, "http1", "a.example", "1.2.3.4:8443", Some("a.example"));
    check(&route_only, "http1", "5.6.7.8", "1.2.3.4:8443", None);
    let excluded = json!({
        "destOverride": both, "routeOnly": true, "domainsExcluded": ["domain:example", "regexp:^x[0-9]"]
    });
    check(&excluded, "tls", "a.example", "1.2.3.4:8443", None);
    check(&excluded, "tls", "x1.test", "1.2.3.4:8443", None);
    check(&excluded, "tls", "x.test", "1.2.3.4:8443", Some("x.test"));
    let elsewhere = json!({"destOverride": both, "ipsExcluded": ["10.0.0.0/8", "geoip:private"]});
    check(&elsewhere, "tls", "a.example", "a.example:8443", None);
}

#[test]
fn nobody_waits_for_what_nothing_depends_on() {
    let no_label = json!({"port": 1});
    for (settings, rule, sniffs) in [
        (json!({"enabled": true}), &no_label, false),
        (json!({"enabled": true}), &json!({"protocol": "http"}), true),
        (json!({"enabled": true}), &json!({"attrs": {":method": "GET"}}), true),
        (json!({"enabled": true, "destOverride": ["tls"]}), &no_label, true),
        (json!({"enabled": true, "destOverride": ["tls"], "metadataOnly": true}), &no_label, false),
        (json!({"enabled": false, "destOverride": ["tls"]}), &json!({"protocol": "http"}), false),
    ] {
        assert_eq!(lower(&settings, rule).is_some(), sniffs, "{settings} {rule}");
    }
}

/// Runs `client` against the reader of first bytes; what was recognised, and how long that took.
async fn read_from<F: Future<Output = TcpStream> + Send + 'static>(
    port: u16,
    client: impl FnOnce(TcpStream) -> F,
) -> (Option<&'static str>, Duration, Vec<u8>) {
    let (near, far) = tcp_pair().await;
    let mut stream = ClientStream::silent(Stream::Tcp(near), Vec::new());
    let writing = tokio::spawn(client(far));
    let begin = Instant::now();
    let found = read(&mut stream, port).await.map(|sniffed| sniffed.protocol);
    let took = begin.elapsed();
    let seen = stream.rest().to_vec();
    writing.abort();
    (found, took, seen)
}

async fn silent(stream: TcpStream) -> TcpStream {
    sleep(Duration::from_secs(3600)).await;
    stream
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_waited_for_a_short_while() {
    let (found, took, _) = read_from(25, silent).await;
    assert_eq!(found, None);
    assert!((FIRST_BYTE..FIRST_BYTE * 2).contains(&took), "{took:?}");
    let (_, took, _) = read_from(443, silent).await;
    assert!((BUDGET..BUDGET * 2).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_used_as_far_as_it_came() {
    let head = b"GET / HTTP/1.1\r\nHost: a.example\r\nX: ";
    let (found, took, seen) = read_from(8080, |mut stream| async move {
        stream.write_all(head).await.unwrap();
        silent(stream).await
    })
    .await;
    assert_eq!(found, Some("http1"));
    assert!((BUDGET..BUDGET * 2).contains(&took), "{took:?}");
    assert_eq!(seen, head);
}

#[tokio::test(start_paused = true)]
async fn an_end_and_a_reset_are_waited_for_no_longer() {
    let (found, took, seen) = read_from(80, |mut stream| async move {
        stream.write_all(b"GE").await.unwrap();
        stream.shutdown().await.unwrap();
        silent(stream).await
    })
    .await;
    assert_eq!((found, &*seen), (None, &b"GE"[..]));
    assert!(took < FIRST_BYTE, "{took:?}");
    let (_, took, _) = read_from(80, |stream| async move {
        stream.set_zero_linger().unwrap();
        drop(stream);
        silent(tcp_pair().await.0).await
    })
    .await;
    assert!(took < FIRST_BYTE, "{took:?}");
}

#[tokio::test]
async fn no_more_is_kept_than_is_looked_at() {
    let (found, _, seen) = read_from(80, |mut stream| async move {
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        // It fails when the reader is done.
        let _written = stream.write_all(&[b'x'; 1 << 20]).await;
        silent(stream).await
    })
    .await;
    assert_eq!(found, None);
    assert!(seen.len() < waypost_wire::MAX_SNIFF_BYTES + crate::wire_io::READ_BYTES, "{}", seen.len());
}
