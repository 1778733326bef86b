//! Why a stream could not be opened, accepted or carried on.

mod words;

use std::{fmt, io, time::Duration};

use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use self::words::{Names, Pins, Reason, ago, before, grpc_hint, grpc_status_name, status_hint};
use crate::Pin;

/// What went wrong between this program and a peer.
///
/// After the handshake the same reasons stand inside of an [`io::Error`]; [`TransportError::of`] finds
/// them there.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The certificate is a good one, of somebody else.
    #[error("the certificate is for {}, not for `{wanted}`", Names(presented))]
    CertificateName {
        /// The name that the certificate should be for.
        wanted: Box<str>,
        /// The names that it is for.
        presented: Vec<String>,
    },
    /// No root that is trusted leads to the certificate.
    #[error("the certificate is by nobody who is trusted (is it self-signed, or by a private authority?)")]
    UnknownIssuer,
    /// The certificate was good once.
    #[error("the certificate expired{} (is this machine's clock right?)", ago(*.since))]
    CertificateExpired {
        /// How long ago, if known.
        since: Option<Duration>,
    },
    /// The certificate is going to be good.
    #[error("the certificate is not valid yet{} (is this machine's clock right?)", before(*.until))]
    CertificateNotYetValid {
        /// How long it is until then, if known.
        until: Option<Duration>,
    },
    /// Something else is wrong with the certificate.
    #[error("the certificate is not acceptable: {problem}")]
    Certificate {
        /// What.
        problem: CertificateError,
    },
    /// The certificate matches none of the pins.
    #[error("the certificate matches no pin; the server has {}", Pins(presented))]
    PinMismatch {
        /// What the server has presented, once for every kind of pin that was wanted.
        presented: Vec<Pin>,
    },
    /// The peers have no application protocol in common (ALPN, RFC 7301).
    #[error("no common protocol in ALPN (is `alpn` right?)")]
    NoCommonProtocol,
    /// The server has chosen an application protocol that cannot carry what is to be carried.
    #[error("the server chose `{chosen}` in ALPN, `{wanted}` is needed (is `alpn` right?)")]
    WrongProtocol {
        /// What it chose.
        chosen: Box<str>,
        /// What is needed.
        wanted: &'static str,
    },
    /// The peer speaks something else than TLS.
    #[error("the peer does not speak TLS, it sent {found}")]
    NotTls {
        /// How it began.
        found: FirstBytes,
    },
    /// The server wants a certificate of its clients, and there is none.
    #[error("the server wants a client certificate")]
    ClientCertificateWanted,
    /// The client showed no certificate, where one is needed.
    #[error("the client has no certificate")]
    NoClientCertificate,
    /// The client asked for a name that no certificate is for.
    #[error("no certificate for the name that the client asks for")]
    UnknownServerName,
    /// The peer ended the handshake or the connection with an alert (RFC 8446 §6).
    #[error("the peer gave up with the TLS alert `{alert:?}`")]
    Alert {
        /// Its alert.
        alert: AlertDescription,
    },
    /// The peers have no version, cipher suite or key exchange of TLS in common.
    #[error("no TLS that both sides speak: {problem:?}")]
    Incompatible {
        /// What they lack.
        problem: PeerIncompatible,
    },
    /// Something else went wrong in TLS.
    #[error("TLS failed: {problem}")]
    Tls {
        /// What.
        problem: rustls::Error,
    },
    /// The server answered the request for a WebSocket with another status than 101.
    #[error("the server refuses the WebSocket: HTTP status {status}{}", status_hint(*.status))]
    WebSocketRefused {
        /// The HTTP status.
        status: u16,
    },
    /// The server answered the request for an upgrade with another status than 101.
    #[error("the server refuses the upgrade: HTTP status {status}{}", status_hint(*.status))]
    UpgradeRefused {
        /// The HTTP status.
        status: u16,
    },
    /// The peer speaks something else than HTTP/1.1.
    #[error("the peer does not speak HTTP/1.1, it sent {found}")]
    NotHttp {
        /// How it began.
        found: FirstBytes,
    },
    /// The peer speaks something like HTTP/1.1.
    #[error("broken HTTP: {problem}")]
    BrokenHttp {
        /// What is wrong.
        problem: &'static str,
    },
    /// A request is for another path than the one that is served.
    #[error("request for the path `{path}`")]
    WrongPath {
        /// The path, cut if it is long.
        path: Box<str>,
    },
    /// A request is for another host than the one that is served.
    #[error("request for the host `{host}`")]
    WrongHost {
        /// The host, cut if it is long.
        host: Box<str>,
    },
    /// A request does not ask for what is served.
    #[error("{problem}")]
    WrongRequest {
        /// Why.
        problem: &'static str,
    },
    /// The peer breaks the WebSocket protocol (RFC 6455).
    #[error("broken WebSocket: {problem}")]
    BrokenWebSocket {
        /// What is wrong.
        problem: &'static str,
    },
    /// The peer speaks something else than HTTP/2.
    #[error("the peer does not speak HTTP/2, it sent {found}")]
    NotHttp2 {
        /// How it began.
        found: FirstBytes,
    },
    /// The server answered a call with another HTTP status than 200.
    #[error("the server refuses the gRPC stream: HTTP status {status}{}", grpc_hint(*.status))]
    GrpcHttpStatus {
        /// The HTTP status.
        status: u16,
    },
    /// The server ended a call with a status of gRPC other than 0.
    #[error("the server ended the gRPC stream with status {code}{}{}", grpc_status_name(*.code), Reason(message))]
    GrpcStatus {
        /// The status (see `google.rpc.Code`).
        code: u32,
        /// What the server says about it, cut if it is long.
        message: Box<str>,
    },
    /// The peer breaks the framing of gRPC messages.
    #[error("broken gRPC: {problem}")]
    BrokenGrpc {
        /// What is wrong.
        problem: &'static str,
    },
    /// The peer reset the stream, or closed the HTTP/2 connection for a reason.
    #[error("HTTP/2: {}", h2::Reason::from(*.reason).description())]
    Http2 {
        /// The error code (RFC 9113 §7).
        reason: u32,
    },
    /// A connection is open but nobody answers.
    #[error("the connection is dead: no answer to a ping within {} s", .waited.as_secs())]
    NoPong {
        /// How long it was waited.
        waited: Duration,
    },
    /// The peer closed the connection before all was said.
    #[error("the peer closed the connection {during}")]
    Closed {
        /// When.
        during: Moment,
    },
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(io::ErrorKind),
}

