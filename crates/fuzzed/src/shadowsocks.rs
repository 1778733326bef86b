//! Shadowsocks: the beginning of a connection, and its body.

mod parties;
mod sealed;

use waypost_net::Target;
use waypost_shadowsocks::{Accepted, HandshakeError, Method, Opener, Sealer, Server};
use waypost_wire::{Machine as _, Seal as _};

pub(crate) use self::{
    parties::Parties,
    sealed::{Datagram2022, datagram_2022, datagram_aead, stream},
};
use crate::{
    drive::{End, Played, Received, open, play_pieces},
    peer::{rng, target},
    script::{Cuts, Script},
};

/// The longest beginning: a salt, an identity, the fixed part and the longest first chunk with tags. What is
/// longer cannot ask for more.
const MAX_REQUEST_BYTES: usize = 32 + 16 + 27 + 65_535 + 16;
/// How long the beginning of SIP022 is that has to come at once.
const MAX_FIXED_BYTES: usize = 32 + 16 + 27;

/// A method and what a peer does: a connection of a client that is changed on the way, one of somebody
/// with a key that says anything, or any bytes.
pub fn shadowsocks(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let kind = script.byte();
    let Some(method) = script.one_of(&Method::ALL) else { return };
    let Some(parties) = Parties::try_new(method, kind & 0x80 != 0) else { return };
    let cuts = script.cuts();
    match kind % 4 {
        0 => whole_connection(script, &parties, cuts),
        1 => any_request(script, &parties, cuts),
        2 => any_answer(script, &parties, cuts),
        _ => {
            let asked = serve_alike(&parties, script.rest(), cuts);
            assert!(asked.is_none(), "somebody without a key was let in");
        }
    }
}

/// Lets a server read `wire`, and checks that it tells a peer nothing.
fn serve(server: &Server, wire: &[u8], method: Method, cuts: Cuts<'_>) -> Played<Accepted, HandshakeError> {
    // The beginning of SIP022 has to come in one piece.
    let (front, back) = wire.split_at(if method.is_2022() { MAX_FIXED_BYTES.min(wire.len()) } else { 0 });
    let mut machine = server.handshake(&mut rng(1));
    let played = play_pieces(&mut machine, std::iter::once(front).chain(cuts.pieces(back)));
    assert!(played.sent.is_empty(), "a server without an answer sent {:?}", played.sent);
    // SIP004 has chunks without content, of which there may be any number.
    if method.is_2022() && matches!(played.end, End::WantsMore) {
        assert!(wire.len() <= MAX_REQUEST_BYTES, "{} bytes are not enough", wire.len());
    }
    if let End::Failed { reply, error } = &played.end {
        assert!(reply.is_empty(), "{error} was answered");
        let spent = machine.advance(wire);
        assert!(matches!(spent, waypost_wire::Step::NeedMore), "a spent machine went on");
    }
    played
}

/// What a server was asked for, and what it read of the body.
type Asked = (Option<String>, Target, Received<Vec<u8>, String>);

fn asked(played: Played<Accepted, HandshakeError>, cuts: Cuts<'_>) -> Option<(Asked, Sealer)> {
    let End::Done { output, rest } = played.end else { return None };
    let Accepted { user, target, first, sealer, mut opener } = output;
    let mut received = body(&mut opener, &rest, cuts);
    received.plain.splice(..0, first);
    Some(((user.map(|user| user.to_string()), target, received), sealer))
}

fn body(opener: &mut Opener, wire: &[u8], cuts: Cuts<'_>) -> Received<Vec<u8>, String> {
    let Received { plain, unread, has_ended, error } = open(opener, wire, cuts);
    Received { plain, unread, has_ended, error: error.map(|error| error.to_string()) }
}

