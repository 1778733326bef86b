//! The handshakes of SOCKS and HTTP, from both sides, and the datagrams of SOCKS5.

use std::sync::Arc;

use waypost_net::{Secret, Target};
use waypost_wire::{
    Accept, Accounts, Credentials, HttpConnectClient, MAX_HTTP_HEAD_BYTES, MAX_UDP_HEADER_BYTES, Server,
    Socks5AssociateClient, Socks5Client, UdpDatagram,
};

use crate::{
    drive::{End, play_alike},
    script::Script,
};

const USER: &str = "user";
const PASSWORD: &str = "pass";

/// A choice of the peer, how its bytes are cut, and its bytes.
pub fn handshakes(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let kind = script.byte();
    let cuts = script.cuts();
    let times = script.byte();
    let mut sent = script.rest().to_vec();
    draw_out(&mut sent, times);
    let with_password = kind & 0x80 != 0;
    let is_udp_granted = kind & 0x40 != 0;
    let credentials = || with_password.then(credentials).flatten();
    let Some(target) = target() else { return };
    match kind % 7 {
        0..=2 => {
            let accept = match kind % 7 {
                0 => Accept::Socks,
                1 => Accept::Http,
                _ => Accept::Mixed,
            };
            let accounts = if with_password { accounts() } else { Accounts::default() };
            let make = || Server::new(accept, accounts.clone()).with_udp(is_udp_granted);
            let _checked = play_alike(make, &sent, cuts, MAX_HTTP_HEAD_BYTES);
        }
        3 => {
            let make = || Socks5Client::new(&target, credentials());
            let played = play_alike(make, &sent, cuts, 1024);
            is_never_answered(&played.end);
        }
        4 => {
            let make = || Socks5AssociateClient::new(&target, credentials());
            let played = play_alike(make, &sent, cuts, 1024);
            is_never_answered(&played.end);
        }
        5 => {
            let make = || HttpConnectClient::new(&target, credentials().as_ref());
            let played = play_alike(make, &sent, cuts, MAX_HTTP_HEAD_BYTES);
            is_never_answered(&played.end);
        }
        _ => datagram(script.rest()),
    }
}

/// Puts the last byte behind the others, often enough to come near the longest head and beyond.
fn draw_out(sent: &mut Vec<u8>, times: u8) {
    if let (Some(last), 0xf0..) = (sent.last().copied(), times) {
        sent.resize(sent.len() + MAX_HTTP_HEAD_BYTES + 8 - usize::from(times & 0x0f), last);
    }
}

/// A client that gives up says nothing to the server.
fn is_never_answered<T, E>(end: &End<T, E>) {
    if let End::Failed { reply, .. } = end {
        assert!(reply.is_empty(), "a client that failed sends {reply:?}");
    }
}

fn datagram(bytes: &[u8]) {
    let Ok(datagram) = UdpDatagram::parse(bytes) else { return };
    let header_bytes = 3 + datagram.address.len();
    assert!(header_bytes <= MAX_UDP_HEADER_BYTES, "a header of {header_bytes} bytes");
    assert_eq!(bytes.get(3..header_bytes), Some(datagram.address));
    assert_eq!(bytes.get(header_bytes..), Some(datagram.payload));
    if let Ok(target) = datagram.target() {
        let header = UdpDatagram::header_to(&target);
        let again = UdpDatagram::parse(&header).map(|again| again.target());
        assert_eq!(again, Ok(Ok(target)), "written and read again");
    }
}

fn target() -> Option<Target> {
    "example.com:443".parse().ok()
}

fn credentials() -> Option<Credentials> {
    Credentials::try_new(USER.into(), Secret::new(PASSWORD)).ok()
}

fn accounts() -> Accounts {
    let password = Secret::new(PASSWORD);
    Accounts::try_new([(Arc::from(USER), &password)]).unwrap_or_default()
}
