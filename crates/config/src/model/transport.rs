//! What carries a protocol: TLS, and what is laid over it.

use std::time::Duration;

use waypost_net::{Host, Secret};

use crate::Spanned;

/// `streamSettings`, or `tls` and `transport`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transport<T> {
    /// TLS, if it is spoken.
    pub tls: Option<Box<T>>,
    /// What is laid over it.
    pub layer: Layer,
}

impl<T> Transport<T> {
    /// Whether it is TCP with nothing else.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.tls.is_none() && self.layer == Layer::Raw
    }
}

/// `network` or `transport.type`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Layer {
    /// `tcp` or `raw`: nothing.
    #[default]
    Raw,
    /// `ws`: WebSocket (RFC 6455).
    WebSocket(WebSocket),
    /// `httpupgrade`: what follows an HTTP/1.1 upgrade.
    HttpUpgrade(HttpUpgrade),
    /// `grpc`: a gRPC stream with V2Ray's messages.
    Grpc(Grpc),
}

/// `wsSettings`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WebSocket {
    /// `path`, without the `ed` that V2Ray reads out of it.
    pub path: Box<str>,
    /// `host`: the `Host` header; the server's name if absent.
    pub host: Option<Box<str>>,
    /// `headers`, of which `Host` is taken out.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Data that goes with the request.
    pub early_data: Option<EarlyData>,
}

/// Early data of WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyData {
    /// `maxEarlyData` or `ed`: at most so many bytes.
    pub max_bytes: u32,
    /// `earlyDataHeaderName`: the header that carries it; the end of the path if absent.
    pub header: Option<Box<str>>,
}

/// `httpupgradeSettings`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpUpgrade {
    /// `path`.
    pub path: Box<str>,
    /// `host`: the `Host` header; the server's name if absent.
    pub host: Option<Box<str>>,
    /// `headers`, without `Host`.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

/// `grpcSettings`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grpc {
    /// `serviceName`; may be empty.
    pub service_name: Box<str>,
    /// `authority`.
    pub authority: Option<Box<str>>,
    /// `user_agent`.
    pub user_agent: Option<Box<str>>,
    /// `idle_timeout`: how long nothing comes before the other end is asked whether it lives.
    pub idle_timeout: Option<Duration>,
    /// `health_check_timeout` or `ping_timeout`: how long it may take to answer.
    pub ping_timeout: Option<Duration>,
    /// `permit_without_stream`: whether it is asked while nothing is open.
    pub permit_without_stream: bool,
}

/// TLS towards a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientTls {
    /// `serverName`: whom the certificate has to be for; the server's address if absent.
    pub server_name: Option<Host>,
    /// `disable_sni`: the name is checked, but not sent.
    pub disable_sni: bool,
    /// `alpn`; what the layer needs if empty.
    pub alpn: Vec<Box<str>>,
    /// Authorities of one's own.
    pub authorities: Vec<Pem>,
    /// `disableSystemRoot`: only those count.
    pub only_own_authorities: bool,
    /// Certificates by their hash, one of which has to be shown.
    pub pins: Vec<Pin>,
    /// `allowInsecure`: any certificate will do.
    pub allow_insecure: bool,
    /// What this end shows of itself.
    pub identity: Option<Identity>,
    /// The versions of TLS.
    pub versions: TlsVersions,
}

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerTls {
    /// `certificates`; never empty. The first is for clients that name nobody.
    pub identities: Vec<Identity>,
    /// `alpn`; what the layer needs if empty.
    pub alpn: Vec<Box<str>>,
    /// Authorities that a client's certificate has to come from; without any, clients show none.
    pub client_authorities: Vec<Pem>,
    /// `rejectUnknownSni`: clients that name somebody else are turned away.
    pub reject_unknown_sni: bool,
    /// The versions of TLS.
    pub versions: TlsVersions,
}

/// Certificates or a key in PEM (RFC 7468).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// In a file, which is read again when it changes.
    File(Spanned<Box<str>>),
    /// In the configuration itself.
    Inline(Spanned<Secret>),
}

/// A certificate with its chain, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those that lead to an authority.
    pub certificate: Pem,
    /// The key.
    pub key: Pem,
}

/// A certificate that is known by its hash (SHA-256).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// `pinnedPeerCertSha256`: of a certificate.
    Certificate([u8; 32]),
    /// `pinnedPeerCertificateChainSha256`: of a whole chain, as V2Ray hashes it.
    Chain([u8; 32]),
    /// `certificate_public_key_sha256`: of the key of the certificate.
    PublicKey([u8; 32]),
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// The oldest and the newest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsVersions {
    /// `minVersion`.
    pub least: TlsVersion,
    /// `maxVersion`.
    pub most: TlsVersion,
}

impl Default for TlsVersions {
    fn default() -> Self {
        Self { least: TlsVersion::V1_2, most: TlsVersion::V1_3 }
    }
}
