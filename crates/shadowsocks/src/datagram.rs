//! Datagrams of SIP004 and SIP022.

mod client;
mod packet;
mod server;
mod window;

pub use client::ClientDatagrams;
pub use packet::{DatagramError, MAX_DATAGRAM_BYTES};
pub use server::{ReceivedDatagram, ServerDatagrams, SessionId};
