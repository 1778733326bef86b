use std::io::ErrorKind;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use waypost_shadowsocks::{HandshakeError, Method, OpenError, RefusedReason};

use crate::parties::{Hand, NOW, all, client, server, target};

fn clock() -> waypost_shadowsocks::Clock {
    Hand::at(NOW).clock()
}

#[tokio::test]
async fn both_directions_carry_what_was_written_until_both_end() {
    for (method, user) in all() {
        for room in [200, 70_000] {
            let (near, far) = duplex(room);
            let mut near = client(method, user, clock()).stream(near, &target());
            let up: Vec<u8> = (0..400_000u32).map(|number| number.to_le_bytes()[1]).collect();
            let sent = up.clone();
            let local = tokio::spawn(async move {
                near.write_all(&sent).await.unwrap();
                near.shutdown().await.unwrap();
                let mut answer = Vec::new();
                near.read_to_end(&mut answer).await.unwrap();
                answer
            });
            let accepted = server(method, user.is_some(), clock()).accept(far).await.unwrap();
            assert_eq!(accepted.target, target());
            let mut far = accepted.stream;
            let mut request = Vec::new();
            far.read_to_end(&mut request).await.unwrap();
            assert!(request == up, "{method}");
            request.reverse();
            far.write_all(&request).await.unwrap();
            far.shutdown().await.unwrap();
            assert!(local.await.unwrap() == request, "{method}");
        }
    }
}

#[tokio::test]
async fn a_server_may_speak_first() {
    for (method, user) in all() {
        let (near, far) = duplex(10_000);
        let mut near = client(method, user, clock()).stream(near, &target());
        let serve = async {
            let mut far = server(method, user.is_some(), clock()).accept(far).await.unwrap().stream;
            far.write_all(b"220 ready").await.unwrap();
            far.flush().await.unwrap();
            far
        };
        let mut greeting = [0; 9];
        let (read, _far) = tokio::join!(near.read_exact(&mut greeting), serve);
        read.unwrap();
        assert_eq!(&greeting, b"220 ready");
    }
}

#[tokio::test]
async fn a_flush_sends_the_request_alone() {
    let method = Method::Blake3Aes256Gcm;
    let (near, far) = duplex(10_000);
    let mut near = client(method, None, clock()).stream(near, &target());
    near.flush().await.unwrap();
    assert_eq!(server(method, false, clock()).accept(far).await.unwrap().target, target());
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_an_error() {
    for (method, user) in all() {
        let (near, far) = duplex(10_000);
        let mut near = client(method, user, clock()).stream(near, &target());
        near.write_all(b"hello").await.unwrap();
        drop(far);
        let error = near.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let reason = error.get_ref().and_then(|error| error.downcast_ref::<OpenError>());
        assert_eq!(reason, Some(&OpenError::NoAnswer));
    }
}

#[tokio::test]
async fn who_is_refused_comes_back_and_hears_nothing() {
    for (method, user) in all() {
        let (mut near, far) = duplex(10_000);
        near.write_all(&[7; 300]).await.unwrap();
        let refused = server(method, user.is_some(), clock()).accept(far).await.unwrap_err();
        assert!(
            matches!(refused.reason, RefusedReason::Handshake(HandshakeError::UnknownUser)),
            "{refused:?}"
        );
        drop(refused.io);
        let mut heard = Vec::new();
        near.read_to_end(&mut heard).await.unwrap();
        assert!(heard.is_empty());

        let (near, far) = duplex(10_000);
        drop(near);
        let refused = server(method, user.is_some(), clock()).accept(far).await.unwrap_err();
        assert!(matches!(refused.reason, RefusedReason::Closed));
    }
}

#[tokio::test]
async fn several_chunks_come_out_of_one_read() {
    let method = Method::Aes256Gcm;
    let (near, far) = duplex(200_000);
    let mut near = client(method, None, clock()).stream(near, &target());
    near.write_all(&[1; 60_000]).await.unwrap();
    let mut far = server(method, false, clock()).accept(far).await.unwrap().stream;
    let mut buffer = vec![0; 64 * 1024];
    let mut reads = Vec::new();
    while reads.iter().sum::<usize>() < 60_000 {
        reads.push(far.read(&mut buffer).await.unwrap());
    }
    assert!(reads.len() <= 3, "{reads:?}");
}
