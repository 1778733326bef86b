//! A client from its first byte until it is known where it wants to go.

mod keyed;
mod multiplexed;

use std::{io, net::SocketAddr, sync::Arc};

use socket2::SockRef;
use tokio::time::timeout;
use tracing::debug;
use waypost_config::model::Door;
use waypost_net::{Flow, Host, Network, Target, canonical_ip};
use waypost_transport::Entered;
use waypost_wire::{Command, DialFailure};

use self::{
    keyed::{Stranger, enter},
    multiplexed::Multiplexed,
};
use crate::{
    Accepted, ClientStream, Ends, Opened, Stream,
    chain::Chain,
    dispatch::{Standing, establish},
    handshake::accept_again,
    http::{Connect, forward_requests},
    inbound::{Admission, Entry, Inbound},
    shared::Shared,
    stream::{Base, Layered},
    udp::{Association, associate},
};

/// Why a door leads nowhere.
#[derive(Debug, thiserror::Error)]
enum DoorError {
    /// The kernel does not know where the client was going.
    #[error("the firewall does not say where the client was going")]
    NotRedirected(#[source] io::Error),
    /// The client was going to the inbound itself.
    #[error("the client was going to this inbound itself, not redirected to it")]
    Loop,
    /// Nobody knows the port.
    #[error("the inbound has no port, and the client came in on none")]
    NoPort,
}

/// What lasts of a client once it is known what it wants.
#[derive(Debug)]
pub(crate) enum Lasting {
    /// A connection that stands.
    Connection(Standing),
    /// An association for datagrams.
    Association(Box<Association>),
    /// A connection that carries others.
    Carrier(Box<Multiplexed>),
    /// One that is no client.
    Stranger(Stranger),
}

impl Lasting {
    /// Carries until it ends.
    pub(crate) async fn carry(self) {
        match self {
            Self::Connection(standing) => standing.carry().await,
            Self::Association(association) => Box::pin(association.run()).await,
            Self::Carrier(multiplexed) => multiplexed.run().await,
            Self::Stranger(stranger) => stranger.see_off().await,
        }
    }
}

/// One connection from its first byte until it stands; `None` if it ends before.
pub(crate) async fn serve(
    inbound: &Inbound,
    admission: &Arc<Admission>,
    (stream, ends): (Stream, Ends),
    shared: Shared<'_>,
) -> Option<Lasting> {
    let Some(transport) = &inbound.transport else {
        return serve_stream(inbound, stream, ends, shared).await;
    };
    let (base, abort) = Base::new(stream);
    let accepted = timeout(inbound.handshake, Box::pin(transport.accept(base))).await;
    match accepted {
        Ok(Ok(Entered::One(stream))) => {
            serve_stream(inbound, Layered::new(stream, abort).into(), ends, shared).await
        }
        Ok(Ok(Entered::Many(streams))) => {
            let (admission, core) = (admission.clone(), shared.core.clone());
            Some(Lasting::Carrier(Box::new(Multiplexed { streams, admission, ends, core })))
        }
        Ok(Err(error)) => {
            debug!(inbound = inbound.tag.as_deref(), source = ?ends.source, %error, "handshake failed");
            None
        }
        Err(_elapsed) => {
            debug!(inbound = inbound.tag.as_deref(), source = ?ends.source, "the handshake took too long");
            None
        }
    }
}

/// A stream of a client, whatever carries it.
async fn serve_stream(inbound: &Inbound, stream: Stream, ends: Ends, shared: Shared<'_>) -> Option<Lasting> {
    let settings = match &inbound.entry {
        Entry::Handshake(settings) => settings,
        Entry::Door(door) => {
            return pass(inbound, door, stream, ends, shared).await.map(Lasting::Connection);
        }
        Entry::Tunnel(tunnel) => return Box::pin(enter(inbound, tunnel, stream, ends, shared)).await,
    };
    let (mut stream, mut read) = (stream, Vec::new());
    loop {
        match accept_again(stream, &read, settings).await {
            Ok(Opened::Tunnel(accepted)) => return answer(inbound, accepted, ends, shared).await,
            Ok(Opened::HttpRequests { stream: client, read: first }) => {
                let requests = forward_requests(client, first, (inbound, settings), ends, shared);
                let Connect { stream: left, read: first } = Box::pin(requests).await?;
                (stream, read) = (left, first);
            }
            Err(error) => {
                debug!(inbound = inbound.tag.as_deref(), source = ?ends.source, error = %Chain(&error), "handshake failed");
                return None;
            }
        }
    }
}

/// Does what a client asked for.
async fn answer(inbound: &Inbound, accepted: Accepted, ends: Ends, shared: Shared<'_>) -> Option<Lasting> {
    let Accepted { command, target, user, client } = accepted;
    let flow = Flow { user, ..first_flow(inbound, target, ends) };
    match (command, &inbound.udp) {
        (Command::Connect, _) => begin(inbound, client, flow, shared).await.map(Lasting::Connection),
        (Command::UdpAssociate, Some(port)) => {
            let association = associate(shared.core, client, flow, port, inbound).await;
            association.map(|association| Lasting::Association(Box::new(association)))
        }
        (Command::UdpAssociate, None) => {
            client.answer_failure(DialFailure::NotAllowed).await;
            None
        }
    }
}

/// Looks at the first bytes of a client, if that is wanted, and takes it where it wants to go.
async fn begin(
    inbound: &Inbound,
    mut client: ClientStream,
    mut flow: Flow,
    shared: Shared<'_>,
) -> Option<Standing> {
    if let Some(sniffing) = &inbound.sniffing
        && let Err(error) = Box::pin(sniffing.sniff_client(&mut client, &mut flow)).await
    {
        debug!(inbound = inbound.tag.as_deref(), source = ?flow.source, %error, "the client was gone before it was sniffed");
        return None;
    }
    establish(shared, client, flow, inbound.terms.clone()).await
}

/// Takes a client where a door leads.
async fn pass(
    inbound: &Inbound,
    door: &Door,
    stream: Stream,
    ends: Ends,
    shared: Shared<'_>,
) -> Option<Standing> {
    match door_target(door, &stream, ends) {
        Ok(target) => {
            let flow = first_flow(inbound, target, ends);
            begin(inbound, ClientStream::silent(stream, Vec::new()), flow, shared).await
        }
        Err(error) => {
            debug!(inbound = inbound.tag.as_deref(), source = ?ends.source, error = %Chain(&error), "no target");
            stream.reset_on_close();
            None
        }
    }
}

fn first_flow(inbound: &Inbound, target: Target, ends: Ends) -> Flow {
    Flow {
        source: ends.source,
        local: ends.local,
        inbound: inbound.tag.clone(),
        ..Flow::new(Network::Tcp, target)
    }
}

fn door_target(door: &Door, stream: &Stream, ends: Ends) -> Result<Target, DoorError> {
    if door.follow_redirect {
        let original = original_target(stream).map_err(DoorError::NotRedirected)?;
        if Some(original) == ends.local {
            return Err(DoorError::Loop);
        }
        return Ok(Target::new(Host::from(original.ip()), original.port()));
    }
    let port = door.port.or_else(|| Some(ends.local?.port())).ok_or(DoorError::NoPort)?;
    match &door.host {
        Some(host) => Ok(Target::new(host.clone(), port)),
        None => Err(DoorError::NoPort),
    }
}

/// Where a connection was going before netfilter redirected it (`SO_ORIGINAL_DST`).
fn original_target(stream: &Stream) -> io::Result<SocketAddr> {
    let Stream::Tcp(tcp) = stream else { return Err(io::ErrorKind::Unsupported.into()) };
    let socket = SockRef::from(tcp);
    let original =
        if tcp.local_addr()?.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    let address = original?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok(SocketAddr::new(canonical_ip(address.ip()), address.port()))
}
