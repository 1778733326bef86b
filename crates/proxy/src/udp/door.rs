//! A port whose datagrams all go to one target: each sender is a client of its own.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet};
use waypost_config::model::SocketOptions;
use waypost_net::{Host, Tag, Target};

use super::{
    Facts,
    association::Association,
    batch::Socket,
    client::{Client, Framing, Link, Outbox, Sender},
    drops::Reason,
};
use crate::{BindError, BoundAddress, shared::Core};

/// Senders at a time. One that is silent for as long as its session may be idle is forgotten.
const MAX_CLIENTS: usize = 4096;
/// Datagrams that wait for one sender.
const MAX_INBOX: usize = 256;

/// A UDP port that leads to one target.
#[derive(Debug)]
pub(crate) struct Door {
    socket: Arc<Socket>,
    target: Target,
    inbound: Option<Tag>,
    /// How long a sender may be idle.
    idle: Duration,
}

impl Door {
    /// Listens on `address` for what goes to `host`, at `port` or at the port listened on.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub(crate) fn bind(
        address: SocketAddr,
        (host, port): (Host, Option<u16>),
        inbound: Option<Tag>,
        idle: Duration,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError::Socket { address: BoundAddress::Ip(address), source };
        let socket = Socket::bind(address, &SocketOptions::default()).map_err(failed)?;
        let here = socket.local_addr().map_err(failed)?;
        let target = Target::new(host, port.unwrap_or_else(|| here.port()));
        Ok(Self { socket: Arc::new(socket), target, inbound, idle })
    }

    /// The address listened on, with the port that the system chose for port 0.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Carries until the proxy stops and no sender has a session any more.
    pub(crate) async fn run(self, core: Arc<Core>) {
        let mut outboxes: HashMap<SocketAddr, Outbox> = HashMap::new();
        let mut associations = JoinSet::new();
        while !core.stopping.is_cancelled() || !associations.is_empty() {
            tokio::select! {
                () = core.stopping.cancelled(), if !core.stopping.is_cancelled() => {}
                readable = self.socket.readable() => {
                    if readable.is_ok() {
                        self.read(&core, &mut outboxes, &mut associations);
                    }
                }
                Some(Ok(source)) = associations.join_next() => {
                    if outboxes.get(&source).is_some_and(mpsc::Sender::is_closed) {
                        outboxes.remove(&source);
                    }
                }
            }
        }
    }

    fn read(
        &self,
        core: &Arc<Core>,
        outboxes: &mut HashMap<SocketAddr, Outbox>,
        associations: &mut JoinSet<SocketAddr>,
    ) {
        core.udp.buffers.with(|buffer| {
            let Ok(batch) = self.socket.receive(buffer) else { return };
            for (source, datagram) in batch.iter() {
                let known = outboxes.get(&source).filter(|outbox| !outbox.is_closed());
                if known.is_none() {
                    if outboxes.len() >= MAX_CLIENTS {
                        core.udp.drops.count(Reason::NoRoom);
                        continue;
                    }
                    outboxes.insert(source, self.admit(core, source, associations));
                }
                let Some(outbox) = outboxes.get(&source) else { continue };
                if outbox.try_send((source, datagram.to_vec())).is_err() {
                    core.udp.drops.count(Reason::NoRoom);
                }
            }
        });
    }

    /// Begins an association for a sender that is new.
    fn admit(&self, core: &Arc<Core>, source: SocketAddr, associations: &mut JoinSet<SocketAddr>) -> Outbox {
        let (outbox, inbox) = mpsc::channel(MAX_INBOX);
        let client = Client {
            link: Link::Shared { socket: self.socket.clone(), inbox },
            framing: Framing::Fixed(self.target.clone()),
            control: None,
            sender: Sender::Exactly(source),
            _place: None,
        };
        let facts = Facts {
            source: Some(source),
            local: self.address(),
            inbound: self.inbound.clone(),
            user: None,
            idle: self.idle,
        };
        let association = Association::new(core.clone(), facts, client);
        associations.spawn(async move {
            association.run().await;
            source
        });
        outbox
    }
}