/// When a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moment {
    /// Before or while TLS was agreed on.
    TlsHandshake,
    /// After TLS was agreed on.
    Tls,
    /// Before the answer to a request had come, or in the middle of a request.
    HttpHandshake,
    /// Before HTTP/2 was agreed on.
    Http2Handshake,
    /// In the middle of a WebSocket frame.
    Frame,
    /// In the middle of a gRPC message.
    Message,
    /// While a gRPC stream was open.
    Stream,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TlsHandshake => "during the TLS handshake",
            Self::Tls => "inside of TLS",
            Self::HttpHandshake => "during the HTTP handshake",
            Self::Http2Handshake => "during the HTTP/2 handshake",
            Self::Frame => "within a WebSocket frame",
            Self::Message => "within a gRPC message",
            Self::Stream => "under an open gRPC stream",
        })
    }
}

/// The first bytes that a peer has sent.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct FirstBytes {
    bytes: [u8; Self::MAX],
    length: u8,
}

impl FirstBytes {
    /// Enough to know a protocol by, too little to give a secret away.
    const MAX: usize = 8;

    /// Keeps the first of `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut first = Self::default();
        first.extend(bytes);
        first
    }

    /// Adds what was read next.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        for (slot, byte) in self.bytes.iter_mut().skip(self.length.into()).zip(bytes) {
            *slot = *byte;
            self.length += 1;
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        usize::from(self.length) == Self::MAX
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or_default()
    }
}

impl fmt::Display for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.as_slice();
        if bytes.is_empty() {
            return f.write_str("nothing");
        }
        let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
        if bytes.iter().all(is_text) {
            write!(f, "`{}`", bytes.escape_ascii())
        } else {
            write!(f, "{self:?}")
        }
    }
}

