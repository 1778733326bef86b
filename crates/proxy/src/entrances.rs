//! The places that clients come in by. A configuration that follows takes over those that it has as well,
//! so that nobody who comes in meanwhile is turned away.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use waypost_config::model::{self, Config, InboundProtocol, Listen, SocketOptions};
use waypost_net::Tag;

use crate::{
    BindError, BoundAddress, BoundListener, Inherited, ListenAddress, Listener, StartError, Workers,
    inbound::{Entry, Inbound},
    snapshot::Snapshot,
    sniffing::Sniffing,
    tunnel::{Replays, Tunnel},
    udp::{Door, DoorSettings, Hub, UdpPort},
};

/// What a configuration asks to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Port {
        ip: IpAddr,
        port: u16,
        /// Whose it is, where the system chooses the port.
        of: Option<Tag>,
    },
    Path(Box<str>),
}

/// A place with its sockets.
#[derive(Debug)]
struct Entrance<S> {
    place: Place,
    socket: SocketOptions,
    address: BoundAddress,
    serves: S,
    stop: CancellationToken,
}

/// All places of the configuration in force.
#[derive(Debug, Default)]
pub(crate) struct Entrances {
    streams: Vec<Entrance<Arc<ArcSwap<Inbound>>>>,
    hubs: Vec<Entrance<Arc<Hub>>>,
    doors: Vec<Entrance<Arc<Door>>>,
    /// What has come in with a key, whatever the configuration was.
    replays: Replays,
}

/// A place of a configuration that is to be: one that there is, by its number, or a new one.
#[derive(Debug)]
enum Source<N> {
    Kept(usize),
    New(N),
}

#[derive(Debug)]
struct PlannedStream {
    place: Place,
    socket: SocketOptions,
    address: BoundAddress,
    inbound: Arc<Inbound>,
    source: Source<Vec<Listener>>,
}

#[derive(Debug)]
struct PlannedDoor {
    place: Place,
    address: BoundAddress,
    settings: DoorSettings,
    source: Source<Arc<Door>>,
}

#[derive(Debug)]
struct PlannedHub {
    place: Place,
    address: BoundAddress,
    source: Source<Arc<Hub>>,
}

/// The places of a configuration that is to be. Those that are new listen already, and nobody accepts.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    streams: Vec<PlannedStream>,
    hubs: Vec<PlannedHub>,
    doors: Vec<PlannedDoor>,
    /// Where the inbounds listen, in the order of the file.
    pub(crate) addresses: Vec<ListenAddress>,
}

/// What begins when a plan comes into force.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// Accepting, by the worker that the socket belongs to.
    pub(crate) streams: Vec<(usize, Listener, Arc<ArcSwap<Inbound>>, CancellationToken)>,
    pub(crate) hubs: Vec<(Arc<Hub>, CancellationToken)>,
    pub(crate) doors: Vec<(Arc<Door>, CancellationToken)>,
}

impl Entrances {
    /// Listens where a configuration wants that and nobody does yet.
    ///
    /// # Errors
    ///
    /// If the system refuses one of them, or an inbound's accounts cannot be used. Nothing has changed then.
    pub(crate) fn plan(
        &self,
        config: &Config,
        snapshot: &Snapshot,
        before: Option<&Config>,
        (workers, inherited): (&Workers, &mut Inherited),
    ) -> Result<Plan, StartError> {
        let mut plan = Plan::default();
        for (index, inbound) in config.inbounds.iter().enumerate() {
            let (sniffing, transport) = (snapshot.sniffing(index), snapshot.transport(index));
            let mut made = Inbound::try_new(inbound, sniffing, transport, &self.replays)?;
            let known = before.and_then(|before| same_inbound(before, inbound));
            if known.is_some_and(|known| known.protocol == inbound.protocol)
                && let Some(tunnel) = self.tunnel_in_force(inbound)?
            {
                // The sessions of its datagrams go on.
                made.entry = Entry::Tunnel(tunnel);
            }
            made.udp =
                self.plan_datagrams(inbound, &made.entry, snapshot.sniffing(index).as_ref(), &mut plan)?;
            if known.is_some_and(|known| known.limits == inbound.limits)
                && let Some(before) = self.in_force(inbound)?
            {
                // Whoever is in counts on.
                made.limits = before.limits.clone();
            }
            self.plan_streams(inbound, &Arc::new(made), (workers, &mut *inherited), &mut plan)?;
        }
        Ok(plan)
    }

