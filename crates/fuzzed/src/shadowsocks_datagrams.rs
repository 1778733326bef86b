//! Shadowsocks over UDP, both sides.

use std::net::{Ipv4Addr, SocketAddr};

use waypost_net::Target;
use waypost_shadowsocks::{ClientDatagrams, DatagramError, MAX_DATAGRAM_BYTES, Method, ServerDatagrams};

use crate::{
    peer::{rng, target},
    script::Script,
    shadowsocks::{Datagram2022, Parties, datagram_2022, datagram_aead},
};

/// The most datagrams of a script.
const MAX_DATAGRAMS: u8 = 16;

/// A method, and datagrams that go to a server or to a client.
pub fn shadowsocks_datagrams(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(method) = script.one_of(&Method::ALL) else { return };
    let Some(parties) = Parties::try_new(method, script.is_set()) else { return };
    let mut server = parties.server.datagrams(&mut rng(1));
    let mut client = parties.client.datagrams(&mut rng(2));
    // A client takes one new session of a server in a minute.
    let mut is_disturbed = false;
    for _ in 0..=script.byte() % MAX_DATAGRAMS {
        let source = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::from(script.byte() & 3) + 1));
        match script.byte() % 6 {
            0 | 1 => {
                whole_exchange(&mut script, &parties, (&mut client, &mut server), source, &mut is_disturbed);
            }
            2 => {
                let mut packet = anything(&mut script, &parties, true);
                to_server(&mut server, source, &mut packet);
            }
            3 => {
                let mut packet = anything(&mut script, &parties, false);
                is_disturbed |= to_client(&mut client, &mut packet).is_some();
            }
            4 => {
                let before = server.n_sessions();
                let opened = to_server(&mut server, source, &mut script.prefixed().to_vec());
                assert!(opened.is_none() && before == server.n_sessions(), "a stranger was let in");
            }
            _ => {
                let opened = to_client(&mut client, &mut script.prefixed().to_vec());
                assert!(opened.is_none(), "a stranger was believed");
            }
        }
    }
}

fn to_server(
    server: &mut ServerDatagrams,
    source: SocketAddr,
    packet: &mut [u8],
) -> Option<(Target, Vec<u8>, waypost_shadowsocks::SessionId)> {
    let received = server.open(source, packet).ok()?;
    assert_eq!(server.source(received.session), Some(source));
    let payload = packet.get(received.payload).map(<[u8]>::to_vec);
    let Some(payload) = payload else { panic!("the payload is outside of the packet") };
    Some((received.target, payload, received.session))
}

fn to_client(client: &mut ClientDatagrams, packet: &mut [u8]) -> Option<(Target, Vec<u8>)> {
    let (target, payload) = client.open(packet).ok()?;
    let Some(payload) = packet.get(payload) else { panic!("the payload is outside of the packet") };
    Some((target, payload.to_vec()))
}

/// A datagram of a client that is changed on the way, the same one again, and an answer.
fn whole_exchange(
    script: &mut Script<'_>,
    parties: &Parties,
    (client, server): (&mut ClientDatagrams, &mut ServerDatagrams),
    source: SocketAddr,
    is_disturbed: &mut bool,
) {
    let Some(target) = target(script) else { return };
    let payload = script.prefixed_and_drawn_out();
    let mut honest = Vec::new();
    if let Err(error) = client.seal(&target, &payload, &mut honest) {
        assert!(matches!(error, DatagramError::TooLong { .. }), "{error}");
        assert!(honest.is_empty() && payload.len() + 1000 > MAX_DATAGRAM_BYTES);
        return;
    }
    let mut wire = honest.clone();
    script.change(&mut wire);
    let received = to_server(server, source, &mut wire.clone());
    if wire == honest {
        let found = received.as_ref().map(|(target, payload, _)| (target, payload));
        assert_eq!(found, Some((&target, &payload)), "a client with a key was turned away");
    }
    let Some((target, payload, session)) = received else { return };
    if parties.method().is_2022() {
        let again = server.open(source, &mut wire.clone());
        assert_eq!(again, Err(DatagramError::Replayed), "sent again");
    }
    let mut request = wire;
    let mut honest = Vec::new();
    if server.seal(session, &target, &payload, &mut honest).is_err() {
        return;
    }
    let mut wire = honest.clone();
    script.change(&mut wire);
    let is_changed = wire != honest;
    let received = to_client(client, &mut wire.clone());
    if !is_changed && !*is_disturbed {
        assert_eq!(received, Some((target, payload)), "an answer was not believed");
    }
    *is_disturbed |= is_changed;
    if received.is_some() && parties.method().is_2022() {
        assert!(to_client(client, &mut wire).is_none(), "an answer was taken twice");
    }
    if script.is_set() {
        server.forget(session);
        assert_eq!(server.source(session), None);
        if parties.method().is_2022() {
            let again = server.open(source, &mut request);
            assert_eq!(again, Err(DatagramError::Replayed), "sent again to a session that was forgotten");
        }
    }
}

/// A datagram of somebody who has the key, and says anything.
fn anything(script: &mut Script<'_>, parties: &Parties, is_request: bool) -> Vec<u8> {
    let session = script.byte().into();
    let number = u64::from(script.number()) << (script.byte() & 0x3f);
    let plain = script.prefixed_and_drawn_out();
    if !parties.method().is_2022() {
        return datagram_aead(parties, &plain);
    }
    let datagram = Datagram2022 { session, number, plain: &plain, is_request };
    datagram_2022(parties, datagram).unwrap_or_default()
}
