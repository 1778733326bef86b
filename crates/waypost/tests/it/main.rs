//! The binary and independent programs: V2Ray beside it, and clients in front of it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers run in tests only, where a panic is the way to fail"
)]

mod api_clients;
mod binary;
mod broken_files;
mod browser;
mod capacity;
mod changing_sets;
mod chaos;
mod clients;
mod command_line;
mod convert;
mod convert_any;
mod demo;
mod dns;
mod examples;
mod groups;
mod grpc;
mod http;
mod interop;
mod keyed;
mod link;
mod matrix;
mod namespace;
mod openapi;
mod oracle;
mod programs;
mod redirected;
mod reload;
mod rule_sets;
mod seed;
mod several_files;
mod simulate;
mod sing_box;
mod sing_box_files;
mod sing_box_oracle;
mod sniffing;
mod soak;
mod systemd;
mod udp;
