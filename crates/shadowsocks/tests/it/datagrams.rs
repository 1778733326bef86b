use std::net::SocketAddr;

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use waypost_net::Target;
use waypost_shadowsocks::{
    ClientDatagrams, DatagramError, MAX_DATAGRAM_BYTES, Method, ReceivedDatagram, ServerDatagrams,
};

use crate::parties::{Hand, NAMES, NOW, all, client, rng, server, target};

fn source(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

fn parties(method: Method, user: Option<u8>, hand: &Hand) -> (ClientDatagrams, ServerDatagrams) {
    let datagrams = client(method, user, hand.clock()).datagrams(&mut rng());
    (datagrams, server(method, user.is_some(), hand.clock()).datagrams(&mut rng()))
}

fn sealed(client: &mut ClientDatagrams, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    client.seal(&target(), payload, &mut packet).unwrap();
    packet
}

/// What a server makes of a packet, and its payload.
fn opened(
    server: &mut ServerDatagrams,
    port: u16,
    packet: &[u8],
) -> Result<(ReceivedDatagram, Vec<u8>), DatagramError> {
    let mut packet = packet.to_vec();
    let received = server.open(source(port), &mut packet)?;
    let payload = packet[received.payload.clone()].to_vec();
    Ok((received, payload))
}

fn answered(client: &mut ClientDatagrams, packet: &[u8]) -> Result<(Target, Vec<u8>), DatagramError> {
    let mut packet = packet.to_vec();
    let (from, payload) = client.open(&mut packet)?;
    Ok((from, packet[payload].to_vec()))
}

#[test]
fn datagrams_go_both_ways() {
    for (method, user) in all() {
        let (mut client, mut server) = parties(method, user, &Hand::at(NOW));
        for (number, payload) in (0u16..).zip([&b"one"[..], b"", &[3; 1400], &[4; 60_000]]) {
            let (received, got) = opened(&mut server, 1, &sealed(&mut client, payload)).unwrap();
            assert_eq!((&received.target, got.as_slice()), (&target(), payload));
            assert_eq!(received.user.as_deref(), user.map(|user| NAMES[usize::from(user) - 1]));
            let from: Target = format!("[2001:db8::1]:{}", 50 + number).parse().unwrap();
            let mut answer = b"before".to_vec();
            assert_eq!(server.seal(received.session, &from, payload, &mut answer), Ok(source(1)));
            assert_eq!(&answer[..6], b"before");
            assert_eq!(answered(&mut client, &answer[6..]), Ok((from, payload.to_vec())));
        }
        assert_eq!(server.n_sessions(), 1);
    }
}

#[test]
fn queries_are_padded_with_2022() {
    let (mut client, mut server) = parties(Method::Blake3Aes128Gcm, None, &Hand::at(NOW));
    let query: Target = "1.1.1.1:53".parse().unwrap();
    let lengths = (0..50).map(|_| {
        let mut packet = Vec::new();
        client.seal(&query, b"query", &mut packet).unwrap();
        let (received, payload) = opened(&mut server, 1, &packet).unwrap();
        assert_eq!((&received.target, payload.as_slice()), (&query, &b"query"[..]));
        packet.len()
    });
    let (shortest, longest) =
        lengths.fold((usize::MAX, 0), |(low, high), length| (low.min(length), high.max(length)));
    assert!(longest - shortest > 300);
}

#[test]
fn a_datagram_is_taken_once_with_2022() {
    for (method, user) in all().into_iter().filter(|(method, _)| method.is_2022()) {
        let (mut client, mut server) = parties(method, user, &Hand::at(NOW));
        let packets = [1, 2, 3].map(|number| sealed(&mut client, &[number]));
        let mut session = None;
        for index in [2, 0, 1] {
            session = Some(opened(&mut server, 1, &packets[index]).unwrap().0.session);
            assert_eq!(opened(&mut server, 1, &packets[index]), Err(DatagramError::Replayed));
        }
        let mut answer = Vec::new();
        server.seal(session.unwrap(), &target(), b"answer", &mut answer).unwrap();
        assert!(answered(&mut client, &answer).is_ok());
        assert_eq!(answered(&mut client, &answer), Err(DatagramError::Replayed));
    }
}

#[test]
fn a_session_of_2022_follows_its_client_to_another_address() {
    let (mut client, mut server) = parties(Method::Blake3Aes256Gcm, Some(1), &Hand::at(NOW));
    let first = opened(&mut server, 1, &sealed(&mut client, b"a")).unwrap().0.session;
    let packet = sealed(&mut client, b"b");
    let mut changed = packet.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(opened(&mut server, 3, &changed), Err(DatagramError::NotAuthentic));
    assert_eq!(server.source(first), Some(source(1)));
    assert_eq!(opened(&mut server, 2, &packet).unwrap().0.session, first);
    assert_eq!(server.seal(first, &target(), b"c", &mut Vec::new()), Ok(source(2)));
}

#[test]
fn a_session_without_numbers_is_an_address() {
    let (mut client, mut server) = parties(Method::ChaCha20Poly1305, Some(3), &Hand::at(NOW));
    let mut session = |port| opened(&mut server, port, &sealed(&mut client, b"a")).unwrap().0.session;
    let (first, second) = (session(1), session(2));
    assert_ne!(first, second);
    assert_eq!(session(1), first);
    server.forget(first);
    assert_eq!(server.seal(first, &target(), b"", &mut Vec::new()), Err(DatagramError::UnknownSession));
    assert_eq!((server.source(first), server.n_sessions()), (None, 1));
}

#[test]
fn a_datagram_of_a_forgotten_session_is_taken_once_with_2022() {
    for (method, user) in all().into_iter().filter(|(method, _)| method.is_2022()) {
        let hand = Hand::at(NOW);
        let (mut client, mut server) = parties(method, user, &hand);
        let first = sealed(&mut client, b"a");
        let session = opened(&mut server, 1, &first).unwrap().0.session;
        // More often than a client lets a server start again.
        for _ in 0..3 {
            server.forget(session);
            assert_eq!((server.source(session), server.n_sessions()), (None, 0));
            let sealed_for_nobody = server.seal(session, &target(), b"", &mut Vec::new());
            assert_eq!(sealed_for_nobody, Err(DatagramError::UnknownSession));
            assert_eq!(opened(&mut server, 1, &first), Err(DatagramError::Replayed), "{method}");
            assert_eq!(server.n_sessions(), 0);
            let again = opened(&mut server, 2, &sealed(&mut client, b"b")).unwrap().0.session;
            let mut answer = Vec::new();
            assert_eq!(server.seal(again, &target(), b"c", &mut answer), Ok(source(2)));
            assert_eq!(answered(&mut client, &answer), Ok((target(), b"c".to_vec())));
        }
        server.forget(session);
        hand.set(NOW + 61);
        server.forget(session);
        assert_ne!(opened(&mut server, 1, &sealed(&mut client, b"d")).unwrap().0.session, session);
    }
}

#[test]
fn wrong_keys_are_found_on_both_sides() {
    for (method, user) in all() {
        let hand = Hand::at(NOW);
        let (mut client, mut server) = parties(method, user, &hand);
        let mut other = crate::parties::client(method, user.map(|_| 9), hand.clock()).datagrams(&mut rng());
        if user.is_some() {
            assert_eq!(opened(&mut server, 1, &sealed(&mut other, b"a")), Err(DatagramError::NotAuthentic));
        }
        let session = opened(&mut server, 1, &sealed(&mut client, b"a")).unwrap().0.session;
        let mut answer = Vec::new();
        server.seal(session, &target(), b"answer", &mut answer).unwrap();
        if user.is_some() {
            assert_eq!(answered(&mut other, &answer), Err(DatagramError::NotAuthentic));
        }
        for bit in 0..answer.len() * 8 {
            let mut changed = answer.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(answered(&mut client, &changed), Err(DatagramError::NotAuthentic), "{method} {bit}");
        }
        for length in 0..answer.len() {
            assert!(answered(&mut client, &answer[..length]).is_err());
        }
    }
}

#[test]
fn clocks_of_2022_may_differ_by_half_a_minute() {
    let method = Method::Blake3ChaCha20Poly1305;
    let hand = Hand::at(NOW);
    let (mut client, mut server) = parties(method, None, &hand);
    let packets = [0, 1].map(|_| sealed(&mut client, b"a"));
    hand.set(NOW + 30);
    let session = opened(&mut server, 1, &packets[0]).unwrap().0.session;
    hand.set(NOW + 31);
    assert_eq!(opened(&mut server, 1, &packets[1]), Err(DatagramError::Clock { seconds: -31 }));
    let mut answer = Vec::new();
    server.seal(session, &target(), b"b", &mut answer).unwrap();
    hand.set(NOW);
    assert_eq!(answered(&mut client, &answer), Err(DatagramError::Clock { seconds: 31 }));
}

#[test]
fn an_answer_of_2022_belongs_to_one_client() {
    let (mut client, mut server) = parties(Method::Blake3Aes128Gcm, None, &Hand::at(NOW));
    let other = crate::parties::client(Method::Blake3Aes128Gcm, None, Hand::at(NOW).clock());
    let mut other = other.datagrams(&mut StdRng::seed_from_u64(99));
    let session = opened(&mut server, 1, &sealed(&mut client, b"a")).unwrap().0.session;
    let mut answer = Vec::new();
    server.seal(session, &target(), b"b", &mut answer).unwrap();
    assert_eq!(answered(&mut other, &answer), Err(DatagramError::Other));
    let request = sealed(&mut client, b"a");
    assert_eq!(answered(&mut client, &request), Err(DatagramError::Other));
}

#[test]
fn a_server_may_be_started_again_once_a_minute() {
    for method in [Method::Blake3Aes256Gcm, Method::Blake3ChaCha20Poly1305] {
        let hand = Hand::at(NOW);
        let (mut client, _) = parties(method, None, &hand);
        let answer = |server: &mut ServerDatagrams, client: &mut ClientDatagrams| {
            let session = opened(server, 1, &sealed(client, b"a")).unwrap().0.session;
            let mut answer = Vec::new();
            server.seal(session, &target(), b"b", &mut answer).unwrap();
            answered(client, &answer).map(|_| ())
        };
        let mut servers = [0, 1, 2]
            .map(|seed| server(method, false, hand.clock()).datagrams(&mut StdRng::seed_from_u64(seed)));
        assert_eq!(answer(&mut servers[0], &mut client), Ok(()));
        assert_eq!(answer(&mut servers[1], &mut client), Ok(()));
        assert_eq!(answer(&mut servers[0], &mut client), Ok(()));
        assert_eq!(answer(&mut servers[2], &mut client), Err(DatagramError::Other));
        hand.set(NOW + 61);
        assert_eq!(answer(&mut servers[0], &mut client), Err(DatagramError::Other));
        assert_eq!(answer(&mut servers[1], &mut client), Ok(()));
        assert_eq!(answer(&mut servers[2], &mut client), Ok(()));
    }
}

#[test]
fn what_fits_into_no_datagram_is_refused() {
    for (method, user) in all() {
        let (mut client, mut server) = parties(method, user, &Hand::at(NOW));
        let mut out = b"x".to_vec();
        let too_long = client.seal(&target(), &vec![0; MAX_DATAGRAM_BYTES], &mut out).unwrap_err();
        assert!(matches!(too_long, DatagramError::TooLong { length } if length > MAX_DATAGRAM_BYTES));
        let session = opened(&mut server, 1, &sealed(&mut client, b"a")).unwrap().0.session;
        assert!(server.seal(session, &target(), &vec![0; MAX_DATAGRAM_BYTES], &mut out).is_err());
        assert_eq!(out, b"x");
    }
}

proptest! {
    #[test]
    fn garbage_is_dropped(
        (method, user) in prop::sample::select(all()), bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (mut client, mut server) = parties(method, user, &Hand::at(NOW));
        prop_assert!(opened(&mut server, 1, &bytes).is_err());
        prop_assert!(answered(&mut client, &bytes).is_err());
        prop_assert_eq!(server.n_sessions(), 0);
    }
}
