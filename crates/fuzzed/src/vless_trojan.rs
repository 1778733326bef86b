//! VLESS and Trojan: the handshakes of servers, the answers that clients read, and datagrams over a stream.

use std::sync::Arc;

use waypost_net::Target;
use waypost_wire::{
    Seal as _, SealDatagrams, TrojanAccepted, TrojanOpening, TrojanServer, TrojanUser, Uuid, VlessAccepted,
    VlessServer, trojan_client, trojan_datagram_client, vless_client, vless_datagram_client,
};

use crate::{
    drive::{End, open, open_datagrams, play, play_alike},
    peer::target,
    script::{Cuts, Script},
};

/// Version, id, addons, command, port, type and the longest name.
const MAX_VLESS_BYTES: usize = 1 + 16 + 1 + 255 + 1 + 2 + 1 + 1 + 255;
/// Hash, line end, command, type, the longest name, port and line end.
const MAX_TROJAN_BYTES: usize = 56 + 2 + 1 + 1 + 1 + 255 + 2 + 2;
const ID: [u8; 16] = *b"the second user.";
const PASSWORD: &str = "the second user";

/// A choice of the protocol and the side, how bytes are cut, and bytes or what is done to those of a
/// client.
pub fn vless_trojan(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let kind = script.byte();
    let cuts = script.cuts();
    match kind % 8 {
        0 => drop(vless_server(script.rest(), cuts)),
        1 => drop(vless_server(&[&[0], &ID[..], script.rest()].concat(), cuts)),
        2 => vless_client_reads(script, cuts),
        3 => drop(trojan_server(script.rest(), cuts)),
        4 => drop(trojan_server(&[&trojan_header(), script.rest()].concat(), cuts)),
        5 => trojan_client_reads(script, cuts),
        6 => request_of_client(script, cuts),
        _ => datagrams_of_server(script, cuts),
    }
}

fn ids() -> Arc<[Uuid]> {
    [*b"the first user..", ID, *b"the third user.."].map(Uuid::from_bytes).into()
}

fn trojan_users() -> Arc<[TrojanUser]> {
    ["the first user", PASSWORD, "the third user"].map(TrojanUser::new).into()
}

/// A hash and a line end.
fn trojan_header() -> Vec<u8> {
    let Ok(target) = "a:1".parse() else { return Vec::new() };
    let mut wire = Vec::new();
    trojan_client(&TrojanUser::new(PASSWORD), &target).0.seal(&[], &mut wire);
    wire.truncate(58);
    wire
}

fn vless_server(wire: &[u8], cuts: Cuts<'_>) -> Option<VlessAccepted> {
    let played = play_alike(|| VlessServer::new(ids()), wire, cuts, MAX_VLESS_BYTES);
    assert!(played.sent.is_empty(), "a server without an answer sent {:?}", played.sent);
    match played.end {
        End::WantsMore => None,
        End::Done { output, rest } => {
            assert_eq!((wire.get(1..17), output.user), (Some(&ID[..]), 1), "another id was let in");
            assert!(wire.ends_with(&rest), "the rest is not what follows");
            Some(output)
        }
        End::Failed { reply, error } => {
            assert!(reply.is_empty(), "{error} was answered");
            None
        }
    }
}

/// Whether it is somebody without a password is all that must not depend on how bytes are cut: the reason
/// for it does.
fn trojan_server(wire: &[u8], cuts: Cuts<'_>) -> Option<TrojanAccepted> {
    let serve = |cuts| {
        let mut server = TrojanServer::new(trojan_users());
        let played = play(&mut server, wire, cuts);
        assert!(played.sent.is_empty(), "a server without an answer sent {:?}", played.sent);
        match played.end {
            End::WantsMore => {
                assert!(wire.len() <= MAX_TROJAN_BYTES, "{} bytes are not enough", wire.len());
                assert_eq!(server.give_up(), wire, "what was read is lost");
                None
            }
            End::Done { output: TrojanOpening::Accepted(accepted), rest } => {
                assert!(wire.starts_with(&trojan_header()), "another password was let in");
                assert_eq!(accepted.user, 1);
                assert!(wire.ends_with(&rest), "the rest is not what follows");
                Some((Some(accepted), rest))
            }
            End::Done { output: TrojanOpening::Fallback(_), rest } => {
                assert_eq!(rest, wire, "the web site does not get what was read");
                Some((None, rest))
            }
            End::Failed { error, .. } => match error {},
        }
    };
    let whole = serve(Cuts::NONE);
    assert_eq!(serve(cuts), whole, "in pieces");
    assert_eq!(serve(Cuts::BYTES), whole, "byte by byte");
    whole?.0
}

