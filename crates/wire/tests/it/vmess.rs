use std::{cell::RefCell, sync::Arc};

use proptest::prelude::*;
use rand::{Rng, SeedableRng as _, rngs::StdRng};
use waypost_net::{Network, Target};
use waypost_wire::{
    MAX_VMESS_DATAGRAM_BYTES, Machine, Open as _, OpenDatagrams as _, Opened, ReplayFilter, Seal as _,
    SealDatagrams as _, Step, VmessAccepted, VmessClient, VmessOpenError, VmessRequest, VmessSecurity,
    VmessServer, VmessServerError, VmessUser,
};

use crate::tunnel::{Outcome, accept, receive, receive_datagrams};

const NOW: u64 = 1_700_000_000;
const ALL: [VmessSecurity; 4] =
    [VmessSecurity::Aes128Gcm, VmessSecurity::ChaCha20Poly1305, VmessSecurity::None, VmessSecurity::Zero];

fn users() -> Arc<[VmessUser]> {
    let ids = ["b831381d-6324-4d53-ad4f-8cda48b30811", "a name", "2418d087-648d-4990-86e8-19dca1d006d3"];
    ids.iter().map(|id| VmessUser::new(&id.parse().unwrap())).collect()
}

fn target() -> Target {
    "example.com:443".parse().unwrap()
}

/// What differs between connections.
#[derive(Debug, Clone, Copy)]
struct Form {
    security: VmessSecurity,
    network: Network,
    is_padded: bool,
    is_length_sealed: bool,
}

impl Form {
    fn plain(security: VmessSecurity, network: Network) -> Self {
        Self { security, network, is_padded: false, is_length_sealed: false }
    }

    fn connect(self, user: usize, now: u64, rng: &mut impl Rng) -> VmessClient {
        let Self { security, network, is_padded, is_length_sealed } = self;
        let request = VmessRequest { security, network, target: &target(), is_padded, is_length_sealed };
        VmessClient::new(&users()[user], &request, now, rng)
    }
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn serve(wire: &[u8], cuts: &[usize]) -> Outcome<VmessAccepted, VmessServerError> {
    accept(&mut VmessServer::new(users(), NOW, &mut rng(), |_| true), wire, cuts)
}

#[track_caller]
fn refused(wire: &[u8]) -> VmessServerError {
    serve(wire, &[]).expect("a whole request").expect_err("a bad request")
}

/// The request alone.
fn request_of(client: &mut VmessClient) -> Vec<u8> {
    let mut wire = Vec::new();
    client.sealer.seal(&[], &mut wire);
    wire
}

fn forms() -> impl Strategy<Value = Form> {
    let network = any::<bool>().prop_map(|is_tcp| if is_tcp { Network::Tcp } else { Network::Udp });
    let form = (prop::sample::select(&ALL[..]), network, any::<bool>(), any::<bool>());
    form.prop_map(|(security, network, is_padded, is_length_sealed)| Form {
        security,
        network,
        is_padded,
        is_length_sealed,
    })
}

fn messages(longest: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let length = prop_oneof![0..100usize, 0..longest];
    prop::collection::vec((length, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]), 0..5)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..40usize, 1..9000usize], 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_arrives_as_it_was_sent(
        form in forms(), user in 0..3usize, up in messages(40_000), down in messages(40_000),
        cuts in cuts(), seed in any::<u64>(),
    ) {
        let form = Form { network: Network::Tcp, ..form };
        let rng = &mut StdRng::seed_from_u64(seed);
        let mut client = form.connect(user, NOW, rng);
        let mut wire = Vec::new();
        up.iter().for_each(|message| client.sealer.seal(message, &mut wire));
        client.sealer.finish(&mut wire);
        let (mut accepted, rest) = serve(&wire, &cuts).unwrap().unwrap();
        prop_assert_eq!(accepted.user, user);
        prop_assert_eq!(&accepted.target, &target());
        prop_assert_eq!(accepted.network, Network::Tcp);
        prop_assert_eq!(accepted.security, form.security);
        let received = receive(&mut accepted.opener, &rest, &cuts).unwrap();
        prop_assert_eq!(received.plain, up.concat());
        prop_assert_eq!(received.is_over, form.security != VmessSecurity::Zero);
        prop_assert_eq!(received.unread, 0);

        let mut wire = Vec::new();
        down.iter().for_each(|message| accepted.sealer.seal(message, &mut wire));
        accepted.sealer.finish(&mut wire);
        let received = receive(&mut client.opener, &wire, &cuts).unwrap();
        prop_assert_eq!(received.plain, down.concat());
        prop_assert_eq!(received.is_over, form.security != VmessSecurity::Zero);
    }

    #[test]
    fn datagrams_keep_their_bounds(
        form in forms(), up in messages(MAX_VMESS_DATAGRAM_BYTES), down in messages(3000), cuts in cuts(),
    ) {
        let form = Form { network: Network::Udp, ..form };
        let mut client = form.connect(1, NOW, &mut rng());
        let expected = |sent: &[Vec<u8>]| -> Vec<_> {
            let sent = sent.iter().filter(|payload| !payload.is_empty());
            sent.map(|payload| (None, payload.clone())).collect()
        };
        let mut wire = Vec::new();
        client.sealer.seal_head(&mut wire);
        for payload in &up {
            client.sealer.seal_datagram(&target(), payload, &mut wire).unwrap();
        }
        let (mut accepted, rest) = serve(&wire, &cuts).unwrap().unwrap();
        prop_assert_eq!(accepted.network, Network::Udp);
        prop_assert_eq!(receive_datagrams(&mut accepted.opener, &rest, &cuts).unwrap(), expected(&up));

        let mut wire = Vec::new();
        for payload in &down {
            accepted.sealer.seal_datagram(&target(), payload, &mut wire).unwrap();
        }
        prop_assert_eq!(receive_datagrams(&mut client.opener, &wire, &cuts).unwrap(), expected(&down));
    }

    #[test]
    fn garbage_is_an_unknown_user(bytes in prop::collection::vec(any::<u8>(), 16..400)) {
        prop_assert_eq!(refused(&bytes), VmessServerError::UnknownUser);
    }

    #[test]
    fn a_server_that_speaks_something_else_is_found_out(
        bytes in prop::collection::vec(any::<u8>(), 18..400), form in forms(),
    ) {
        let mut client = form.connect(0, NOW, &mut rng());
        prop_assert_eq!(receive(&mut client.opener, &bytes, &[]), Err(VmessOpenError::Answer));
    }
}

