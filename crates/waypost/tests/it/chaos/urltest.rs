//! A `urltest` group behind a selector: whoever is used freezes or dies, and nothing is lost.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Scene, alone,
    config::{behind, tags},
    faults::{Limits, ORDINARY, check, with_fault},
    load::Request,
    nodes::{Kind, Node},
};

const TWO: [Kind; 2] = [Kind::Microsocks; 2];

/// A selector whose choice is a `urltest` group.
fn chosen(members: &[SocketAddr], origin: SocketAddr) -> Value {
    let auto = json!({"protocol": "urltest", "tag": "auto", "settings": {
        "outbounds": tags(members), "url": format!("http://{origin}/generate_204"),
    }});
    let pick = json!({"protocol": "selector", "tag": "pick", "settings": {"outbounds": ["auto", "m0"]}});
    behind(vec![pick, auto], members)
}

/// While one of the two works at any moment, the one in use is hit at least once.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_used_freezes() {
    let _alone = alone().await;
    let Some(mut scene) = Scene::start_with("chaos urltest", &TWO, 0, chosen).await else { return };
    let freeze = async |nodes: &mut Vec<Node>| {
        for node in &nodes[..] {
            node.freeze().await;
            sleep(Duration::from_millis(1200)).await;
            node.thaw().await;
            sleep(Duration::from_millis(300)).await;
        }
    };
    let records = with_fault(&mut scene, Request::Http, freeze).await;
    check(
        "urltest: SIGSTOP of one after the other",
        &records,
        &Limits { setup: Duration::from_millis(900), ..ORDINARY },
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_used_dies() {
    let _alone = alone().await;
    let Some(mut scene) = Scene::start_with("chaos urltest", &TWO, 0, chosen).await else { return };
    let kill = async |nodes: &mut Vec<Node>| {
        for node in nodes {
            node.kill().await;
            sleep(Duration::from_millis(1200)).await;
            node.replace(Kind::Microsocks, "chaos urltest").await;
            sleep(Duration::from_millis(300)).await;
        }
    };
    let records = with_fault(&mut scene, Request::Http, kill).await;
    check("urltest: SIGKILL of one after the other", &records, &ORDINARY);
}
