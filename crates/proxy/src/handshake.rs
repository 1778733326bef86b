use std::{
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{io::AsyncWriteExt, sync::oneshot, time::timeout};
use waypost_config::model::{ClientProtocol, Inbound};
use waypost_net::Target;
use waypost_wire::{
    Accept, Accounts, AccountsError, Answer, Command, DialFailure, Opening, Server, ServerError,
};

use crate::{
    Stream,
    wire_io::{DriveError, drive_from, read_once, send_and_close},
};

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
    /// Whether SOCKS5 clients may send datagrams.
    pub udp: bool,
    /// The limit for the whole handshake.
    pub timeout: Duration,
}

/// What a client came for.
#[derive(Debug)]
pub enum Opened {
    /// A tunnel.
    Tunnel(Accepted),
    /// HTTP requests that are to be forwarded.
    HttpRequests {
        /// The connection.
        stream: Stream,
        /// What was read of it.
        read: Vec<u8>,
    },
}

/// A client that said where it wants to go.
#[derive(Debug)]
pub struct Accepted {
    /// What is to be done.
    pub command: Command,
    /// Where it wants to go; for datagrams, where it says they will come from.
    pub target: Target,
    /// The user it authenticated as.
    pub user: Option<Arc<str>>,
    /// The client, waiting for its answer.
    pub client: ClientStream,
}

/// A client that waits for an answer.
#[derive(Debug)]
pub struct ClientStream {
    stream: Stream,
    rest: Vec<u8>,
    voice: Voice,
}

/// How a client learns what became of its connection.
#[derive(Debug)]
enum Voice {
    /// In its protocol.
    Protocol(Answer),
    /// It asked for nothing, or has its answer, so that it is told nothing.
    Silent,
    /// It is a part of this proxy.
    Inside(oneshot::Sender<Result<(), DialFailure>>),
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
    /// The settings of an inbound whose clients say where they want to go.
    ///
    /// # Errors
    ///
    /// If an account cannot be used.
    pub fn try_new(protocol: ClientProtocol, inbound: &Inbound) -> Result<Self, AccountsError> {
        let accept = match protocol {
            ClientProtocol::Socks => Accept::Socks,
            ClientProtocol::Http => Accept::Http,
            ClientProtocol::Mixed => Accept::Mixed,
        };
        let accounts = inbound.accounts.iter().map(|account| (account.user.clone(), &account.password));
        let timeout = inbound.policy.handshake.unwrap_or(DEFAULT_HANDSHAKE_TIMEOUT);
        Ok(Self { accept, accounts: Accounts::try_new(accounts)?, udp: inbound.udp.is_some(), timeout })
    }
}

/// Learns from a client where it wants to go.
///
/// # Errors
///
/// If the client is too slow, goes away or is turned away. A client that is turned away has been
/// answered and closed by then.
pub async fn accept_client(
    stream: impl Into<Stream>,
    settings: &HandshakeSettings,
) -> Result<Opened, HandshakeError> {
    accept_again(stream.into(), &[], settings).await
}

/// As [`accept_client`], for a connection of which something was read already.
pub(crate) async fn accept_again(
    mut stream: Stream,
    read: &[u8],
    settings: &HandshakeSettings,
) -> Result<Opened, HandshakeError> {
    let mut server = Server::new(settings.accept, settings.accounts.clone()).with_udp(settings.udp);
    let driven = timeout(settings.timeout, drive_from(&mut stream, &mut server, read)).await;
    let (opening, rest) = match driven {
        Err(_elapsed) => return Err(HandshakeError::Timeout { limit: settings.timeout }),
        Ok(Err(DriveError::Closed)) => return Err(HandshakeError::Closed),
        Ok(Err(DriveError::Io(error))) => return Err(HandshakeError::Io(error)),
        Ok(Err(DriveError::Failed { reply, error })) => {
            send_and_close(stream, &reply).await;
            return Err(HandshakeError::Refused(error));
        }
        Ok(Ok(done)) => done,
    };
    Ok(match opening {
        Opening::HttpRequests => Opened::HttpRequests { stream, read: rest },
        Opening::Tunnel(request) => Opened::Tunnel(Accepted {
            command: request.command,
            target: request.target,
            user: request.user,
            client: ClientStream { stream, rest, voice: Voice::Protocol(request.answer) },
        }),
    })
}