/// The same server for the same bytes, cut otherwise; the one that is asked first remembers the salt.
fn serve_alike(parties: &Parties, wire: &[u8], cuts: Cuts<'_>) -> Option<(Asked, Sealer)> {
    let method = parties.method();
    let played = serve(&parties.server, wire, method, cuts);
    let reason = match &played.end {
        End::WantsMore | End::Done { .. } => None,
        End::Failed { error, .. } => Some(error.clone()),
    };
    let found = asked(played, cuts);
    let fresh = Parties::try_new(method, parties.has_users())?;
    let played = serve(&fresh.server, wire, method, Cuts::NONE);
    if let End::Failed { error, .. } = &played.end {
        assert_eq!(Some(error), reason.as_ref(), "cut otherwise");
    }
    let whole = asked(played, Cuts::NONE);
    assert_eq!(
        whole.map(|(asked, _)| asked).as_ref(),
        found.as_ref().map(|(asked, _)| asked),
        "cut otherwise"
    );
    if found.is_some() {
        let played = serve(&parties.server, wire, method, cuts);
        let End::Failed { error: HandshakeError::Replayed, .. } = played.end else {
            panic!("a request was sent again: {:?}", played.end);
        };
    }
    found
}

fn whole_connection(mut script: Script<'_>, parties: &Parties, cuts: Cuts<'_>) {
    let Some(target) = target(&mut script) else { return };
    let payload = script.prefixed_and_drawn_out();
    let (mut sealer, mut opener) = parties.client.codec(&target, &mut rng(2));
    let mut honest = Vec::new();
    sealer.seal(&[], &mut honest);
    // Without payload the head of SIP022 is sealed on its own.
    let head_bytes =
        if parties.method().is_2022() { honest.len() } else { parties.method().key_bytes() + 18 };
    sealer.seal(&payload, &mut honest);
    let mut wire = honest.clone();
    script.change(&mut wire);

    let found = serve_alike(parties, &wire, cuts);
    if found.is_some() {
        assert_eq!(wire.get(..head_bytes), honest.get(..head_bytes), "a changed request was let in");
    }
    let Some(((user, asked, received), mut sealer)) = found else {
        assert!(wire != honest, "a client with a key was turned away");
        return;
    };
    assert_eq!((user.as_deref(), &asked), (parties.user(), &target));
    if wire == honest {
        assert_eq!((&received.plain, received.error), (&payload, None));
    }

    let mut wire = Vec::new();
    sealer.seal(&payload, &mut wire);
    let honest = wire.clone();
    script.change(&mut wire);
    let received = body(&mut opener, &wire, cuts);
    if wire == honest && !payload.is_empty() {
        assert_eq!((&received.plain, received.error), (&payload, None));
    }
}

/// A connection of somebody who has the key, and says anything.
fn any_request(mut script: Script<'_>, parties: &Parties, cuts: Cuts<'_>) {
    let fixed = script.take(11);
    let mut chunks = Vec::new();
    for _ in 0..script.byte() & 0x07 {
        chunks.push(script.prefixed_and_drawn_out());
    }
    let Some(wire) = stream(parties, fixed, &chunks) else { return };
    let _checked = serve_alike(parties, &[&wire[..], script.rest()].concat(), cuts);
}

/// What somebody who is no server answers, or one that says anything.
fn any_answer(mut script: Script<'_>, parties: &Parties, cuts: Cuts<'_>) {
    let Some(target) = target(&mut script) else { return };
    let has_key = script.is_set();
    let mut wire = Vec::new();
    if has_key {
        let (fixed, chunk) = (script.prefixed(), script.prefixed_and_drawn_out());
        wire = stream(parties, fixed, &[chunk]).unwrap_or_default();
    }
    wire.extend_from_slice(script.rest());
    let read = |cuts| body(&mut parties.client.codec(&target, &mut rng(2)).1, &wire, cuts);
    let received = read(cuts);
    assert!(has_key || received.plain.is_empty(), "a stranger was believed");
    assert_eq!(read(Cuts::NONE), received, "cut otherwise");
}
