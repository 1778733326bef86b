//! What datagrams are taken for, and above all what for they are not.

use proptest::{collection::vec, prelude::*};
use rand::{Rng, SeedableRng, rngs::StdRng};
use waypost_wire::{DatagramSniffer, Protocols, Sniff};

use crate::quic::{Initial, crypto, hello};

fn sniff(datagram: &[u8], wanted: Protocols) -> Option<&'static str> {
    match DatagramSniffer::new(wanted).feed(datagram) {
        Sniff::Found(found) => Some(found.protocol),
        Sniff::NeedMore | Sniff::Unknown => None,
    }
}

fn all(datagram: &[u8]) -> Option<&'static str> {
    sniff(datagram, Protocols::ALL)
}

/// A question for the address of `name`.
fn question(id: [u8; 2], name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let labels = labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat());
    [&id[..], b"\x01\0\0\x01\0\0\0\0\0\0"]
        .concat()
        .into_iter()
        .chain(labels)
        .chain(*b"\0\0\x01\0\x01")
        .collect()
}

/// A header of uTP: the kind, the extension, a delay, a window and what is acknowledged.
fn utp(kind: u8, extension: u8, delay: u32, window: u32, acknowledged: u16) -> Vec<u8> {
    let sent_at = 0x1234_5678_u32;
    [
        &[kind, extension, 0x5a, 0x5b][..],
        &sent_at.to_be_bytes(),
        &delay.to_be_bytes(),
        &window.to_be_bytes(),
        &[0x30, 0x39],
        &acknowledged.to_be_bytes(),
    ]
    .concat()
}

fn stun(kind: [u8; 2], attributes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
    [&kind[..], &length, &[0x21, 0x12, 0xa4, 0x42], &[7; 12], attributes].concat()
}

fn dtls(kind: u8, minor: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, 254, minor, 0, 0, 0, 0, 0, 0, 0, 0][..], &length, body].concat()
}

fn ntp(first: u8) -> Vec<u8> {
    let mut request = vec![first, 0, 6, 0xec];
    request.resize(40, 0);
    request.extend([0xe5, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]);
    request
}

fn rtp(random: &mut StdRng) -> Vec<u8> {
    let mut packet = vec![0x80, [0, 8, 96, 111, 0xe0][random.random_range(0..5)]];
    packet.resize(random.random_range(12..1200), 0);
    random.fill_bytes(&mut packet[2..]);
    packet
}

fn connect_to_tracker() -> Vec<u8> {
    [&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80][..], &[0; 4], &[9; 4]].concat()
}

fn quic() -> Vec<u8> {
    let stream = hello("example.com", 0, true);
    Initial::default().datagram(&crypto(&stream, 0..stream.len()))
}

/// Examples of BEP 5, and what clients put in besides.
const DHT: [&[u8]; 7] = [
    b"d1:ad2:bsi1e2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:v4:LT\x02\x011:y1:qe",
    b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
    b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
    b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers2:roi1e1:t2:aa1:v4:LT\x01\x021:y1:qe",
    b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
    b"d2:ip6:\x7f\0\0\x01\x1a\xe11:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
    b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
];

