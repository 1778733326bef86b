//! What sing-box recognises in streams besides what V2Ray does.

use waypost_wire::{Protocols, Sniff, sniff, sniff_so_far};

/// A question for the address of `example.com`.
const QUESTION: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";

fn sniff_widely(bytes: &[u8]) -> Sniff {
    waypost_wire::sniff_widely(bytes, Protocols::ALL)
}

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
        assert_eq!(label(&sniff_widely(&in_stream(message))), Some("unknown"), "{message:?}");
    }
    assert_eq!(label(&sniff_widely(&[0, 3, 1, 2, 3])), Some("unknown"));
    assert_eq!(label(&sniff(&in_stream(QUESTION))), Some("unknown"), "V2Ray does not know it");
}

#[test]
fn ssh_and_what_v2ray_knows_are_known() {
    for identification in [&b"SSH-2.0-OpenSSH_9.2"[..], b"SSH-1.99-x", b"SSH-1.5-"] {
        assert_eq!(label(&sniff_widely(identification)), Some("ssh"));
        assert_eq!(label(&sniff_widely(&identification[..5])), None);
        assert_eq!(label(&sniff(identification)), Some("unknown"), "V2Ray does not know it");
    }
    assert_eq!(label(&sniff_widely(b"SS")), None);
    for other in [&b"STAT"[..], b"SSH-3", b"SSH-2.1-", b"SSHD"] {
        assert_eq!(label(&sniff_widely(other)), Some("unknown"));
    }
    assert_eq!(label(&sniff_widely(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")), Some("http1"));
    assert_eq!(label(&sniff_widely(b"")), None);
}

/// A Connection Request with this behind its fixed part.
fn rdp(variable: &[u8]) -> Vec<u8> {
    let length = u8::try_from(variable.len() + 11).unwrap();
    [&[3, 0, 0, length, length - 5, 0xe0, 0, 0, 0, 0, 0], variable].concat()
}

#[test]
fn a_request_of_rdp_is_known_by_its_cookie_or_its_negotiation() {
    let negotiation = [1, 0, 8, 0, 11, 0, 0, 0];
    let cookie = &b"Cookie: mstshash=alice\r\n"[..];
    let token = &b"Cookie: msts=3640205228.15629.0000\r\n"[..];
    let correlation = [&[1, 8, 8, 0, 3, 0, 0, 0][..], &[6, 0, 36, 0], &[7; 32]].concat();
    for variable in [&negotiation[..], &[cookie, &negotiation].concat(), token, &correlation] {
        let request = rdp(variable);
        for length in 0..request.len() {
            assert_eq!(label(&sniff_widely(&request[..length])), None, "{length}");
        }
        assert_eq!(label(&sniff_widely(&request)), Some("rdp"));
        assert_eq!(label(&sniff_widely(&[&request, &b"more"[..]].concat())), Some("rdp"));
    }
    // The beginning of a connection to a controller of Siemens, which speaks X.224 as well.
    let s7 = rdp(&[0xc1, 2, 1, 0, 0xc2, 2, 1, 2, 0xc0, 1, 10]);
    let mut referenced = rdp(&negotiation);
    referenced[6] = 1;
    let mut longer = rdp(&negotiation);
    longer[4] += 1;
    for other in [&s7, &rdp(&[]), &referenced, &longer, &vec![3, 0, 9], &vec![3, 1]] {
        assert_eq!(label(&sniff_widely(other)), Some("unknown"), "{other:?}");
    }
}

#[test]
fn what_is_not_wanted_is_not_waited_for() {
    let firsts: [(&str, &[u8]); 6] = [
        ("http", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("tls", &[22, 3, 1, 0, 200]),
        ("bittorrent", b"\x13BitTorrent protocol"),
        ("dns", &[0, 40]),
        ("ssh", b"SSH-2.0-x"),
        ("rdp", &[3, 0]),
    ];
    for (name, first) in firsts {
        for (wanted, _) in firsts {
            let protocols = Protocols::named([wanted, "unheard of"]);
            let answer = waypost_wire::sniff_widely(first, protocols);
            assert_eq!(answer == Sniff::Unknown, name != wanted, "{name} {wanted} {answer:?}");
            if name != wanted {
                assert_eq!(sniff_so_far(first, protocols), None);
            }
        }
        assert_eq!(waypost_wire::sniff_widely(first, Protocols::named(["quic", "ntp"])), Sniff::Unknown);
    }
}
