//! VMess: the handshake of a server, and the bodies of requests and answers.

mod header;

use std::{cell::RefCell, sync::Arc};

use waypost_net::{Network, Target};
use waypost_wire::{
    ReplayFilter, Seal as _, SealDatagrams as _, Uuid, VmessAccepted, VmessClient, VmessRequest,
    VmessSecurity, VmessServer, VmessServerError, VmessUser,
};

use self::header::sealed_header;
use crate::{
    drive::{End, Played, Received, open, open_datagrams, play},
    peer::{NOW, rng, target},
    script::{Cuts, Script},
};

/// The longest request: an auth id, a length, a nonce and the longest header with their tags.
const MAX_REQUEST_BYTES: usize = 16 + 18 + 8 + 512 + 16;

const SECURITIES: [VmessSecurity; 4] =
    [VmessSecurity::Aes128Gcm, VmessSecurity::ChaCha20Poly1305, VmessSecurity::None, VmessSecurity::Zero];

/// The second of three users; the first byte of the script says what its peer is.
const ID: [u8; 16] = *b"the second user.";

/// What a request that was let in asks for.
#[derive(Debug, PartialEq)]
struct Asked {
    user: usize,
    network: Network,
    target: Target,
    security: VmessSecurity,
}

/// What a peer does: a request of a client that is changed on the way, a header of a client that says
/// anything, or any bytes.
pub fn vmess(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    match script.byte() % 4 {
        0 => whole_connection(script),
        1 => any_header(script),
        2 => answer(script),
        _ => {
            let cuts = script.cuts();
            let (_, asked) = serve(script.rest(), cuts, &RefCell::default());
            assert!(asked.is_none(), "somebody without an id was let in");
        }
    }
}

fn users() -> Arc<[VmessUser]> {
    [*b"the first user..", ID, *b"the third user..", *b"the third user.."]
        .map(|id| VmessUser::new(&Uuid::from_bytes(id)))
        .into()
}

/// What is asked for, whether the clock of the client is right, and the client.
fn client(script: &mut Script<'_>, network: Network) -> Option<(Asked, bool, VmessClient)> {
    let (choices, target) = (script.byte(), target(script)?);
    let security = script.one_of(&SECURITIES)?;
    let request = VmessRequest {
        security,
        network,
        target: &target,
        is_padded: choices & 1 != 0,
        is_length_sealed: choices & 2 != 0,
    };
    let user = VmessUser::new(&Uuid::from_bytes(ID));
    // Up to 128 seconds off, which is a little too much.
    let off = u64::from(choices >> 2 & 1) * u64::from(script.byte() >> 1);
    let client = VmessClient::new(&user, &request, NOW + off, &mut rng(choices));
    Some((Asked { user: 1, network, target, security }, off <= 120, client))
}

/// Lets a server read `wire`, and checks that it tells a peer nothing.
fn serve(
    wire: &[u8],
    cuts: Cuts<'_>,
    filter: &RefCell<ReplayFilter>,
) -> (Played<VmessAccepted, VmessServerError>, Option<Asked>) {
    let is_first = |auth_id| filter.borrow_mut().insert(auth_id, NOW);
    let mut server = VmessServer::new(users(), NOW, &mut rng(1), is_first);
    let played = play(&mut server, wire, cuts);
    assert!(played.sent.is_empty(), "a server without an answer sent {:?}", played.sent);
    let asked = match &played.end {
        End::WantsMore => {
            assert!(wire.len() <= MAX_REQUEST_BYTES, "{} bytes are not enough", wire.len());
            None
        }
        End::Done { output, .. } => Some(Asked {
            user: output.user,
            network: output.network,
            target: output.target.clone(),
            security: output.security,
        }),
        End::Failed { reply, error } => {
            assert!(reply.is_empty(), "{error} was answered");
            None
        }
    };
    (played, asked)
}

