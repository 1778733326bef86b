//! The names of QUIC connections.

use proptest::{collection::vec, prelude::*};
use rustls::quic::Version;
use waypost_wire::{DatagramSniffer, MAX_SNIFF_BYTES, Protocols, Sniff};

use crate::quic::{Initial, crypto, hello};

/// The payload of the samples of RFC 9001 A.2 and RFC 9369 A.2, without the padding.
const SAMPLE_FRAME: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c\
    00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007\
    000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43\
    e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c0002400100390032040\
    8ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff";
const SAMPLE_PAYLOAD_BYTES: usize = 1162;

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// What the datagrams are together, none of which may come after the answer.
#[track_caller]
fn sniff<D: AsRef<[u8]>>(datagrams: &[D]) -> Sniff {
    let mut sniffer = DatagramSniffer::new(Protocols::V2RAY);
    let Some((last, before)) = datagrams.split_last() else { return Sniff::NeedMore };
    for (index, datagram) in before.iter().enumerate() {
        assert_eq!(sniffer.feed(datagram.as_ref()), Sniff::NeedMore, "datagram {index}");
    }
    sniffer.feed(last.as_ref())
}

#[track_caller]
fn check<D: AsRef<[u8]>>(datagrams: &[D], name: Option<&str>) {
    let Sniff::Found(found) = sniff(datagrams) else { panic!("{:?}", sniff(datagrams)) };
    assert_eq!(found.protocol, "quic");
    assert_eq!(found.host.map(|host| host.to_string()).as_deref(), name);
}

/// The packets that the RFCs print: the beginning, and the tag, which hangs on all that is before it.
#[test]
fn the_samples_of_the_rfcs_are_read() {
    let mut payload = unhex(SAMPLE_FRAME);
    payload.resize(SAMPLE_PAYLOAD_BYTES, 0);
    for (version, begin, tag) in [
        (
            Version::V1,
            "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11",
            "e221af44860018ab0856972e194cd934",
        ),
        (
            Version::V2,
            "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485",
            "a18b2faa745b6fe189cf772a9f84cbfc",
        ),
    ] {
        let packet = Initial::of(version).packet(&payload);
        assert_eq!(packet.len(), 1200);
        assert!(packet.starts_with(&unhex(begin)) && packet.ends_with(&unhex(tag)), "{version:?}");
        check(&[packet], Some("example.com"));
    }
}

#[test]
fn the_name_comes_out_of_packets_of_every_version_and_form() {
    let stream = hello("WWW.Example.com", 0, true);
    let frames = crypto(&stream, 0..stream.len());
    for version in [Version::V1, Version::V2, Version::V1Draft] {
        for number_bytes in 1..=4 {
            for destination in [vec![1; 8], vec![2; 20], vec![]] {
                let initial = Initial {
                    version,
                    number_bytes,
                    packet_number: 0x7f,
                    keys_of: destination.clone(),
                    destination,
                    token: vec![9; 40],
                };
                check(&[initial.datagram(&frames)], Some("www.example.com"));
            }
        }
    }
    let unnamed = hello("example.com", 0, false);
    check(&[Initial::default().datagram(&crypto(&unnamed, 0..unnamed.len()))], None);
}

#[test]
fn parts_come_in_any_order_twice_and_with_other_frames_between() {
    let stream = hello("example.com", 0, true);
    let end = stream.len();
    let ack = [2, 5, 0, 1, 2, 0, 0];
    let ack_with_ecn = [3, 5, 0, 0, 2, 1, 2, 3];
    let frames = [
        &crypto(&stream, 150..end)[..],
        &[1],
        &crypto(&stream, 40..170),
        &[0; 20],
        &ack,
        &crypto(&stream, 0..50),
        &ack_with_ecn,
    ]
    .concat();
    check(&[Initial::default().datagram(&frames)], Some("example.com"));
}

