use std::fmt;

use waypost_net::AddressError;

/// A handshake that is fed bytes and says what to do next.
///
/// After [`Step::Send`] the caller writes the bytes and calls [`advance`](Machine::advance) again
/// with nothing, because a peer may have sent its next message already. After [`Step::Done`] and
/// [`Step::Fail`] a machine is spent: it ignores what it is fed and only answers [`Step::NeedMore`].
pub trait Machine {
    /// What a handshake that went well yields.
    type Output;
    /// Why a handshake failed.
    type Error;

    /// Takes what was read since the last call, which may be nothing.
    fn advance(&mut self, input: &[u8]) -> Step<Self::Output, Self::Error>;
}

/// What to do next in a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<T, E> {
    /// Read more bytes.
    NeedMore,
    /// Write these bytes and go on.
    Send(Vec<u8>),
    /// The handshake is over.
    Done {
        /// What it yielded.
        output: T,
        /// Bytes that follow the handshake and belong to the connection itself.
        rest: Vec<u8>,
    },
    /// The handshake failed.
    Fail {
        /// What to tell the peer before closing; may be empty.
        reply: Vec<u8>,
        /// Why it failed.
        error: E,
    },
}

/// Why a client was turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The first byte belongs to no protocol that is spoken here.
    #[error("no protocol spoken here begins with byte {found:#04x}")]
    Protocol {
        /// The first byte.
        found: u8,
    },
    /// A message carries another version than its protocol.
    #[error("expected version {expected}, found {found}")]
    Version {
        /// The version of the protocol.
        expected: u8,
        /// What the client sent.
        found: u8,
    },
    /// None of the SOCKS5 methods that the client offers is acceptable.
    #[error("the client offers no acceptable authentication method")]
    NoAcceptableMethod,
    /// A SOCKS4 client came in where a password is wanted, which SOCKS4 cannot send.
    #[error("socks4 cannot authenticate, and this inbound has accounts")]
    Socks4WithAccounts,
    /// An HTTP client sent no credentials.
    #[error("the client sent no credentials")]
    CredentialsMissing,
    /// User name or password is wrong.
    #[error("wrong user name or password")]
    CredentialsRejected,
    /// The command is not granted: BIND, or UDP ASSOCIATE where datagrams are not carried.
    #[error("command {command} is not granted here")]
    Command {
        /// The command's number in SOCKS4 or SOCKS5.
        command: u8,
    },
    /// The SOCKS5 address type does not exist.
    #[error("unknown address type {found}")]
    AddressType {
        /// What the client sent.
        found: u8,
    },
    /// The target is not an address or a valid name.
    #[error("bad target: {0}")]
    Target(#[from] AddressError),
    /// The target is not text.
    #[error("bad target: not utf-8")]
    TargetEncoding,
    /// A SOCKS4 text field is longer than 255 bytes.
    #[error("a text field is longer than 255 bytes")]
    FieldTooLong,
    /// The HTTP head cannot be parsed.
    #[error("malformed http request: {problem}")]
    HttpSyntax {
        /// What is wrong.
        problem: &'static str,
    },
    /// The HTTP head is longer than [`MAX_HTTP_HEAD_BYTES`](crate::MAX_HTTP_HEAD_BYTES) or has too
    /// many headers.
    #[error("the http head is too large")]
    HttpHeadTooLarge,
    /// The client did not come to the end of an HTTP head.
    #[error("the http head took too long")]
    HttpHeadTimeout,
    /// The client speaks HTTP/2 without having been asked to.
    #[error("http/2 is not spoken here")]
    Http2,
    /// The request names a path only, as one to an origin server does.
    #[error("an origin-form request was sent to a proxy")]
    OriginForm,
}

