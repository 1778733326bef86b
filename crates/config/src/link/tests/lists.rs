//! Lists of servers, in whatever holds them.

use super::*;

#[test]
fn a_list_is_read_whatever_wraps_it() {
    let plain = format!(
        "\u{feff}# a comment\r\n\r\ntrojan://p@a:1#one\r\n  vless://{ID}@b:2#two \r\nnonsense\r\n// another\ntuic://x@y:1#three\n"
    );
    let expected = list(&plain);
    assert_eq!(expected.nodes.len(), 2);
    let rejected: Vec<_> =
        expected.rejected.iter().map(|one| (one.line, &*one.name, one.error.to_string())).collect();
    assert_eq!(rejected[0], (5, "", "this is no link".to_owned()));
    assert_eq!((rejected[1].0, rejected[1].1), (7, "three"));
    let once = STANDARD.encode(&plain);
    let folded: String = once
        .as_bytes()
        .chunks(76)
        .map(|line| format!("{}\r\n", std::str::from_utf8(line).unwrap()))
        .collect();
    let url_safe = once.replace('+', "-").replace('/', "_").replace('=', "");
    for text in [&once, &folded, &url_safe, &STANDARD.encode(&once)] {
        let list = list(text);
        assert_eq!((list.nodes.len(), &list.rejected), (2, &expected.rejected));
        assert_eq!(list.nodes[1].line, 4);
    }
}

#[test]
fn what_holds_no_links_is_told() {
    let error =
        |text: &str| read(&Source::new("x", text).unwrap(), &Options::default()).unwrap_err().to_string();
    assert!(error("\n# nothing\n").starts_with("there is nothing in it; expected links such as"));
    assert!(error("<!DOCTYPE html><html>").starts_with("it is a web page"));
    assert!(error("once upon a time").starts_with("it holds no links"));
    assert!(error(&STANDARD.encode("once upon a time")).starts_with("it holds no links"));
    assert!(error("proxies:\n  - {name: a").starts_with("line "), "{}", error("proxies:\n  - {name: a"));
    assert_eq!(error("{\"outbonds\": []}"), "the configuration has mistakes");
    assert_eq!(error(&"trojan://p@a:1\n".repeat(MAX_NODES + 1)), "it has more than 20000 entries");
    assert!(error(&" ".repeat(MAX_LIST_BYTES + 1)).contains("at most 16777216 are read"));
}

#[test]
fn clash_lists_proxies() {
    let list = list(CLASH);
    let names: Vec<&str> = list.nodes.iter().map(|node| &*node.name).collect();
    assert_eq!(names, ["ss 1", "vmess ws", "upgrade", "grpc", "socks", "web"]);
    assert_eq!(list.nodes[0].line, 4);
    let networks = list.nodes[0].outbound.networks;
    assert_eq!((networks.tcp, networks.udp), (true, false));
    let OutboundProtocol::Shadowsocks(servers) = &list.nodes[0].outbound.protocol else { panic!() };
    assert_eq!(servers[0].account.password.expose(), "0123");
    let Layer::WebSocket(ws) = &list.nodes[1].outbound.transport.layer else { panic!() };
    assert_eq!((ws.host.as_deref(), ws.headers.len()), (Some("h.example"), 1));
    assert_eq!(ws.early_data.as_ref().unwrap().max_bytes, 2048);
    assert!(matches!(list.nodes[2].outbound.transport.layer, Layer::HttpUpgrade(_)));
    assert!(
        matches!(&list.nodes[3].outbound.transport.layer, Layer::Grpc(grpc) if &*grpc.service_name == "svc")
    );
    assert!(list.nodes[5].outbound.transport.tls.is_some());
    let rejected: Vec<String> =
        list.rejected.iter().map(|one| format!("{}: {}", one.name, one.error)).collect();
    for (said, part) in rejected.iter().zip([
        "plugin: the plugin `obfs` is not available",
        "reality: REALITY is not available",
        "vision: XTLS Vision is not available",
        "h2: the transport `h2` is not available",
        "old: legacy VMess is not available",
        "hy: `hysteria2` is not available",
        "chained: its connections take another outbound: `other`",
        "no port: it has no port",
    ]) {
        assert!(said.starts_with(part), "{said}");
    }
    assert_eq!(rejected.len(), 8);
    assert_eq!(tests::list(&STANDARD.encode(CLASH)).nodes.len(), 6);
}

#[test]
fn json_may_be_clash_sip008_or_a_configuration() {
    let clash = list(
        r#"{"proxies": [{"name": "t", "type": "trojan", "server": "a", "port": 443, "password": "x"}]}"#,
    );
    assert_eq!(&*clash.nodes[0].name, "t");
    let sip008 = list(
        r#"{"version": 1, "servers": [{"id": "1", "remarks": "s", "server": "a", "server_port": 8388, "password": "x", "method": "aes-128-gcm"}]}"#,
    );
    assert_eq!(&*sip008.nodes[0].name, "s");
    let config = list(
        r#"{"outbounds": [
            {"type": "direct", "tag": "direct"},
            {"type": "trojan", "tag": "t", "server": "a", "server_port": 443, "password": "x", "tls": {"enabled": true}},
            {"type": "socks", "tag": "s", "server": "b", "server_port": 1, "detour": "t"}
        ]}"#,
    );
    assert_eq!((config.nodes.len(), config.nodes[0].line, &*config.nodes[0].name), (1, 3, "t"));
    assert_eq!(config.rejected[0].error, LinkError::Detour("t".into()));
    assert!(config.nodes[0].warnings.is_empty());
    let doubtful = list(
        r#"{"outbounds": [
            {"type": "direct", "tag": "direct", "connect_timeout": "0s"},
            {"type": "trojan", "tag": "t", "server": "a", "server_port": 443, "password": "x",
             "tls": {"enabled": true, "insecure": true}}
        ]}"#,
    );
    let [warning] = &*doubtful.nodes[0].warnings else { panic!("{:?}", doubtful.nodes[0].warnings) };
    assert!(warning.contains("insecure"), "{warning}");
}

#[test]
fn what_clash_pins_stays_pinned() {
    let entry = |keys: &str| format!("proxies:\n- {{name: x, server: a, port: 1, {keys}}}");
    let pinned = node(&entry(&format!("type: trojan, password: x, fingerprint: {}", "ab".repeat(32))));
    assert_eq!(pinned.outbound.transport.tls.unwrap().pins, [crate::model::Pin::Certificate([0xab; 32])]);
    let browser = refusal(&entry("type: trojan, password: x, fingerprint: chrome"));
    assert!(browser.contains("not a hash"), "{browser}");
    let headers = refusal(&entry("type: http, headers: {X-Token: Geheim}"));
    assert!(
        headers.contains("further headers are not available") && !headers.contains("Geheim"),
        "{headers}"
    );
    let shown = refusal(&entry("type: trojan, password: x, certificate: a.pem, private-key: Geheim"));
    assert!(shown.contains("a certificate of this end") && !shown.contains("Geheim"), "{shown}");
    for text in [
        entry("type: ss, cipher: aes-128-gcm, password: x, udp-over-tcp: true"),
        "ss://YWVzLTEyOC1nY206eA@a:1?uot=1".to_owned(),
    ] {
        assert!(refusal(&text).contains("inside of a TCP connection"), "{text}");
    }
}