impl fmt::Debug for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TransportError {
    /// The reason inside of an error of a stream: the one that was put there, or what kind of failure
    /// it is.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(reason) = inner.and_then(|inner| inner.downcast_ref::<Self>()) {
            return reason.clone();
        }
        if let Some(problem) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::from(problem.clone());
        }
        Self::Io(error.kind())
    }

    /// As [`Self::of`], where an end that comes too early is one during `moment`.
    pub(crate) fn during(moment: Moment, error: &io::Error) -> Self {
        let reason = Self::of(error);
        let is_end = reason == Self::Io(io::ErrorKind::UnexpectedEof);
        if is_end { Self::Closed { during: moment } } else { reason }
    }

    /// The error of a stream that has this reason.
    #[must_use]
    pub fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Io(kind) => *kind,
            Self::Closed { .. } => io::ErrorKind::UnexpectedEof,
            Self::NoPong { .. } => io::ErrorKind::TimedOut,
            Self::Http2 { .. } => io::ErrorKind::ConnectionReset,
            Self::WebSocketRefused { .. }
            | Self::UpgradeRefused { .. }
            | Self::GrpcHttpStatus { .. }
            | Self::GrpcStatus { .. } => io::ErrorKind::ConnectionRefused,
            Self::ClientCertificateWanted | Self::Alert { .. } => io::ErrorKind::ConnectionAborted,
            Self::CertificateName { .. }
            | Self::UnknownIssuer
            | Self::CertificateExpired { .. }
            | Self::CertificateNotYetValid { .. }
            | Self::Certificate { .. }
            | Self::PinMismatch { .. }
            | Self::NoCommonProtocol
            | Self::WrongProtocol { .. }
            | Self::NotTls { .. }
            | Self::NoClientCertificate
            | Self::UnknownServerName
            | Self::Incompatible { .. }
            | Self::Tls { .. }
            | Self::NotHttp { .. }
            | Self::BrokenHttp { .. }
            | Self::WrongPath { .. }
            | Self::WrongHost { .. }
            | Self::WrongRequest { .. }
            | Self::BrokenWebSocket { .. }
            | Self::NotHttp2 { .. }
            | Self::BrokenGrpc { .. } => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, self)
    }
}

impl From<rustls::Error> for TransportError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enums of rustls are open")]
    fn from(problem: rustls::Error) -> Self {
        use rustls::Error as Tls;
        match problem {
            Tls::InvalidCertificate(problem) => Self::from(problem),
            Tls::NoCertificatesPresented => Self::NoClientCertificate,
            Tls::NoApplicationProtocol => Self::NoCommonProtocol,
            Tls::AlertReceived(AlertDescription::NoApplicationProtocol) => Self::NoCommonProtocol,
            Tls::AlertReceived(AlertDescription::CertificateRequired) => Self::ClientCertificateWanted,
            Tls::AlertReceived(alert) => Self::Alert { alert },
            Tls::PeerIncompatible(problem) => Self::Incompatible { problem },
            Tls::Other(other) => match other.0.downcast_ref::<Self>() {
                Some(reason) => reason.clone(),
                None => Self::Tls { problem: Tls::Other(other) },
            },
            problem => Self::Tls { problem },
        }
    }
}

impl From<CertificateError> for TransportError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enums of rustls are open")]
    fn from(problem: CertificateError) -> Self {
        match problem {
            // An authority of the same name has another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::Expired => Self::CertificateExpired { since: None },
            CertificateError::ExpiredContext { time, not_after } => Self::CertificateExpired {
                since: time.as_secs().checked_sub(not_after.as_secs()).map(Duration::from_secs),
            },
            CertificateError::NotValidYet => Self::CertificateNotYetValid { until: None },
            CertificateError::NotValidYetContext { time, not_before } => Self::CertificateNotYetValid {
                until: not_before.as_secs().checked_sub(time.as_secs()).map(Duration::from_secs),
            },
            CertificateError::NotValidForNameContext { expected, presented } => {
                Self::CertificateName { wanted: expected.to_str().into(), presented }
            }
            problem => Self::Certificate { problem },
        }
    }
}

/// Why a client opened no stream.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OpenError<E> {
    /// There is no connection to the server.
    #[error(transparent)]
    Connect(E),
    /// There is one, and then something went wrong.
    #[error(transparent)]
    Transport(TransportError),
}

impl<E> From<TransportError> for OpenError<E> {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}
