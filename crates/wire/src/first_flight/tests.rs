use std::sync::Arc;

use proptest::prelude::*;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, ServerName},
};

use super::*;
use crate::client_hello::{CLIENT_HELLO, MAX_RECORD_BYTES, RECORD_HEAD_BYTES};

const HELLO: FirstFlight = FirstFlight::Repeatable(FlightKind::TlsClientHello);
const REQUEST: FirstFlight = FirstFlight::Repeatable(FlightKind::HttpRequest);

/// A client and a server that trust each other.
fn tls_configs() -> (ClientConfig, ServerConfig) {
    let key = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(default_provider());
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into()))
        .unwrap();
    (client, server)
}

fn connect(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(config.clone(), ServerName::try_from("example.com").unwrap()).unwrap()
}

fn written(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn hello(config: ClientConfig) -> Vec<u8> {
    written(&mut connect(&Arc::new(config)))
}

/// A hello that is longer by so many bytes and more.
fn large_hello(extra_bytes: usize) -> ClientConfig {
    let (mut config, _) = tls_configs();
    config.alpn_protocols = vec![vec![b'x'; 250]; extra_bytes.div_ceil(250)];
    config
}

/// Runs a whole handshake in memory, so that the client has a ticket.
fn shake_hands(config: &Arc<ClientConfig>, server: &Arc<ServerConfig>) {
    let mut client = connect(config);
    let mut server = ServerConnection::new(server.clone()).unwrap();
    while client.is_handshaking() || client.wants_write() || server.wants_write() {
        let mut bytes = &written(&mut client)[..];
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets().unwrap();
        }
    }
}

/// Checks a flight, and that each part from its front is open.
#[track_caller]
fn check_repeatable(bytes: &[u8], expected: FirstFlight) {
    assert_eq!(first_flight(bytes), expected);
    for end in 0..bytes.len() {
        assert_eq!(first_flight(&bytes[..end]), FirstFlight::NeedMore, "the first {end} bytes");
    }
    for next in [0, b'G', b'\n', HANDSHAKE_RECORD] {
        assert_eq!(first_flight(&[bytes, &[next]].concat()), FirstFlight::Unrepeatable, "then {next}");
    }
}

/// Checks that a flight becomes unrepeatable with its byte `at`, and not before.
#[track_caller]
fn check_unrepeatable(bytes: &[u8], at: usize) {
    let open = (0..=bytes.len()).take_while(|&end| first_flight(&bytes[..end]) == FirstFlight::NeedMore);
    assert_eq!(open.count().checked_sub(1), Some(at), "the open bytes of {bytes:?}");
    for end in at + 1..=bytes.len() {
        assert_eq!(first_flight(&bytes[..end]), FirstFlight::Unrepeatable, "the first {end} bytes");
    }
}

#[test]
fn a_client_hello_may_be_repeated() {
    check_repeatable(&hello(tls_configs().0), HELLO);
}

#[test]
fn a_hello_with_large_key_shares_may_be_repeated_in_one_record_or_several() {
    // A key share of ML-KEM-768 has 1,184 bytes, and some clients send two.
    check_repeatable(&hello(large_hello(2400)), HELLO);
    let mut in_pieces = large_hello(2400);
    in_pieces.max_fragment_size = Some(60);
    check_repeatable(&hello(in_pieces), HELLO);
    let large = hello(large_hello(40_000));
    assert!(large.len() > 2 * MAX_RECORD_BYTES);
    assert_eq!(first_flight(&large), HELLO);
    assert_eq!(first_flight(&large[..large.len() - 1]), FirstFlight::NeedMore);
}

#[test]
fn a_hello_that_is_too_large_is_not_kept() {
    let too_large = [&[HANDSHAKE_RECORD, 3, 1, 0x40, 0, CLIENT_HELLO, 1, 0, 1][..], &[0; 100]].concat();
    check_unrepeatable(&too_large, 8);
    // The message would fit, but each of its bytes has a record of its own.
    let message = [&[CLIENT_HELLO, 0, 0xff, 0][..], &[0; 0xff00]].concat();
    let flight: Vec<u8> = message.iter().flat_map(|&byte| [HANDSHAKE_RECORD, 3, 1, 0, 1, byte]).collect();
    assert_eq!(first_flight(&flight[..MAX_FIRST_FLIGHT_BYTES - 1]), FirstFlight::NeedMore);
    assert_eq!(first_flight(&flight[..MAX_FIRST_FLIGHT_BYTES]), FirstFlight::Unrepeatable);
}

#[test]
fn a_hello_with_early_data_is_never_repeated() {
    let (mut client, mut server) = tls_configs();
    client.enable_early_data = true;
    server.max_early_data_size = 1000;
    let (client, server) = (Arc::new(client), Arc::new(server));
    // The first hello has no ticket to send early data with.
    assert_eq!(first_flight(&written(&mut connect(&client))), HELLO);
    shake_hands(&client, &server);
    let mut again = connect(&client);
    assert!(again.early_data().is_some());
    let flight = written(&mut again);
    let record = RECORD_HEAD_BYTES + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
    check_unrepeatable(&flight, record - 1);
}

#[test]
fn a_resumed_session_without_early_data_may_be_repeated() {
    let (client, server) = tls_configs();
    let (client, server) = (Arc::new(client), Arc::new(server));
    let first = written(&mut connect(&client));
    shake_hands(&client, &server);
    let resumed = written(&mut connect(&client));
    assert!(resumed.len() > first.len() + 50, "a ticket makes the hello longer");
    check_repeatable(&resumed, HELLO);
}