#[test]
fn a_request_cut_anywhere_waits_for_more() {
    for security in ALL {
        let mut client = Form::plain(security, Network::Tcp).connect(0, NOW, &mut rng());
        let wire = request_of(&mut client);
        for length in 0..wire.len() {
            assert!(serve(&wire[..length], &[1]).is_none(), "{length}");
        }
        assert!(serve(&wire, &[1]).unwrap().is_ok());
    }
}

#[test]
fn a_stream_cut_anywhere_waits_for_more() {
    for is_length_sealed in [false, true] {
        let form = Form { is_length_sealed, ..Form::plain(VmessSecurity::Aes128Gcm, Network::Tcp) };
        let mut client = form.connect(0, NOW, &mut rng());
        let (mut accepted, _) = serve(&request_of(&mut client), &[]).unwrap().unwrap();
        let mut wire = Vec::new();
        accepted.sealer.seal(b"hello", &mut wire);
        let head = 18 + 4 + 16;
        for length in 0..wire.len() {
            let mut client = form.connect(0, NOW, &mut rng());
            let received = receive(&mut client.opener, &wire[..length], &[1]).unwrap();
            assert_eq!((received.plain.len(), received.is_over), (0, false));
            let closed = client.opener.close(received.unread);
            match length {
                _ if length < head => assert_eq!(closed, Err(VmessOpenError::NoAnswer)),
                _ if length == head => assert_eq!(closed, Ok(())),
                _ => assert_eq!(closed, Err(VmessOpenError::Cut)),
            }
        }
        let received = receive(&mut client.opener, &wire, &[1]).unwrap();
        assert_eq!(received.plain, b"hello");
        assert_eq!(client.opener.close(received.unread), Ok(()));
    }
}

#[test]
fn a_request_with_a_changed_bit_is_refused() {
    let mut client = Form::plain(VmessSecurity::Aes128Gcm, Network::Tcp).connect(2, NOW, &mut rng());
    let wire = request_of(&mut client);
    for bit in 0..wire.len() * 8 {
        let mut changed = wire.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = refused(&changed);
        if bit / 8 < 16 {
            assert_eq!(error, VmessServerError::UnknownUser, "{bit}");
        } else {
            assert!(matches!(error, VmessServerError::Header { user: 2, .. }), "{bit}: {error}");
        }
    }
}

