//! One port for the datagrams of several clients, who are told apart by their addresses.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use waypost_config::model::SocketOptions;
use waypost_net::canonical_ip;

use super::{
    batch::Socket,
    client::{Inbox, Outbox, Sender, is_same_host},
    drops::Reason,
};
use crate::{BindError, BoundAddress, shared::Core};

/// Datagrams that wait for one association.
const MAX_INBOX: usize = 256;

/// One port that the associations of an inbound share.
#[derive(Debug)]
pub(crate) struct Hub {
    sockets: Vec<Arc<Socket>>,
    pub(super) port: u16,
    clients: Arc<Mutex<Clients>>,
    /// Told when a client leaves.
    left: Arc<Notify>,
}

/// Whose datagrams are whose.
#[derive(Debug, Default)]
struct Clients {
    known: HashMap<SocketAddr, Outbox>,
    /// Those of whom only the address is known, in the order that they came.
    expected: Vec<(IpAddr, Outbox)>,
}

/// A place at a shared port; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    clients: Arc<Mutex<Clients>>,
    left: Arc<Notify>,
    outbox: Outbox,
}

impl Hub {
    /// Listens on `address`, and on every IPv4 address too where that is every IPv6 address.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let bind = |address: SocketAddr| {
            let failed = |source| BindError::Socket { address: BoundAddress::Ip(address), source };
            Socket::bind(address, &SocketOptions::default()).map(Arc::new).map_err(failed)
        };
        let mut sockets = vec![bind(address)?];
        if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            sockets.push(bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))?);
        }
        Ok(Self { sockets, port: address.port(), clients: Arc::default(), left: Arc::default() })
    }

    /// Passes datagrams on to the associations that they belong to, until `stop` and none is left.
    pub(crate) async fn run(self: Arc<Self>, core: Arc<Core>, stop: CancellationToken) {
        tokio::select! {
            () = self.pass_on(&core) => {}
            () = async {
                stop.cancelled().await;
                while !self.clients.lock().is_empty() {
                    self.left.notified().await;
                }
            } => {}
        }
    }

    async fn pass_on(&self, core: &Core) {
        let both = (self.sockets.first(), self.sockets.get(1));
        match both {
            (Some(first), Some(second)) => {
                tokio::join!(self.read(first, core), self.read(second, core));
            }
            (Some(only), None) => self.read(only, core).await,
            (None, _) => {}
        }
    }

    async fn read(&self, socket: &Socket, core: &Core) {
        while socket.readable().await.is_ok() {
            core.udp.buffers.with(|buffer| {
                let Ok(batch) = socket.receive(buffer) else { return };
                let mut clients = self.clients.lock();
                for (source, datagram) in batch.iter() {
                    if let Err(reason) = clients.pass_on(source, datagram) {
                        core.udp.drops.count(reason);
                    }
                }
            });
        }
    }

    /// A place for the datagrams of `sender`, and the socket that answers it.
    pub(super) fn join(&self, sender: Sender) -> Option<(Arc<Socket>, Inbox, Place)> {
        let (outbox, inbox) = mpsc::channel(MAX_INBOX);
        let mut clients = self.clients.lock();
        let ip = match sender {
            Sender::Exactly(address) => {
                clients.known.insert(address, outbox.clone());
                address.ip()
            }
            Sender::From(ip) => {
                clients.expected.push((ip, outbox.clone()));
                ip
            }
        };
        let of_family =
            |socket: &&Arc<Socket>| socket.local_addr().is_ok_and(|bound| bound.is_ipv4() == ip.is_ipv4());
        let socket = self.sockets.iter().find(of_family)?.clone();
        Some((socket, inbox, Place { clients: self.clients.clone(), left: self.left.clone(), outbox }))
    }
}

impl Clients {
    fn is_empty(&self) -> bool {
        self.known.is_empty() && self.expected.is_empty()
    }

    fn pass_on(&mut self, source: SocketAddr, datagram: &[u8]) -> Result<(), Reason> {
        let source = SocketAddr::new(canonical_ip(source.ip()), source.port());
        let outbox = match self.known.get(&source) {
            Some(outbox) => outbox,
            None => {
                let of_address = |(ip, _): &(IpAddr, Outbox)| is_same_host(*ip, source.ip());
                let first = self.expected.iter().position(of_address).ok_or(Reason::Spoofed)?;
                let (_, outbox) = self.expected.remove(first);
                self.known.entry(source).or_insert(outbox)
            }
        };
        outbox.try_send((source, datagram.to_vec())).map_err(|_full| Reason::NoRoom)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.clients.lock();
        clients.known.retain(|_, outbox| !outbox.same_channel(&self.outbox));
        clients.expected.retain(|(_, outbox)| !outbox.same_channel(&self.outbox));
        self.left.notify_one();
    }
}