    /// The inbound in force that is the same.
    fn in_force(&self, inbound: &model::Inbound) -> Result<Option<Arc<Inbound>>, BindError> {
        if !has_streams(inbound) {
            return Ok(None);
        }
        let same = same_entrance(&self.streams, inbound, |serves| serves.load().tag.clone())?;
        Ok(same.map(|serves| serves.load_full()))
    }

    /// What takes those of the same inbound who have a key, or only their datagrams.
    fn tunnel_in_force(&self, inbound: &model::Inbound) -> Result<Option<Tunnel>, BindError> {
        if has_streams(inbound) {
            return Ok(self.in_force(inbound)?.and_then(|known| match &known.entry {
                Entry::Tunnel(tunnel) => Some(tunnel.clone()),
                Entry::Handshake(_) | Entry::Door(_) => None,
            }));
        }
        let same = same_entrance(&self.doors, inbound, |door| door.settings().inbound.clone())?;
        Ok(same.and_then(|door| door.settings().server().cloned()).map(Tunnel::of_server))
    }

    fn plan_streams(
        &self,
        inbound: &model::Inbound,
        made: &Arc<Inbound>,
        (workers, inherited): (&Workers, &mut Inherited),
        plan: &mut Plan,
    ) -> Result<(), StartError> {
        for place in stream_places(inbound)? {
            let kept = kept(&self.streams, &place, plan.streams.iter().map(|planned| &planned.source));
            let (address, source) = match kept.and_then(|index| Some((index, self.streams.get(index)?))) {
                Some((index, entrance)) => {
                    if entrance.socket != inbound.socket {
                        warn!(
                            address = %entrance.address,
                            "what is set on a listening socket changes with the next start"
                        );
                    }
                    (entrance.address.clone(), Source::Kept(index))
                }
                None => listen(&place, inbound, workers, inherited)?,
            };
            plan.addresses.push(ListenAddress { inbound: made.tag.clone(), address: address.clone() });
            let (inbound, socket) = (made.clone(), inbound.socket.clone());
            plan.streams.push(PlannedStream { place, socket, address, inbound, source });
        }
        Ok(())
    }

    /// Listens where an inbound takes datagrams. Yields what its clients may ask for.
    fn plan_datagrams(
        &self,
        inbound: &model::Inbound,
        entry: &Entry,
        sniffing: Option<&Arc<Sniffing>>,
        plan: &mut Plan,
    ) -> Result<Option<UdpPort>, StartError> {
        let (networks, settings) = match &inbound.protocol {
            InboundProtocol::Client(_) => {
                let Some(udp) = inbound.udp else { return Ok(None) };
                let (Some(port), Some(ip)) = (udp.port, inbound.listen.ip()) else {
                    return Ok(Some(UdpPort { told: udp.address, hub: None }));
                };
                let hub = self.plan_hub(ip, port, plan)?;
                return Ok(Some(UdpPort { told: udp.address, hub: Some(hub) }));
            }
            InboundProtocol::Door(door) => {
                let Some(ip) = inbound.listen.ip() else { return Ok(None) };
                (door.networks, DoorSettings::to_target(inbound, door, ip, sniffing.cloned()))
            }
            InboundProtocol::Shadowsocks(shadowsocks) => {
                let Entry::Tunnel(tunnel) = entry else { return Ok(None) };
                let Some(server) = tunnel.sealed() else { return Ok(None) };
                (shadowsocks.networks, DoorSettings::sealed(inbound, server.clone(), sniffing.cloned()))
            }
            // Theirs come in streams.
            InboundProtocol::Vmess(_) | InboundProtocol::Vless(_) | InboundProtocol::Trojan(_) => {
                return Ok(None);
            }
        };
        let (true, Listen::Ports { ip, ports }) = (networks.udp, &inbound.listen) else {
            return Ok(None);
        };
        for port in ports.first..=ports.last {
            let settings = settings.clone();
            let place = place_of(*ip, port, inbound);
            let kept = kept(&self.doors, &place, plan.doors.iter().map(|planned| &planned.source));
            let (address, source) = match kept.and_then(|index| Some((index, self.doors.get(index)?))) {
                Some((index, entrance)) => (entrance.address.clone(), Source::Kept(index)),
                None => {
                    let bound = Arc::new(Door::bind(SocketAddr::new(*ip, port), settings.clone())?);
                    let here = bound.address().unwrap_or_else(|| SocketAddr::new(*ip, port));
                    (BoundAddress::Ip(here), Source::New(bound))
                }
            };
            if !networks.tcp {
                let tag = settings.inbound.clone();
                plan.addresses.push(ListenAddress { inbound: tag, address: address.clone() });
            }
            plan.doors.push(PlannedDoor { place, address, settings, source });
        }
        Ok(None)
    }