fn vless_client_reads(mut script: Script<'_>, cuts: Cuts<'_>) {
    let Some(target) = target(&mut script) else { return };
    let id = Uuid::from_bytes(ID);
    let wire = script.rest();
    let received = open(&mut vless_client(&id, &target).1, wire, cuts);
    assert_eq!(open(&mut vless_client(&id, &target).1, wire, Cuts::NONE), received, "cut otherwise");
    let received = open_datagrams(&mut vless_datagram_client(&id, &target).1, wire, cuts);
    let whole = open_datagrams(&mut vless_datagram_client(&id, &target).1, wire, Cuts::NONE);
    assert_eq!(whole, received, "cut otherwise");
}

fn trojan_client_reads(mut script: Script<'_>, cuts: Cuts<'_>) {
    let Some(target) = target(&mut script) else { return };
    let sent = script.prefixed();
    let read = |cuts| {
        let (mut sealer, mut opener) = trojan_client(&TrojanUser::new(PASSWORD), &target);
        sealer.seal(sent, &mut Vec::new());
        open(&mut opener, script.rest(), cuts)
    };
    assert_eq!(read(cuts), read(Cuts::NONE), "cut otherwise");
}

/// A request as a client sends it, with datagrams, and what is done to it on the way.
fn request_of_client(mut script: Script<'_>, cuts: Cuts<'_>) {
    let Some(target) = target(&mut script) else { return };
    let is_trojan = script.is_set();
    let payload = script.prefixed_and_drawn_out();
    let mut wire = Vec::new();
    if is_trojan {
        let (sealer, _) = trojan_datagram_client(&TrojanUser::new(PASSWORD), &target);
        seal(sealer, &target, &payload, &mut wire);
    } else {
        let (sealer, _) = vless_datagram_client(&Uuid::from_bytes(ID), &target);
        seal(sealer, &target, &payload, &mut wire);
    }
    let honest = wire.clone();
    script.change(&mut wire);
    let asked = if is_trojan {
        trojan_server(&wire, cuts).map(|accepted| accepted.target)
    } else {
        vless_server(&wire, cuts).map(|accepted| accepted.target)
    };
    if wire == honest {
        assert_eq!(asked, Some(target), "a client with a password was turned away");
    }
}

fn seal(mut sealer: impl SealDatagrams, target: &Target, payload: &[u8], wire: &mut Vec<u8>) {
    sealer.seal_head(wire);
    for datagram in [&[][..], payload] {
        let is_short = datagram.len() <= 65_535;
        let length = wire.len();
        let sealed = sealer.seal_datagram(target, datagram, wire);
        assert_eq!(sealed.is_ok(), is_short, "{sealed:?}");
        assert!(is_short || wire.len() == length, "something was appended");
    }
}

/// What a server takes out of a stream of datagrams, and what it makes of that.
fn datagrams_of_server(mut script: Script<'_>, cuts: Cuts<'_>) {
    if script.is_set() {
        let read = |wire: &[u8], cuts| open_datagrams(&mut TrojanAccepted::datagrams().1, wire, cuts);
        let received = read(script.rest(), cuts);
        assert_eq!(read(script.rest(), Cuts::NONE), received, "cut otherwise");
        let mut wire = Vec::new();
        let (mut sealer, _) = TrojanAccepted::datagrams();
        for (target, payload) in &received.plain {
            let Some(Ok(target)) = target.as_deref().map(str::parse) else { panic!("no target: {target:?}") };
            let sealed = sealer.seal_datagram(&target, payload, &mut wire);
            assert!(sealed.is_ok(), "{sealed:?}");
        }
        assert_eq!(read(&wire, Cuts::NONE).plain, received.plain, "written and read again");
    } else {
        let read = |cuts| open_datagrams(&mut VlessAccepted::datagrams().1, script.rest(), cuts);
        assert_eq!(read(cuts), read(Cuts::NONE), "cut otherwise");
    }
}
