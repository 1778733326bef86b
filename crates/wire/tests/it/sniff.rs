use std::{io, sync::Arc};

use proptest::{collection::vec, prelude::*};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, crypto::ring::default_provider, pki_types::ServerName,
    server::Acceptor,
};
use waypost_wire::{MAX_SNIFF_BYTES, Protocols, Sniff, Sniffed, sniff, sniff_so_far};

/// What is found in the shortest beginning that says anything; every longer one has to say the same.
#[track_caller]
fn verdict(bytes: &[u8]) -> Sniff {
    let verdicts: Vec<Sniff> = (0..=bytes.len()).map(|end| sniff(&bytes[..end])).collect();
    let mut settled = verdicts.iter().skip_while(|verdict| **verdict == Sniff::NeedMore);
    let Some(first) = settled.next() else { return Sniff::NeedMore };
    assert!(settled.all(|later| later == first), "not the same for all lengths");
    first.clone()
}

fn found(bytes: &[u8]) -> Option<Sniffed> {
    match verdict(bytes) {
        Sniff::Found(found) => Some(found),
        Sniff::NeedMore | Sniff::Unknown => None,
    }
}

#[track_caller]
fn check(bytes: &[u8], protocol: &str, host: Option<&str>) {
    let Some(found) = found(bytes) else {
        panic!("not recognised: {:?}", String::from_utf8_lossy(bytes));
    };
    assert_eq!(found.protocol, protocol);
    assert_eq!(found.host.map(|host| host.to_string()).as_deref(), host);
}

/// A hello whose body is longer by `padding` bytes and more, in records of `fragment` bytes.
fn hello(name: &str, padding: usize, fragment: Option<usize>, sni: bool) -> Vec<u8> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.enable_sni = sni;
    config.alpn_protocols = vec![vec![b'x'; 250]; padding.div_ceil(250)];
    config.max_fragment_size = fragment;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// A hello of TLS 1.3 with the extensions `extensions` and no more than it must have.
