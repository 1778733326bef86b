//! The ports that datagrams of clients come in on, besides those of single associations.

use std::{net::SocketAddr, sync::Arc};

use tokio_util::task::TaskTracker;
use waypost_config::model::{Door as DoorSettings, Inbound, InboundProtocol, Listen, UdpInbound};
use waypost_net::{Host, PortRange};

use super::{associate::UdpPort, door::Door, hub::Hub};
use crate::{BindError, BoundAddress, ListenAddress, Terms, shared::Core};

/// The ports of all inbounds.
#[derive(Debug, Default)]
pub(crate) struct UdpListeners {
    hubs: Vec<Arc<Hub>>,
    doors: Vec<Door>,
    /// Where doors listen that no TCP connection comes in by.
    addresses: Vec<ListenAddress>,
}

impl UdpListeners {
    /// Listens where an inbound takes datagrams. Yields what its clients may ask for.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub(crate) fn bind(&mut self, inbound: &Inbound) -> Result<Option<UdpPort>, BindError> {
        match &inbound.protocol {
            InboundProtocol::Client(_) => inbound.udp.map(|udp| self.bind_shared(inbound, udp)).transpose(),
            InboundProtocol::Door(door) => {
                if let (true, Listen::Ports { ip, ports }) = (door.networks.udp, &inbound.listen) {
                    let PortRange { first, last } = *ports;
                    for port in first..=last {
                        self.bind_door(inbound, door, SocketAddr::new(*ip, port))?;
                    }
                }
                Ok(None)
            }
        }
    }

    fn bind_shared(&mut self, inbound: &Inbound, udp: UdpInbound) -> Result<UdpPort, BindError> {
        let hub = match (udp.port, inbound.listen.ip()) {
            (Some(port), Some(ip)) => Some(Arc::new(Hub::bind(SocketAddr::new(ip, port))?)),
            (_, _) => None,
        };
        self.hubs.extend(hub.clone());
        Ok(UdpPort { told: udp.address, hub })
    }

    fn bind_door(
        &mut self,
        inbound: &Inbound,
        door: &DoorSettings,
        address: SocketAddr,
    ) -> Result<(), BindError> {
        let tag = inbound.tag.as_ref().map(|tag| tag.value.clone());
        // A checked configuration has a target for every door that takes datagrams.
        let host = door.host.clone().unwrap_or_else(|| Host::from(address.ip()));
        let idle = Terms::new(&inbound.policy).idle;
        let bound = Door::bind(address, (host, door.port), tag.clone(), idle)?;
        if let Some(address) = bound.address().filter(|_| !door.networks.tcp) {
            self.addresses.push(ListenAddress { inbound: tag, address: BoundAddress::Ip(address) });
        }
        self.doors.push(bound);
        Ok(())
    }

    /// Where doors listen that no TCP connection comes in by.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = ListenAddress> {
        self.addresses.clone().into_iter()
    }

    /// Carries what comes in until the proxy stops.
    pub(crate) fn run(self, core: &Arc<Core>, tasks: &TaskTracker) {
        for hub in self.hubs {
            tasks.spawn(hub.run(core.clone()));
        }
        for door in self.doors {
            tasks.spawn(door.run(core.clone()));
        }
    }
}
