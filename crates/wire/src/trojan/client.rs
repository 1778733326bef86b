use waypost_net::{Network, Target};

use super::{
    CONNECT, CRLF, TrojanDatagramOpener, TrojanDatagramSealer, TrojanOpener, TrojanSealer, TrojanUser,
    UDP_ASSOCIATE, answer,
};
use crate::{PlainSealer, address::put_target};

/// The client's side of a byte stream to `target`. The server answers with the bytes of the target alone.
#[must_use]
pub fn trojan_client(user: &TrojanUser, target: &Target) -> (TrojanSealer, TrojanOpener) {
    answer::both(PlainSealer::new(header(user, Network::Tcp, target)))
}

/// The client's side of a stream of datagrams, to `target` and to others.
#[must_use]
pub fn trojan_datagram_client(
    user: &TrojanUser,
    target: &Target,
) -> (TrojanDatagramSealer, TrojanDatagramOpener) {
    (TrojanDatagramSealer::new(header(user, Network::Udp, target)), TrojanDatagramOpener::default())
}

fn header(user: &TrojanUser, network: Network, target: &Target) -> Vec<u8> {
    let mut header = user.0.to_vec();
    header.extend_from_slice(&CRLF);
    header.push(match network {
        Network::Tcp => CONNECT,
        Network::Udp => UDP_ASSOCIATE,
    });
    put_target(&mut header, target);
    header.extend_from_slice(&CRLF);
    header
}
