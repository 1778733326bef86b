//! What is done with bytes from the network when they are fuzzed, so that a test can do the same with
//! those that were found.
//!
//! A target takes any bytes, plays a peer with them, and panics if something does not hold that always
//! should. Nothing here opens a socket, reads a clock or takes random numbers from the system.
#![forbid(unsafe_code)]
#![expect(clippy::panic, reason = "that is how a target says that something is wrong")]

mod drive;
mod peer;
mod script;
mod stream;

mod certificates;
mod dns;
mod grpc;
mod handshakes;
mod http;
mod links;
mod shadowsocks;
mod shadowsocks_datagrams;
mod sniff_datagram;
mod sniff_stream;
mod upgrades;
mod vless_trojan;
mod vmess;

pub use certificates::certificates;
pub use dns::dns;
pub use grpc::grpc;
pub use handshakes::handshakes;
pub use http::http;
pub use links::links;
pub use shadowsocks::shadowsocks;
pub use shadowsocks_datagrams::shadowsocks_datagrams;
pub use sniff_datagram::sniff_datagram;
pub use sniff_stream::sniff_stream;
pub use upgrades::upgrades;
pub use vless_trojan::vless_trojan;
pub use vmess::vmess;

/// What is done with bytes; it panics if something is wrong.
pub type Target = fn(&[u8]);

/// What is fuzzed, by name: the folder of its corpus in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("handshakes", handshakes),
    ("http", http),
    ("sniff_stream", sniff_stream),
    ("sniff_datagram", sniff_datagram),
    ("vmess", vmess),
    ("vless_trojan", vless_trojan),
    ("shadowsocks", shadowsocks),
    ("shadowsocks_datagrams", shadowsocks_datagrams),
    ("upgrades", upgrades),
    ("grpc", grpc),
    ("dns", dns),
    ("certificates", certificates),
    ("links", links),
];
