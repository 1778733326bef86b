//! A port whose datagrams all go to one target, or say where they go once they are decrypted. Each
//! sender is a client of its own.

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
use crate::{
    BindError, BoundAddress, Terms,
    shadowsocks::{Received, Server, SessionId},
    shared::Core,
    sniffing::Sniffing,
};

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
#[derive(Debug, Clone)]
pub(crate) struct DoorSettings {
    leads: Leads,
    pub(crate) inbound: Option<Tag>,
    /// How long a sender may be idle.
    idle: Duration,
    /// What the sessions of its senders are sniffed by.
    sniffing: Option<Arc<Sniffing>>,
}

/// Where its datagrams go.
#[derive(Debug, Clone)]
enum Leads {
    /// To this host, and the port that is listened on if there is none.
    Target { host: Host, port: Option<u16> },
    /// Where each says.
    Sealed(Arc<Server>),
}

impl PartialEq for Leads {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Target { host, port }, Self::Target { host: other, port: other_port }) => {
                (host, port) == (other, other_port)
            }
            (Self::Sealed(server), Self::Sealed(other)) => Arc::ptr_eq(server, other),
            (Self::Target { .. }, Self::Sealed(_)) | (Self::Sealed(_), Self::Target { .. }) => false,
        }
    }
}

impl DoorSettings {
    /// What a door of a configuration does that listens on `ip`.
    pub(crate) fn to_target(
        inbound: &model::Inbound,
        door: &model::Door,
        ip: IpAddr,
        sniffing: Option<Arc<Sniffing>>,
    ) -> Self {
        // A checked configuration has a target for every door that takes datagrams.
        let host = door.host.clone().unwrap_or_else(|| Host::from(ip));
        Self::new(inbound, Leads::Target { host, port: door.port }, sniffing)
    }

    /// What is done for clients of Shadowsocks.
    pub(crate) fn sealed(
        inbound: &model::Inbound,
        server: Arc<Server>,
        sniffing: Option<Arc<Sniffing>>,
    ) -> Self {
        Self::new(inbound, Leads::Sealed(server), sniffing)
    }

    /// Who decrypts what comes in.
    pub(crate) fn server(&self) -> Option<&Arc<Server>> {
        match &self.leads {
            Leads::Sealed(server) => Some(server),
            Leads::Target { .. } => None,
        }
    }

    fn new(inbound: &model::Inbound, leads: Leads, sniffing: Option<Arc<Sniffing>>) -> Self {
        Self {
            leads,
            inbound: inbound.tag.as_ref().map(|tag| tag.value.clone()),
            idle: Terms::new(&inbound.policy).idle,
            sniffing,
        }
    }

    /// Whether senders need not notice that these settings take the place of others.
    fn leads_like(&self, other: &Self) -> bool {
        let Self { leads, inbound, idle, sniffing: _for_new_ones } = self;
        (leads, inbound, idle) == (&other.leads, &other.inbound, &other.idle)
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
        self.settings.store(Arc::new(settings));
    }

    /// Where it leads now.
    pub(crate) fn settings(&self) -> Arc<DoorSettings> {
        self.settings.load_full()
    }

    /// The address listened on, with the port that the system chose for port 0.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Carries until `stop`, and until no sender has a session any more.
    pub(crate) async fn run(self: Arc<Self>, core: Arc<Core>, stop: CancellationToken) {
        let mut outboxes: HashMap<Whose, Known> = HashMap::new();
        let mut associations = JoinSet::new();
        let mut settings = self.settings.load_full();
        while !stop.is_cancelled() || !associations.is_empty() {
            tokio::select! {
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                readable = self.socket.readable() => {
                    let current = self.settings.load_full();
                    if !current.leads_like(&settings) {
                        outboxes.clear();
                    }
                    settings = current;
                    if readable.is_ok() {
                        self.read(&core, &mut outboxes, &mut associations, !stop.is_cancelled());
                    }
                }
                Some(Ok(whose)) = associations.join_next() => {
                    if outboxes.get(&whose).is_some_and(|known| known.outbox.is_closed()) {
                        outboxes.remove(&whose);
                        if let (Whose::Session(session), Leads::Sealed(server)) = (whose, &settings.leads) {
                            server.forget(session);
                        }
                    }
                }
            }
        }
    }