#[test]
fn datagrams_are_known_by_what_is_in_them() {
    let edns = [&question([1, 2], "example.com")[..], b"\0\0\x29\x10\0\0\0\0\0\0\0"].concat();
    for (datagram, expected) in [
        (question([0x12, 0x34], "example.com"), "dns"),
        (question([0, 0], ""), "dns"),
        (
            {
                let mut edns = edns;
                edns[11] = 1;
                edns
            },
            "dns",
        ),
        (quic(), "quic"),
        (stun([0, 1], &[]), "stun"),
        (stun([1, 1], &[0, 6, 0, 4, 1, 2, 3, 4]), "stun"),
        (dtls(22, 253, &[1; 150]), "dtls"),
        (dtls(22, 255, &[1; 40]), "dtls"),
        ([dtls(22, 253, &[1; 150]), dtls(22, 253, &[2; 20])].concat(), "dtls"),
        (ntp(0x23), "ntp"),
        (ntp(0xe3), "ntp"),
        (ntp(0x0b), "ntp"),
        ([ntp(0x1b), vec![5; 20]].concat(), "ntp"),
        (utp(0x41, 0, 0, 0, 0), "bittorrent"),
        (utp(0x41, 0, 0, 1 << 20, 0), "bittorrent"),
        ([utp(0x41, 2, 0, 0x38_0000, 0), vec![0, 8, 0, 0, 0, 0, 0, 0, 0, 0]].concat(), "bittorrent"),
        (utp(0x21, 0, 70_000, 1 << 20, 4_711), "bittorrent"),
        ([utp(0x21, 1, 70_000, 1 << 20, 4_711), vec![0, 4, 1, 0, 0, 0]].concat(), "bittorrent"),
        (connect_to_tracker(), "bittorrent"),
    ]
    .into_iter()
    .chain(DHT.map(|message| (message.to_vec(), "bittorrent")))
    {
        assert_eq!(all(&datagram), Some(expected), "{datagram:?}");
        let is_v2rays = matches!(expected, "quic" | "bittorrent");
        assert_eq!(sniff(&datagram, Protocols::V2RAY), is_v2rays.then_some(expected));
        for wanted in ["dns", "quic", "stun", "dtls", "ntp", "bittorrent"] {
            let found = sniff(&datagram, Protocols::named([wanted]));
            assert_eq!(found, (wanted == expected).then_some(expected), "{wanted}");
        }
        for length in 0..datagram.len() {
            let part = all(&datagram[..length]);
            // A record, and a question before its additional records, are whole without what follows.
            assert!(part.is_none() || part == Some(expected), "{length} bytes of {expected}");
        }
        assert_ne!(all(&datagram[..datagram.len() / 3]), Some(expected), "a third of {expected}");
    }
}

#[test]
fn near_misses_are_nothing() {
    let mut answer = question([1, 2], "example.com");
    answer[2] |= 0x80;
    let mut magic = stun([0, 1], &[]);
    magic[7] ^= 1;
    let ntp_with = |at: usize, value: u8| {
        let mut request = ntp(0x23);
        request[at] = value;
        request
    };
    let mut action = connect_to_tracker();
    action[11] = 1;
    let wireguard = [&[1, 0, 0, 0][..], &[0x5c; 144]].concat();
    for datagram in [
        answer,
        magic,
        stun([0, 1], &[1]),
        stun([0x40, 1], &[]),
        stun([0, 1], &[1; 8])[..24].to_vec(),
        dtls(22, 253, &[]),
        dtls(22, 254, &[1; 20]),
        dtls(19, 253, &[1; 20]),
        [dtls(22, 253, &[1; 20]), vec![22, 254]].concat(),
        ntp_with(0, 0x24),
        ntp_with(0, 0x2b),
        ntp_with(1, 17),
        ntp_with(2, 0x81),
        ntp_with(4, 1),
        ntp_with(8, 1),
        [ntp(0x23), vec![0; 2]].concat(),
        utp(0x41, 0, 1, 0, 0),
        utp(0x41, 0, 0, 0, 1),
        utp(0x41, 0, 0, 1 << 24, 0),
        utp(0x42, 0, 0, 0, 0),
        utp(0x51, 0, 0, 0, 0),
        utp(0x01, 0, 70_000, 1 << 20, 4_711),
        [utp(0x41, 0, 0, 0, 0), vec![1]].concat(),
        [utp(0x41, 1, 0, 0, 0), vec![0, 8, 0]].concat(),
        [utp(0x41, 3, 0, 0, 0), vec![0, 1, 0]].concat(),
        utp(0x21, 0, 0, 1 << 20, 4_711),
        action,
        b"d1:ad2:id19:abcdefghij012345678e1:q4:ping1:t2:aa1:y1:qe".to_vec(),
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe".to_vec(),
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:xe".to_vec(),
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe ".to_vec(),
        b"d8:announce3:abce".to_vec(),
        [&b"d1:a"[..], &[b'l'; 60_000], b"e"].concat(),
        wireguard,
        vec![],
        b"x".to_vec(),
        vec![0; 48],
        vec![0xff; 1500],
    ] {
        assert_eq!(all(&datagram), None, "{:?}", &datagram[..datagram.len().min(60)]);
    }
}

