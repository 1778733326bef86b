use std::{
    borrow::Cow,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use waypost_config::model::{Inbound, InboundProtocol};
use waypost_net::{Attributes, Target};
use waypost_wire::{Accept, Accounts, AccountsError, Answer, DialFailure, Server, ServerError};

use crate::wire_io::{DriveError, drive, send_and_close};

/// A client on a bad line needs some seconds; one that needs more is holding the door.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What V2Ray's blackhole answers with `response.type` `http`.
const BLACKHOLE_RESPONSE: &[u8] = b"HTTP/1.1 403 Forbidden\r\n\
    Connection: close\r\n\
    Cache-Control: max-age=3600, public\r\n\
    Content-Length: 0\r\n\r\n";

/// What an inbound speaks, and with whom.
#[derive(Debug, Clone)]
pub struct HandshakeSettings {
    /// The protocols.
    pub accept: Accept,
    /// The users; empty for anybody.
    pub accounts: Accounts,
    /// The limit for the whole handshake.
    pub timeout: Duration,
}

/// A client that said where it wants to go.
#[derive(Debug)]
pub struct Accepted {
    /// Where it wants to go.
    pub target: Target,
    /// The user it authenticated as.
    pub user: Option<Arc<str>>,
    /// The protocol label that the handshake gives away.
    pub protocol: Option<Cow<'static, str>>,
    /// HTTP attributes.
    pub attributes: Attributes,
    /// The client, waiting for its answer.
    pub client: ClientStream,
}

/// A client that waits for an answer.
#[derive(Debug)]
pub struct ClientStream {
    stream: TcpStream,
    rest: Vec<u8>,
    answer: Answer,
}

/// Why a client never got to say where it wants to go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The client took too long.
    #[error("the handshake took longer than {limit:?}")]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// The client went away.
    #[error("the client closed the connection during the handshake")]
    Closed,
    /// The connection failed.
    #[error("the connection failed during the handshake")]
    Io(#[source] io::Error),
    /// The client was turned away, and told so as far as its protocol can.
    #[error(transparent)]
    Refused(#[from] ServerError),
}

impl HandshakeSettings {
    /// The settings of an inbound, with the default timeout.
    ///
    /// # Errors
    ///
    /// If an account cannot be used.
    pub fn try_new(inbound: &Inbound) -> Result<Self, AccountsError> {
        let accept = match inbound.protocol {
            InboundProtocol::Socks => Accept::Socks,
            InboundProtocol::Http => Accept::Http,
            InboundProtocol::Mixed => Accept::Mixed,
        };
        let accounts = inbound.accounts.iter().map(|account| (account.user.clone(), &account.password));
        Ok(Self { accept, accounts: Accounts::try_new(accounts)?, timeout: DEFAULT_HANDSHAKE_TIMEOUT })
    }
}

/// Learns from a client where it wants to go.
///
/// # Errors
///
/// If the client is too slow, goes away or is turned away. A client that is turned away has been
/// answered and closed by then.
pub async fn accept_client(
    mut stream: TcpStream,
    settings: &HandshakeSettings,
) -> Result<Accepted, HandshakeError> {
    let mut server = Server::new(settings.accept, settings.accounts.clone());
    let driven = timeout(settings.timeout, drive(&mut stream, &mut server)).await;
    let (request, rest) = match driven {
        Err(_elapsed) => return Err(HandshakeError::Timeout { limit: settings.timeout }),
        Ok(Err(DriveError::Closed)) => return Err(HandshakeError::Closed),
        Ok(Err(DriveError::Io(error))) => return Err(HandshakeError::Io(error)),
        Ok(Err(DriveError::Failed { reply, error })) => {
            send_and_close(stream, &reply).await;
            return Err(HandshakeError::Refused(error));
        }
        Ok(Ok(done)) => done,
    };
    Ok(Accepted {
        target: request.target,
        user: request.user,
        protocol: request.protocol,
        attributes: request.attributes,
        client: ClientStream { stream, rest, answer: request.answer },
    })
}

impl ClientStream {
    /// The protocol that the client is answered in.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.answer
    }

    /// What the client sent for the target already. For a forwarded HTTP request this begins with
    /// the rewritten head.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Waits until the client has gone away; for ever if it has not. One that has sent something for
    /// the target may have closed its side only.
    pub(crate) async fn gone(&self) {
        let ended = async {
            loop {
                self.stream.readable().await?;
                match self.stream.peek(&mut [0]).await {
                    Ok(0) if self.rest.is_empty() => return Ok(()),
                    Ok(_) => std::future::pending::<()>().await,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        };
        // Closed or failed: nobody waits for the answer.
        let _how = ended.await;
    }

    /// Tells the client that the connection stands; `bound` is this host's end of it. Yields the
    /// stream, and what the client sent for the target already.
    ///
    /// # Errors
    ///
    /// If the client is gone.
    pub async fn answer_success(mut self, bound: SocketAddr) -> io::Result<(TcpStream, Vec<u8>)> {
        let reply = self.answer.success(bound);
        if !reply.is_empty() {
            self.stream.write_all(&reply).await?;
        }
        Ok((self.stream, self.rest))
    }

    /// Tells the client that there is no connection, and closes; takes up to a second.
    pub async fn answer_failure(self, failure: DialFailure) {
        send_and_close(self.stream, &self.answer.failure(failure)).await;
    }

    /// Ends the connection as a blackhole does; takes up to a second. With `http_response` the client
    /// is let through and finds an HTTP 403 behind; without, it is told that a rule forbids it.
    pub async fn answer_blackhole(self, http_response: bool) {
        if !http_response {
            return self.answer_failure(DialFailure::NotAllowed).await;
        }
        let mut reply = self.answer.success(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        reply.extend_from_slice(BLACKHOLE_RESPONSE);
        send_and_close(self.stream, &reply).await;
    }
}