    fn read(
        &self,
        core: &Arc<Core>,
        outboxes: &mut HashMap<Whose, Known>,
        associations: &mut JoinSet<Whose>,
        admits: bool,
    ) {
        let settings = self.settings.load_full();
        core.udp.buffers.with(|buffer| {
            let Ok(batch) = self.socket.receive(buffer) else { return };
            for (source, datagram) in batch.iter() {
                let Some(came) = self.open(&settings, source, datagram) else {
                    core.udp.drops.count(Reason::Malformed);
                    continue;
                };
                let Came { whose, user, datagram } = came;
                let known = outboxes.get(&whose).filter(|known| !known.outbox.is_closed());
                if known.is_none() {
                    if !admits {
                        continue;
                    }
                    if outboxes.len() >= MAX_CLIENTS {
                        core.udp.drops.count(Reason::NoRoom);
                        continue;
                    }
                    let outbox = self.admit(core, &settings, (whose, source, user), associations);
                    outboxes.insert(whose, Known { outbox, source });
                }
                let Some(known) = outboxes.get(&whose) else { continue };
                if known.outbox.try_send((known.source, datagram)).is_err() {
                    core.udp.drops.count(Reason::NoRoom);
                }
            }
        });
    }

    /// Whose a datagram is, and what is in it.
    fn open(&self, settings: &DoorSettings, source: SocketAddr, datagram: &[u8]) -> Option<Came> {
        match &settings.leads {
            Leads::Target { .. } => {
                Some(Came { whose: Whose::Sender(source), user: None, datagram: datagram.to_vec() })
            }
            Leads::Sealed(server) => {
                let Received { session, user, datagram } = server.open(source, datagram)?;
                Some(Came { whose: Whose::Session(session), user, datagram })
            }
        }
    }

    /// Begins an association for a sender that is new.
    fn admit(
        &self,
        core: &Arc<Core>,
        settings: &DoorSettings,
        (whose, source, user): (Whose, SocketAddr, Option<Arc<str>>),
        associations: &mut JoinSet<Whose>,
    ) -> Outbox {
        let (outbox, inbox) = mpsc::channel(MAX_INBOX);
        let (here, socket) = (self.address(), self.socket.clone());
        let framing = match &settings.leads {
            Leads::Target { host, port } => {
                let port = port.or_else(|| Some(here?.port())).unwrap_or_default();
                Framing::Fixed(Target::new(host.clone(), port))
            }
            Leads::Sealed(_) => Framing::Socks,
        };
        let link = match (&settings.leads, whose) {
            (Leads::Sealed(server), Whose::Session(session)) => {
                Link::Sealed { socket, inbox, server: server.clone(), session }
            }
            (Leads::Target { .. } | Leads::Sealed(_), _) => Link::Shared { socket, inbox },
        };
        let sender = Sender::Exactly(source);
        let client = Client { link, framing, control: None, sender, _place: None, is_over: false };
        let facts = Facts {
            source: Some(source),
            local: here,
            inbound: settings.inbound.clone(),
            user,
            idle: settings.idle,
            sniffing: settings.sniffing.clone(),
        };
        let association = Association::new(core.clone(), facts, client);
        associations.spawn(async move {
            association.run().await;
            whose
        });
        outbox
    }
}

/// A sender that has an association.
#[derive(Debug)]
struct Known {
    outbox: Outbox,
    /// Where it was when it came; what is sealed may come from elsewhere later.
    source: SocketAddr,
}

/// Whose a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    /// The one's at this address.
    Sender(SocketAddr),
    /// The one's who has proved to be the same, at whatever address.
    Session(SessionId),
}

/// A datagram that came in.
struct Came {
    whose: Whose,
    user: Option<Arc<str>>,
    datagram: Vec<u8>,
}