    fn plan_hub(&self, ip: IpAddr, port: u16, plan: &mut Plan) -> Result<Arc<Hub>, StartError> {
        let place = Place::Port { ip, port, of: None };
        let kept = kept(&self.hubs, &place, plan.hubs.iter().map(|planned| &planned.source));
        let address = BoundAddress::Ip(SocketAddr::new(ip, port));
        let (hub, source) = match kept.and_then(|index| Some((index, self.hubs.get(index)?))) {
            Some((index, entrance)) => (entrance.serves.clone(), Source::Kept(index)),
            None => {
                let hub = Arc::new(Hub::bind(SocketAddr::new(ip, port))?);
                (hub.clone(), Source::New(hub))
            }
        };
        plan.hubs.push(PlannedHub { place, address, source });
        Ok(hub)
    }

    /// Brings a plan into force. Those that are in no plan any more take nobody from here on.
    pub(crate) fn put(&mut self, plan: Plan, stop: &CancellationToken) -> Begun {
        let mut begun = Begun::default();
        let replays = self.replays.clone();
        let mut old = std::mem::replace(self, Self { replays, ..Self::default() }).into_parts();
        for PlannedStream { place, socket, address, inbound, source } in plan.streams {
            match source {
                Source::Kept(index) => {
                    if let Some(entrance) = old.0.get_mut(index).and_then(Option::take) {
                        entrance.serves.store(inbound);
                        self.streams.push(entrance);
                    }
                }
                Source::New(listeners) => {
                    let (serves, stop) = (Arc::new(ArcSwap::from(inbound)), stop.child_token());
                    for (worker, listener) in listeners.into_iter().enumerate() {
                        begun.streams.push((worker, listener, serves.clone(), stop.clone()));
                    }
                    self.streams.push(Entrance { place, socket, address, serves, stop });
                }
            }
        }
        for PlannedHub { place, address, source } in plan.hubs {
            match source {
                Source::Kept(index) => self.hubs.extend(old.1.get_mut(index).and_then(Option::take)),
                Source::New(hub) => {
                    let stop = stop.child_token();
                    begun.hubs.push((hub.clone(), stop.clone()));
                    let socket = SocketOptions::default();
                    self.hubs.push(Entrance { place, socket, address, serves: hub, stop });
                }
            }
        }
        for PlannedDoor { place, address, settings, source } in plan.doors {
            match source {
                Source::Kept(index) => {
                    if let Some(entrance) = old.2.get_mut(index).and_then(Option::take) {
                        entrance.serves.set(settings);
                        self.doors.push(entrance);
                    }
                }
                Source::New(door) => {
                    let stop = stop.child_token();
                    begun.doors.push((door.clone(), stop.clone()));
                    let socket = SocketOptions::default();
                    self.doors.push(Entrance { place, socket, address, serves: door, stop });
                }
            }
        }
        old.0.iter().flatten().for_each(close);
        old.1.iter().flatten().for_each(close);
        old.2.iter().flatten().for_each(close);
        begun
    }

    #[expect(clippy::type_complexity, reason = "three lists, taken apart in one place")]
    fn into_parts(
        self,
    ) -> (
        Vec<Option<Entrance<Arc<ArcSwap<Inbound>>>>>,
        Vec<Option<Entrance<Arc<Hub>>>>,
        Vec<Option<Entrance<Arc<Door>>>>,
    ) {
        (
            self.streams.into_iter().map(Some).collect(),
            self.hubs.into_iter().map(Some).collect(),
            self.doors.into_iter().map(Some).collect(),
        )
    }
}

fn close<S>(entrance: &Entrance<S>) {
    info!(address = %entrance.address, "no longer listening");
    entrance.stop.cancel();
}

/// What serves an inbound of the same name or, if it has none, at the same place.
fn same_entrance<'e, S>(
    there: &'e [Entrance<S>],
    inbound: &model::Inbound,
    tag_of: impl Fn(&S) -> Option<Tag>,
) -> Result<Option<&'e S>, BindError> {
    let tag = inbound.tag.as_ref().map(|tag| &tag.value);
    let places = places(inbound)?;
    let mut known = there.iter().filter(|known| tag.is_some() || places.contains(&known.place));
    Ok(known.find(|known| tag_of(&known.serves).as_ref() == tag).map(|known| &known.serves))
}

