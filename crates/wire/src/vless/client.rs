use waypost_net::{Network, Target};

use super::{TCP, UDP, VERSION, VlessDatagramOpener, VlessDatagramSealer, VlessOpener};
use crate::{PlainSealer, Uuid, target_field::put_port_first};

/// The client's side of a byte stream to `target`.
#[must_use]
pub fn vless_client(id: &Uuid, target: &Target) -> (PlainSealer, VlessOpener) {
    (PlainSealer::new(header(id, Network::Tcp, target)), VlessOpener::of_answer())
}

/// The client's side of a stream of datagrams to `target`.
#[must_use]
pub fn vless_datagram_client(id: &Uuid, target: &Target) -> (VlessDatagramSealer, VlessDatagramOpener) {
    let head = header(id, Network::Udp, target);
    (VlessDatagramSealer::new(head), VlessDatagramOpener::new(VlessOpener::of_answer()))
}

fn header(id: &Uuid, network: Network, target: &Target) -> Vec<u8> {
    let command = match network {
        Network::Tcp => TCP,
        Network::Udp => UDP,
    };
    let mut header = vec![VERSION];
    header.extend_from_slice(id.as_bytes());
    header.extend_from_slice(&[0, command]);
    put_port_first(&mut header, target);
    header
}
