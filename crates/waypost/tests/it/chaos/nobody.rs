//! What connections meet when nobody can carry them.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    Scene, alone,
    load::{Request, connect},
    nodes::Kind,
};

/// The default `dial.total_timeout`, and room for a busy machine.
const TOTAL: Duration = Duration::from_millis(10_500);

#[tokio::test(flavor = "multi_thread")]
async fn with_all_members_dead_each_connection_fails_in_time_with_the_right_reply() {
    let _alone = alone().await;
    for freeze in [false, true] {
        let test = "chaos, all dead";
        let Some(mut scene) = Scene::start(test, &[Kind::Microsocks; 4], 0, &json!({})).await else { return };
        for node in &mut scene.nodes {
            if freeze {
                node.freeze().await;
            } else {
                node.kill().await;
            }
        }
        let (proxy, origin) = (scene.waypost.address("in"), scene.origin.address);
        let begin = Instant::now();
        let asked = (0..20).map(|token| tokio::spawn(connect(proxy, origin, Request::Http, token, begin)));
        for asked in asked.collect::<Vec<_>>() {
            let record = asked.await.unwrap();
            // RFC 1928 §6: 5 is refused; a host that does not answer is unreachable, 4.
            let lost = record.lost.as_deref();
            let expected = if freeze { "SOCKS reply 4" } else { "SOCKS reply 5" };
            assert_eq!(lost, Some(expected), "freeze: {freeze}, {record:?}");
            assert!(record.answered < TOTAL, "freeze: {freeze}, {record:?}");
        }
        for node in &scene.nodes {
            node.thaw_if_alive().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_fallback_all_every_member_is_used() {
    let _alone = alone().await;
    let extra = json!({"empty_pool_action": "fallback_all"});
    let test = "chaos, fallback_all";
    let Some(mut scene) = Scene::start(test, &[Kind::Microsocks; 3], 2, &extra).await else { return };
    for node in &mut scene.nodes {
        node.kill().await;
    }
    let (proxy, origin) = (scene.waypost.address("in"), scene.origin.address);
    let record = connect(proxy, origin, Request::Http, 1, Instant::now()).await;
    assert!(record.lost.is_some(), "{record:?}");
    // Whoever comes back carries the next connection, whatever is known of it.
    for index in 0..5 {
        scene.nodes[index].replace(Kind::Microsocks, test).await;
        let record = connect(proxy, origin, Request::Http, 2, Instant::now()).await;
        assert_eq!(record.lost, None, "member {index}");
        scene.nodes[index].kill().await;
        sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_returns_carries_the_next_connection_also_from_an_empty_pool() {
    let _alone = alone().await;
    let test = "chaos, return";
    let Some(mut scene) = Scene::start(test, &[Kind::Microsocks; 2], 0, &json!({})).await else { return };
    let (proxy, origin) = (scene.waypost.address("in"), scene.origin.address);
    // One after the other, so that each death has a witness and gets its verdict.
    for index in 0..2 {
        scene.nodes[index].kill().await;
        for token in 0..30 {
            let record = connect(proxy, origin, Request::Http, token, Instant::now()).await;
            assert!(index == 1 || record.lost.is_none(), "{record:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }
    scene.nodes[0].replace(Kind::Microsocks, test).await;
    let record = connect(proxy, origin, Request::Http, 99, Instant::now()).await;
    assert_eq!(record.lost, None, "{}", scene.waypost.log());
}