#[test]
fn a_changed_bit_of_an_encrypted_body_never_comes_out() {
    for security in [VmessSecurity::Aes128Gcm, VmessSecurity::ChaCha20Poly1305] {
        for is_length_sealed in [false, true] {
            let form = Form { is_length_sealed, ..Form::plain(security, Network::Tcp) };
            let mut client = form.connect(0, NOW, &mut rng());
            let (mut accepted, _) = serve(&request_of(&mut client), &[]).unwrap().unwrap();
            let mut wire = Vec::new();
            accepted.sealer.seal(b"hello", &mut wire);
            accepted.sealer.finish(&mut wire);
            for bit in 0..wire.len() * 8 {
                let mut changed = wire.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let mut client = form.connect(0, NOW, &mut rng());
                let Ok(received) = receive(&mut client.opener, &changed, &[]) else { continue };
                assert!(b"hello".starts_with(&received.plain), "{bit}: {:?}", received.plain);
                assert!(!received.is_over, "{bit}");
            }
        }
    }
}

#[test]
fn clocks_may_differ_by_two_minutes() {
    let serve_at = |time: u64| {
        let mut client = Form::plain(VmessSecurity::Zero, Network::Tcp).connect(1, time, &mut rng());
        serve(&request_of(&mut client), &[]).unwrap().map(|(accepted, _)| accepted.user)
    };
    assert_eq!(serve_at(NOW - 120), Ok(1));
    assert_eq!(serve_at(NOW + 120), Ok(1));
    assert_eq!(serve_at(NOW - 121), Err(VmessServerError::Clock { user: 1, seconds: -121 }));
    assert_eq!(serve_at(NOW + 121), Err(VmessServerError::Clock { user: 1, seconds: 121 }));
    assert!(matches!(serve_at(u64::MAX), Err(VmessServerError::Clock { user: 1, .. })));
    assert!(matches!(serve_at(1 << 63), Err(VmessServerError::Clock { user: 1, .. })));
}

#[test]
fn a_request_is_served_once() {
    let filter = RefCell::new(ReplayFilter::default());
    let serve = |wire: &[u8]| {
        let is_first = |auth_id| filter.borrow_mut().insert(auth_id, NOW);
        let mut server = VmessServer::new(users(), NOW, &mut rng(), is_first);
        accept(&mut server, wire, &[]).unwrap().map(|(accepted, _)| accepted.user)
    };
    let rng = &mut rng();
    let form = Form::plain(VmessSecurity::Aes128Gcm, Network::Tcp);
    let (first, second) =
        (request_of(&mut form.connect(0, NOW, rng)), request_of(&mut form.connect(0, NOW, rng)));
    assert_eq!(serve(&first), Ok(0));
    assert_eq!(serve(&first), Err(VmessServerError::Replayed { user: 0 }));
    assert_eq!(serve(&second), Ok(0));
}

#[test]
fn a_broken_request_does_not_use_up_the_right_one() {
    let mut asked = 0;
    let mut wire =
        request_of(&mut Form::plain(VmessSecurity::Zero, Network::Tcp).connect(0, NOW, &mut rng()));
    *wire.last_mut().unwrap() ^= 1;
    let mut server = VmessServer::new(users(), NOW, &mut rng(), |_| {
        asked += 1;
        true
    });
    assert!(matches!(accept(&mut server, &wire, &[]), Some(Err(VmessServerError::Header { user: 0, .. }))));
    drop(server);
    assert_eq!(asked, 0);
}

#[test]
fn a_spent_server_is_silent() {
    let mut server = VmessServer::new(users(), NOW, &mut rng(), |_| true);
    assert!(matches!(server.advance(&[0; 16]), Step::Fail { .. }));
    assert!(matches!(server.advance(&[0; 16]), Step::NeedMore));
}

#[test]
fn the_answer_to_another_request_is_refused() {
    let rng = &mut rng();
    let form = Form::plain(VmessSecurity::Aes128Gcm, Network::Tcp);
    let (mut first, mut second) = (form.connect(0, NOW, rng), form.connect(0, NOW, rng));
    let (mut accepted, _) = serve(&request_of(&mut first), &[]).unwrap().unwrap();
    let mut wire = Vec::new();
    accepted.sealer.seal(b"hello", &mut wire);
    assert_eq!(receive(&mut second.opener, &wire, &[]), Err(VmessOpenError::Answer));
}

#[test]
fn chunks_are_as_long_as_sing_box_reads_them() {
    for (security, longest) in [
        (VmessSecurity::Aes128Gcm, 16_384 - 16),
        (VmessSecurity::ChaCha20Poly1305, 16_384 - 16),
        (VmessSecurity::None, 16_384),
    ] {
        let mut client = Form::plain(security, Network::Tcp).connect(0, NOW, &mut rng());
        request_of(&mut client);
        assert_eq!(client.sealer.piece_bytes(), longest);
        let mut wire = Vec::new();
        client.sealer.seal(&vec![0; longest], &mut wire);
        assert_eq!(wire.len(), 2 + 16_384);
        client.sealer.seal(&vec![0; longest + 1], &mut wire);
        assert_eq!(wire.len(), 2 * (2 + 16_384) + 2 + 1 + (16_384 - longest));
    }
}

