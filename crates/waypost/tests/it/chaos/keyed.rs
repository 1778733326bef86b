//! Members that are reached by protocols with keys: two of each, of which one is hit.

use std::{net::SocketAddr, time::Duration};

use super::{
    Scene, alone,
    config::behind_members,
    faults::{Limits, ORDINARY, check, with_fault},
    load::Request,
    nodes::{Kind, Node},
    protocol::Protocol,
};

const PROTOCOLS: [Protocol; 4] = [Protocol::Shadowsocks, Protocol::Vmess, Protocol::Vless, Protocol::Trojan];

/// Two nodes of each protocol, the first of each being the one that is hit.
async fn scene(test: &str) -> Option<Scene> {
    let kinds: Vec<Kind> = PROTOCOLS.into_iter().flat_map(|protocol| [Kind::Keyed(protocol); 2]).collect();
    let config = |addresses: &[SocketAddr], origin: SocketAddr| {
        let members = addresses.iter().zip(&kinds).enumerate().map(|(index, (address, kind))| {
            let Kind::Keyed(protocol) = kind else { panic!("{kind:?}") };
            protocol.outbound(&format!("m{index}"), *address)
        });
        behind_members(members.collect(), origin)
    };
    Scene::start_with(test, &kinds, 0, config).await
}

fn of_each(nodes: &mut [Node]) -> impl Iterator<Item = &mut Node> {
    nodes.iter_mut().step_by(2)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_each_protocol_is_killed() {
    let _alone = alone().await;
    let Some(mut scene) = scene("chaos: keyed, killed").await else { return };
    let kill = async |nodes: &mut Vec<Node>| {
        for node in of_each(nodes) {
            node.kill().await;
        }
    };
    let records = with_fault(&mut scene, Request::Http, kill).await;
    check("SIGKILL of one of each protocol", &records, &ORDINARY);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_each_protocol_is_frozen() {
    let _alone = alone().await;
    for request in [Request::Http, Request::TlsHello] {
        let Some(mut scene) = scene("chaos: keyed, frozen").await else { return };
        let freeze = async |nodes: &mut Vec<Node>| {
            for node in of_each(nodes) {
                node.freeze().await;
            }
        };
        let records = with_fault(&mut scene, request, freeze).await;
        // Several that are frozen may come one after the other.
        let limits = Limits { setup: Duration::from_millis(900), answer: Duration::from_secs(5) };
        check(&format!("SIGSTOP of one of each protocol, {request:?}"), &records, &limits);
    }
}
