//! A port whose datagrams all go to one target: each sender is a client of its own.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;
use waypost_config::model::{self, SocketOptions};
use waypost_net::{Host, Tag, Target};

use super::{
    Facts,
    association::Association,
    batch::Socket,
    client::{Client, Framing, Link, Outbox, Sender},
    drops::Reason,
};
use crate::{BindError, BoundAddress, Terms, shared::Core};

/// Senders at a time. One that is silent for as long as its session may be idle is forgotten.
const MAX_CLIENTS: usize = 4096;
/// Datagrams that wait for one sender.
const MAX_INBOX: usize = 256;

/// A UDP port that leads to one target.
#[derive(Debug)]
pub(crate) struct Door {
    socket: Arc<Socket>,
    settings: ArcSwap<DoorSettings>,
}

/// Where a door leads, which may change while it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DoorSettings {
    host: Host,
    /// The port that is listened on if there is none.
    port: Option<u16>,
    pub(crate) inbound: Option<Tag>,
    /// How long a sender may be idle.
    idle: Duration,
}

impl DoorSettings {
    /// What a door of a configuration does that listens on `ip`.
    pub(crate) fn new(inbound: &model::Inbound, door: &model::Door, ip: IpAddr) -> Self {
        Self {
            // A checked configuration has a target for every door that takes datagrams.
            host: door.host.clone().unwrap_or_else(|| Host::from(ip)),
            port: door.port,
            inbound: inbound.tag.as_ref().map(|tag| tag.value.clone()),
            idle: Terms::new(&inbound.policy).idle,
        }
    }
}

impl Door {
    /// Listens on `address`.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub(crate) fn bind(address: SocketAddr, settings: DoorSettings) -> Result<Self, BindError> {
        let failed = |source| BindError::Socket { address: BoundAddress::Ip(address), source };
        let socket = Socket::bind(address, &SocketOptions::default()).map_err(failed)?;
        Ok(Self { socket: Arc::new(socket), settings: ArcSwap::from_pointee(settings) })
    }

    /// Leads elsewhere from now on. Senders that are known keep their sessions, unless they lead
    /// elsewhere as well.
    pub(crate) fn set(&self, settings: DoorSettings) {
        if **self.settings.load() != settings {
            self.settings.store(Arc::new(settings));
        }
    }

    /// The address listened on, with the port that the system chose for port 0.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Carries until `stop`, and until no sender has a session any more.
    pub(crate) async fn run(self: Arc<Self>, core: Arc<Core>, stop: CancellationToken) {
        let mut outboxes: HashMap<SocketAddr, Outbox> = HashMap::new();
        let mut associations = JoinSet::new();
        let mut settings = self.settings.load_full();
        while !stop.is_cancelled() || !associations.is_empty() {
            tokio::select! {
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                readable = self.socket.readable() => {
                    let current = self.settings.load_full();
                    if !Arc::ptr_eq(&current, &settings) {
                        outboxes.clear();
                        settings = current;
                    }
                    if readable.is_ok() {
                        self.read(&core, &mut outboxes, &mut associations, !stop.is_cancelled());
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
        admits: bool,
    ) {
        core.udp.buffers.with(|buffer| {
            let Ok(batch) = self.socket.receive(buffer) else { return };
            for (source, datagram) in batch.iter() {
                let known = outboxes.get(&source).filter(|outbox| !outbox.is_closed());
                if known.is_none() {
                    if !admits {
                        continue;
                    }
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
        let (settings, here) = (self.settings.load_full(), self.address());
        let port = settings.port.or_else(|| Some(here?.port())).unwrap_or_default();
        let target = Target::new(settings.host.clone(), port);
        let client = Client {
            link: Link::Shared { socket: self.socket.clone(), inbox },
            framing: Framing::Fixed(target),
            control: None,
            sender: Sender::Exactly(source),
            _place: None,
            is_over: false,
        };
        let facts = Facts {
            source: Some(source),
            local: here,
            inbound: settings.inbound.clone(),
            user: None,
            idle: settings.idle,
        };
        let association = Association::new(core.clone(), facts, client);
        associations.spawn(async move {
            association.run().await;
            source
        });
        outbox
    }
}
