use std::sync::Arc;

use waypost_net::{Network, Target};
use waypost_wire::{
    Machine as _, Open as _, OpenDatagrams as _, Seal as _, SealDatagrams as _, Step, TargetError, Uuid,
    VlessAccepted, VlessOpenError, VlessServer, VlessServerError, vless_client, vless_datagram_client,
};

use crate::tunnel::{accept, receive, receive_datagrams};

const REQUEST: &[u8] = b"\x00\x24\x18\xd0\x87\x64\x8d\x49\x90\x86\xe8\x19\xdc\xa1\xd0\x06\xd3\
    \x00\x01\x01\xbb\x02\x0bexample.com";

fn id() -> Uuid {
    "2418d087-648d-4990-86e8-19dca1d006d3".parse().unwrap()
}

fn target() -> Target {
    "example.com:443".parse().unwrap()
}

fn server() -> VlessServer {
    VlessServer::new(Arc::from([Uuid::from_bytes([1; 16]), id()]))
}

/// Serves a request in which the bytes from `position` on are others.
fn serve_changed(position: usize, bytes: &[u8]) -> Option<Result<VlessAccepted, VlessServerError>> {
    let wire = [&REQUEST[..position], bytes].concat();
    accept(&mut server(), &wire, &[]).map(|accepted| accepted.map(|(output, _)| output))
}

#[test]
fn the_request_of_a_client_is_what_others_send() {
    let mut wire = Vec::new();
    let (mut sealer, _) = vless_client(&id(), &target());
    assert!(!sealer.is_plain());
    sealer.seal(b"hello", &mut wire);
    sealer.seal(b"!", &mut wire);
    sealer.finish(&mut wire);
    assert_eq!(wire, [REQUEST, b"hello!"].concat());
    assert!(sealer.is_plain());
}

#[test]
fn a_stream_goes_both_ways() {
    let (mut sealer, mut opener) = vless_client(&id(), &target());
    for cut in 1..30 {
        let mut wire = Vec::new();
        let mut request = REQUEST.to_vec();
        request.extend_from_slice(b"hello");
        let (accepted, rest) = accept(&mut server(), &request, &[cut]).unwrap().unwrap();
        assert_eq!(accepted, VlessAccepted { user: 1, network: Network::Tcp, target: target() });
        assert_eq!(rest, b"hello");
        let (mut answer_sealer, mut request_opener) = VlessAccepted::stream();
        assert_eq!(receive(&mut request_opener, &rest, &[]).unwrap().plain, b"hello");
        assert!(request_opener.is_plain());
        answer_sealer.seal(b"welcome", &mut wire);
        assert_eq!(wire, b"\0\0welcome");
    }
    let mut wire = Vec::new();
    sealer.seal(&[], &mut wire);
    assert_eq!(wire, REQUEST);
    let received = receive(&mut opener, b"\0\x03abcwelcome", &[1]).unwrap();
    assert_eq!(received.plain, b"welcome");
    assert!(opener.is_plain());
}

#[test]
fn a_request_cut_anywhere_waits_for_more() {
    for length in 0..REQUEST.len() {
        assert!(accept(&mut server(), &REQUEST[..length], &[1]).is_none());
    }
}

#[test]
fn addresses_are_read() {
    let target = |bytes: &[u8]| serve_changed(19, bytes).unwrap().map(|accepted| accepted.target.to_string());
    assert_eq!(target(b"\0\x50\x01\x7f\0\0\x01"), Ok("127.0.0.1:80".to_owned()));
    assert_eq!(
        target(b"\0\x50\x03\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"),
        Ok("[2001:db8::1]:80".to_owned())
    );
    for text in ["10.1.2.3:99", "[::1]:1", "a.b:65535"] {
        let (mut sealer, _) = vless_client(&id(), &text.parse().unwrap());
        let mut wire = Vec::new();
        sealer.seal(&[], &mut wire);
        let (accepted, _) = accept(&mut server(), &wire, &[]).unwrap().unwrap();
        assert_eq!(accepted.target.to_string(), text);
    }
}

