//! One question to one server and its answer, by each of the transports.

mod connection;
mod connector;
mod https;
mod stream;
mod udp;

use std::{fmt, io, sync::Arc, time::Duration};

use hickory_proto::op::Query;
use waypost_net::DomainName;

pub(crate) use self::connector::{Connector, Tls};
use self::{https::HttpsClient, stream::StreamClient, udp::UdpClient};
use crate::ResolveError;

/// How a DNS server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Datagrams, and TCP for answers that are too long (RFC 1035).
    Udp,
    /// A stream that stays open for a while (RFC 7766).
    Tcp,
    /// The same in TLS (RFC 7858).
    Tls,
    /// HTTP/2, or HTTP/1.1 if the server has no better (RFC 8484).
    Https {
        /// The path and query, from the slash on.
        path: Box<str>,
    },
}

/// Why a server has not answered.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It took too long.
    #[error("it did not answer within {limit:?}")]
    Timeout {
        /// How long it had.
        limit: Duration,
    },
    /// There is no way to it.
    #[error("it cannot be reached")]
    Unreachable(#[source] Arc<io::Error>),
    /// Its own name could not be resolved.
    #[error("its own name cannot be resolved; give its address, or list the name in `hosts`")]
    Bootstrap(#[source] Box<ResolveError>),
    /// Finding its own name again and again leads to itself.
    #[error(
        "its own name `{name}` can only be resolved by asking it; give its address, or list the name in `hosts`"
    )]
    Loop {
        /// Its name.
        name: DomainName,
    },
    /// The connection ended before the answer.
    #[error("it closed the connection before it answered")]
    Lost,
    /// It said that it cannot or will not answer.
    #[error("it answered {code}")]
    Code {
        /// What it said, as RFC 6895 calls it.
        code: Box<str>,
    },
    /// The aliases in its answer go round in a circle, or are too many.
    #[error("the aliases in its answer go round in a circle or are too many")]
    Aliases,
    /// It answered with an HTTP status other than 200, or with something that is no DNS message.
    #[error("it answered HTTP status {status} with content of the type `{content_type}`")]
    Http {
        /// The status.
        status: u16,
        /// What it says that the content is.
        content_type: Box<str>,
    },
    /// It sent something that cannot be understood.
    #[error("its answer cannot be understood")]
    Garbled,
    /// The question cannot be put into a message.
    #[error("no DNS message can ask that")]
    Question,
    /// So many questions wait for it that this one is not sent.
    #[error("too many questions wait for it")]
    Busy,
}

impl From<io::Error> for ServerError {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(Arc::new(error))
    }
}

/// A query to be sent. Transports choose their own id for it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    pub(crate) question: Query,
}

/// Exchanges messages with one server.
pub(crate) struct Client {
    connector: Arc<Connector>,
    transport: Transport,
}

enum Transport {
    Udp(UdpClient),
    Stream(StreamClient),
    Https(HttpsClient),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connector.fmt(f)
    }
}

impl Client {
    pub(crate) fn new(protocol: &Protocol, connector: Connector) -> Self {
        let connector = Arc::new(connector);
        let transport = match protocol {
            Protocol::Udp => Transport::Udp(UdpClient::new(connector.clone())),
            Protocol::Tcp | Protocol::Tls => Transport::Stream(StreamClient::new(connector.clone())),
            Protocol::Https { path } => Transport::Https(HttpsClient::new(connector.clone(), path)),
        };
        Self { connector, transport }
    }

    /// Whether the name of the server is being resolved.
    pub(crate) fn is_resolving(&self) -> bool {
        self.connector.is_resolving()
    }

    /// Sends a query and waits for the answer to it, whatever it says, for as long as it takes.
    pub(crate) async fn exchange(&self, request: Request) -> Result<Vec<u8>, ServerError> {
        match &self.transport {
            Transport::Udp(client) => client.exchange(request).await,
            Transport::Stream(client) => client.exchange(request).await,
            Transport::Https(client) => client.exchange(request).await,
        }
    }
}

/// A number that nobody else can guess (RFC 5452 §4.3).
pub(crate) fn random_id() -> u16 {
    #[expect(clippy::disallowed_methods, reason = "an id that is an argument could be guessed by its source")]
    rand::RngExt::random(&mut rand::rng())
}