/// A request, what the server reads of its body, the same request again, and the answer.
fn whole_connection(mut script: Script<'_>) {
    let network = if script.is_set() { Network::Udp } else { Network::Tcp };
    let Some((expected, is_in_time, mut client)) = client(&mut script, network) else { return };
    let mut honest = Vec::new();
    client.sealer.seal_head(&mut honest);
    let head_bytes = honest.len();
    let payload = script.prefixed_and_drawn_out();
    seal(&mut client.sealer, network, &expected.target, &payload, script.is_set(), &mut honest);
    let mut wire = honest.clone();
    script.change(&mut wire);
    let cuts = script.cuts();

    let filter = RefCell::<ReplayFilter>::default();
    let (played, asked) = serve(&wire, cuts, &filter);
    let is_known = wire.get(..head_bytes) == honest.get(..head_bytes);
    if let Some(asked) = &asked {
        assert!(is_known, "a changed request was let in");
        // `zero` is `none` without chunks; which of both the server calls it does not matter.
        let found = (asked.user, asked.network, &asked.target);
        assert_eq!(found, (expected.user, expected.network, &expected.target));
    }
    if is_known {
        assert_eq!(asked.is_some(), is_in_time, "a client with an id was turned away, or let in too late");
    }
    let (again, asked_again) = serve(&wire, Cuts::NONE, &RefCell::default());
    assert_eq!(asked_again, asked, "cut otherwise");
    let (replayed, asked_again) = serve(&wire, cuts, &filter);
    assert!(asked.is_none() || asked_again.is_none(), "a request was let in twice");
    if asked.is_some() {
        let End::Failed { error: VmessServerError::Replayed { user: 1 }, .. } = replayed.end else {
            panic!("a request was sent again: {replayed:?}");
        };
    }
    let (End::Done { output, rest }, End::Done { output: again, rest: rest_again }) = (played.end, again.end)
    else {
        return;
    };
    assert_eq!(rest, rest_again, "cut otherwise");
    let received = body(output.opener, network, &rest, cuts);
    assert_eq!(received, body(again.opener, network, &rest, Cuts::NONE), "cut otherwise");
    if wire == honest {
        assert_eq!((&received.plain, received.error.as_deref()), (&payload, None));
    }

    let mut sealer = output.sealer;
    let mut wire = Vec::new();
    seal(&mut sealer, network, &expected.target, &payload, true, &mut wire);
    let honest = wire.clone();
    script.change(&mut wire);
    let received = body(client.opener, network, &wire, script.cuts());
    if wire == honest {
        assert_eq!((&received.plain, received.error.as_deref()), (&payload, None));
    }
}

fn seal(
    sealer: &mut waypost_wire::VmessSealer,
    network: Network,
    target: &Target,
    payload: &[u8],
    finishes: bool,
    wire: &mut Vec<u8>,
) {
    match network {
        Network::Tcp => sealer.seal(payload, wire),
        Network::Udp => {
            for datagram in payload.chunks(1000) {
                let sealed = sealer.seal_datagram(target, datagram, wire);
                assert!(sealed.is_ok(), "{sealed:?}");
            }
        }
    }
    if finishes {
        sealer.finish(wire);
    }
}

fn body(
    mut opener: waypost_wire::VmessOpener,
    network: Network,
    wire: &[u8],
    cuts: Cuts<'_>,
) -> Received<Vec<u8>, String> {
    match network {
        Network::Tcp => {
            let Received { plain, unread, has_ended, error } = open(&mut opener, wire, cuts);
            Received { plain, unread, has_ended, error: error.map(|error| error.to_string()) }
        }
        Network::Udp => {
            let Received { plain, unread, has_ended, error } = open_datagrams(&mut opener, wire, cuts);
            let plain = plain.into_iter().flat_map(|(_, payload)| payload).collect();
            Received { plain, unread, has_ended, error: error.map(|error| error.to_string()) }
        }
    }
}

/// A header that only somebody who knows an id can send, and that may say anything.
fn any_header(mut script: Script<'_>) {
    let is_checked = script.is_set();
    let said_length = if script.is_set() { Some(script.number()) } else { None };
    let plain = script.prefixed_and_drawn_out();
    let cuts = script.cuts();
    let Some(mut wire) = sealed_header(&ID, &plain, is_checked, said_length) else { return };
    wire.extend_from_slice(script.rest());
    let (played, asked) = serve(&wire, cuts, &RefCell::default());
    let (again, asked_again) = serve(&wire, Cuts::NONE, &RefCell::default());
    assert_eq!(asked_again, asked, "cut otherwise");
    if let (End::Done { output, rest }, End::Done { output: again, .. }) = (played.end, again.end) {
        let received = body(output.opener, output.network, &rest, cuts);
        assert_eq!(received, body(again.opener, output.network, &rest, Cuts::NONE), "cut otherwise");
    }
}

/// What somebody who is no server answers.
fn answer(mut script: Script<'_>) {
    let network = if script.is_set() { Network::Udp } else { Network::Tcp };
    let cuts = script.cuts();
    let mut clients = script;
    let Some((_, _, client)) = client(&mut script, network) else { return };
    let wire = script.rest();
    let received = body(client.opener, network, wire, cuts);
    assert!(received.plain.is_empty() && !received.has_ended, "a stranger was believed");
    let Some((_, _, client)) = self::client(&mut clients, network) else { return };
    assert_eq!(body(client.opener, network, wire, Cuts::NONE), received, "cut otherwise");
}
