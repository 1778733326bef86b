//! Sets that are fetched.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    time::sleep,
};
use waypost_testkit::{Behaviour, EchoServer, refused_address};

use super::{
    LIMIT, Stage, ask, count, eventually,
    server::{Answer, SetServer},
    set_of,
};
use crate::{binary::Waypost, oracle::connect_socks};

const TARGET: &str = "one.example:443";

fn remote(url: &str) -> Value {
    json!({"type": "remote", "tag": "set", "url": url})
}

fn set(etag: &'static str, name: &str) -> Answer {
    Answer::Set { etag, body: set_of(name).into_bytes() }
}

async fn kill(mut waypost: Waypost) {
    let pid = waypost.pid().to_string();
    assert!(Command::new("/bin/kill").args(["-KILL", &pid]).status().await.unwrap().success());
    waypost.wait().await;
}

/// The files of the cache.
fn copies(stage: &Stage) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(stage.path().join("cache/rule-sets")) else { return Vec::new() };
    folder.map(|entry| entry.unwrap().path()).filter(|path| path.extension().unwrap() == "set").collect()
}

/// What the only copy says of itself, and the set.
fn read_copy(path: &Path) -> (Value, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let mut lines = bytes.splitn(3, |&byte| byte == b'\n').skip(1);
    (serde_json::from_slice(lines.next().unwrap()).unwrap(), lines.next().unwrap().to_vec())
}

/// Makes the copy older than any interval.
fn age_copy(stage: &Stage) {
    let [path] = &*copies(stage) else { panic!("{:?}", copies(stage)) };
    let fetched_at = read_copy(path).0["fetched_at"].as_u64().unwrap();
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, text.replacen(&fetched_at.to_string(), &(fetched_at - 1_000_000).to_string(), 1))
        .unwrap();
}