/// Why an upstream proxy could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The proxy answered with another SOCKS version.
    #[error("expected socks version 5, found {found}")]
    Version {
        /// What the proxy sent.
        found: u8,
    },
    /// The proxy accepts no method that was offered.
    #[error("the proxy accepts no authentication method that was offered")]
    NoAcceptableMethod,
    /// The proxy chose a method that was not offered.
    #[error("the proxy chose authentication method {method}, which was not offered")]
    UnofferedMethod {
        /// The method's number.
        method: u8,
    },
    /// The proxy did not accept the credentials, or wants some and none are configured.
    #[error("the proxy rejected the credentials")]
    CredentialsRejected,
    /// The SOCKS5 proxy said no.
    #[error("the proxy answered: {0}")]
    Socks5(Socks5Reply),
    /// The HTTP proxy said no.
    #[error("the proxy answered with http status {status}")]
    HttpStatus {
        /// The status code.
        status: u16,
    },
    /// The SOCKS5 reply carries an address type that does not exist.
    #[error("unknown address type {found} in the proxy's reply")]
    AddressType {
        /// What the proxy sent.
        found: u8,
    },
    /// The SOCKS5 proxy names no address that datagrams could be sent to.
    #[error("the proxy names no address to send datagrams to")]
    RelayAddress,
    /// The head of the HTTP response cannot be parsed.
    #[error("malformed http response: {problem}")]
    HttpSyntax {
        /// What is wrong.
        problem: &'static str,
    },
    /// The head of the HTTP response is longer than
    /// [`MAX_HTTP_HEAD_BYTES`](crate::MAX_HTTP_HEAD_BYTES).
    #[error("the head of the http response is too large")]
    HttpHeadTooLarge,
}

/// The code of a SOCKS5 reply (RFC 1928 §6), never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Socks5Reply(pub u8);

impl fmt::Display for Socks5Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "general failure",
            2 => "not allowed by rules",
            3 => "network unreachable",
            4 => "host unreachable",
            5 => "connection refused",
            6 => "ttl expired",
            7 => "command not supported",
            8 => "address type not supported",
            code => return write!(f, "unassigned code {code}"),
        })
    }
}

/// A failure together with what the peer is told.
#[derive(Debug)]
pub(crate) struct Fault<E> {
    pub(crate) reply: Vec<u8>,
    pub(crate) error: E,
}

impl<E> Fault<E> {
    pub(crate) fn new(reply: impl Into<Vec<u8>>, error: E) -> Self {
        Self { reply: reply.into(), error }
    }

    /// A failure that the peer is told nothing about.
    pub(crate) fn silent(error: E) -> Self {
        Self { reply: Vec::new(), error }
    }
}

/// What a machine's parser makes of the bytes it has so far.
pub(crate) enum Progress<T> {
    NeedMore,
    /// Drop `consumed` bytes, write `bytes`, go on.
    Send {
        bytes: Vec<u8>,
        consumed: usize,
    },
    /// Drop `consumed` bytes; what is left follows the handshake.
    Done {
        output: T,
        consumed: usize,
    },
}

/// The bytes of a handshake that are not used up, and whether it is over. The bytes may hold a password
/// and do not show in debug output.
#[derive(Default)]
pub(crate) struct Intake {
    bytes: Vec<u8>,
    over: bool,
}

impl Intake {
    /// Ends the handshake and returns what was read.
    pub(crate) fn give_up(&mut self) -> Vec<u8> {
        self.over = true;
        std::mem::take(&mut self.bytes)
    }

    /// Adds `input` and turns what `parse` makes of all bytes into a step.
    pub(crate) fn advance<T, E>(
        &mut self,
        input: &[u8],
        parse: impl FnOnce(&[u8]) -> Result<Progress<T>, Fault<E>>,
    ) -> Step<T, E> {
        if self.over {
            return Step::NeedMore;
        }
        self.bytes.extend_from_slice(input);
        match parse(&self.bytes) {
            Ok(Progress::NeedMore) => Step::NeedMore,
            Ok(Progress::Send { bytes, consumed }) => {
                self.bytes.drain(..consumed);
                Step::Send(bytes)
            }
            Ok(Progress::Done { output, consumed }) => {
                self.over = true;
                let mut rest = std::mem::take(&mut self.bytes);
                rest.drain(..consumed);
                Step::Done { output, rest }
            }
            Err(Fault { reply, error }) => {
                self.over = true;
                self.bytes = Vec::new();
                Step::Fail { reply, error }
            }
        }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("n_bytes", &self.bytes.len()).field("over", &self.over).finish()
    }
}
