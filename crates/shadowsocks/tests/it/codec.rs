use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use waypost_shadowsocks::{
    Accepted, Client, HandshakeError, KeyError, Method, OpenError, Opener, Salts, Sealer, Server,
};
use waypost_wire::{Machine as _, Open as _, Opened, Seal as _, Step};

use crate::parties::{Hand, NAMES, NOW, all, client, password, rng, server, target};

/// Longer than what a server of SIP022 has to get at once.
const FIRST_CUT: usize = 100;

fn clock() -> waypost_shadowsocks::Clock {
    Hand::at(NOW).clock()
}

/// The first piece is `FIRST_CUT` long, the others as `cuts` says.
fn pieces<'a>(wire: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = std::iter::once(FIRST_CUT).chain(cuts.iter().copied().cycle());
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(lengths.next().unwrap_or(rest.len()).min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

type Outcome = Option<Result<(Accepted, Vec<u8>), HandshakeError>>;

/// Feeds `wire` to a server; what it has not read comes after the rest.
fn accept(server: &Server, wire: &[u8], cuts: &[usize]) -> Outcome {
    let mut handshake = server.handshake(&mut rng());
    let mut read = 0;
    for piece in pieces(wire, cuts) {
        read += piece.len();
        match handshake.advance(piece) {
            Step::NeedMore => {}
            Step::Done { output, rest } => return Some(Ok((output, [&rest, &wire[read..]].concat()))),
            Step::Fail { reply, error } => {
                assert!(reply.is_empty());
                assert!(matches!(handshake.advance(&[0; 100]), Step::NeedMore));
                return Some(Err(error));
            }
            Step::Send(_) => panic!("a server that answers during the handshake"),
        }
    }
    None
}

/// What comes out of `wire`, and how much of it needs more behind it.
fn receive(opener: &mut Opener, wire: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, usize), OpenError> {
    let (mut plain_bytes, mut unread) = (Vec::new(), Vec::new());
    for piece in pieces(wire, cuts) {
        unread.extend_from_slice(piece);
        loop {
            let consumed = match opener.open(&mut unread)? {
                Opened::NeedMore { at_least } => {
                    assert!(at_least > unread.len());
                    break;
                }
                Opened::Skip { consumed } => consumed,
                Opened::Piece { plain, consumed } => {
                    assert!(!plain.is_empty());
                    plain_bytes.extend_from_slice(&unread[plain]);
                    consumed
                }
                Opened::Ended { .. } => panic!("shadowsocks has no end"),
            };
            unread.drain(..consumed);
        }
    }
    Ok((plain_bytes, unread.len()))
}

fn connect(client: &Client) -> (Sealer, Opener) {
    client.codec(&target(), &mut rng())
}

fn sealed(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    sealer.seal(plain, &mut wire);
    wire
}

/// A request with `hello`.
fn hello(method: Method, user: Option<u8>) -> Vec<u8> {
    sealed(&mut connect(&client(method, user, clock())).0, b"hello")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_stream_arrives_as_it_was_sent(
        (method, user) in prop::sample::select(all()), seed in any::<u64>(),
        up in prop::collection::vec((0..70_000usize, any::<u8>()), 0..4),
        down in prop::collection::vec((0..70_000usize, any::<u8>()), 1..4),
        cuts in prop::collection::vec(prop_oneof![1..40usize, 1..20_000usize], 1..6),
    ) {
        let messages = |sizes: Vec<(usize, u8)>| -> Vec<Vec<u8>> {
            sizes.into_iter().map(|(length, byte)| vec![byte; length]).collect()
        };
        let (up, down) = (messages(up), messages(down));
        let (mut sealer, mut opener) =
            client(method, user, clock()).codec(&target(), &mut StdRng::seed_from_u64(seed));
        let mut wire = Vec::new();
        up.iter().for_each(|message| sealer.seal(message, &mut wire));
        sealer.finish(&mut wire);
        let server = server(method, user.is_some(), clock());
        let (mut accepted, rest) = accept(&server, &wire, &cuts).unwrap().unwrap();
        prop_assert_eq!(accepted.target, target());
        prop_assert_eq!(accepted.user.as_deref(), user.map(|number| NAMES[usize::from(number) - 1]));
        let (plain, unread) = receive(&mut accepted.opener, &rest, &cuts).unwrap();
        prop_assert_eq!(([accepted.first, plain].concat(), unread), (up.concat(), 0));

        let mut wire = Vec::new();
        down.iter().for_each(|message| accepted.sealer.seal(message, &mut wire));
        let (plain, unread) = receive(&mut opener, &wire, &cuts).unwrap();
        prop_assert_eq!((plain, unread), (down.concat(), 0));
    }

    #[test]
    fn garbage_is_refused(
        (method, user) in prop::sample::select(all()), bytes in prop::collection::vec(any::<u8>(), 100..300),
    ) {
        let refused = accept(&server(method, user.is_some(), clock()), &bytes, &[]).unwrap().unwrap_err();
        prop_assert_eq!(refused, HandshakeError::UnknownUser);
        let (_, mut opener) = connect(&client(method, user, clock()));
        prop_assert_eq!(receive(&mut opener, &bytes, &[1]), Err(OpenError::Answer));
    }
}

#[test]
fn a_request_goes_alone_when_there_is_nothing_to_send() {
    for (method, user) in all() {
        let (mut sealer, mut opener) = connect(&client(method, user, clock()));
        let wire = sealed(&mut sealer, &[]);
        assert!(!wire.is_empty() && sealed(&mut sealer, &[]).is_empty());
        let (mut accepted, rest) =
            accept(&server(method, user.is_some(), clock()), &wire, &[1]).unwrap().unwrap();
        assert_eq!((accepted.first.len(), rest.len(), &accepted.target), (0, 0, &target()));
        assert!(sealed(&mut accepted.sealer, &[]).is_empty());
        let answer = sealed(&mut accepted.sealer, b"220 ready");
        assert_eq!(receive(&mut opener, &answer, &[1]).unwrap().0, b"220 ready");
    }
}

#[test]
fn a_request_cut_anywhere_waits_for_more_or_is_refused_for_it() {
    for (method, user) in all() {
        let wire = hello(method, user);
        for length in 1..wire.len() - 5 {
            match accept(&server(method, user.is_some(), clock()), &wire[..length], &[1]) {
                None => {}
                Some(outcome) => {
                    assert!(method.is_2022() && length < FIRST_CUT, "{method} {length}");
                    assert!(matches!(outcome, Err(HandshakeError::Split { found, .. }) if found == length));
                }
            }
        }
    }
}

#[test]
fn an_answer_cut_anywhere_waits_for_more() {
    for (method, user) in all() {
        let client = client(method, user, clock());
        let (mut sealer, _) = connect(&client);
        let wire = sealed(&mut sealer, b"hello");
        let (mut accepted, _) =
            accept(&server(method, user.is_some(), clock()), &wire, &[]).unwrap().unwrap();
        let mut answer = sealed(&mut accepted.sealer, b"welcome");
        let whole = answer.len();
        accepted.sealer.seal(b"!", &mut answer);
        for length in 0..=whole {
            let (_, mut opener) = connect(&client);
            let (plain, unread) = receive(&mut opener, &answer[..length], &[1]).unwrap();
            assert_eq!(plain.len(), if length == whole { 7 } else { 0 });
            let closed = opener.close(unread);
            assert_eq!(closed.is_ok(), length == whole, "{method} {length} {closed:?}");
        }
        let (_, mut opener) = connect(&client);
        let (plain, unread) = receive(&mut opener, &answer[..whole + 1], &[]).unwrap();
        assert_eq!((plain.len(), opener.close(unread)), (7, Err(OpenError::Cut)));
        assert_eq!(connect(&client).1.close(0), Err(OpenError::NoAnswer));
    }
}

#[test]
fn a_changed_bit_is_found() {
    for (method, user) in all() {
        let wire = hello(method, user);
        for bit in 0..wire.len() * 8 {
            let mut changed = wire.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Some(Ok((accepted, _))) = accept(&server(method, user.is_some(), clock()), &changed, &[]) {
                panic!("{method} {bit}: {accepted:?}");
            }
        }
    }
}

#[test]
fn a_wrong_password_is_found_on_both_sides() {
    for method in Method::ALL {
        let other = Client::try_new(method, &password(method, 9), clock()).unwrap();
        let wire = sealed(&mut connect(&other).0, b"hello");
        for has_users in [false, method.has_users()] {
            let refused = accept(&server(method, has_users, clock()), &wire, &[]).unwrap().unwrap_err();
            assert_eq!(refused, HandshakeError::UnknownUser);
        }
        let wire = hello(method, None);
        let (mut accepted, _) = accept(&server(method, false, clock()), &wire, &[]).unwrap().unwrap();
        let answer = sealed(&mut accepted.sealer, b"welcome");
        assert_eq!(receive(&mut connect(&other).1, &answer, &[]), Err(OpenError::Answer));
    }
}

#[test]
fn a_request_is_served_once() {
    for (method, user) in all() {
        let server = server(method, user.is_some(), clock());
        let wire = hello(method, user);
        assert!(accept(&server, &wire, &[]).unwrap().is_ok());
        assert_eq!(accept(&server, &wire, &[]).unwrap().unwrap_err(), HandshakeError::Replayed);
        let mut broken = wire.clone();
        *broken.last_mut().unwrap() ^= 1;
        assert!(accept(&server, &broken, &[]).unwrap().is_err());
    }
}

#[test]
fn nobody_takes_back_what_it_sent() {
    for (method, user) in all() {
        let (client, server) = (client(method, user, clock()), server(method, user.is_some(), clock()));
        let (mut sealer, mut opener) = connect(&client);
        let request = sealed(&mut sealer, b"hello");
        let (mut accepted, _) = accept(&server, &request, &[]).unwrap().unwrap();
        // It would be a request to 10.0.0.1.
        let answer = sealed(&mut accepted.sealer, b"\x01\x0a\0\0\x01\0\x50 from a target that means harm");
        let refused = accept(&server, &answer, &[]).unwrap().unwrap_err();
        let expected = if method.is_2022() { HandshakeError::UnknownUser } else { HandshakeError::Replayed };
        assert_eq!(refused, expected, "{method}");
        let expected = if method.is_2022() { OpenError::Answer } else { OpenError::OtherRequest };
        assert_eq!(receive(&mut opener, &request, &[]), Err(expected), "{method}");
    }
}

#[test]
fn clocks_of_2022_may_differ_by_half_a_minute() {
    for (method, user) in all().into_iter().filter(|(method, _)| method.is_2022()) {
        let request_at = |time: u64| {
            let wire = sealed(&mut connect(&client(method, user, Hand::at(time).clock())).0, b"hello");
            accept(&server(method, user.is_some(), clock()), &wire, &[]).unwrap().map(|_| ())
        };
        assert_eq!(request_at(NOW - 30), Ok(()));
        assert_eq!(request_at(NOW + 30), Ok(()));
        assert_eq!(request_at(NOW - 31), Err(HandshakeError::Clock { seconds: -31 }));
        assert_eq!(request_at(NOW + 31), Err(HandshakeError::Clock { seconds: 31 }));
        assert!(request_at(u64::MAX).is_err());

        let hand = Hand::at(NOW);
        let (mut sealer, mut opener) = connect(&client(method, user, hand.clock()));
        let wire = sealed(&mut sealer, b"hello");
        let (mut accepted, _) =
            accept(&server(method, user.is_some(), clock()), &wire, &[]).unwrap().unwrap();
        hand.set(NOW + 31);
        let answer = sealed(&mut accepted.sealer, b"welcome");
        assert_eq!(receive(&mut opener, &answer, &[]), Err(OpenError::Clock { seconds: -31 }));
    }
}

#[test]
fn an_answer_of_2022_belongs_to_one_request() {
    let method = Method::Blake3Aes128Gcm;
    let client = client(method, None, clock());
    let wire = hello(method, None);
    let (mut accepted, _) = accept(&server(method, false, clock()), &wire, &[]).unwrap().unwrap();
    let answer = sealed(&mut accepted.sealer, b"welcome");
    let (_, mut other) = client.codec(&target(), &mut StdRng::seed_from_u64(99));
    assert_eq!(receive(&mut other, &answer, &[]), Err(OpenError::OtherRequest));
    let (_, mut opener) = connect(&client);
    assert_eq!(receive(&mut opener, &wire, &[]), Err(OpenError::Answer));
}

#[test]
fn users_need_a_method_that_tells_them_apart() {
    let method = Method::Blake3ChaCha20Poly1305;
    let own = password(method, 0);
    let tried = Server::try_new(method, &own, [("anna".into(), own.as_str())], Salts::new(), clock());
    assert_eq!(tried.unwrap_err(), KeyError::Users { method });
    assert!(Server::try_new(Method::Aes128Gcm, "", [("anna".into(), "x")], Salts::new(), clock()).is_ok());
    assert_eq!(
        Server::try_new(Method::Aes128Gcm, "", [], Salts::new(), clock()).unwrap_err(),
        KeyError::Empty
    );
}

#[test]
fn keys_do_not_show_in_debug_output() {
    let method = Method::Aes128Gcm;
    let server = server(method, true, clock());
    let mut handshake = server.handshake(&mut rng());
    handshake.advance(&hello(method, Some(1))[..60]);
    let client = client(method, Some(1), clock());
    let shown = format!("{server:?} {handshake:?} {client:?} {:?}", connect(&client));
    assert!(shown.contains("anna") && shown.contains("[key]"), "{shown}");
    let lists = shown.split('[').filter(|after| after.starts_with(|first: char| first.is_ascii_digit()));
    assert_eq!(lists.count(), 0, "{shown}");
}
