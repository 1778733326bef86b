//! Datagrams through proxy servers and groups of them.

use std::time::Duration;

use serde_json::{Value, json};
use waypost_proxy::{AttemptEnd, State};
use waypost_testkit::{Behaviour, HttpOrigin, Socks5Node, UdpEcho};

use super::{client::Associated, start, until};

/// A proxy that tries these nodes in their order, as a group that is called `lb`.
fn group(nodes: &[&Socks5Node], origin: &HttpOrigin, extra: &Value) -> Value {
    let tags: Vec<String> = (0..nodes.len()).map(|index| format!("m{index}")).collect();
    let mut settings = json!({
        "primary_outbounds": tags, "strategy": "failover",
        "url": format!("http://{}/", origin.address), "timeout": "300ms",
    });
    settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let members = nodes.iter().zip(&tags).map(|(node, tag)| {
        let server = json!({"address": node.address.ip(), "port": node.address.port()});
        json!({"protocol": "socks", "tag": tag, "settings": {"servers": [server]}})
    });
    let group = json!({"protocol": "loadbalance", "tag": "lb", "settings": settings});
    std::iter::once(group).chain(members).collect()
}

#[tokio::test]
async fn a_proxy_server_carries_all_sessions_of_a_client_by_one_association() {
    let node = Socks5Node::start("node", Behaviour::Relay).await;
    let server = json!({"address": node.address.ip(), "port": node.address.port()});
    let outbounds = json!([{"protocol": "socks", "settings": {"servers": [server]}}]);
    let (proxy, address) = start(&json!({}), &outbounds, &json!({}));
    let echoes = [UdpEcho::start().await, UdpEcho::start().await, UdpEcho::start().await];
    let client = Associated::open(address).await;
    for echo in &echoes {
        assert_eq!(client.ask(&echo.address.to_string(), b"hello").await, b"hello");
    }
    assert_eq!((proxy.connections().len(), node.associated()), (3, 1));
    assert_eq!(proxy.connections().snapshot()[1].conduit.counters.totals(), (5, 5));
    let second = Associated::open(address).await;
    second.ask(&echoes[0].address.to_string(), b"hello").await;
    assert_eq!(node.associated(), 2);
}

#[tokio::test]
async fn a_member_that_refuses_associations_costs_no_datagram_and_is_not_blamed() {
    let origin = HttpOrigin::start("up").await;
    let refusing = Socks5Node::start("", Behaviour::ConnectOnly).await;
    let hanging = Socks5Node::start("", Behaviour::HangAfterAccept).await;
    let relay = Socks5Node::start("", Behaviour::Relay).await;
    let outbounds = group(&[&refusing, &hanging, &relay], &origin, &json!({"dial": {"hedge_delay": "50ms"}}));
    let (proxy, address) = start(&json!({}), &outbounds, &json!({}));
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    assert_eq!(client.ask(&echo.address.to_string(), b"the first").await, b"the first");
    let path = proxy.connections().snapshot()[0].path();
    assert_eq!((path.outbound.as_deref(), path.chain[0].as_str()), (Some("m2"), "lb"));
    let ends: Vec<_> =
        path.attempts.iter().map(|attempt| (attempt.outbound.as_deref().unwrap(), &attempt.end)).collect();
    assert!(matches!(ends[0], ("m0", AttemptEnd::Failed(_))), "{ends:?}");
    assert!(ends.contains(&("m1", &AttemptEnd::Overtaken)), "{ends:?}");
    assert_eq!(proxy.groups()[0].members[0].totals.failed, 0);
    let asked = || refusing.seen().iter().filter(|seen| seen.target.port == 0).count();
    assert_eq!(asked(), 1);
    until(|| proxy.groups()[0].members[0].state == State::Up).await;
    // It is not asked again, though it stands.
    let second = Associated::open(address).await;
    second.ask(&echo.address.to_string(), b"hello").await;
    assert_eq!(asked(), 1);
}

