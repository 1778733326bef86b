use std::sync::Arc;

use proptest::prelude::*;
use waypost_net::{Network, Target};
use waypost_wire::{
    Machine as _, OpenDatagrams as _, Seal as _, SealDatagrams as _, TargetError, TrojanAccepted,
    TrojanDatagramError, TrojanFallback, TrojanOpening, TrojanServer, TrojanUser, trojan_client,
    trojan_datagram_client,
};

use crate::tunnel::{accept, receive, receive_datagrams};

/// `printf password | openssl dgst -sha224`.
const HASH: &str = "d63dc919e201d7bc4c825630d2cf25fdc93d4b2f0d46706d29038d01";

fn request() -> Vec<u8> {
    [HASH.as_bytes(), b"\r\n\x01\x03\x0bexample.com\x01\xbb\r\n"].concat()
}

fn target() -> Target {
    "example.com:443".parse().unwrap()
}

fn server() -> TrojanServer {
    TrojanServer::new(Arc::from([TrojanUser::new("another"), TrojanUser::new("password")]))
}

fn serve(wire: &[u8], cuts: &[usize]) -> Option<(TrojanOpening, Vec<u8>)> {
    accept(&mut server(), wire, cuts).map(|opening| opening.unwrap())
}

#[track_caller]
fn check_fallback(wire: &[u8], expected: TrojanFallback) {
    let (opening, read) = serve(wire, &[1]).unwrap();
    assert_eq!(opening, TrojanOpening::Fallback(expected));
    assert_eq!(read, wire);
}

/// A request in which the bytes from `position` on are others.
fn changed(position: usize, bytes: &[u8]) -> Vec<u8> {
    [&request()[..position], bytes].concat()
}

#[test]
fn a_stream_goes_both_ways() {
    let (mut sealer, mut opener) = trojan_client(&TrojanUser::new("password"), &target());
    let mut wire = Vec::new();
    sealer.seal(b"hello", &mut wire);
    sealer.finish(&mut wire);
    assert_eq!(wire, [&request()[..], b"hello"].concat());
    for cut in 1..wire.len() {
        let (opening, rest) = serve(&wire, &[cut]).unwrap();
        let accepted = TrojanAccepted { user: 1, network: Network::Tcp, target: target() };
        assert_eq!(opening, TrojanOpening::Accepted(accepted));
        assert_eq!(rest, b"hello");
    }
    let (mut sealer, mut request_opener) = TrojanAccepted::stream();
    assert!(sealer.is_plain());
    assert_eq!(receive(&mut request_opener, b"hello", &[2]).unwrap().plain, b"hello");
    let mut wire = Vec::new();
    sealer.seal(b"welcome", &mut wire);
    assert_eq!(receive(&mut opener, &wire, &[1]).unwrap().plain, b"welcome");
}

#[test]
fn a_request_cut_anywhere_waits_for_more() {
    for length in 0..request().len() {
        assert!(serve(&request()[..length], &[1]).is_none());
    }
}

#[test]
fn what_is_no_header_goes_to_the_fallback_at_once() {
    check_fallback(b"G", TrojanFallback::NoHeader);
    check_fallback(b"dead beef", TrojanFallback::NoHeader);
    check_fallback(&changed(55, b"\n"), TrojanFallback::NoHeader);
    check_fallback(&changed(56, b"\n"), TrojanFallback::NoHeader);
    check_fallback(&changed(57, b"\r"), TrojanFallback::NoHeader);
}

#[test]
fn a_wrong_password_goes_to_the_fallback_after_the_hash() {
    let mut wire = request();
    wire[0] = b'0';
    assert!(serve(&wire[..55], &[1]).is_none());
    check_fallback(&wire[..56], TrojanFallback::UnknownUser);
}

#[test]
fn a_broken_request_goes_to_the_fallback() {
    check_fallback(&changed(58, b"\x02"), TrojanFallback::Command { user: 1, command: 2 });
    let target = |error| TrojanFallback::Target { user: 1, error };
    check_fallback(&changed(59, b"\x02"), target(TargetError::Type { found: 2 }));
    check_fallback(&changed(59, b"\x03\x01\xff"), target(TargetError::Encoding));
    let position = request().len() - 2;
    check_fallback(&changed(position, b"\r\r"), TrojanFallback::LineEnd { user: 1 });
}

#[test]
fn a_peer_that_stops_within_the_hash_can_be_given_up() {
    let mut server = server();
    server.advance(b"dead");
    server.advance(b"beef");
    assert_eq!(server.give_up(), b"deadbeef");
}

#[test]
fn datagrams_carry_their_targets() {
    let user = TrojanUser::new("password");
    let sent = [("example.com:53", &b"one"[..]), ("10.0.0.1:1", b""), ("[::1]:65535", b"\r\n\r\n")];
    let (mut sealer, _) = trojan_datagram_client(&user, &target());
    let mut wire = Vec::new();
    for (target, payload) in sent {
        sealer.seal_datagram(&target.parse().unwrap(), payload, &mut wire).unwrap();
    }
    assert!(sealer.seal_datagram(&target(), &[0; 65_536], &mut wire).is_err());
    for cut in 1..40 {
        let (opening, rest) = serve(&wire, &[cut]).unwrap();
        assert!(matches!(opening, TrojanOpening::Accepted(TrojanAccepted { network: Network::Udp, .. })));
        let (_, mut opener) = TrojanAccepted::datagrams();
        let received = receive_datagrams(&mut opener, &rest, &[cut]).unwrap();
        let expected = sent.map(|(target, payload)| (Some(target.to_owned()), payload.to_vec()));
        assert_eq!(received, expected);
    }
}

#[test]
fn a_datagram_is_written_as_others_write_it() {
    let (mut sealer, _) = TrojanAccepted::datagrams();
    let mut wire = Vec::new();
    sealer.seal_datagram(&"1.2.3.4:53".parse().unwrap(), b"hello", &mut wire).unwrap();
    assert_eq!(wire, b"\x01\x01\x02\x03\x04\0\x35\0\x05\r\nhello");
}

#[test]
fn broken_datagrams_end_the_stream() {
    let (_, mut opener) = TrojanAccepted::datagrams();
    let mut error = |wire: &[u8]| receive_datagrams(&mut opener, wire, &[1]).unwrap_err();
    assert_eq!(error(b"\x02"), TrojanDatagramError::Target(TargetError::Type { found: 2 }));
    assert_eq!(error(b"\x01\x01\x02\x03\x04\0\x35\0\x05\rxhello"), TrojanDatagramError::EmptyLine);
    assert_eq!(
        (opener.close_datagrams(0), opener.close_datagrams(1)),
        (Ok(()), Err(TrojanDatagramError::Cut))
    );
}

#[test]
fn passwords_do_not_show_in_debug_output() {
    let user = TrojanUser::new("password");
    let mut server = server();
    server.advance(&request()[..60]);
    let shown = format!("{server:?} {user:?} {:?}", trojan_client(&user, &target()));
    assert!(shown.contains("[trojan user]"), "{shown}");
    let lists = shown.split('[').filter(|after| after.starts_with(|first: char| first.is_ascii_digit()));
    assert_eq!(lists.count(), 0, "{shown}");
}

proptest! {
    #[test]
    fn nothing_that_a_peer_sends_is_lost(bytes in prop::collection::vec(any::<u8>(), 1..200), cut in 1..50usize) {
        if let Some((opening, read)) = serve(&bytes, &[cut]) {
            prop_assert_eq!(opening, TrojanOpening::Fallback(TrojanFallback::NoHeader));
            prop_assert_eq!(read, bytes);
        }
    }
}
