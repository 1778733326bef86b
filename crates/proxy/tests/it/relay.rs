use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, advance},
};
use waypost_proxy::{Conduit, DEFAULT_IDLE_TIMEOUT, EndReason, Relay, RelayEnd, Side, Terms};
use waypost_testkit::tcp_pair;

/// A relay with both its ends in the test's hands.
struct Fixture {
    client: TcpStream,
    target: TcpStream,
    conduit: Arc<Conduit>,
    relay: JoinHandle<RelayEnd>,
}

/// `client_rest` and `target_rest` were read from either side before the relay began.
async fn start(client_rest: &[u8], target_rest: &[u8]) -> Fixture {
    let (client, client_side) = tcp_pair().await;
    let (target, target_side) = tcp_pair().await;
    let conduit = Arc::new(Conduit::default());
    let client_side = Side { stream: client_side.into(), rest: client_rest.to_vec() };
    let target_side = Side { stream: target_side.into(), rest: target_rest.to_vec() };
    let relay =
        tokio::spawn(Relay::new(client_side, target_side, Arc::new(Terms::default()), conduit.clone()));
    Fixture { client, target, conduit, relay }
}

async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

/// One side sends and closes; the other answers after that.
async fn ask_and_answer(asker: &mut TcpStream, answerer: &mut TcpStream) {
    asker.write_all(b"question").await.unwrap();
    asker.shutdown().await.unwrap();
    assert_eq!(read_all(answerer).await, b"question");
    answerer.write_all(b"the answer").await.unwrap();
    answerer.shutdown().await.unwrap();
    assert_eq!(read_all(asker).await, b"the answer");
}

#[tokio::test]
async fn a_client_that_closed_still_gets_its_answer() {
    let mut fixture = start(b"", b"").await;
    ask_and_answer(&mut fixture.client, &mut fixture.target).await;
    let end = fixture.relay.await.unwrap();
    assert_eq!(end, RelayEnd { up: 8, down: 10, reason: EndReason::Finished });
}

#[tokio::test]
async fn a_target_that_closed_still_gets_what_the_client_sends() {
    let mut fixture = start(b"", b"").await;
    ask_and_answer(&mut fixture.target, &mut fixture.client).await;
    let end = fixture.relay.await.unwrap();
    assert_eq!(end, RelayEnd { up: 10, down: 8, reason: EndReason::Finished });
}

#[tokio::test]
async fn what_was_read_before_goes_first() {
    let mut fixture = start(b"early ", b"banner ").await;
    fixture.client.write_all(b"late").await.unwrap();
    fixture.client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut fixture.target).await, b"early late");
    fixture.target.shutdown().await.unwrap();
    assert_eq!(read_all(&mut fixture.client).await, b"banner ");
    let end = fixture.relay.await.unwrap();
    assert_eq!(end, RelayEnd { up: 10, down: 7, reason: EndReason::Finished });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_transfers_both_ways_arrive_whole_and_are_counted() {
    const LENGTH: usize = 24 * 1024 * 1024 + 123;
    let fixture = start(b"", b"").await;
    let bytes: Arc<[u8]> = (0..=250u8).cycle().take(LENGTH).collect();
    let exchange = |stream: TcpStream| {
        let bytes = bytes.clone();
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            let expected = bytes.clone();
            let sending = tokio::spawn(async move {
                writer.write_all(&bytes).await.unwrap();
                writer.shutdown().await.unwrap();
            });
            let mut all = Vec::with_capacity(LENGTH);
            reader.read_to_end(&mut all).await.unwrap();
            sending.await.unwrap();
            assert!(all == *expected, "{} bytes arrived, not all as sent", all.len());
        })
    };
    let (client, target) = (exchange(fixture.client), exchange(fixture.target));
    client.await.unwrap();
    target.await.unwrap();
    let length = LENGTH as u64;
    let end = fixture.relay.await.unwrap();
    assert_eq!(end, RelayEnd { up: length, down: length, reason: EndReason::Finished });
}

