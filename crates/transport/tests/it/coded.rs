//! Codecs over streams, with every way of cutting what goes between.

use std::{future::poll_fn, sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use waypost_net::{Network, Target};
use waypost_transport::{Coded, DatagramStream, Datagrams};
use waypost_wire::{
    Machine as _, Step, Uuid, VlessAccepted, VlessOpener, VlessServer, VmessAccepted, VmessClient,
    VmessOpener, VmessRequest, VmessSealer, VmessSecurity, VmessServer, VmessUser, vless_client,
    vless_datagram_client,
};

const NOW: u64 = 1_700_000_000;

fn id() -> Uuid {
    "b831381d-6324-4d53-ad4f-8cda48b30811".parse().unwrap()
}

fn target() -> Target {
    "example.com:443".parse().unwrap()
}

/// The client's side of a connection of VMess over `stream`.
fn client(stream: DuplexStream) -> Coded<DuplexStream, VmessSealer, VmessOpener> {
    let request = VmessRequest {
        security: VmessSecurity::Aes128Gcm,
        network: Network::Tcp,
        target: &target(),
        is_padded: true,
        is_length_sealed: false,
    };
    let mut rng = StdRng::seed_from_u64(1);
    let VmessClient { sealer, opener } = VmessClient::new(&VmessUser::new(&id()), &request, NOW, &mut rng);
    Coded::client(stream, sealer, opener)
}

/// Reads a request from `stream`; the server's side of the connection.
async fn server(mut stream: DuplexStream) -> Coded<DuplexStream, VmessSealer, VmessOpener> {
    let users = Arc::from([VmessUser::new(&id())]);
    let mut machine = VmessServer::new(users, NOW, &mut StdRng::seed_from_u64(2), |_| true);
    let mut buffer = [0; 100];
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "a request comes");
        match machine.advance(&buffer[..count]) {
            Step::NeedMore => {}
            Step::Done { output: VmessAccepted { target: asked, sealer, opener, .. }, rest } => {
                assert_eq!(asked, target());
                return Coded::server(stream, sealer, opener, rest);
            }
            step @ (Step::Send(_) | Step::Fail { .. }) => panic!("{step:?}"),
        }
    }
}

fn bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    StdRng::seed_from_u64(3).fill_bytes(&mut bytes);
    bytes
}

