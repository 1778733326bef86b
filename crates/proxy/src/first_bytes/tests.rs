use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};
use waypost_testkit::tcp_pair;

use super::*;
use crate::Stream;

const LIMIT: Duration = Duration::from_millis(300);

/// Runs `client` against the reader of first bytes; what was recognised, and how long that took.
async fn read_from<F: Future<Output = TcpStream> + Send + 'static>(
    port: u16,
    client: impl FnOnce(TcpStream) -> F,
) -> (Option<&'static str>, Duration, Vec<u8>) {
    let (near, far) = tcp_pair().await;
    let mut stream = ClientStream::silent(Stream::Tcp(near), Vec::new());
    let writing = tokio::spawn(client(far));
    let begin = Instant::now();
    let found = read(&mut stream, port, Protocols::ALL, LIMIT).await.map(|sniffed| sniffed.protocol);
    let took = begin.elapsed();
    let seen = stream.rest().to_vec();
    writing.abort();
    (found, took, seen)
}

async fn silent(stream: TcpStream) -> TcpStream {
    sleep(Duration::from_secs(3600)).await;
    stream
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_waited_for_a_short_while() {
    let (found, took, _) = read_from(25, silent).await;
    assert_eq!(found, None);
    assert!((FIRST_BYTE..FIRST_BYTE * 2).contains(&took), "{took:?}");
    let (_, took, _) = read_from(443, silent).await;
    assert!((LIMIT..LIMIT * 2).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_used_as_far_as_it_came() {
    let head = b"GET / HTTP/1.1\r\nHost: a.example\r\nX: ";
    let (found, took, seen) = read_from(8080, |mut stream| async move {
        stream.write_all(head).await.unwrap();
        silent(stream).await
    })
    .await;
    assert_eq!(found, Some("http1"));
    assert!((LIMIT..LIMIT * 2).contains(&took), "{took:?}");
    assert_eq!(seen, head);
}

#[tokio::test(start_paused = true)]
async fn an_end_and_a_reset_are_waited_for_no_longer() {
    let (found, took, seen) = read_from(80, |mut stream| async move {
        stream.write_all(b"GE").await.unwrap();
        stream.shutdown().await.unwrap();
        silent(stream).await
    })
    .await;
    assert_eq!((found, &*seen), (None, &b"GE"[..]));
    assert!(took < FIRST_BYTE, "{took:?}");
    let (_, took, _) = read_from(80, |stream| async move {
        stream.set_zero_linger().unwrap();
        drop(stream);
        silent(tcp_pair().await.0).await
    })
    .await;
    assert!(took < FIRST_BYTE, "{took:?}");
}

#[tokio::test]
async fn no_more_is_kept_than_is_looked_at() {
    let (found, _, seen) = read_from(80, |mut stream| async move {
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        // It fails when the reader is done.
        let _written = stream.write_all(&[b'x'; 1 << 20]).await;
        silent(stream).await
    })
    .await;
    assert_eq!(found, None);
    assert!(seen.len() < waypost_wire::MAX_SNIFF_BYTES + crate::wire_io::READ_BYTES, "{}", seen.len());
}

/// The datagrams of a QUIC client for `quic.example`, both of which are needed to know that.
fn quic() -> [Vec<u8>; 2] {
    let recorded = include_str!("../../../../testdata/sniff/quic-two-datagrams.txt");
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    let read = |line: &str| {
        line.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    };
    let mut lines = recorded.lines().map(read);
    [lines.next().unwrap(), lines.next().unwrap()]
}

/// What is recognised in the first of these datagrams and in the others, which come later, one each
/// 20 ms; and how long that took. All wait in their order in the end.
async fn look_at(wanted: Protocols, datagrams: &[&[u8]]) -> (Option<Sniffed>, Duration) {
    let waiting = Waiting::default();
    let begin = Instant::now();
    let sending = async {
        for (number, datagram) in datagrams.iter().enumerate() {
            if number > 0 {
                sleep(Duration::from_millis(20)).await;
            }
            assert!(waiting.push(datagram));
        }
    };
    let reading = async {
        let found = read_datagrams(&waiting, wanted, LIMIT).await;
        (found, begin.elapsed())
    };
    let (outcome, ()) = tokio::join!(reading, sending);
    let (waited, _) = waiting.take();
    assert!(waited.iter().map(|datagram| &**datagram).eq(datagrams.iter().copied()), "order and number");
    outcome
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_hello_is_waited_for() {
    let [first, second] = quic();
    let (found, took) = look_at(Protocols::ALL, &[&first, &first, &second, b"later"]).await;
    let found = found.unwrap();
    assert_eq!((found.protocol, found.host.unwrap().to_string().as_str()), ("quic", "quic.example"));
    assert!((40..60).contains(&took.as_millis()), "{took:?}");
    let (found, took) = look_at(Protocols::ALL, &[&first, b""]).await;
    assert_eq!(found.map(|found| (found.protocol, found.host)), Some(("quic", None)));
    assert!((LIMIT..LIMIT * 2).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_first_datagram_tells_waits_for_nothing() {
    let [first, second] = quic();
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
    for (wanted, datagram, expected) in [
        (Protocols::ALL, &question[..], Some("dns")),
        (Protocols::V2RAY, question, None),
        (Protocols::ALL, b"hello", None),
        (Protocols::named(["stun"]), &first, None),
        (Protocols::ALL, &second, None),
    ] {
        let (found, took) = look_at(wanted, &[datagram]).await;
        if datagram == second {
            // The part that comes first is missing, and the keys are known all the same.
            assert_eq!((found.map(|found| found.protocol), took >= LIMIT), (Some("quic"), true));
            continue;
        }
        assert_eq!(found.map(|found| found.protocol), expected);
        assert_eq!(took, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn when_no_more_can_wait_nothing_is_waited_for() {
    let [first, _] = quic();
    let waiting = Waiting::default();
    assert!(waiting.push(&first));
    while waiting.push(b"") {}
    let begin = Instant::now();
    let found = read_datagrams(&waiting, Protocols::V2RAY, LIMIT).await;
    assert_eq!((found.unwrap().protocol, begin.elapsed()), ("quic", Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_was_recognised_holds_when_a_session_is_opened_again() {
    let [first, second] = quic();
    let waiting = Waiting::default();
    assert!(waiting.push(&first) && waiting.push(&second));
    let found = read_datagrams(&waiting, Protocols::ALL, LIMIT).await;
    let (_, sniffed) = waiting.take();
    assert_eq!(sniffed, found);
    let again = Waiting::again(sniffed);
    assert!(again.push(b"a short header"));
    assert_eq!(read_datagrams(&again, Protocols::ALL, LIMIT).await, found);
}
