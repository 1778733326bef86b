//! How the proxy's own queries get to DNS servers: directly, or through its own rules.

use std::{
    io,
    sync::{Arc, OnceLock, Weak},
};

use waypost_dns::{
    Datagrams, Destination, DirectNetwork, Family, Network as DnsNetwork, NetworkFuture, Stream, Way,
};
use waypost_net::{Detour, Flow, Host, Tag, Target};

use crate::{
    Terms,
    dispatch::{decide, internal, route},
    first_bytes::FirstBytes,
    shared::{Core, Shared},
    snapshot::Snapshot,
};

/// What the resolver's queries travel in. Rules can be asked once a proxy runs.
#[derive(Debug, Default)]
pub(crate) struct QueryNetwork {
    core: OnceLock<Weak<Core>>,
}

impl QueryNetwork {
    /// Sends the queries that pass the rules through this proxy from now on.
    pub(crate) fn attach(&self, core: &Arc<Core>) {
        // A snapshot serves one proxy only.
        let _first_wins = self.core.set(Arc::downgrade(core));
    }

    fn core(&self) -> io::Result<Arc<Core>> {
        self.core.get().and_then(Weak::upgrade).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Opens a stream as a client of this proxy.
    async fn routed_stream(&self, flow: Flow) -> io::Result<Box<dyn Stream>> {
        let core = self.core()?;
        let snapshot = core.snapshot.load_full();
        let shared = Shared { core: &core, snapshot: &snapshot };
        match internal::connect(shared, flow, Arc::new(Terms::default())).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(io::Error::new(io::ErrorKind::ConnectionRefused, error)),
        }
    }

    /// A socket of this host if the rules say that the query goes out directly; `None` otherwise.
    async fn routed_datagrams(
        &self,
        to: &Destination,
        mut flow: Flow,
    ) -> io::Result<Option<Box<dyn Datagrams>>> {
        let core = self.core()?;
        let snapshot = core.snapshot.load_full();
        let Ok(decision) = decide(&snapshot, &mut flow, &mut FirstBytes::Nowhere).await else {
            return Ok(None);
        };
        let shared = Shared { core: &core, snapshot: &snapshot };
        let is_direct = match route(shared, &decision, &mut flow).await {
            // Of several outbounds another may have to step in, which datagrams do not show.
            Ok(route) => route.group.is_none() && route.first.outbound.dialer.is_plain_for_queries(),
            // The stream meets the same refusal, and says so.
            Err(_refused) => false,
        };
        if !is_direct {
            return Ok(None);
        }
        let target = address_of(&to.target, &snapshot).await?;
        DirectNetwork.datagrams(&Destination { target, way: Way::Direct, network: to.network }).await
    }
}

fn query_flow(to: &Destination, tag: Option<&Tag>) -> Flow {
    Flow { inbound: tag.cloned(), is_own_query: true, ..Flow::new(to.network, to.target.clone()) }
}

/// A query that has to take an outbound.
fn detoured(to: &Destination, outbound: Option<&Tag>) -> Flow {
    let detour = outbound.map_or(Detour::Default, |outbound| Detour::Outbound(outbound.clone()));
    Flow { detour: Some(detour), ..query_flow(to, None) }
}

/// Resolves the name of a server, without servers.
async fn address_of(target: &Target, snapshot: &Snapshot) -> io::Result<Target> {
    let Host::Domain(name) = &target.host else { return Ok(target.clone()) };
    let found = snapshot.resolver().without_servers().resolve(name, Family::Any).await;
    let found = found.map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
    let address = found.first().copied().ok_or(io::ErrorKind::NotFound)?;
    Ok(Target::new(address.into(), target.port))
}

impl DnsNetwork for QueryNetwork {
    fn stream<'a>(&'a self, to: &'a Destination) -> NetworkFuture<'a, Box<dyn Stream>> {
        match &to.way {
            Way::Direct => Box::pin(async move { DirectNetwork.stream(to).await }),
            Way::Routed { tag } => Box::pin(self.routed_stream(query_flow(to, tag.as_ref()))),
            Way::Through { outbound } => Box::pin(self.routed_stream(detoured(to, outbound.as_ref()))),
        }
    }

    fn datagrams<'a>(&'a self, to: &'a Destination) -> NetworkFuture<'a, Option<Box<dyn Datagrams>>> {
        match &to.way {
            Way::Direct => Box::pin(async move { DirectNetwork.datagrams(to).await }),
            Way::Routed { tag } => Box::pin(self.routed_datagrams(to, query_flow(to, tag.as_ref()))),
            Way::Through { outbound } => Box::pin(self.routed_datagrams(to, detoured(to, outbound.as_ref()))),
        }
    }
}
