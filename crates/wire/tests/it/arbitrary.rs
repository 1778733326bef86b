use proptest::{collection::vec, prelude::*};
use waypost_wire::{
    Accept, Accounts, Credentials, HttpConnectClient, MAX_HTTP_HEAD_BYTES, Machine, Server,
    Socks5AssociateClient, Socks5Client, Step, UdpDatagram,
};

use crate::drive::{one_account, run_all_ways};

/// Pieces of real handshakes between arbitrary bytes, so that the later stages are reached.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let fragments: [&[u8]; 18] = [
        b"\x05\x01\x00",
        b"\x05\x01\x02",
        b"\x05\x00",
        b"\x01\x04user\x04pass",
        b"\x05\x01\x00\x03",
        b"\x05\x00\x00\x01",
        b"\x04\x01\x00\x50\0\0\0\x01",
        b"CONNECT a:1 ",
        b"GET http://a/ ",
        b"GET http://[::1]:%/",
        b"HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 \r\n\r\n",
        b"Connection: a, b\r\n",
        b"Content-Length: 1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n",
    ];
    let piece = prop_oneof![
        prop::sample::select(fragments.to_vec()).prop_map(<[u8]>::to_vec),
        vec(any::<u8>(), 0..12),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn credentials() -> Credentials {
    Credentials::try_new("user".into(), waypost_net::Secret::new("pass")).unwrap()
}

proptest! {
    #[test]
    fn servers_treat_any_bytes_alike_however_they_are_cut(bytes in hostile_bytes()) {
        for accept in [Accept::Socks, Accept::Http, Accept::Mixed] {
            for accounts in [Accounts::default(), one_account()] {
                run_all_ways(|| Server::new(accept, accounts.clone()), &bytes);
            }
        }
    }

    #[test]
    fn clients_treat_any_bytes_alike_however_they_are_cut(bytes in hostile_bytes()) {
        let target = "example.com:443".parse().unwrap();
        run_all_ways(|| Socks5Client::new(&target, Some(credentials())), &bytes);
        run_all_ways(|| Socks5AssociateClient::new(&target, Some(credentials())), &bytes);
        run_all_ways(|| HttpConnectClient::new(&target, Some(&credentials())), &bytes);
    }

    #[test]
    fn datagrams_are_taken_apart_without_losing_a_byte(bytes in vec(any::<u8>(), 0..300), kind in 0_u8..6) {
        let mut bytes = bytes;
        for (place, octet) in bytes.iter_mut().zip([0, 0, 0, kind]) {
            *place = octet;
        }
        if let Ok(datagram) = UdpDatagram::parse(&bytes) {
            prop_assert_eq!(&[&bytes[..3], datagram.address, datagram.payload].concat(), &bytes);
            if let Ok(target) = datagram.target() {
                let again = UdpDatagram::header_to(&target);
                let again = UdpDatagram::parse(&again).map(|again| again.target());
                prop_assert_eq!(again, Ok(Ok(target)));
            }
        }
    }

    #[test]
    fn no_machine_asks_for_more_than_its_bound(byte: u8, first in hostile_bytes()) {
        let target = "example.com:443".parse().unwrap();
        let endless = std::iter::repeat_n([byte; 1024], MAX_HTTP_HEAD_BYTES / 1024);
        prop_assert!(ends(Server::new(Accept::Mixed, Accounts::default()), &first, endless.clone()));
        prop_assert!(ends(Server::new(Accept::Mixed, one_account()), &first, endless.clone()));
        prop_assert!(ends(Socks5Client::new(&target, None), &first, endless.clone()));
        prop_assert!(ends(HttpConnectClient::new(&target, None), &first, endless));
    }
}

/// Whether the machine comes to an end on `first` and what follows it.
fn ends<M: Machine>(mut machine: M, first: &[u8], pieces: impl Iterator<Item = [u8; 1024]>) -> bool {
    let pieces = [Vec::new(), first.to_vec()].into_iter().chain(pieces.map(|piece| piece.to_vec()));
    for piece in pieces {
        let mut input = piece.as_slice();
        loop {
            match machine.advance(input) {
                Step::NeedMore => break,
                Step::Send(_) => input = &[],
                Step::Done { .. } | Step::Fail { .. } => return true,
            }
        }
    }
    false
}
