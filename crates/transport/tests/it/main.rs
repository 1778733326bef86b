//! Client against server for every layer, with and without TLS, and either side against peers that do
//! something else.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers run in tests only, where a panic is the way to fail"
)]

mod coded;
mod grpc;
mod http;
mod layers;
mod tls;
mod websocket;
mod world;