#[test]
fn what_is_not_served_is_named() {
    let error = |position, bytes: &[u8]| serve_changed(position, bytes).unwrap().unwrap_err();
    assert_eq!(error(0, b"GET "), VlessServerError::Version { found: b'G' });
    assert_eq!(error(16, b"\xd4"), VlessServerError::UnknownUser);
    let flow = |flow: &str| VlessServerError::Flow { user: 1, flow: flow.into() };
    assert_eq!(error(17, b"\x12\x0a\x10xtls-rprx-vision\x01"), flow("xtls-rprx-vision"));
    assert_eq!(error(17, b"\x03\x0a\x01\n"), flow("?"));
    assert_eq!(error(17, b"\x01\x0b"), flow("?"));
    assert_eq!(error(18, b"\x03"), VlessServerError::Mux { user: 1 });
    assert_eq!(error(18, b"\x04"), VlessServerError::Command { user: 1, command: 4 });
    let target = |error| VlessServerError::Target { user: 1, error };
    assert_eq!(error(21, b"\x04"), target(TargetError::Type { found: 4 }));
    assert_eq!(error(21, b"\x02\x01\xff"), target(TargetError::Encoding));
    assert!(matches!(error(21, b"\x02\x00"), VlessServerError::Target { error: TargetError::Name(_), .. }));
}

#[test]
fn nobody_learns_why_it_was_refused() {
    assert!(matches!(server().advance(&[0; 17]), Step::Fail { reply, .. } if reply.is_empty()));
}

#[test]
fn a_server_that_speaks_something_else_is_found_out() {
    let (_, mut opener) = vless_client(&id(), &target());
    assert_eq!(receive(&mut opener, b"H", &[]), Err(VlessOpenError::Version { found: b'H' }));
    assert_eq!(opener.close(0), Err(VlessOpenError::NoAnswer));
}

#[test]
fn datagrams_go_both_ways() {
    let (mut sealer, mut opener) = vless_datagram_client(&id(), &target());
    let mut wire = Vec::new();
    for payload in [&b"one"[..], b"", b"three"] {
        sealer.seal_datagram(&target(), payload, &mut wire).unwrap();
    }
    for cut in 1..30 {
        let (accepted, rest) = accept(&mut server(), &wire, &[cut]).unwrap().unwrap();
        assert_eq!(accepted.network, Network::Udp);
        let (_, mut opener) = VlessAccepted::datagrams();
        let datagrams = receive_datagrams(&mut opener, &rest, &[cut]).unwrap();
        assert_eq!(datagrams, [&b"one"[..], b"", b"three"].map(|payload| (None, payload.to_vec())));
    }
    let (mut sealer, _) = VlessAccepted::datagrams();
    let mut wire = Vec::new();
    let longest = vec![7; 65_535];
    sealer.seal_datagram(&target(), &longest, &mut wire).unwrap();
    assert!(sealer.seal_datagram(&target(), &[0; 65_536], &mut wire).is_err());
    assert_eq!(&wire[..4], b"\0\0\xff\xff");
    assert_eq!(opener.close_datagrams(0), Err(VlessOpenError::NoAnswer));
    assert_eq!(receive_datagrams(&mut opener, &wire, &[1000]).unwrap(), [(None, longest)]);
    assert_eq!((opener.close_datagrams(0), opener.close_datagrams(1)), (Ok(()), Err(VlessOpenError::Cut)));
}

#[test]
fn ids_do_not_show_in_debug_output() {
    let mut server = server();
    server.advance(&REQUEST[..20]);
    let shown = format!("{server:?} {:?}", vless_client(&id(), &target()));
    assert!(shown.contains("[uuid]"), "{shown}");
    assert!(!shown.contains("24, 208") && !shown.contains("2418d087"), "{shown}");
    let lists = shown.split('[').filter(|after| after.starts_with(|first: char| first.is_ascii_digit()));
    assert_eq!(lists.count(), 0, "{shown}");
}