#[test]
fn padding_hides_the_length() {
    let form = Form { is_padded: true, ..Form::plain(VmessSecurity::Aes128Gcm, Network::Tcp) };
    let mut client = form.connect(0, NOW, &mut rng());
    request_of(&mut client);
    let lengths = (0..100).map(|_| {
        let mut wire = Vec::new();
        client.sealer.seal(b"x", &mut wire);
        wire.len()
    });
    let (shortest, longest) =
        lengths.fold((usize::MAX, 0), |(low, high), length| (low.min(length), high.max(length)));
    assert!(shortest >= 2 + 1 + 16 && longest <= 2 + 1 + 16 + 63 && longest - shortest > 40);
}

#[test]
fn a_datagram_that_no_chunk_holds_is_refused() {
    let mut client = Form::plain(VmessSecurity::Aes128Gcm, Network::Udp).connect(0, NOW, &mut rng());
    let mut wire = Vec::new();
    let too_long = vec![0; MAX_VMESS_DATAGRAM_BYTES + 1];
    assert!(client.sealer.seal_datagram(&target(), &too_long, &mut wire).is_err());
    assert!(wire.is_empty());
    assert!(client.sealer.seal_datagram(&target(), &too_long[1..], &mut wire).is_ok());
}

#[test]
fn a_datagram_opener_says_when_it_was_cut() {
    let client = Form::plain(VmessSecurity::Aes128Gcm, Network::Udp).connect(0, NOW, &mut rng());
    assert_eq!(client.opener.close_datagrams(0), Err(VmessOpenError::NoAnswer));
}

#[test]
fn more_chunks_than_nonces_go_through() {
    let mut client = Form::plain(VmessSecurity::Aes128Gcm, Network::Tcp).connect(0, NOW, &mut rng());
    let (mut accepted, _) = serve(&request_of(&mut client), &[]).unwrap().unwrap();
    let n_chunks = usize::from(u16::MAX) + 3;
    let mut wire = Vec::new();
    for _ in 0..n_chunks {
        wire.clear();
        client.sealer.seal(b"x", &mut wire);
        let opened = accepted.opener.open(&mut wire);
        assert_eq!(opened, Ok(Opened::Piece { plain: 2..3, consumed: wire.len() }));
    }
}

#[test]
fn what_is_over_stays_over() {
    let mut client = Form::plain(VmessSecurity::Aes128Gcm, Network::Tcp).connect(0, NOW, &mut rng());
    let (mut accepted, _) = serve(&request_of(&mut client), &[]).unwrap().unwrap();
    let mut wire = Vec::new();
    client.sealer.finish(&mut wire);
    assert_eq!(accepted.opener.open(&mut wire), Ok(Opened::Ended { consumed: 2 + 16 }));
    assert_eq!(accepted.opener.open(&mut wire), Ok(Opened::Ended { consumed: 0 }));
}

#[test]
fn only_a_stream_without_chunks_is_plain() {
    for security in ALL {
        let mut client = Form::plain(security, Network::Tcp).connect(0, NOW, &mut rng());
        assert!(!client.sealer.is_plain() && !client.opener.is_plain());
        let (mut accepted, _) = serve(&request_of(&mut client), &[]).unwrap().unwrap();
        accepted.sealer.seal(&[], &mut Vec::new());
        let is_plain = [client.sealer.is_plain(), accepted.sealer.is_plain(), accepted.opener.is_plain()];
        assert_eq!(is_plain, [security == VmessSecurity::Zero; 3]);
    }
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let mut server = VmessServer::new(users(), NOW, &mut rng(), |_| true);
    let mut client = Form::plain(VmessSecurity::Aes128Gcm, Network::Tcp).connect(0, NOW, &mut rng());
    let before = format!("{:?} {client:?}", users());
    let wire = request_of(&mut client);
    server.advance(&wire[..50]);
    let (accepted, _) = serve(&wire, &[]).unwrap().unwrap();
    let shown = format!("{before} {server:?} {accepted:?}");
    assert!(shown.contains("[vmess user]") && shown.contains("[stream]"), "{shown}");
    let lists = shown.split('[').filter(|after| after.starts_with(|first: char| first.is_ascii_digit()));
    assert_eq!(lists.count(), 0, "{shown}");
}