#[tokio::test]
async fn a_member_without_datagrams_is_never_planned() {
    let origin = HttpOrigin::start("up").await;
    let relay = Socks5Node::start("", Behaviour::Relay).await;
    let mut outbounds = group(&[&relay], &origin, &json!({"primary_outbounds": ["http", "m0"]}));
    let http = json!({"protocol": "http", "tag": "http", "settings": {"servers": [{"address": "127.0.0.1", "port": 9}]}});
    outbounds.as_array_mut().unwrap().push(http);
    let (proxy, address) = start(&json!({}), &outbounds, &json!({}));
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    client.ask(&echo.address.to_string(), b"hello").await;
    let path = proxy.connections().snapshot()[0].path();
    assert_eq!((path.attempts.len(), path.outbound.as_deref()), (1, Some("m0")));
}

#[tokio::test]
async fn a_session_keeps_its_member_while_that_one_answers_and_moves_when_it_is_ejected_and_silent() {
    let origin = HttpOrigin::start("up").await;
    let nodes =
        [Socks5Node::start("", Behaviour::Relay).await, Socks5Node::start("", Behaviour::Relay).await];
    let outbounds = group(&[&nodes[0], &nodes[1]], &origin, &json!({"interval": "1s"}));
    let (proxy, address) = start(&json!({}), &outbounds, &json!({}));
    let echo = UdpEcho::start().await;
    let target = echo.address.to_string();
    let client = Associated::open(address).await;
    client.ask(&target, b"hello").await;
    let member = || proxy.connections().snapshot()[0].path().outbound.clone().unwrap().to_string();
    let id = proxy.connections().snapshot()[0].id;
    assert_eq!(member(), "m0");

    nodes[0].set_behaviour(Behaviour::HangAfterAccept);
    until(|| proxy.groups()[0].members[0].state == State::Down).await;
    // No datagram is lost on a member that stands; this one is silent now, and they go elsewhere soon.
    let moved = async {
        loop {
            client.send(&target, b"anybody?").await;
            let waiting = tokio::time::timeout(Duration::from_millis(200), client.receive());
            if let Ok((_, answer)) = waiting.await {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(super::client::LIMIT, moved).await.expect("an answer in time");
    assert_eq!((answer.as_slice(), member().as_str()), (&b"anybody?"[..], "m1"));
    assert_eq!(proxy.connections().snapshot()[0].id, id);

    // Back again, the first takes new sessions, and the old one stays where it is.
    nodes[0].set_behaviour(Behaviour::Relay);
    until(|| proxy.groups()[0].members[0].state == State::Up).await;
    let other = UdpEcho::start().await;
    for _ in 0..3 {
        client.ask(&target, b"still here?").await;
    }
    client.ask(&other.address.to_string(), b"new").await;
    let ways: Vec<String> = proxy
        .connections()
        .snapshot()
        .iter()
        .map(|entry| entry.path().outbound.clone().unwrap().to_string())
        .collect();
    assert_eq!(ways, ["m1", "m0"]);
}

#[tokio::test]
async fn a_session_goes_on_elsewhere_when_its_proxy_server_ends_the_association() {
    let origin = HttpOrigin::start("up").await;
    let first = Socks5Node::start("", Behaviour::Relay).await;
    let second = Socks5Node::start("", Behaviour::Relay).await;
    let (proxy, address) = start(&json!({}), &group(&[&first, &second], &origin, &json!({})), &json!({}));
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    client.ask(&echo.address.to_string(), b"hello").await;
    // Its connections end with it.
    drop(first);
    let moved = async {
        loop {
            client.send(&echo.address.to_string(), b"again").await;
            if let Ok(answer) = tokio::time::timeout(Duration::from_millis(100), client.receive()).await {
                return answer.1;
            }
        }
    };
    assert_eq!(tokio::time::timeout(super::client::LIMIT, moved).await.expect("an answer in time"), b"again");
    assert_eq!(proxy.connections().snapshot()[0].path().outbound.as_deref(), Some("m1"));
}
