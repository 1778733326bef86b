//! V2Ray's own client for the API, which Debian has in the package `v2ray`.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use tokio::{process::Command, time::timeout};
use tokio_util::sync::CancellationToken;
use waypost_testkit::EchoServer;

use crate::{
    door::{serve_door, with_door},
    world::{CONFIG, LIMIT, World, echo, socks},
};

/// The program, or a loud line that `test` checks nothing. Where `CI_REQUIRE_PEERS=1` is set, a program that
/// is absent is a failure.
fn require(test: &str) -> Option<PathBuf> {
    let folders = variable("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&folders).map(|folder| folder.join("v2ctl")).find(|path| path.is_file());
    if found.is_none() {
        let must_be_there = variable("CI_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!must_be_there, "{test}: `v2ctl` is not installed, and CI_REQUIRE_PEERS=1 asks for it");
        waypost_testkit::say_skipped(test, "`v2ctl` is not installed");
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "where programs are, and whether they must be, is told so")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// What the client prints, and whether it is content.
async fn ask(api: SocketAddr, program: &Path, method: &str, request: &str) -> (bool, String) {
    let mut command = Command::new(program);
    command.arg("api").arg(format!("--server={api}")).args([method, request]).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.expect("in time").unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn v2ctl_reads_counters_and_restarts_the_log() {
    let Some(program) = require("v2ctl_reads_counters_and_restarts_the_log") else { return };
    let (world, target) = (World::start(CONFIG).await, EchoServer::start().await);
    let mut stream = socks(world.inbound("in").unwrap(), None, &target.address.to_string()).await.unwrap();
    echo(&mut stream, &[7; 1234]).await;

    let (good, all) =
        ask(world.address, &program, "StatsService.QueryStats", "pattern: \"in>>>traffic\" reset: true")
            .await;
    assert!(good && all.contains("inbound>>>in>>>traffic>>>uplink") && all.contains("1234"), "{all}");
    assert!(!all.contains("outbound>>>"), "{all}");
    let name = "name: \"inbound>>>in>>>traffic>>>uplink\"";
    let (good, one) = ask(world.address, &program, "StatsService.GetStats", name).await;
    assert!(good && !one.contains("1234"), "{one}");
    let (good, none) = ask(world.address, &program, "StatsService.GetStats", "name: \"nobody\"").await;
    assert!(!good && none.contains("nobody not found."), "{none}");
    let (good, system) = ask(world.address, &program, "StatsService.GetSysStats", "").await;
    assert!(good && system.contains("Sys"), "{system}");
    let (good, restarted) = ask(world.address, &program, "LoggerService.RestartLogger", "").await;
    assert!(good, "{restarted}");
    assert_eq!(world.n_restarts.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn v2ctl_comes_in_by_an_inbound() {
    let Some(program) = require("v2ctl_comes_in_by_an_inbound") else { return };
    let world = World::start(&with_door()).await;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve_door(&world, stop.clone()));
    let door = world.inbound("api-in").unwrap();
    let (good, all) = ask(door, &program, "StatsService.QueryStats", "pattern: \"api-in\"").await;
    assert!(good && all.contains("inbound>>>api-in>>>traffic>>>uplink"), "{all}");
    stop.cancel();
    timeout(LIMIT, serving).await.expect("stopped in time").unwrap();
}