/// The number of a place that there is already, and that the plan has not taken yet.
fn kept<'p, S, N: 'p>(
    there: &[Entrance<S>],
    place: &Place,
    mut planned: impl Iterator<Item = &'p Source<N>> + Clone,
) -> Option<usize> {
    let index = there.iter().position(|entrance| entrance.place == *place)?;
    let taken = planned.any(|source| matches!(source, Source::Kept(other) if *other == index));
    (!taken).then_some(index)
}

fn place_of(ip: IpAddr, port: u16, inbound: &model::Inbound) -> Place {
    let tag = inbound.tag.as_ref().map(|tag| tag.value.clone());
    Place::Port { ip, port, of: tag.filter(|_| port == 0) }
}

fn stream_places(inbound: &model::Inbound) -> Result<Vec<Place>, BindError> {
    if has_streams(inbound) { places(inbound) } else { Ok(Vec::new()) }
}

fn has_streams(inbound: &model::Inbound) -> bool {
    match &inbound.protocol {
        InboundProtocol::Door(door) => door.networks.tcp,
        InboundProtocol::Shadowsocks(shadowsocks) => shadowsocks.networks.tcp,
        InboundProtocol::Client(_)
        | InboundProtocol::Vmess(_)
        | InboundProtocol::Vless(_)
        | InboundProtocol::Trojan(_) => true,
    }
}

fn places(inbound: &model::Inbound) -> Result<Vec<Place>, BindError> {
    match &inbound.listen {
        Listen::Unix { path, .. } => Ok(vec![Place::Path(path.clone())]),
        Listen::Ports { ports, .. } if ports.first > ports.last => Err(BindError::NoPort { ports: *ports }),
        Listen::Ports { ip, ports } => {
            Ok((ports.first..=ports.last).map(|port| place_of(*ip, port, inbound)).collect())
        }
    }
}

/// Listens at a new place, with a socket for each worker.
fn listen(
    place: &Place,
    inbound: &model::Inbound,
    workers: &Workers,
    inherited: &mut Inherited,
) -> Result<(BoundAddress, Source<Vec<Listener>>), StartError> {
    let wanted = match place {
        Place::Port { ip, port, .. } => BoundAddress::Ip(SocketAddr::new(*ip, *port)),
        Place::Path(path) => BoundAddress::Unix(path.clone()),
    };
    let bound = if let Some(socket) = inherited.take(&wanted) {
        vec![BoundListener::inherit(socket, wanted)?]
    } else {
        bind(place, inbound, workers)?
    };
    let mut address = None;
    let mut listeners = Vec::with_capacity(bound.len());
    for (worker, bound) in bound.into_iter().enumerate() {
        let Some(runtime) = workers.runtime(worker) else { continue };
        let here = bound.address().clone();
        address.get_or_insert_with(|| here.clone());
        let _entered = runtime.enter();
        listeners.push(bound.listen().map_err(|source| BindError::Socket { address: here, source })?);
    }
    let address = address.unwrap_or_else(|| match place {
        Place::Port { ip, port, .. } => BoundAddress::Ip(SocketAddr::new(*ip, *port)),
        Place::Path(path) => BoundAddress::Unix(path.clone()),
    });
    Ok((address, Source::New(listeners)))
}

fn bind(place: &Place, inbound: &model::Inbound, workers: &Workers) -> Result<Vec<BoundListener>, BindError> {
    Ok(match (place, &inbound.listen) {
        (Place::Port { ip, port, .. }, _) => {
            BoundListener::bind(*ip, *port, workers.len().max(1), &inbound.socket)?
        }
        (Place::Path(path), Listen::Unix { mode, .. }) => vec![BoundListener::bind_unix(path, *mode)?],
        (Place::Path(path), Listen::Ports { .. }) => vec![BoundListener::bind_unix(path, None)?],
    })
}

/// The inbound of the same name in another configuration or, if it has none, at the same place.
fn same_inbound<'c>(config: &'c Config, inbound: &model::Inbound) -> Option<&'c model::Inbound> {
    let tag = inbound.tag.as_ref().map(|tag| &tag.value);
    config.inbounds.iter().find(|known| {
        known.tag.as_ref().map(|tag| &tag.value) == tag && (tag.is_some() || known.listen == inbound.listen)
    })
}