/// Of what others speak nothing is taken for BitTorrent, whose datagrams have few marks, nor for
/// anything else that it is not.
#[test]
fn one_protocol_is_not_taken_for_another() {
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..3_000 {
        let id: [u8; 2] = random.random();
        let name: String = (0..random.random_range(0..30)).map(|_| random.random_range('a'..='z')).collect();
        let question = question(id, &name);
        let mut response = question.clone();
        response[2] = 0x81;
        response[7] = 1;
        response.extend(
            [&[0xc0, 12, 0, 1, 0, 1][..], &random.random::<[u8; 4]>(), &[0, 4], &random.random::<[u8; 4]>()]
                .concat(),
        );
        let mut stun = stun([random.random_range(0..2), 1], &vec![0; 4 * random.random_range(0..30)]);
        random.fill_bytes(&mut stun[8..]);
        let mut dtls = dtls(random.random_range(20..=23), 253, &vec![0; random.random_range(1..300)]);
        random.fill_bytes(&mut dtls[13..]);
        let mut ntp = ntp([0x1b, 0x23, 0xdb, 0xe3][random.random_range(0..4)]);
        random.fill_bytes(&mut ntp[12..]);
        let rtp = rtp(&mut random);
        let mut short_header = vec![0x40 | random.random::<u8>() >> 2];
        short_header.resize(random.random_range(21..1300), 0);
        random.fill_bytes(&mut short_header[1..]);
        for (datagram, expected) in [
            (&question, Some("dns")),
            (&response, None),
            (&stun, Some("stun")),
            (&dtls, Some("dtls")),
            (&ntp, Some("ntp")),
            (&rtp, None),
            (&short_header, None),
        ] {
            assert_eq!(all(datagram), expected, "{datagram:?}");
            assert_eq!(sniff(datagram, Protocols::V2RAY), None, "{datagram:?}");
        }
    }
    assert_eq!(sniff(&quic(), Protocols::named(["bittorrent", "stun", "dtls", "dns", "ntp"])), None);
}

#[test]
fn random_bytes_are_nothing() {
    let mut random = StdRng::seed_from_u64(1);
    let (mut n_found, n_datagrams) = (0, 200_000);
    for _ in 0..n_datagrams {
        let mut datagram = [0; 64];
        let length = random.random_range(0..=datagram.len());
        random.fill_bytes(&mut datagram);
        n_found += usize::from(all(&datagram[..length]).is_some());
    }
    assert!(n_found < n_datagrams / 10_000, "{n_found}");
    // The same of lengths that detectors like, with the first byte that they look for.
    let mut n_found = 0;
    for first in [0x41, 0x21, 0x23, 0x16, 0x00, b'd'] {
        for length in [16, 20, 48, 60] {
            for _ in 0..10_000 {
                let mut datagram = vec![0; length];
                random.fill_bytes(&mut datagram);
                datagram[0] = first;
                n_found += usize::from(all(&datagram).is_some());
            }
        }
    }
    assert!(n_found < 24, "{n_found} of 240000");
}

proptest! {
    /// Pieces of messages of the DHT, put together in any way.
    #[test]
    fn no_bencoding_makes_it_panic(
        pieces in vec(prop::sample::select(vec![
            &b"d"[..], b"l", b"e", b"i1e", b"i", b"1:", b"1:a", b"1:r", b"1:y1:q", b"1:t2:aa", b"2:id", b"99999:",
            b"20:abcdefghij0123456789", b"d2:id20:abcdefghij0123456789e", b"0:", b"-1:", b"1:q4:ping",
        ]), 0..20),
    ) {
        let datagram = [&b"d"[..], &pieces.concat(), b"e"].concat();
        prop_assert!(matches!(all(&datagram), None | Some("bittorrent")));
    }

    #[test]
    fn no_datagram_makes_it_panic(datagram in vec(any::<u8>(), 0..200), first in 0..40_u8) {
        all(&datagram);
        all(&[&[first][..], &datagram].concat());
    }
}
