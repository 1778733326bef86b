//! What carries a proxy protocol between two machines: TLS, and on top of it or of a bare connection a
//! WebSocket, HTTPUpgrade, or gRPC with many streams in one connection. Client and server side.
//!
//! Whatever the layers, what comes out is an [`IoStream`]. The crate opens no sockets: a client hands in
//! how to connect, a server what it has accepted. It knows no rule, no group and no configuration file,
//! and has no deadlines for handshakes: whoever waits gives up by dropping the future. What a
//! peer sends is bounded before memory is taken for it. Start from [`ClientTransport`] and
//! [`ServerTransport`]; what can go wrong is a [`TransportError`].
//!
//! ```
//! use waypost_transport::{
//!     ClientLayer, ClientOptions, ClientTransport, Entered, ServerLayer, ServerOptions, ServerTransport,
//!     WebSocketClient, WebSocketServer,
//! };
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let layer = WebSocketServer { path: "/ws".to_owned(), ..WebSocketServer::default() };
//! let server = ServerTransport::try_new(&ServerOptions { tls: None, layer: ServerLayer::WebSocket(layer) })?;
//! let layer = WebSocketClient { path: "/ws".to_owned(), ..WebSocketClient::default() };
//! let client = ClientTransport::try_new(&ClientOptions { tls: None, layer: ClientLayer::WebSocket(layer) })?;
//!
//! let (near, far) = tokio::io::duplex(1024);
//! let authority = "proxy.example:80".parse()?;
//! let connect = async { Ok::<_, std::io::Error>(near) };
//! let (opened, accepted) = tokio::join!(client.open(&authority, connect), server.accept(far));
//! let (mut opened, Entered::One(mut accepted)) = (opened?, accepted?) else { panic!("not one stream") };
//! opened.write_all(b"hello").await?;
//! opened.shutdown().await?;
//! let mut received = String::new();
//! accepted.read_to_string(&mut received).await?;
//! assert_eq!(received, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod client;
mod coded;
mod server;

mod grpc;
mod http_upgrade;
mod tls;
mod websocket;

mod error;
mod http1;
mod io;
mod setup;

pub use client::{ClientLayer, ClientOptions, ClientTransport};
pub use coded::{Coded, DatagramStream, Datagrams};
pub use error::{FirstBytes, Moment, OpenError, TransportError};
pub use grpc::{GrpcClient, GrpcServer, GrpcStreams};
pub use http_upgrade::{HttpUpgradeClient, HttpUpgradeServer};
pub use io::{Io, IoStream};
pub use rustls::pki_types::CertificateDer;
pub use server::{Entered, ServerLayer, ServerOptions, ServerTransport};
pub use setup::{PemSource, SetupError};
pub use tls::{
    ClientTls, Identity, IdentitySource, Pin, Roots, ServerTls, TlsVersion, TlsVersions,
    certificate_validity, certificates_from_pem,
};
pub use websocket::{EARLY_DATA_HEADER, EarlyData, WebSocketClient, WebSocketServer};
