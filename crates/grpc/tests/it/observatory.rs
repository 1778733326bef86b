use tonic::Code;
use waypost_grpc::proto::v2ray::core::app::observatory::command::{
    GetOutboundStatusRequest, GetOutboundStatusResponse, OutboundStatus,
};
use waypost_testkit::{Behaviour, HttpOrigin, Socks5Node};

use crate::world::{LIMIT, World, refused};

const METHOD: &str = "v2ray.core.app.observatory.command.ObservatoryService/GetOutboundStatus";

async fn status(world: &World, tag: &str) -> Vec<OutboundStatus> {
    let request = GetOutboundStatusRequest { tag: tag.to_owned() };
    let answer: GetOutboundStatusResponse = world.call(METHOD, request).await.unwrap();
    answer.status.unwrap().status
}

#[tokio::test]
async fn outbounds_are_told_of_when_they_were_probed() {
    let origin = HttpOrigin::start("probe").await;
    let good = Socks5Node::start("good", Behaviour::ConnectOnly).await;
    let bad = Socks5Node::start("bad", Behaviour::Close).await;
    let server = |tag: &str, node: &Socks5Node| {
        let (ip, port) = (node.address.ip(), node.address.port());
        format!(
            r#"{{"tag": "{tag}", "protocol": "socks", "settings": {{"servers": [{{"address": "{ip}", "port": {port}}}]}}}}"#
        )
    };
    let config = format!(
        r#"{{
            "inbounds": [{{"tag": "in", "protocol": "socks", "listen": "127.0.0.1", "port": 0}}],
            "outbounds": [{{"tag": "direct", "protocol": "freedom"}}, {}, {}],
            "observatory": {{"subjectSelector": ["n-"], "probeURL": "http://{}/", "probeInterval": "200ms"}},
            "routing": {{
                "rules": [{{"network": "tcp", "balancerTag": "lb"}}],
                "balancers": [{{"tag": "lb", "selector": ["n-"], "strategy": {{"type": "leastPing"}}}}]
            }}
        }}"#,
        server("n-good", &good),
        server("n-bad", &bad),
        origin.address,
    );
    let world = World::start(&config).await;
    let told = async {
        loop {
            let told = status(&world, "").await;
            let is_over = |tag: &str| told.iter().any(|one| one.outbound_tag == tag);
            if is_over("n-good") && told.iter().any(|one| one.outbound_tag == "n-bad" && !one.alive) {
                return told;
            }
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(LIMIT, told).await.expect("probed in time");
    let [good, bad] = &told[..] else { panic!("{told:?}") };
    assert!(good.alive && good.delay < 20_000 && good.last_seen_time > 1_700_000_000, "{good:?}");
    assert_eq!(good.health_ping.as_ref().map(|ping| ping.fail), Some(0));
    assert!(!bad.alive && bad.delay == 99_999_999 && bad.last_seen_time == 0, "{bad:?}");
    assert!(bad.last_try_time > 1_700_000_000 && !bad.last_error_reason.is_empty(), "{bad:?}");

    let request = GetOutboundStatusRequest { tag: "other".to_owned() };
    let answer = world.call::<_, GetOutboundStatusResponse>(METHOD, request).await;
    assert_eq!(refused(answer), (Code::NotFound, "there is no observer `other`".to_owned()));
}
