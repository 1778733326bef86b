//! What sing-box recognises besides what V2Ray does.

use waypost_wire::{Sniff, sniff, sniff_datagram, sniff_widely};

/// A question for the address of `example.com`.
const QUESTION: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";

fn in_stream(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&length[..], message].concat()
}

fn label(found: &Sniff) -> Option<&'static str> {
    match found {
        Sniff::Found(found) => Some(found.protocol),
        Sniff::NeedMore => None,
        Sniff::Unknown => Some("unknown"),
    }
}

fn datagram(bytes: &[u8]) -> Option<&'static str> {
    sniff_datagram(bytes).map(|found| found.protocol)
}

#[test]
fn a_question_in_a_stream_is_known_as_soon_as_it_is_whole() {
    let stream = in_stream(QUESTION);
    for length in 0..stream.len() {
        assert_eq!(label(&sniff_widely(&stream[..length])), None, "{length}");
    }
    assert_eq!(label(&sniff_widely(&stream)), Some("dns"));
    let edns = [QUESTION, b"\0\0\x29\x10\0\0\0\0\0\0\0"].concat();
    let mut edns = edns;
    edns[11] = 1;
    assert_eq!(label(&sniff_widely(&in_stream(&edns))), Some("dns"));
    assert_eq!(label(&sniff_widely(&[stream.clone(), stream].concat())), Some("dns"), "pipelined");
}

#[test]
fn what_is_no_question_is_none() {
    let mut answer = QUESTION.to_vec();
    answer[2] |= 0x80;
    let mut two = QUESTION.to_vec();
    two[5] = 2;
    let mut chaos = QUESTION.to_vec();
    *chaos.last_mut().unwrap() = 3;
    let mut pointer = QUESTION.to_vec();
    pointer[12] = 0xc0;
    for message in [&answer, &two, &chaos, &pointer, &QUESTION[..20].to_vec()] {
        assert_eq!(datagram(message), None, "{message:?}");
        assert_eq!(label(&sniff_widely(&in_stream(message))), Some("unknown"), "{message:?}");
    }
    assert_eq!(label(&sniff_widely(&[0, 3, 1, 2, 3])), Some("unknown"));
    assert_eq!(label(&sniff(&in_stream(QUESTION))), Some("unknown"), "V2Ray does not know it");
}

#[test]
fn ssh_and_what_v2ray_knows_are_known() {
    assert_eq!(label(&sniff_widely(b"SSH-2.0-OpenSSH_9.2")), Some("ssh"));
    assert_eq!(label(&sniff_widely(b"SS")), None);
    assert_eq!(label(&sniff_widely(b"STAT")), Some("unknown"));
    assert_eq!(label(&sniff_widely(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")), Some("http1"));
    assert_eq!(label(&sniff_widely(b"")), None);
}

#[test]
fn datagrams_are_known_by_their_first_bytes() {
    let mut quic = vec![0; 1200];
    quic[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
    let mut quic2 = quic.clone();
    quic2[..6].copy_from_slice(&[0xd3, 0x6b, 0x33, 0x43, 0xcf, 8]);
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    stun.resize(20, 7);
    let dtls = [&[22, 254, 253][..], &[0; 10]].concat();
    let mut ntp = vec![0; 48];
    ntp[0] = 0x23;
    for (bytes, expected) in [
        (QUESTION, "dns"),
        (&*quic, "quic"),
        (&*quic2, "quic"),
        (&*stun, "stun"),
        (&*dtls, "dtls"),
        (&*ntp, "ntp"),
    ] {
        assert_eq!(datagram(bytes), Some(expected));
        assert_eq!(datagram(&bytes[..bytes.len() - 1]), None, "a part of {expected}");
    }
    let mut handshake = quic.clone();
    handshake[0] = 0xe3;
    let mut unversioned = quic;
    unversioned[4] = 9;
    for bytes in [&*handshake, &*unversioned, b"", b"x", &[0; 48], &[0xff; 1500]] {
        assert_eq!(datagram(bytes), None);
    }
}