#[test]
fn a_hello_that_does_not_fit_into_one_datagram_is_awaited() {
    for (padding, cut) in [(2_000, 1_000), (9_000, 1_100), (20_000, 1_100)] {
        let stream = hello("example.com", padding, true);
        let parts: Vec<(usize, usize)> =
            (0..stream.len()).step_by(cut).map(|at| (at, (at + cut).min(stream.len()))).collect();
        let datagram = |number: usize, (begin, end): (usize, usize)| {
            let packet_number = u32::try_from(number).unwrap();
            Initial { packet_number, ..Initial::default() }.datagram(&crypto(&stream, begin..end))
        };
        let in_order: Vec<Vec<u8>> =
            parts.iter().enumerate().map(|(number, part)| datagram(number, *part)).collect();
        // The name may be in any part; what comes behind it is not needed.
        let n_needed = (1..=in_order.len())
            .find(|count| matches!(sniff(&in_order[..*count]), Sniff::Found(_)))
            .expect("all of it is enough");
        check(&in_order[..n_needed], Some("example.com"));
        let mut sniffer = DatagramSniffer::new(Protocols::ALL);
        let backwards = in_order.iter().rev().map(|datagram| sniffer.feed(datagram));
        let answer = backwards.into_iter().find(|answer| *answer != Sniff::NeedMore).unwrap();
        assert!(matches!(answer, Sniff::Found(found) if found.host.is_some()), "{padding}");
    }
}

/// The file that other crates test with, made by the helpers here: a hello for `quic.example` of which the
/// name comes in the second datagram.
#[test]
fn the_recorded_hello_is_read() {
    let recorded = include_str!("../../../../testdata/sniff/quic-two-datagrams.txt");
    let datagrams: Vec<Vec<u8>> = recorded.lines().map(unhex).collect();
    check(&datagrams, Some("quic.example"));
}

#[test]
fn what_shares_a_datagram_or_overtakes_is_passed_over() {
    let stream = hello("example.com", 1_500, true);
    // Where the name is differs from one hello to the next.
    let cut = stream.windows(4).position(|part| part == b"mple").unwrap();
    let first = Initial::default().packet(&crypto(&stream, 0..cut));
    let second =
        Initial { packet_number: 3, ..Initial::default() }.packet(&crypto(&stream, cut..stream.len()));
    let early_data = {
        let mut packet = [&[0xd0, 0, 0, 0, 1, 8][..], &[7; 8], &[0, 0x40, 100]].concat();
        packet.resize(packet.len() + 100, 0xaa);
        packet
    };
    let coalesced = [&*first, &*early_data, &*second].concat();
    check(&[coalesced], Some("example.com"));
    check(
        &[early_data.clone(), [&*early_data, &*first].concat(), [&*second, &[0; 99]].concat()],
        Some("example.com"),
    );
    // Somebody else's packet, and one that was changed on its way.
    let stranger = Initial { destination: vec![5; 8], keys_of: vec![5; 8], ..Initial::default() };
    let mut broken = second.clone();
    *broken.last_mut().unwrap() ^= 1;
    check(&[first, stranger.packet(&crypto(&stream, 0..cut)), broken, second], Some("example.com"));
}

#[test]
fn what_is_certain_without_a_name_is_told_in_the_end() {
    let stream = hello("example.com", 3_000, true);
    let mut sniffer = DatagramSniffer::new(Protocols::ALL);
    assert_eq!(sniffer.so_far(), None);
    assert_eq!(sniffer.feed(&Initial::default().datagram(&crypto(&stream, 0..30))), Sniff::NeedMore);
    let so_far = sniffer.so_far().unwrap();
    assert_eq!((so_far.protocol, so_far.host), ("quic", None));
    // Neither a hello nor anything that belongs there, but the keys fit.
    check(&[Initial::default().datagram(&crypto(&[2; 300], 0..300))], None);
    check(&[Initial::default().datagram(&[0x1e; 4])], None);
    let beyond = [&[6, 0x80, 1, 0, 0, 5][..], b"hello"].concat();
    check(&[Initial::default().datagram(&beyond)], None);
}

