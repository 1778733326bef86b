//! VLESS without flow, as Xray and sing-box speak it: a header with an id, and then the bytes as they are.

mod client;
mod datagrams;
mod opener;
mod server;

pub use client::{vless_client, vless_datagram_client};
pub use datagrams::{MAX_VLESS_DATAGRAM_BYTES, VlessDatagramOpener, VlessDatagramSealer};
pub use opener::{VlessOpenError, VlessOpener};
pub use server::{VlessAccepted, VlessServer, VlessServerError};

const VERSION: u8 = 0;
const TCP: u8 = 1;
const UDP: u8 = 2;
const MUX: u8 = 3;