impl ClientStream {
    /// A client that is told nothing, and has sent `rest` for its target already.
    pub(crate) fn silent(stream: Stream, rest: Vec<u8>) -> Self {
        Self { stream, rest, voice: Voice::Silent }
    }

    /// A part of this proxy that wants a connection, and where it is told what became of it.
    pub(crate) fn inside(stream: Stream) -> (Self, oneshot::Receiver<Result<(), DialFailure>>) {
        let (told, hears) = oneshot::channel();
        (Self { stream, rest: Vec::new(), voice: Voice::Inside(told) }, hears)
    }

    /// What the client sent for the target already.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Tells the client that the connection stands, before it does: a client that waits for that says
    /// nothing before. If the connection fails after all, the client finds it reset.
    pub(crate) async fn answer_early(&mut self, bound: SocketAddr) -> io::Result<()> {
        if let Voice::Protocol(answer) = self.voice {
            self.stream.write_all(&answer.success(bound)).await?;
            self.stream.flush().await?;
            self.voice = Voice::Silent;
        }
        Ok(())
    }

    /// Reads what the client sends for the target next, and says how much that was; 0 at its end.
    pub(crate) async fn read_ahead(&mut self) -> io::Result<usize> {
        let Self { stream, rest, .. } = self;
        read_once(stream, |read| {
            rest.extend_from_slice(read);
            read.len()
        })
        .await
    }

    /// Waits until the client has gone away; for ever if it has not. One that has sent something for
    /// the target may have closed its side only.
    pub(crate) async fn gone(&mut self) {
        match poll_fn(|context| self.stream.poll_peek_end(context)).await {
            // Closed or failed: nobody waits for the answer.
            Ok(true) if self.rest.is_empty() => {}
            Err(_failed) => {}
            Ok(_) => std::future::pending().await,
        }
    }

    /// Tells the client that the connection stands; `bound` is this host's end of it. Yields the
    /// stream, and what the client sent for the target already.
    ///
    /// # Errors
    ///
    /// If the client is gone.
    pub async fn answer_success(mut self, bound: SocketAddr) -> io::Result<(Stream, Vec<u8>)> {
        match self.voice {
            Voice::Protocol(answer) => {
                let reply = answer.success(bound);
                if !reply.is_empty() {
                    self.stream.write_all(&reply).await?;
                    self.stream.flush().await?;
                }
            }
            Voice::Silent => {}
            Voice::Inside(told) => told.send(Ok(())).map_err(|_gone| io::ErrorKind::BrokenPipe)?,
        }
        Ok((self.stream, self.rest))
    }

    /// Tells the client that there is no connection, and closes; takes up to a second.
    pub async fn answer_failure(self, failure: DialFailure) {
        match self.voice {
            Voice::Protocol(answer) => send_and_close(self.stream, &answer.failure(failure)).await,
            Voice::Silent => self.stream.reset_on_close(),
            Voice::Inside(told) => {
                // Who does not wait any more need not know.
                let _gone = told.send(Err(failure));
            }
        }
    }

    /// Closes without a word.
    pub(crate) fn close_silently(self) {
        if !matches!(self.voice, Voice::Inside(_)) {
            self.stream.reset_on_close();
        }
    }

    /// Ends the connection as a blackhole does; takes up to a second. With `http_response` the client
    /// is let through and finds an HTTP 403 behind; without, it is told that a rule forbids it.
    pub async fn answer_blackhole(self, http_response: bool) {
        if !http_response {
            return self.answer_failure(DialFailure::NotAllowed).await;
        }
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        if let Ok((stream, _unread)) = self.answer_success(nowhere).await {
            send_and_close(stream, BLACKHOLE_RESPONSE).await;
        }
    }
}
