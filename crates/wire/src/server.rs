use std::sync::Arc;

use waypost_net::Target;

use crate::{Accounts, Answer, HttpServer, Machine, ServerError, Socks4Server, Socks5Server, Step};

/// What a client opens its connection for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// A tunnel, or an association for datagrams.
    Tunnel(Request),
    /// HTTP requests that are to be forwarded, one after the other; all that was read belongs to them.
    HttpRequests,
}

/// What a client wants to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// A connection to the target.
    Connect,
    /// Datagrams to be carried. The target is the address that the client will send from, as far as it
    /// knows: port 0 means that it does not (RFC 1928 §4).
    UdpAssociate,
}

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub command: Command,
    /// Where it wants to go.
    pub target: Target,
    /// The user it authenticated as.
    pub user: Option<Arc<str>>,
    /// How it wants to be answered.
    pub answer: Answer,
}

impl Request {
    /// A request for a plain tunnel.
    pub(crate) fn tunnel(target: Target, user: Option<Arc<str>>, answer: Answer) -> Self {
        Self { command: Command::Connect, target, user, answer }
    }
}

/// The protocols that a [`Server`] takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accept {
    /// SOCKS5, SOCKS4 and SOCKS4a.
    Socks,
    /// HTTP.
    Http,
    /// All of them.
    Mixed,
}

/// The server side of any handshake, told apart by the first byte: 5 is SOCKS5, 4 is SOCKS4, and
/// anything else is HTTP where HTTP is accepted.
#[derive(Debug)]
pub struct Server(State);

#[derive(Debug)]
enum State {
    Unknown { accept: Accept, accounts: Accounts, udp: bool },
    Spent,
    Socks4(Socks4Server),
    Socks5(Socks5Server),
    Http(HttpServer),
}

impl Server {
    /// A server that has read nothing yet.
    #[must_use]
    pub fn new(accept: Accept, accounts: Accounts) -> Self {
        Self(match accept {
            Accept::Http => State::Http(HttpServer::new(accounts)),
            Accept::Socks | Accept::Mixed => State::Unknown { accept, accounts, udp: false },
        })
    }

    /// Whether SOCKS5 clients may send datagrams; they may not unless told so here, before the first
    /// byte.
    #[must_use]
    pub fn with_udp(mut self, granted: bool) -> Self {
        if let State::Unknown { udp, .. } = &mut self.0 {
            *udp = granted;
        }
        self
    }
}

impl Machine for Server {
    type Output = Opening;
    type Error = ServerError;

    fn advance(&mut self, input: &[u8]) -> Step<Opening, ServerError> {
        if let State::Unknown { accept, accounts, udp } = &self.0 {
            let Some(&first) = input.first() else { return Step::NeedMore };
            self.0 = match (first, accept) {
                (5, _) => State::Socks5(Socks5Server::new(accounts.clone()).with_udp(*udp)),
                (4, _) => State::Socks4(Socks4Server::new(accounts)),
                (_, Accept::Mixed | Accept::Http) => State::Http(HttpServer::new(accounts.clone())),
                (found, Accept::Socks) => {
                    self.0 = State::Spent;
                    return Step::Fail { reply: Vec::new(), error: ServerError::Protocol { found } };
                }
            };
        }
        match &mut self.0 {
            State::Unknown { .. } | State::Spent => Step::NeedMore,
            State::Socks4(server) => tunnel(server.advance(input)),
            State::Socks5(server) => tunnel(server.advance(input)),
            State::Http(server) => server.advance(input),
        }
    }
}

fn tunnel(step: Step<Request, ServerError>) -> Step<Opening, ServerError> {
    match step {
        Step::NeedMore => Step::NeedMore,
        Step::Send(bytes) => Step::Send(bytes),
        Step::Done { output, rest } => Step::Done { output: Opening::Tunnel(output), rest },
        Step::Fail { reply, error } => Step::Fail { reply, error },
    }
}
