//! `waypost demo`: what it says is true, and nothing of it is left over.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep, timeout},
};

use crate::binary::{command, output};

const LIMIT: Duration = Duration::from_secs(60);

/// The demo shows times; see also `.config/nextest.toml`.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// A process of the binary whose output is read.
struct Running {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, output, seen: Vec::new() }
    }

    /// Reads until a line has this in it, and returns the line.
    async fn read_until(&mut self, part: &str) -> String {
        loop {
            let line = timeout(LIMIT, self.output.next_line()).await.expect("a line in time").unwrap();
            let line = line.unwrap_or_else(|| panic!("`{part}` never came: {:#?}", self.seen));
            self.seen.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    async fn read_to_end(&mut self) {
        while let Some(line) = timeout(LIMIT, self.output.next_line()).await.expect("an end").unwrap() {
            self.seen.push(line);
        }
    }

    async fn code(&mut self) -> Option<i32> {
        timeout(LIMIT, self.child.wait()).await.expect("an end").unwrap().code()
    }

    /// The number and the address of every process that was named, in order.
    fn processes(&self, name: &str) -> Vec<(u32, SocketAddr)> {
        let process = |line: &String| {
            let rest = line.split_once(&format!(" {name} is process "))?.1;
            let (id, address) = rest.split_once(" on ")?;
            Some((id.parse().unwrap(), address.parse().unwrap()))
        };
        self.seen.iter().filter_map(process).collect()
    }

    async fn assert_nobody_is_left(&self) {
        let mut n_processes = 0;
        for name in ["a", "b", "c", "d", "x", "y", "origin"] {
            for (_, address) in self.processes(name) {
                assert_refuses(address, name).await;
                n_processes += 1;
            }
        }
        assert!(n_processes >= 7, "{:#?}", self.seen);
    }
}

/// Waits until nobody listens.
async fn assert_refuses(address: SocketAddr, name: &str) {
    let begin = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(begin.elapsed() < LIMIT, "{name} still listens on {address}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_die_and_freeze_and_no_connection_is_lost() {
    let _alone = alone().await;
    let mut demo = Running::start(&["demo", "--seconds", "12", "--plain"]);
    demo.read_to_end().await;
    let text = demo.seen.join("\n");
    assert_eq!(demo.code().await, Some(0), "{text}");
    let mut rest = text.as_str();
    for event in [
        "b is killed (SIGKILL)",
        "b: up -> ",
        "b is back (started again)",
        "c is frozen (SIGSTOP)",
        "c: up -> ",
        "c is thawed (SIGCONT)",
        "a, b and c are frozen (SIGSTOP)",
        "a, b and c are thawed (SIGCONT)",
        "all primaries are killed (SIGKILL)",
        "served by its backup tier",
        "the primaries are back (started again)",
        "all primaries are killed   ",
        "lost: 0 of 1,",
    ] {
        let Some((_, after)) = rest.split_once(event) else { panic!("no `{event}` in its place:\n{text}") };
        rest = after;
    }
    // Killed twice, each time another process came to the same port.
    let b = demo.processes("b");
    assert_eq!(b.len(), 3, "{text}");
    assert!(b[0].0 != b[1].0 && b[1].0 != b[2].0 && b.iter().all(|(_, address)| *address == b[0].1), "{b:?}");
    assert_eq!(demo.processes("c").len(), 2, "{text}");
    demo.assert_nobody_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_it_at_once_with_the_summary() {
    let _alone = alone().await;
    let mut demo = Running::start(&["demo", "--seconds", "600", "--plain"]);
    demo.read_until(" 1.0 s  a up").await;
    let begin = Instant::now();
    let script = format!("kill -INT {}", demo.child.id().unwrap());
    assert!(Command::new("/bin/sh").args(["-c", &script]).status().await.unwrap().success());
    demo.read_until("all members run  ").await;
    demo.read_until("lost: 0 of ").await;
    assert_eq!(demo.code().await, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    demo.assert_nobody_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outlives_a_demo_that_is_killed_not_even_who_is_frozen() {
    let _alone = alone().await;
    let mut demo = Running::start(&["demo", "--seconds", "10", "--plain"]);
    demo.read_until("c is frozen").await;
    demo.child.kill().await.unwrap();
    demo.assert_nobody_is_left().await;
}

#[tokio::test]
async fn a_process_of_the_demo_ends_with_its_input() {
    for name in ["demo-member", "demo-origin"] {
        let mut process = Running::start(&[name]);
        let line = timeout(LIMIT, process.output.next_line()).await.unwrap().unwrap().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], line.parse().unwrap()));
        drop(TcpStream::connect(address).await.unwrap());
        drop(process.child.stdin.take());
        assert_eq!(process.code().await, Some(0), "{name}");
        assert_refuses(address, name).await;
    }
}

#[tokio::test]
async fn help_has_the_demo_and_not_its_parts() {
    let help = output(["--help"]).await;
    let said = String::from_utf8_lossy(&help.stdout);
    assert!(said.contains("\n  demo ") && !said.contains("demo-"), "{said}");
    let refused = output(["demo", "--seconds", "9"]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said.contains("9") && said.contains("10..=600") && said.contains("--seconds"), "{said}");
}
