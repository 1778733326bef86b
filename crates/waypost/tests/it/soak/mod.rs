//! Random clients with random faults, for a while; nothing of them may be left afterwards.

mod process;
mod visitors;

use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use waypost_testkit::{Behaviour, EchoServer, HttpOrigin, Socks5Node, UdpEcho, refused_address};

pub(crate) use self::process::Footprint;
use self::visitors::{Places, Visit};
use crate::binary::Waypost;

/// Two for each of the eight pipes that a worker keeps.
const PIPE_ENDS_PER_WORKER: usize = 2 * 8;
/// What the process was started with may be pipes, too.
const OTHER_PIPE_ENDS: usize = 4;

/// Clients at a time.
const CLIENTS: usize = 24;
/// How long everything may take to be gone once nobody comes any more.
const SETTLE: Duration = Duration::from_secs(40);

/// What a soak found.
#[derive(Debug)]
pub(crate) struct Soaked {
    /// How many visits there were, by kind.
    pub(crate) visits: Vec<(Visit, usize)>,
    /// After the first visits, with nobody there.
    pub(crate) before: Footprint,
    /// After the last, with nobody there.
    pub(crate) after: Footprint,
    /// What it logged.
    pub(crate) log: String,
}

/// Has random clients come for `span`, after a warm-up of a quarter of it.
pub(crate) async fn soak(span: Duration, seed: u64) -> Soaked {
    let members = [
        Socks5Node::start("", Behaviour::Relay).await,
        Socks5Node::start("", Behaviour::Close).await,
        Socks5Node::start("", Behaviour::HangAfterAccept).await,
        Socks5Node::start("", Behaviour::Relay).await,
    ];
    let (echo, udp, origin) =
        (EchoServer::start().await, UdpEcho::start().await, HttpOrigin::start("the origin").await);
    let proxy = Waypost::start(&configuration(&members, &origin), None).await;
    let places = Arc::new(Places {
        socks: proxy.address("socks"),
        http: proxy.address("http"),
        direct: proxy.address("direct"),
        echo: echo.address,
        udp: udp.address,
        origin: origin.address,
        refused: refused_address().await,
    });
    let mut visits: Vec<(Visit, usize)> = Visit::ALL.iter().map(|visit| (*visit, 0)).collect();
    let pid = proxy.pid();
    visit_for(span / 4, seed, &places, &mut visits).await;
    let before = Footprint::at_rest(pid, None, SETTLE).await;
    visit_for(span, seed ^ 1, &places, &mut visits).await;
    let after = Footprint::at_rest(pid, Some(before), SETTLE).await;
    Soaked { visits, before, after, log: proxy.log() }
}

async fn visit_for(span: Duration, seed: u64, places: &Arc<Places>, visits: &mut [(Visit, usize)]) {
    let end = Instant::now() + span;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let places = places.clone();
        let mut rng = StdRng::seed_from_u64(seed.wrapping_add(client as u64));
        clients.spawn(async move {
            let mut made = Vec::new();
            while Instant::now() < end {
                let visit = Visit::ALL[rng.random_range(0..Visit::ALL.len())];
                visit.make(&places, &mut rng).await;
                made.push(visit);
                sleep(Duration::from_millis(rng.random_range(0..5))).await;
            }
            made
        });
    }
    while let Some(made) = clients.join_next().await {
        for visit in made.unwrap() {
            visits.iter_mut().filter(|(kind, _)| *kind == visit).for_each(|(_, count)| *count += 1);
        }
    }
}

fn configuration(members: &[Socks5Node], origin: &HttpOrigin) -> String {
    let tags: Vec<String> = (0..members.len()).map(|index| format!("m{index}")).collect();
    let outbounds = members.iter().zip(&tags).map(|(node, tag)| {
        let server = json!({"address": node.address.ip(), "port": node.address.port()});
        json!({"protocol": "socks", "tag": tag, "settings": {"servers": [server]}})
    });
    let group = json!({"protocol": "loadbalance", "tag": "group", "settings": {
        "primary_outbounds": tags, "strategy": "random", "interval": "2s", "timeout": "500ms",
        "url": format!("http://{}/", origin.address), "dial": {"hedge_delay": "50ms"},
    }});
    json!({
        "policy": {"levels": {"0": {"handshake": 2, "connIdle": 10}}},
        "inbounds": [
            {"protocol": "socks", "tag": "socks", "listen": "127.0.0.1", "port": 0},
            {"protocol": "http", "tag": "http", "listen": "127.0.0.1", "port": 0},
            {"protocol": "socks", "tag": "direct", "listen": "127.0.0.1", "port": 0, "settings": {"udp": true},
             "sniffing": {"enabled": true, "destOverride": ["http", "tls"], "routeOnly": true}},
        ],
        "outbounds": std::iter::once(json!({"protocol": "freedom", "tag": "free"}))
            .chain([group]).chain(outbounds).collect::<Vec<_>>(),
        "routing": {"rules": [
            {"inboundTag": ["socks", "http"], "outboundTag": "group"},
            {"protocol": ["bittorrent"], "outboundTag": "free"},
        ]},
    })
    .to_string()
}

/// Says what is left, or that nothing is.
pub(crate) fn judge(soaked: &Soaked) -> Result<(), String> {
    let Soaked { before, after, log, .. } = soaked;
    let mut left = Vec::new();
    if after.descriptors > before.descriptors {
        left.push(format!("descriptors: {} before, {} after", before.descriptors, after.descriptors));
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    if after.pipes > PIPE_ENDS_PER_WORKER * workers + OTHER_PIPE_ENDS {
        left.push(format!("{} ends of pipes", after.pipes));
    }
    if after.threads > before.threads + 2 {
        left.push(format!("threads: {} before, {} after", before.threads, after.threads));
    }
    // What an allocator keeps differs by some; what is lost grows with every visit.
    if after.rss_kb > before.rss_kb + before.rss_kb / 4 + 2048 {
        left.push(format!("RSS in KB: {} before, {} after", before.rss_kb, after.rss_kb));
    }
    if log.contains("panicked") {
        left.push(format!("a panic:\n{log}"));
    }
    if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
}
