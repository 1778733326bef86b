//! What is sent through every pair of programs: two large transfers, many small ones, and datagrams.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use waypost_testkit::UdpEcho;

use super::origin::{DOWN, ECHO, Origin, UP, bytes, checksum, take_in};

const N_SHORT: u64 = 1000;
const SHORT_ABREAST: usize = 16;
const N_DATAGRAMS: u32 = 10_000;
/// Datagrams under way: programs that are slower than this one lose what they cannot keep.
const WINDOW: u32 = 8;
const DATAGRAM_BYTES: usize = 1000;
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a short connection may take before it counts as unanswered.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long an answer is waited for before the datagram counts as lost.
const DATAGRAM_LIMIT: Duration = Duration::from_secs(5);

/// Sends everything through the SOCKS server at `proxy`.
pub(super) async fn exchange(proxy: SocketAddr) {
    assert_eq!(exchange_and_count(proxy).await, 0, "every short connection is answered");
}

/// Sends everything through the SOCKS server at `proxy`. Short connections that get no answer are made
/// again; the result is how many these were.
pub(super) async fn exchange_and_count(proxy: SocketAddr) -> usize {
    let origin = Origin::start().await;
    timeout(LIMIT, large(proxy, origin.address)).await.expect("large transfers end");
    datagrams(proxy).await;
    timeout(LIMIT, short(proxy, origin.address)).await.expect("short connections end")
}

async fn large(proxy: SocketAddr, origin: SocketAddr) {
    let mut down = connect(proxy, origin).await;
    down.write_all(&[DOWN]).await.unwrap();
    assert_eq!(take_in(&mut down).await.unwrap(), checksum(), "what came down is what was sent");
    let mut up = connect(proxy, origin).await;
    up.write_all(&[UP]).await.unwrap();
    up.write_all(bytes()).await.unwrap();
    let mut digest = [0; 32];
    up.read_exact(&mut digest).await.unwrap();
    assert_eq!(digest, checksum(), "what went up is what was sent");
}

async fn short(proxy: SocketAddr, origin: SocketAddr) -> usize {
    let room = Arc::new(Semaphore::new(SHORT_ABREAST));
    let mut connections = JoinSet::new();
    for token in 0..N_SHORT {
        let place = room.clone().acquire_owned().await.unwrap();
        connections.spawn(async move {
            let mut n_unanswered = 0;
            while timeout(ANSWER_LIMIT, echo(proxy, origin, token)).await.is_err() {
                n_unanswered += 1;
            }
            drop(place);
            n_unanswered
        });
    }
    connections.join_all().await.into_iter().sum()
}

async fn echo(proxy: SocketAddr, origin: SocketAddr, token: u64) {
    let mut stream = connect(proxy, origin).await;
    let mut sent = vec![ECHO];
    sent.extend_from_slice(&token.to_be_bytes());
    stream.write_all(&sent).await.unwrap();
    // V2Ray's clients tell the end a second late.
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, token.to_be_bytes(), "a short connection brings its answer");
}

/// Connects through a SOCKS server.
pub(super) async fn connect(proxy: SocketAddr, target: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.set_nodelay(true).unwrap();
    ask(&mut stream, 1, target).await;
    stream
}

async fn ask(stream: &mut TcpStream, command: u8, target: SocketAddr) -> SocketAddr {
    stream.write_all(&[5, 1, 0]).await.unwrap();
    stream.read_exact(&mut [0; 2]).await.unwrap();
    stream.write_all(&[&[5, command, 0][..], &address(target)].concat()).await.unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!((reply[1], reply[3]), (0, 1), "the SOCKS server grants it");
    SocketAddr::from(([reply[4], reply[5], reply[6], reply[7]], u16::from_be_bytes([reply[8], reply[9]])))
}

fn address(target: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(target) = target else { panic!("an IPv4 target") };
    [&[1][..], &target.ip().octets(), &target.port().to_be_bytes()].concat()
}

/// Datagrams, each of which has to come back as it was.
pub(super) async fn datagrams(proxy: SocketAddr) {
    let echo = UdpEcho::start().await;
    let mut control = TcpStream::connect(proxy).await.unwrap();
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let relay = ask(&mut control, 3, nowhere).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(SocketAddr::new(proxy.ip(), relay.port())).await.unwrap();
    let header = [&[0, 0, 0][..], &address(echo.address)].concat();
    let datagram = |number: u32| {
        let mut datagram = header.clone();
        datagram.extend_from_slice(&number.to_be_bytes());
        datagram.resize(header.len() + DATAGRAM_BYTES, number.to_le_bytes()[0]);
        datagram
    };
    let (mut n_sent, mut n_came) = (0, 0);
    let mut seen = vec![false; N_DATAGRAMS as usize];
    let mut buffer = vec![0; 65_536];
    while n_came < N_DATAGRAMS {
        while n_sent < N_DATAGRAMS && n_sent - n_came < WINDOW {
            socket.send(&datagram(n_sent)).await.unwrap();
            n_sent += 1;
        }
        let count = timeout(DATAGRAM_LIMIT, socket.recv(&mut buffer)).await;
        let count = count.unwrap_or_else(|_| panic!("lost: {n_came} of {n_sent} came back")).unwrap();
        let number = u32::from_be_bytes(buffer[header.len()..][..4].try_into().unwrap());
        assert!(buffer[..count] == datagram(number), "datagram {number} came back as it was");
        assert!(!std::mem::replace(&mut seen[number as usize], true), "datagram {number} came once");
        n_came += 1;
    }
}
