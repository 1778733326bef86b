//! The client's side of an association.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use waypost_net::{Host, Target, canonical_ip};

use super::{
    batch::{Outgoing, Socket},
    carrier::poll_end,
    hub::Place,
    streamed::{Streamed, target_of},
};
use crate::{
    Stream,
    shadowsocks::{Server, SessionId},
};

/// What comes in by a socket that several clients share.
pub(super) type Inbox = mpsc::Receiver<(SocketAddr, Vec<u8>)>;

/// Where they are put for an association.
pub(super) type Outbox = mpsc::Sender<(SocketAddr, Vec<u8>)>;

/// Datagrams taken from an inbox at a time.
const MAX_TAKEN: usize = 64;

/// A client that sends datagrams.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) link: Link,
    pub(super) framing: Framing,
    /// The connection that the association lasts as long as.
    pub(super) control: Option<Stream>,
    /// Who its datagrams may come from.
    pub(super) sender: Sender,
    /// What keeps a shared port open for it.
    pub(super) _place: Option<Place>,
    /// Whether the stream that it came in by is at its end.
    pub(super) is_over: bool,
}

/// How its datagrams come in.
#[derive(Debug)]
pub(super) enum Link {
    /// By a socket of its own.
    Own(Socket),
    /// By one that others use, too.
    Shared { socket: Arc<Socket>, inbox: Inbox },
    /// By one that others use, too, each datagram being sealed.
    Sealed { socket: Arc<Socket>, inbox: Inbox, server: Arc<Server>, session: SessionId },
    /// In a stream.
    Stream(Mutex<Streamed>),
}

/// What its datagrams look like.
#[derive(Debug, Clone)]
pub(super) enum Framing {
    /// Each names its target (RFC 1928 §7).
    Socks,
    /// All go to one target.
    Fixed(Target),
}

/// Who the datagrams of an association may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// The first who sends from this address.
    From(IpAddr),
    /// This one.
    Exactly(SocketAddr),
}

impl Sender {
    /// The sender of a client that came in from `source` and says that it will send from `claimed`. The
    /// port counts unless the address shows that a NAT is in between, which chooses another one.
    pub(super) fn new(source: IpAddr, claimed: &Target) -> Self {
        let is_itself = match &claimed.host {
            Host::Ip(ip) => ip.is_unspecified() || *ip == source,
            Host::Domain(_) => false,
        };
        if is_itself && claimed.port != 0 {
            Self::Exactly(SocketAddr::new(source, claimed.port))
        } else {
            Self::From(source)
        }
    }

    /// Whether a datagram is the client's. The first one settles which port is.
    pub(super) fn admits(&mut self, source: SocketAddr) -> bool {
        let source = SocketAddr::new(canonical_ip(source.ip()), source.port());
        match *self {
            Self::Exactly(sender) => sender == source,
            Self::From(ip) if is_same_host(ip, source.ip()) => {
                *self = Self::Exactly(source);
                true
            }
            Self::From(_) => false,
        }
    }

    pub(super) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Exactly(sender) => Some(sender),
            Self::From(_) => None,
        }
    }
}

/// Whether a datagram from `source` can be one of the client at `ip`. All loopback addresses are this
/// machine, where anybody may send from any of them.
pub(super) fn is_same_host(ip: IpAddr, source: IpAddr) -> bool {
    ip == source || (ip.is_loopback() && source.is_loopback())
}

impl Client {
    /// Whether a connection says how long the association lasts.
    pub(super) fn is_held(&self) -> bool {
        match &self.link {
            Link::Own(_) | Link::Shared { .. } | Link::Sealed { .. } => self.control.is_some(),
            Link::Stream(_) => true,
        }
    }

    /// Waits for the end of the connection that the association hangs on.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_over {
            return Poll::Ready(());
        }
        match &mut self.control {
            Some(control) => poll_end(control, context),
            None => Poll::Pending,
        }
    }

    /// Whether there may be something to read, and what an inbox holds.
    pub(super) fn poll_readable(
        &mut self,
        context: &mut Context<'_>,
        taken: &mut Vec<(SocketAddr, Vec<u8>)>,
    ) -> bool {
        match &mut self.link {
            Link::Own(socket) => socket.poll_readable(context).is_ready(),
            Link::Shared { inbox, .. } | Link::Sealed { inbox, .. } => {
                // None that came is an inbox that was closed: the proxy is stopping.
                matches!(inbox.poll_recv_many(context, taken, MAX_TAKEN), Poll::Ready(1..))
            }
            Link::Stream(streamed) => {
                let Some(sender) = self.sender.address() else { return false };
                let streamed = streamed.get_mut();
                match streamed.poll(context) {
                    Poll::Pending => return false,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_over)) => self.is_over = true,
                }
                taken.extend(streamed.take().into_iter().map(|datagram| (sender, datagram)));
                true
            }
        }
    }

    /// Sends to the client; what cannot be sent is lost, as on any path.
    pub(super) fn send(&self, datagrams: &[Outgoing<'_>]) -> usize {
        match &self.link {
            Link::Own(socket) => socket.send(datagrams).len(),
            Link::Shared { socket, .. } => socket.send(datagrams).len(),
            Link::Sealed { socket, server, session, .. } => {
                let sealed: Vec<(SocketAddr, Vec<u8>)> = datagrams
                    .iter()
                    .filter_map(|datagram| {
                        server.seal(*session, &target_of(datagram.header)?, datagram.payload)
                    })
                    .collect();
                let outgoing: Vec<Outgoing<'_>> = sealed
                    .iter()
                    .map(|(to, payload)| Outgoing { to: Some(*to), header: &[], payload })
                    .collect();
                socket.send(&outgoing).len()
            }
            Link::Stream(streamed) => {
                streamed.lock().queue(datagrams);
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(claimed: &str, senders: &[(&str, bool)]) {
        let mut sender = Sender::new([192, 0, 2, 1].into(), &claimed.parse().unwrap());
        for (source, admitted) in senders {
            assert_eq!(sender.admits(source.parse().unwrap()), *admitted, "{claimed} {source}");
        }
    }

    #[test]
    fn the_first_who_sends_from_the_clients_address_is_the_client() {
        let senders =
            [("192.0.2.2:1", false), ("192.0.2.1:5", true), ("192.0.2.1:6", false), ("192.0.2.1:5", true)];
        check("0.0.0.0:0", &senders);
        check("[::]:0", &senders);
        check("example.com:7", &senders);
        let mut local = Sender::From([127, 1, 0, 9].into());
        assert!(!local.admits("192.0.2.1:5".parse().unwrap()));
        assert!(local.admits("127.0.0.1:5".parse().unwrap()), "this machine");
        assert!(!local.admits("127.1.0.9:6".parse().unwrap()), "somebody else on it");
    }

    #[test]
    fn a_port_that_the_client_named_is_the_only_one() {
        let senders = [("192.0.2.1:6", false), ("192.0.2.1:5", true), ("[::ffff:192.0.2.1]:5", true)];
        check("0.0.0.0:5", &senders);
        check("192.0.2.1:5", &senders);
    }

    #[test]
    fn a_port_behind_a_nat_says_nothing() {
        check("10.0.0.7:5", &[("10.0.0.7:5", false), ("192.0.2.1:6", true), ("192.0.2.1:5", false)]);
    }
}