fn plain_hello(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).unwrap();
    let mut bytes = vec![22, 3, 1];
    bytes.extend((length + 4).to_be_bytes());
    bytes.extend([1, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes
}

fn server_name(name: &[u8]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let mut extension = vec![0, 0];
    extension.extend((length + 5).to_be_bytes());
    extension.extend((length + 3).to_be_bytes());
    extension.push(0);
    extension.extend(length.to_be_bytes());
    extension.extend(name);
    extension
}

#[test]
fn the_name_of_a_client_hello_is_found_in_one_record_or_many() {
    for (padding, fragment) in
        [(0, None), (2400, None), (20_000, None), (0, Some(60)), (2400, Some(70)), (0, Some(33))]
    {
        let bytes = hello("WWW.Example.com", padding, fragment, true);
        check(&bytes, "tls", Some("www.example.com"));
    }
}

#[test]
fn a_hello_without_a_name_is_tls_all_the_same() {
    let bytes = hello("example.com", 0, None, false);
    check(&bytes, "tls", None);
    assert_eq!(sniff(&bytes[..bytes.len() - 1]), Sniff::NeedMore);
    check(&hello("192.0.2.1", 0, None, true), "tls", None);
    check(&plain_hello(&[]), "tls", None);
}

#[test]
fn a_name_that_is_none_is_not_used() {
    check(&plain_hello(&server_name(b"Example.com")), "tls", Some("example.com"));
    check(&plain_hello(&server_name(b"192.0.2.7")), "tls", Some("192.0.2.7"));
    check(&plain_hello(&server_name(b"2001:db8::7")), "tls", Some("2001:db8::7"));
    for name in [&b"example.com."[..], b"a b.com", b"", b"b\xc3\xbccher.example", b"a\0b", &[b'a'; 254]] {
        check(&plain_hello(&server_name(name)), "tls", None);
    }
    check(&plain_hello(&server_name(&[b'a'; 1000])), "tls", None);
    // The first name counts; a name of another kind, which nobody has defined, is passed over.
    let other_kind = [0, 0, 0, 11, 0, 9, 9, 0, 1, b'x', 0, 0, 2, b'm', b'e'];
    check(&plain_hello(&other_kind), "tls", Some("me"));
    check(&plain_hello(&[server_name(b"one"), server_name(b"two")].concat()), "tls", Some("one"));
}

#[test]
fn what_only_looks_like_tls_is_unknown() {
    let good = plain_hello(&server_name(b"example.com"));
    let with = |at: usize, byte: u8| {
        let mut changed = good.clone();
        changed[at] = byte;
        changed
    };
    for changed in [
        with(1, 2),
        with(2, 9),
        with(3, 0x41),
        with(4, 0),
        with(5, 2),
        with(6, 2),
        with(9 + 34, 200),
        with(9 + 42, 0),
        with(9 + 46, 99),
        with(9 + 48, 0),
    ] {
        assert_eq!(verdict(&changed), Sniff::Unknown, "{changed:02x?}");
    }
}

#[test]
fn rustls_finds_the_same_name() {
    for (name, padding) in [("example.com", 0), ("a.b.c.example.org", 3000), ("xn--bcher-kva.example", 700)] {
        for sni in [true, false] {
            let bytes = hello(name, padding, None, sni);
            let mut acceptor = Acceptor::default();
            acceptor.read_tls(&mut io::Cursor::new(&bytes)).unwrap();
            let accepted = match acceptor.accept() {
                Ok(Some(accepted)) => accepted,
                Ok(None) => panic!("the hello is whole"),
                Err((error, _alert)) => panic!("{error}"),
            };
            let host = found(&bytes).unwrap().host.map(|host| host.to_string());
            assert_eq!(host.as_deref(), accepted.client_hello().server_name());
        }
    }
}

#[test]
fn a_request_is_known_by_its_method_and_named_by_its_last_host() {
    check(b"GET / HTTP/1.1\r\nHost: Example.com\r\n\r\n", "http1", Some("example.com"));
    check(b"get / HTTP/1.0\nhOST:a.example:8080\n\n", "http1", Some("a.example"));
    check(b"TRACE / HTTP/1.1\r\nhost: one\r\nHost: two\r\n\r\nHost: body", "http1", Some("two"));
    check(b"PATCH * HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n", "http1", Some("192.0.2.1"));
    check(b"POST / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "http1", Some("2001:db8::1"));
    check(b"POST / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n", "http1", Some("2001:db8::1"));
    check(b"CONNECT a.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n", "http1", Some("b.example"));
    for no_name in
        ["", "Host : a\r\n", "Host:\r\n", "Host: a b\r\n", "Host: b\u{0}\r\n", "X: 1\r\n Host: a\r\n"]
    {
        check(format!("GET / HTTP/1.1\r\n{no_name}\r\n").as_bytes(), "http1", None);
    }
}

#[test]
fn other_texts_are_no_requests() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.6\r\n"[..],
        b"GETAWAY / HTTP/1.1\r\n\r\n",
        b"get key\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /two words HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"EHLO example.com\r\n",
        b"\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x14\x03\x01",
    ] {
        assert_eq!(verdict(bytes), Sniff::Unknown, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_request_brings_its_attributes() {
    let bytes = b"get /a%20b?c=d HTTP/1.1\r\nHost: Example.com\r\nX-A: 1\r\nx-a: 2\r\n\r\n";
    let attributes = found(bytes).unwrap().attributes;
    for (key, value) in [
        (":method", Some("GET")),
        (":path", Some("/a%20b?c=d")),
        ("host", Some("Example.com")),
        ("x-a", Some("1")),
        ("x-b", None),
    ] {
        assert_eq!(attributes.get(key), value, "{key}");
    }
}

#[test]
fn a_part_of_a_head_is_enough_when_nothing_more_comes() {
    let so_far =
        |bytes: &[u8]| sniff_so_far(bytes, Protocols::V2RAY).and_then(|found| Some(found.host?.to_string()));
    assert_eq!(so_far(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Long: abc").as_deref(), Some("a.example"));
    assert_eq!(so_far(b"GET / HTTP/1.1\r\nHost: a.exam"), None);
    assert_eq!(so_far(b"GET / HTTP/1.1\r\nX: 1\r\n"), None);
    assert_eq!(so_far(b"GET / HT"), None);
    assert_eq!(so_far(b"SSH-2.0-OpenSSH\r\nHost: a\r\n"), None);
    assert_eq!(so_far(b"G / HTTP/1.1\r\nHost: a\r\n"), None);
    let whole = plain_hello(&server_name(b"example.com"));
    assert_eq!(so_far(&whole).as_deref(), Some("example.com"));
    assert_eq!(so_far(&whole[..whole.len() - 1]), None);
}

#[test]
fn a_bittorrent_handshake_is_known_by_its_first_twenty_bytes() {
    check(b"\x13BitTorrent protocol\0\0\0\0", "bittorrent", None);
    assert_eq!(sniff(b"\x13BitTorrent protoco"), Sniff::NeedMore);
    assert_eq!(verdict(b"\x13BitTorrent protocoL"), Sniff::Unknown);
}

#[test]
fn what_has_no_end_is_unknown_at_the_bound() {
    let endless: [Vec<u8>; 2] = [
        [&b"GET / HTTP/1.1\r\nHost: a\r\nX: "[..], &vec![b'x'; MAX_SNIFF_BYTES]].concat(),
        hello("example.com", 40_000, None, false),
    ];
    for (bytes, host) in endless.iter().zip([Some("a"), None]) {
        let so_far = sniff_so_far(bytes, Protocols::V2RAY).and_then(|found| Some(found.host?.to_string()));
        assert_eq!(so_far.as_deref(), host);
        assert_eq!(sniff(&bytes[..MAX_SNIFF_BYTES - 1]), Sniff::NeedMore);
        assert_eq!(sniff(&bytes[..MAX_SNIFF_BYTES]), Sniff::Unknown);
        assert_eq!(sniff(bytes), Sniff::Unknown);
    }
}

/// Beginnings that get far, changed here and there.
fn near_misses() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<Vec<u8>> = vec![
        hello("example.com", 0, None, true),
        hello("example.com", 0, Some(50), true),
        plain_hello(&server_name(b"a.example")),
        b"GET / HTTP/1.1\r\n".to_vec(),
        b"Host: a.example\r\n".to_vec(),
        b"\r\n".to_vec(),
        b"\x13BitTorrent protocol".to_vec(),
    ];
    let piece = prop_oneof![prop::sample::select(pieces), vec(any::<u8>(), 0..12)];
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (vec(piece, 0..4), vec(change, 0..3)).prop_map(|(pieces, changes)| {
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
    fn a_verdict_is_open_until_it_is_final(bytes in near_misses()) {
        let settled = verdict(&bytes);
        if let Sniff::Found(found) = settled {
            prop_assert_eq!(sniff_so_far(&bytes, Protocols::V2RAY), Some(found));
        }
    }

    #[test]
    fn any_bytes_have_a_verdict(bytes in vec(any::<u8>(), 0..200), first in prop::sample::select(vec![22, 19, b'G'])) {
        verdict(&[&[first], &bytes[..]].concat());
    }
}