#[tokio::test]
async fn bytes_are_counted_while_the_relay_runs() {
    let mut fixture = start(b"", b"").await;
    fixture.client.write_all(b"hello").await.unwrap();
    fixture.target.read_exact(&mut [0; 5]).await.unwrap();
    assert_eq!(fixture.conduit.counters.up.load(Ordering::Relaxed), 5);
    assert_eq!(fixture.conduit.counters.down.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_relay_ends_and_a_byte_puts_that_off() {
    let mut fixture = start(b"", b"").await;
    let start = Instant::now();
    for _ in 0..3 {
        fixture.target.write_all(b"x").await.unwrap();
        fixture.client.read_exact(&mut [0]).await.unwrap();
        advance(DEFAULT_IDLE_TIMEOUT - Duration::from_secs(1)).await;
    }
    let end = fixture.relay.await.unwrap();
    assert_eq!(end, RelayEnd { up: 0, down: 3, reason: EndReason::Idle });
    assert!(start.elapsed() >= 3 * DEFAULT_IDLE_TIMEOUT - Duration::from_secs(2));
    assert_eq!(read_all(&mut fixture.client).await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_relay_waits_as_long_as_an_open_one() {
    let mut fixture = start(b"", b"").await;
    let start = Instant::now();
    fixture.client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut fixture.target).await, b"");
    assert_eq!(fixture.relay.await.unwrap().reason, EndReason::Idle);
    assert!(start.elapsed() >= DEFAULT_IDLE_TIMEOUT);
}

#[tokio::test]
async fn a_relay_that_is_told_to_close_closes_both_sides() {
    let mut fixture = start(b"", b"").await;
    fixture.conduit.close.cancel();
    assert_eq!(fixture.relay.await.unwrap().reason, EndReason::Closed);
    assert_eq!(read_all(&mut fixture.client).await, b"");
    assert_eq!(read_all(&mut fixture.target).await, b"");
}

#[tokio::test]
async fn a_reset_is_passed_on() {
    let mut fixture = start(b"", b"").await;
    fixture.target.set_zero_linger().unwrap();
    drop(fixture.target);
    let error = fixture.client.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let end = fixture.relay.await.unwrap();
    assert_eq!(end.reason, EndReason::TargetFailed(io::ErrorKind::ConnectionReset));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_after_it_closed_is_noticed() {
    let mut fixture = start(b"", b"").await;
    let start = Instant::now();
    // The target closes with unread input, as a server does that refuses a large upload.
    fixture.target.write_all(b"413").await.unwrap();
    fixture.target.shutdown().await.unwrap();
    assert_eq!(read_all(&mut fixture.client).await, b"413");
    fixture.client.write_all(b"still uploading").await.unwrap();
    fixture.target.readable().await.unwrap();
    drop(fixture.target);
    let end = fixture.relay.await.unwrap();
    assert_eq!((end.up, end.down), (15, 3));
    // Linux says EPIPE of a connection that the other side had closed before.
    let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset].map(EndReason::TargetFailed);
    assert!(gone.contains(&end.reason), "{end:?}");
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn an_idle_relay_holds_no_buffer() {
    let (client, target) = tcp_pair().await;
    let side = |stream| Side { stream, rest: Vec::new() };
    let relay = Relay::new(
        side(client.into()),
        side(target.into()),
        Arc::new(Terms::default()),
        Arc::new(Conduit::default()),
    );
    assert!(size_of_val(&relay) <= 640, "{} bytes", size_of_val(&relay));
}

/// Bytes that differ wherever one looks, so that a piece that is lost or doubled shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_goes_both_ways_unchanged_and_is_counted_while_it_goes() {
    const BYTES: usize = 24 << 20;
    let Fixture { client, target, conduit, relay } = start(b"front", b"").await;
    let data: Arc<[u8]> = pattern(BYTES).into();
    let (mut client_read, mut client_write) = client.into_split();
    let (mut target_read, mut target_write) = target.into_split();
    let send = |data: Arc<[u8]>| async move {
        client_write.write_all(&data).await.unwrap();
        client_write.shutdown().await.unwrap();
    };
    let sending = tokio::spawn(send(data.clone()));
    let mut got = vec![0; BYTES / 2];
    target_read.read_exact(&mut got).await.unwrap();
    let counted = conduit.counters.up.load(Ordering::Relaxed);
    assert!((BYTES as u64 / 2..=BYTES as u64 + 5).contains(&counted), "half is read, {counted} counted");
    assert!(!relay.is_finished());
    target_read.read_to_end(&mut got).await.unwrap();
    sending.await.unwrap();
    assert!(got[..5] == *b"front" && got[5..] == *data, "{} bytes", got.len());

    // The other direction, after this one has closed.
    let back = data.clone();
    let answering = tokio::spawn(async move {
        target_write.write_all(&back).await.unwrap();
        target_write.shutdown().await.unwrap();
    });
    let mut answer = Vec::new();
    client_read.read_to_end(&mut answer).await.unwrap();
    answering.await.unwrap();
    assert!(answer == *data, "{} bytes", answer.len());
    let end = relay.await.unwrap();
    let bytes = BYTES as u64;
    assert_eq!(end, RelayEnd { up: bytes + 5, down: bytes, reason: EndReason::Finished });
}

#[tokio::test]
async fn a_transfer_that_is_cut_in_the_middle_is_cut_for_the_other_side_too() {
    let mut fixture = start(b"", b"").await;
    let data = pattern(1 << 20);
    let mut got = vec![0; data.len()];
    let (sent, read) = tokio::join!(fixture.target.write_all(&data), fixture.client.read_exact(&mut got));
    sent.unwrap();
    read.unwrap();
    fixture.target.set_zero_linger().unwrap();
    drop(fixture.target);
    let error = fixture.client.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let end = fixture.relay.await.unwrap();
    assert_eq!(end.reason, EndReason::TargetFailed(io::ErrorKind::ConnectionReset));
    assert_eq!(end.down, data.len() as u64);
}

#[tokio::test]
async fn nothing_is_read_ahead_of_a_receiver_that_reads_nothing() {
    let fixture = start(b"", b"").await;
    // What the sockets of both connections and one pipe hold is far less than this.
    let data = pattern(64 << 20);
    let sent = tokio::time::timeout(Duration::from_millis(500), async {
        let mut sent = 0;
        while let Some(left) = data.get(sent..).filter(|left| !left.is_empty()) {
            fixture.target.writable().await.unwrap();
            match fixture.target.try_write(left) {
                Ok(count) => sent += count,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    });
    assert!(sent.await.is_err(), "64 MiB went somewhere");
    drop(fixture.client);
    fixture.conduit.close.cancel();
    assert_ne!(fixture.relay.await.unwrap().reason, EndReason::Finished);
}
