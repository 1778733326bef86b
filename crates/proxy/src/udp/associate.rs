//! UDP ASSOCIATE: gives a client a port, and carries for it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;
use tracing::debug;
use waypost_config::model::SocketOptions;
use waypost_net::{Flow, Target, canonical_ip};
use waypost_transport::Datagrams;
use waypost_wire::DialFailure;

use super::{
    Facts,
    association::Association,
    batch::Socket,
    client::{Client, Framing, Link, Sender},
    hub::{Hub, Place},
    streamed::Streamed,
};
use crate::{ClientStream, inbound::Inbound, shared::Core};

/// Where the clients of an inbound send datagrams.
#[derive(Debug, Clone, Default)]
pub(crate) struct UdpPort {
    /// The address that they are told; `None` for the one that they came in by.
    pub(crate) told: Option<IpAddr>,
    /// The port that all share; without it each gets one of its own.
    pub(crate) hub: Option<Arc<Hub>>,
}

/// Grants a client an association, if there is a port for it. The target of `flow` is the address that the
/// client says it will send from.
pub(crate) async fn associate(
    core: &Arc<Core>,
    client: ClientStream,
    flow: Flow,
    port: &UdpPort,
    inbound: &Inbound,
) -> Option<Association> {
    // A client of a Unix socket is on this machine.
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    let local = flow.local.map_or(here, |local| canonical_ip(local.ip()));
    let source = flow.source.map_or(here, |source| canonical_ip(source.ip()));
    let sender = Sender::new(source, &flow.target);
    let (link, address, place) = match open_link(port, local, sender) {
        Ok(opened) => opened,
        Err(error) => {
            debug!(inbound = flow.inbound.as_deref(), source = ?flow.source, %error, "no port for an association");
            client.answer_failure(DialFailure::General).await;
            return None;
        }
    };
    let told = SocketAddr::new(port.told.unwrap_or_else(|| address.ip()), address.port());
    let (control, _ignored) = client.answer_success(told).await.ok()?;
    let client = Client {
        link,
        framing: Framing::Socks,
        control: Some(control),
        sender,
        _place: place,
        is_over: false,
    };
    Some(Association::new(core.clone(), facts(flow, inbound), client))
}

/// A way for the datagrams of a client, the address of this end, and what holds it open.
fn open_link(port: &UdpPort, local: IpAddr, sender: Sender) -> io::Result<(Link, SocketAddr, Option<Place>)> {
    let Some(hub) = &port.hub else {
        let socket = Socket::bind(SocketAddr::new(local, 0), &SocketOptions::default())?;
        let address = socket.local_addr()?;
        return Ok((Link::Own(socket), address, None));
    };
    let (socket, inbox, place) = hub.join(sender).ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((Link::Shared { socket, inbox }, SocketAddr::new(local, hub.port), Some(place)))
}

/// An association for the datagrams in a stream of a client, `target` being what the client asked for.
pub(crate) fn associate_stream(
    core: &Arc<Core>,
    datagrams: Box<dyn Datagrams>,
    target: Target,
    flow: Flow,
    inbound: &Inbound,
) -> Association {
    let streamed = Streamed::from_client(datagrams, target);
    // A client of a Unix socket has no address; nobody else sends in its stream.
    let sender = flow.source.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let client = Client {
        framing: streamed.framing(),
        link: Link::Stream(Mutex::new(streamed)),
        control: None,
        sender: Sender::Exactly(SocketAddr::new(canonical_ip(sender.ip()), sender.port())),
        _place: None,
        is_over: false,
    };
    Association::new(core.clone(), facts(flow, inbound), client)
}

fn facts(flow: Flow, inbound: &Inbound) -> Facts {
    let Flow { source, local, inbound: tag, user, .. } = flow;
    let (idle, sniffing) = (inbound.terms.idle, inbound.sniffing.clone());
    Facts { source, local, inbound: tag, user, idle, sniffing }
}
