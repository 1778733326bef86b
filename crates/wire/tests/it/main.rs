//! Handshakes as bytes in and bytes out, at every way of cutting them into pieces.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these helpers run in tests only"
)]

mod arbitrary;
mod clients;
mod drive;
mod http_server;
mod quic;
mod request_guard;
mod sniff;
mod sniff_datagram;
mod sniff_quic;
mod sniff_widely;
mod socks_server;
mod socks_udp;
mod trojan;
mod tunnel;
mod vless;
mod vmess;
mod vmess_recorded;