#[test]
fn what_only_looks_like_a_hello_is_not_repeated() {
    let good = hello(tls_configs().0);
    let with = |at: usize, byte: u8| {
        let mut changed = good.clone();
        changed[at] = byte;
        changed
    };
    // Another version, a record that is too long or empty, another message.
    check_unrepeatable(&with(1, 2), 1);
    check_unrepeatable(&with(2, 5), 2);
    check_unrepeatable(&with(3, 0x41), 3);
    check_unrepeatable(&[HANDSHAKE_RECORD, 3, 3, 0, 0, 1], 4);
    check_unrepeatable(&with(5, 2), 5);
    // A message that is shorter than its record: something else follows in it.
    check_unrepeatable(&with(8, good[8] - 1), 8);
    // A length inside that does not fit.
    check_unrepeatable(&with(43, 255), good.len() - 1);
    // A message that is over before it has begun.
    check_unrepeatable(&[HANDSHAKE_RECORD, 3, 3, 0, 5, CLIENT_HELLO, 0, 0, 1, 0], 9);
}

#[test]
fn a_hello_of_tls_1_2_needs_no_extensions() {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    let record = |body: &[u8]| {
        let length = u8::try_from(body.len()).unwrap();
        [&[HANDSHAKE_RECORD, 3, 1, 0, length + 4, CLIENT_HELLO, 0, 0, length], body].concat()
    };
    check_repeatable(&record(&body), HELLO);
    check_repeatable(&record(&[&body[..], &[0, 4, 0, 43, 0, 0]].concat()), HELLO);
    // `early_data`, with nothing in it; then something behind the extensions.
    let early = record(&[&body[..], &[0, 4, 0, 42, 0, 0]].concat());
    check_unrepeatable(&early, early.len() - 1);
    let trailing = record(&[&body[..], &[0, 4, 0, 43, 0, 0, 9]].concat());
    check_unrepeatable(&trailing, trailing.len() - 1);
}

#[test]
fn a_get_or_head_without_a_body_may_be_repeated() {
    for request in [
        "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "HEAD /generate_204?x=1 HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET http://example.com/ HTTP/1.1\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
    ] {
        check_repeatable(request.as_bytes(), REQUEST);
    }
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
    check_repeatable(many.as_bytes(), REQUEST);
}

#[test]
fn another_method_shows_with_its_first_byte() {
    for (request, at) in [
        ("POST / HTTP/1.1\r\n\r\n", 0),
        ("PUT / HTTP/1.1\r\n\r\n", 0),
        ("HELLO / HTTP/1.1\r\n\r\n", 2),
        ("GETTER / HTTP/1.1\r\n\r\n", 3),
        ("get / HTTP/1.1\r\n\r\n", 0),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
        ("SSH-2.0-OpenSSH\r\n", 0),
        ("\r\nGET / HTTP/1.1\r\n\r\n", 0),
        ("GET / HTTP/2.0\r\n\r\n", 11),
    ] {
        check_unrepeatable(request.as_bytes(), at);
    }
}

#[test]
fn a_request_that_asks_for_more_than_an_answer_is_not_repeated() {
    for header in [
        "Content-Length: 5",
        "content-length: 00",
        "Content-Length: 0\r\nContent-Length: 7",
        "TRANSFER-ENCODING: chunked",
        "Transfer-Encoding: identity",
        "Expect: 100-continue",
        "Upgrade: websocket",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n");
        check_unrepeatable(request.as_bytes(), request.len() - 1);
    }
}

#[test]
fn a_second_request_makes_both_unrepeatable() {
    let one = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(first_flight(one.repeat(2).as_bytes()), FirstFlight::Unrepeatable);
}

#[test]
fn a_head_that_is_too_long_is_not_kept() {
    let start = "GET / HTTP/1.1\r\na: ";
    let longest = |total: usize| format!("{start}{}\r\n\r\n", "b".repeat(total - start.len() - 4));
    let fits = longest(MAX_REPEATABLE_HEAD_BYTES);
    assert_eq!(first_flight(fits.as_bytes()), REQUEST);
    assert_eq!(first_flight(&fits.as_bytes()[..fits.len() - 1]), FirstFlight::NeedMore);
    let too_long = longest(MAX_REPEATABLE_HEAD_BYTES + 1);
    assert_eq!(first_flight(too_long.as_bytes()), FirstFlight::Unrepeatable);
    assert_eq!(first_flight(&too_long.as_bytes()[..too_long.len() - 1]), FirstFlight::Unrepeatable);
    let too_many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
    assert_eq!(first_flight(too_many.as_bytes()), FirstFlight::Unrepeatable);
}

/// Bytes that get far: pieces of flights, changed here and there.
fn near_flights() -> impl Strategy<Value = Vec<u8>> {
    let good = hello(tls_configs().0);
    let piece = prop_oneof![
        Just(good.clone()),
        Just(good[..5].to_vec()),
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"HEAD /x HTTP/1.0\n".to_vec()),
        Just(b"Content-Length: 0\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (prop::collection::vec(piece, 0..5), prop::collection::vec(change, 0..3)).prop_map(|(pieces, changes)| {
        let mut bytes = pieces.concat();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn a_verdict_is_open_until_it_is_final(bytes in near_flights()) {
        let verdicts: Vec<FirstFlight> = (0..=bytes.len()).map(|end| first_flight(&bytes[..end])).collect();
        let open = verdicts.iter().take_while(|&&verdict| verdict == FirstFlight::NeedMore).count();
        prop_assert!(open > 0, "no byte says nothing");
        for verdict in verdicts.iter().skip(open + 1) {
            prop_assert_eq!(*verdict, FirstFlight::Unrepeatable);
        }
    }
}