#[test]
fn what_no_key_opens_is_not_quic() {
    let stream = hello("example.com", 0, true);
    let frames = crypto(&stream, 0..stream.len());
    let good = Initial::default().datagram(&frames);
    assert!(matches!(sniff(&[&good]), Sniff::Found(_)));
    let other_keys = Initial { keys_of: vec![1; 8], ..Initial::default() }.datagram(&frames);
    let mut greased = good.clone();
    greased[1..5].copy_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
    let mut negotiation = good.clone();
    negotiation[1..5].fill(0);
    let mut short = good.clone();
    short[0] &= 0x7f;
    let mut retry = good.clone();
    retry[0] |= 0x30;
    let mut changed = good.clone();
    changed[600] ^= 1;
    for datagram in [&other_keys, &greased, &negotiation, &short, &retry, &changed, &good[..1199].to_vec()] {
        assert_eq!(sniff(&[datagram]), Sniff::Unknown);
    }
    let unwanted = DatagramSniffer::new(Protocols::named(["bittorrent", "dns"])).feed(&good);
    assert_eq!(unwanted, Sniff::Unknown);
}

#[test]
fn no_more_is_looked_at_than_the_bound() {
    let stream = hello("example.com", 30_000, true);
    let early_data = [&[0xd0, 0, 0, 0, 1, 0, 0, 0x44, 0xb0][..], &[0; 1200]].concat();
    let begin = Initial::default().datagram(&crypto(&stream, 0..30));
    for (first, label) in [(&begin, Some("quic")), (&early_data, None)] {
        let mut sniffer = DatagramSniffer::new(Protocols::ALL);
        let mut n_bytes = first.len();
        let mut answer = sniffer.feed(first);
        while answer == Sniff::NeedMore {
            answer = sniffer.feed(&early_data);
            n_bytes += early_data.len();
        }
        assert!(n_bytes < MAX_SNIFF_BYTES + 2 * early_data.len(), "{n_bytes}");
        let found = match answer {
            Sniff::Found(found) => Some(found.protocol),
            Sniff::Unknown | Sniff::NeedMore => None,
        };
        assert_eq!(found, label);
    }
}

proptest! {
    /// Frames of any kind, in packets that are authentic, so that they are read.
    #[test]
    fn any_frames_are_read_without_a_panic(frames in vec(any::<u8>(), 4..1300), version in 0..3_usize) {
        let version = [Version::V1, Version::V2, Version::V1Draft][version];
        let answer = sniff(&[Initial::of(version).packet(&frames)]);
        prop_assert_ne!(answer, Sniff::Unknown);
    }

    /// A hello that is cut and shuffled is found by its name, or not yet.
    #[test]
    fn no_order_of_the_parts_makes_another_name(
        cuts in vec((0..1600_usize, 1..700_usize), 1..20), padding in 0..1200_usize,
    ) {
        let stream = hello("example.com", padding, true);
        let mut sniffer = DatagramSniffer::new(Protocols::ALL);
        for (begin, length) in cuts {
            let begin = begin.min(stream.len());
            let end = (begin + length).min(stream.len());
            match sniffer.feed(&Initial::default().datagram(&crypto(&stream, begin..end))) {
                Sniff::NeedMore => {}
                Sniff::Found(found) => {
                    prop_assert_eq!(found.host.unwrap().to_string(), "example.com");
                    break;
                }
                Sniff::Unknown => prop_assert!(false, "it was authentic"),
            }
        }
    }

    /// Bytes that begin like QUIC.
    #[test]
    fn no_bytes_make_it_panic_or_wait_beyond_the_bound(
        datagrams in vec(vec(any::<u8>(), 0..1500), 1..40), version in 0..2_usize, first in 0xc0..=0xff_u8,
    ) {
        let version = [[0, 0, 0, 1], [0x6b, 0x33, 0x43, 0xcf]][version];
        let mut sniffer = DatagramSniffer::new(Protocols::ALL);
        let mut n_bytes = 0;
        for rest in datagrams {
            let datagram = [&[first][..], &version, &[0, 0, 0], &rest].concat();
            n_bytes += datagram.len();
            match sniffer.feed(&datagram) {
                Sniff::NeedMore => prop_assert!(n_bytes <= MAX_SNIFF_BYTES),
                Sniff::Unknown => break,
                Sniff::Found(found) => prop_assert!(false, "{found:?}"),
            }
        }
    }
}