async fn until(what: &str, seen: impl Fn() -> bool) {
    let begin = tokio::time::Instant::now();
    while !seen() {
        assert!(begin.elapsed() < LIMIT, "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_server_gets_the_set_later_and_loses_no_connection() {
    let (stage, echo) = (Stage::new().await, EchoServer::start().await);
    let address = refused_address().await;
    let url = format!("http://{address}/set.json");
    stage.configure(&remote(&url), &[address.port(), echo.address.port()]);
    let waypost = stage.run().await;
    assert_eq!(ask(&waypost, TARGET).await, "a", "the set is empty");
    let refused = || count(&waypost, "cannot be fetched and is empty until it can");
    until("the server is not there", || refused() == 1).await;
    let mut live = TcpStream::connect(waypost.address("in")).await.unwrap();
    connect_socks(&mut live, &echo.address.into(), None).await.unwrap();

    let body = json!({"version": 2, "rules": [{"domain": "one.example", "ip_cidr": "127.0.0.0/8"}]});
    let answer = Answer::Set { etag: "\"1\"", body: body.to_string().into_bytes() };
    let server = SetServer::start_at(address, [answer]).await;
    eventually(&waypost, TARGET, "b").await;
    assert_eq!(ask(&waypost, &echo.address.to_string()).await, "b", "new connections take the new rules");
    live.write_all(b"still here").await.unwrap();
    let mut back = [0; 10];
    live.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"still here", "the old connection has its own");
    assert_eq!(refused(), 1, "{}", waypost.log());

    // The next start has the copy, and does not ask again.
    until("a copy is kept", || copies(&stage).len() == 1).await;
    let n_requests = server.heads().len();
    kill(waypost).await;
    drop(server);
    let waypost = stage.run().await;
    assert_eq!(ask(&waypost, TARGET).await, "b");
    assert_eq!((count(&waypost, "WARN"), n_requests), (0, 1), "{}", waypost.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_is_asked_about_and_stays_when_nothing_good_comes() {
    let stage = Stage::new().await;
    let server = SetServer::start([
        set("\"1\"", "one.example"),
        set("\"1\"", "other.example"),
        Answer::Raw("HTTP/1.1 200 OK\r\n\r\n<!DOCTYPE html><title>Log in to the hotel</title>"),
        Answer::Status("500 Internal Server Error"),
        Answer::Truncated(set_of("other.example").into_bytes()),
        set("\"2\"", "two.example"),
    ])
    .await;
    stage.configure(&remote(&server.url()), &[server.address.port()]);
    let waypost = stage.run().await;
    eventually(&waypost, TARGET, "b").await;
    until("a copy is kept", || copies(&stage).len() == 1).await;
    kill(waypost).await;

    // Not modified: the copy is as good as new.
    age_copy(&stage);
    let old = read_copy(&copies(&stage)[0]);
    let waypost = stage.run().await;
    assert_eq!(ask(&waypost, TARGET).await, "b", "an old copy is better than none");
    until("it is asked again", || server.heads().len() == 2).await;
    assert!(server.heads()[1].to_lowercase().contains("if-none-match: \"1\""), "{:?}", server.heads());
    let fetched_at = |copy: &(Value, Vec<u8>)| copy.0["fetched_at"].as_u64().unwrap();
    until("the time is kept", || fetched_at(&read_copy(&copies(&stage)[0])) > fetched_at(&old)).await;
    assert_eq!(read_copy(&copies(&stage)[0]).1, old.1);
    kill(waypost).await;

    // Three answers that are no set, and then one.
    age_copy(&stage);
    let waypost = stage.run().await;
    until("the first bad one came", || server.heads().len() >= 3).await;
    assert_eq!(ask(&waypost, TARGET).await, "b");
    until("the last bad one came", || server.heads().len() >= 5).await;
    assert_eq!(ask(&waypost, TARGET).await, "b");
    eventually(&waypost, "two.example:443", "b").await;
    assert_eq!(ask(&waypost, TARGET).await, "a");
    assert_eq!(count(&waypost, "the old copy stays"), 1, "once for all: {}", waypost.log());
    assert!(waypost.log().contains("what came is no rule set: "), "{}", waypost.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_and_dates_are_sent() {
    let stage = Stage::new().await;
    let last = SetServer::start([Answer::Dated {
        date: "Sun, 06 Nov 1994 08:49:37 GMT",
        body: set_of("one.example").into_bytes(),
    }])
    .await;
    let to_last = format!("//{}/x/../set.json#top", last.address);
    let first =
        SetServer::start([Answer::Redirect("deeper/set".to_owned()), Answer::Redirect(to_last)]).await;
    stage.configure(&remote(&first.url()), &[first.address.port(), last.address.port()]);
    let waypost = stage.run().await;
    eventually(&waypost, TARGET, "b").await;
    assert!(first.heads()[1].starts_with("GET /deeper/set HTTP/1.1\r\n"), "{:?}", first.heads());
    assert!(last.heads()[0].starts_with("GET /set.json HTTP/1.1\r\n"), "{:?}", last.heads());
    until("a copy is kept", || copies(&stage).len() == 1).await;
    kill(waypost).await;
    age_copy(&stage);
    let _waypost = stage.run().await;
    until("it is asked again", || last.heads().len() == 2).await;
    let head = last.heads()[1].to_lowercase();
    assert!(head.contains("if-modified-since: sun, 06 nov 1994 08:49:37 gmt\r\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_set_leaves_an_empty_one() {
    let stage = Stage::new().await;
    for (answer, said) in [
        (Answer::Redirect("/set.json".to_owned()), "more than 10 redirects"),
        (
            Answer::Redirect("ftp://127.0.0.1/set.json".to_owned()),
            "a redirect to a place that cannot be asked",
        ),
        (Answer::Huge((64 << 20) + 1), "the answer has more than 67108864 bytes"),
        (Answer::Status("304 Not Modified"), "the status is 304"),
        (Answer::Status("404 Not Found"), "the status is 404"),
        (Answer::Raw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"), "packed"),
        (Answer::Raw("HTTP/1.1 200 OK\r\n\r\n{\"error\": \"rate limit\"}"), "`version` is missing"),
        (Answer::Raw("SSH-2.0-not-http\r\n"), "no whole HTTP answer"),
    ] {
        let server = SetServer::start([answer]).await;
        stage.configure(&remote(&server.url()), &[server.address.port()]);
        let mut waypost = stage.run().await;
        waypost.wait_for(|waypost| waypost.log().contains("cannot be fetched and is empty")).await;
        assert!(waypost.log().contains(said), "{said}: {}", waypost.log());
        assert_eq!(ask(&waypost, TARGET).await, "a", "{said}");
        assert!(copies(&stage).is_empty(), "{said}");
        kill(waypost).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_kept_a_set_is_used_all_the_same() {
    let stage = Stage::new().await;
    fs::write(stage.path().join("cache"), "a file in the place of the folder").unwrap();
    let server = SetServer::start([set("\"1\"", "one.example")]).await;
    stage.configure(&remote(&server.url()), &[server.address.port()]);
    let mut waypost = stage.run().await;
    eventually(&waypost, TARGET, "b").await;
    waypost.wait_for(|waypost| waypost.log().contains("name a folder in `WAYPOST_CACHE`")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_holds_nobody_up() {
    let stage = Stage::new().await;
    let server = SetServer::start([Answer::Silent]).await;
    stage.configure(&remote(&server.url()), &[server.address.port()]);
    let mut waypost = stage.run().await;
    until("it is asked", || server.heads().len() == 1).await;
    assert_eq!(ask(&waypost, TARGET).await, "a");
    waypost.terminate().await;
    assert!(waypost.wait().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_set_has_to_be_there() {
    let stage = Stage::new().await;
    let address = refused_address().await;
    let critical = json!({
        "type": "remote", "tag": "set", "url": format!("http://{address}/set.json?token=secret"),
        "format": "source", "critical": true,
    });
    stage.configure(&critical, &[address.port()]);
    let output = stage.command("run").output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let expected = format!(
        "the rule set `set` is critical, there is no copy of it, and `http://{address}/set.json` cannot be fetched"
    );
    assert!(said.contains(&expected), "{said}");
    assert!(!said.contains("secret") && !said.contains("\"listening\""), "{said}");
    let check = stage.command("check").output().await.unwrap();
    assert!(check.status.success() && check.stderr.is_empty(), "{}", String::from_utf8_lossy(&check.stderr));

    // It is used from the first connection on.
    let server = SetServer::start_at(address, [set("\"1\"", "one.example")]).await;
    let waypost = stage.run().await;
    assert_eq!(ask(&waypost, TARGET).await, "b");
    until("a copy is kept", || copies(&stage).len() == 1).await;
    kill(waypost).await;
    drop(server);

    // A copy will do, however old.
    age_copy(&stage);
    let waypost = stage.run().await;
    assert_eq!(ask(&waypost, TARGET).await, "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_takes_the_way_that_it_names() {
    let stage = Stage::new().await;
    let server = SetServer::start([set("\"1\"", "one.example")]).await;
    stage.b.set_behaviour(Behaviour::Relay);
    let mut detoured = remote(&server.url());
    detoured["download_detour"] = "b".into();
    // By the rules it would go to `a`, which only says its name.
    stage.configure(&detoured, &[]);
    let mut waypost = stage.run().await;
    waypost.wait_for(|waypost| waypost.log().contains("rule set changed")).await;
    let seen: Vec<_> = stage.b.seen().into_iter().map(|seen| seen.target.to_string()).collect();
    assert_eq!(seen, [server.address.to_string()]);
    assert_eq!((server.heads().len(), stage.a.accepted()), (1, 0));
    stage.b.set_behaviour(Behaviour::Label);
    assert_eq!(ask(&waypost, TARGET).await, "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_time_leaves_a_good_copy_or_none() {
    let stage = Stage::new().await;
    let names: Vec<String> = (0..40_000).map(|number| format!("n{number}.example")).collect();
    let body = json!({"version": 2, "rules": [{"domain": names}]}).to_string();
    let server = SetServer::start([Answer::Set { etag: "\"1\"", body: body.clone().into_bytes() }]).await;
    stage.configure(&remote(&server.url()), &[server.address.port()]);
    let mut n_good = 0;
    for round in 0..8 {
        let _none = fs::remove_dir_all(stage.path().join("cache"));
        let waypost = stage.run().await;
        if round == 7 {
            until("a copy is kept", || copies(&stage).len() == 1).await;
        } else {
            until("the draft or the copy is there", || stage.path().join("cache/rule-sets").exists()).await;
            sleep(Duration::from_millis(round)).await;
        }
        kill(waypost).await;
        for path in copies(&stage) {
            let (head, set) = read_copy(&path);
            let digest: String = Sha256::digest(&set).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((head["sha256"].as_str(), set.len()), (Some(&*digest), body.len()));
            n_good += 1;
        }
    }
    assert!(n_good > 0);
    drop(server);
    let waypost = stage.run().await;
    assert_eq!(ask(&waypost, "n39999.example:443").await, "b");
}
