//! Datagrams through a proxy server: SOCKS5's UDP ASSOCIATE.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use waypost_dns::{Family, Resolver};
use waypost_net::{Host, Target};
use waypost_wire::{ClientError, Socks5AssociateClient, Socks5Reply};

use super::{
    DialError,
    passage::{Passage, Reached},
    servers::{DatagramForm, Key, ProxyServers, Server},
};
use crate::Stream;

/// How long a server is not asked again that said it knows no UDP ASSOCIATE.
const REFUSAL_MEMORY: Duration = Duration::from_secs(600);

/// SOCKS5's "command not supported".
const COMMAND_NOT_SUPPORTED: Socks5Reply = Socks5Reply(7);

/// An association at a proxy server. It lasts as long as `control` is open.
#[derive(Debug)]
pub(crate) struct Associated {
    /// The connection that the association hangs on.
    pub(crate) control: Stream,
    /// Where datagrams go.
    pub(crate) relay: SocketAddr,
}

impl ProxyServers {
    /// Opens an association at the first server that grants one.
    pub(crate) async fn associate<'s>(
        &'s self,
        resolver: &'s Resolver,
        deadline: Instant,
    ) -> Result<Associated, DialError> {
        if self.datagrams() != DatagramForm::Associated {
            return Err(DialError::NoDatagrams);
        }
        let associate = |server: &'s Server, share| server.associate(self.passage(), resolver, share);
        self.first(move |server, share| Box::pin(associate(server, share)), deadline).await
    }
}

impl Server {
    async fn associate(
        &self,
        passage: &Passage,
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Associated, DialError> {
        let Key::Socks5(credentials) = &self.key else { return Err(DialError::NoDatagrams) };
        let refusal = || DialError::Proxy {
            proxy: self.at.host.clone(),
            source: ClientError::Socks5(COMMAND_NOT_SUPPORTED),
        };
        if self.refused_datagrams.lock().is_some_and(|at| at.elapsed() < REFUSAL_MEMORY) {
            return Err(refusal());
        }
        let Reached { stream: mut control, peer, .. } =
            passage.reach(self.place(), resolver, deadline).await?;
        let peer = peer.ok_or(DialError::NoDatagrams)?;
        // Where datagrams will come from is not known on this side of a NAT (RFC 1928 §4).
        let unknown = Target::new(Host::from(IpAddr::from(Ipv4Addr::UNSPECIFIED)), 0);
        let client = Socks5AssociateClient::new(&unknown, credentials.clone());
        let shaken = self.shake_hands(&mut control, client, deadline).await;
        if let Err(DialError::Proxy { source: ClientError::Socks5(COMMAND_NOT_SUPPORTED), .. }) = &shaken {
            *self.refused_datagrams.lock() = Some(Instant::now());
        }
        let (told, _rest) = shaken?;
        let ip = match told.host {
            Host::Ip(ip) => relay_address(ip, peer.ip()),
            Host::Domain(name) => {
                let found = timeout_at(deadline, resolver.resolve(&name, Family::Any));
                let found = found.await.map_err(|_elapsed| DialError::ResolveTimeout)??;
                found.first().copied().ok_or(DialError::NoAddress)?
            }
        };
        Ok(Associated { control, relay: SocketAddr::new(ip, told.port) })
    }
}

/// Where a server takes datagrams that says `told` and was reached at `peer`. One that names no address,
/// or its own loopback to somebody elsewhere, as V2Ray does by default, means the one it was reached at.
fn relay_address(told: IpAddr, peer: IpAddr) -> IpAddr {
    if told.is_unspecified() || (told.is_loopback() && !peer.is_loopback()) { peer } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_names_no_useful_address_is_sent_to_where_it_was_reached() {
        for (told, peer, expected) in [
            ("192.0.2.7", "192.0.2.1", "192.0.2.7"),
            ("0.0.0.0", "192.0.2.1", "192.0.2.1"),
            ("::", "192.0.2.1", "192.0.2.1"),
            ("127.0.0.1", "192.0.2.1", "192.0.2.1"),
            ("127.0.0.1", "127.0.0.2", "127.0.0.1"),
        ] {
            let [told, peer, expected] = [told, peer, expected].map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(relay_address(told, peer), expected);
        }
    }
}