#[tokio::test]
async fn what_is_sent_arrives_however_little_the_stream_takes_at_a_time() {
    for room in [1, 37, 4096, 1 << 20] {
        let (near, far) = duplex(room);
        let sent = bytes(if room == 1 { 3000 } else { 300_000 });
        let near_side = async {
            let (mut reader, mut writer) = tokio::io::split(client(near));
            let mut came = Vec::new();
            let writing = async {
                for piece in sent.chunks(7777) {
                    writer.write_all(piece).await.unwrap();
                }
                writer.shutdown().await.unwrap();
            };
            let (_, read) = tokio::join!(writing, reader.read_to_end(&mut came));
            read.unwrap();
            came
        };
        let far_side = async {
            let mut far = server(far).await;
            let mut came = Vec::new();
            far.read_to_end(&mut came).await.unwrap();
            // The other direction is open after the end of this one.
            far.write_all(&came).await.unwrap();
            far.shutdown().await.unwrap();
            came
        };
        let (back, there) = tokio::join!(near_side, far_side);
        assert!(there == sent && back == sent, "room for {room}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_first_is_heard_however_slowly_it_takes_the_request() {
    for room in [1, 4096] {
        let (near, far) = duplex(room);
        let mut near = client(near);
        let talk = async {
            tokio::join!(
                async {
                    let mut greeting = [0; 5];
                    near.read_exact(&mut greeting).await.unwrap();
                    greeting
                },
                async {
                    let mut far = server(far).await;
                    far.write_all(b"hello").await.unwrap();
                    far.flush().await.unwrap();
                }
            )
        };
        let (greeting, ()) = tokio::time::timeout(Duration::from_secs(60), talk).await.unwrap();
        assert_eq!(&greeting, b"hello");
    }
}

#[tokio::test]
async fn what_came_whole_is_read_before_what_was_changed_behind_it_fails() {
    let ((near, mut near_end), (mut far_end, far)) = (duplex(1 << 20), duplex(1 << 20));
    let mut near = client(near);
    near.write_all(b"question").await.unwrap();
    let mut wire = vec![0; 4096];
    let count = near_end.read(&mut wire).await.unwrap();
    far_end.write_all(&wire[..count]).await.unwrap();
    let mut far = server(far).await;
    far.write_all(b"answer").await.unwrap();
    let count = far_end.read(&mut wire).await.unwrap();
    near_end.write_all(&[&wire[..count], &[7; 1 << 17]].concat()).await.unwrap();
    let mut came = Vec::new();
    let error = near.read_to_end(&mut came).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
    assert_eq!(came, b"answer");
}

#[tokio::test]
async fn a_server_that_closes_without_an_answer_is_an_error_that_says_so() {
    let (near, far) = duplex(4096);
    let mut near = client(near);
    near.write_all(b"hello").await.unwrap();
    drop(far);
    let error = near.read(&mut [0; 1]).await.unwrap_err();
    assert!(error.to_string().contains("closed without an answer"), "{error}");
}

#[tokio::test]
async fn what_was_changed_on_the_way_is_an_error() {
    let (near, mut far) = duplex(4096);
    let mut near = client(near);
    near.write_all(b"hello").await.unwrap();
    far.write_all(&[7; 100]).await.unwrap();
    let error = near.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
}

/// The server's side of VLESS; yields what follows the request.
async fn vless_server(stream: &mut DuplexStream) -> Vec<u8> {
    let mut machine = VlessServer::new(Arc::from([id()]));
    let mut buffer = [0; 64];
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        if let Step::Done { rest, .. } = machine.advance(&buffer[..count]) {
            return rest;
        }
    }
}

#[tokio::test]
async fn a_protocol_that_is_plain_after_its_head_is_carried_as_it_is() {
    let (near, mut far) = duplex(1 << 20);
    let (sealer, opener) = vless_client(&id(), &target());
    let mut near = Coded::client(near, sealer, opener);
    near.write_all(b"first").await.unwrap();
    near.write_all(b"second").await.unwrap();
    let rest = vless_server(&mut far).await;
    let (sealer, opener) = VlessAccepted::stream();
    let mut far: Coded<_, _, VlessOpener> = Coded::server(far, sealer, opener, rest);
    let mut came = [0; 11];
    far.read_exact(&mut came).await.unwrap();
    assert_eq!(&came, b"firstsecond");
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
}

/// Sends what is queued, and takes what has come.
async fn exchange(datagrams: &mut dyn Datagrams) -> Vec<Vec<u8>> {
    let mut came = Vec::new();
    poll_fn(|context| {
        let _sent = datagrams.poll_send(context);
        datagrams.poll_receive(context, &mut |_, payload| came.push(payload.to_vec()))
    })
    .await
    .unwrap();
    came
}

#[tokio::test]
async fn datagrams_keep_their_bounds() {
    let (near, mut far) = duplex(1 << 20);
    let (sealer, opener) = vless_datagram_client(&id(), &target());
    let mut near = DatagramStream::client(near, sealer, opener);
    for payload in [&b"one"[..], &[9; 60_000], b""] {
        assert!(near.queue(&target(), payload));
    }
    assert!(!near.queue(&target(), &[0; 70_000]), "longer than a datagram can be");
    poll_fn(|context| near.poll_send(context)).await.unwrap();
    let rest = vless_server(&mut far).await;
    let (sealer, opener) = VlessAccepted::datagrams();
    let mut far = DatagramStream::server(far, sealer, opener, rest);
    let mut came = Vec::new();
    while came.len() < 3 {
        came.extend(exchange(&mut far).await);
    }
    assert_eq!(came, [b"one".to_vec(), vec![9; 60_000], Vec::new()]);
    assert!(far.queue(&target(), b"answer"));
    poll_fn(|context| far.poll_send(context)).await.unwrap();
    assert_eq!(exchange(&mut near).await, [b"answer"]);
}

#[tokio::test]
async fn datagrams_that_nobody_takes_are_dropped_and_memory_is_not() {
    let (near, _far) = duplex(64);
    let (sealer, opener) = vless_datagram_client(&id(), &target());
    let mut near = DatagramStream::client(near, sealer, opener);
    let taken = (0..1000).filter(|_| near.queue(&target(), &[0; 10_000])).count();
    assert!((10..100).contains(&taken), "{taken}");
}
