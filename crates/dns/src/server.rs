use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use hickory_proto::op::{Query, ResponseCode};
use tokio::time::timeout;
use waypost_net::{DomainName, Target};

use crate::{
    Destination, Family, Hosts, Network, Protocol, Resolver, ServerError, Way,
    exchange::{Client, Connector, Request, Tls},
    message::{self, BadAnswer, Finding, Kind},
};

/// How long a server has, as in V2Ray.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a question for the server's own name may wait for that name to be resolved.
const OWN_NAME_TIMEOUT: Duration = Duration::from_secs(2);

/// A server to ask, and for what.
#[derive(Debug, Clone)]
pub struct ServerSpec {
    /// Who it is.
    pub address: ServerAddress,
    /// Addresses that an answer may have.
    pub expected: Option<AddressFilter>,
    /// Addresses that an answer may not have.
    pub unexpected: Option<AddressFilter>,
    /// An address that the server is told, cut to its network (RFC 7871).
    pub client_subnet: Option<IpAddr>,
    /// Which addresses it is asked for.
    pub family: Family,
    /// Whether it is asked only for names that were given to it.
    pub skip_fallback: bool,
    /// Whether nobody is asked after it.
    pub is_final: bool,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether answers are kept for their time to live.
    pub cache: bool,
    /// For how long an answer is still given after its time, while a new one is fetched.
    pub stale: Option<Duration>,
    /// The list that answers in place of the server, which is the only one who knows these names.
    pub hosts: Option<Arc<Hosts>>,
}

/// Who a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// The operating system.
    System,
    /// Somebody who speaks DNS.
    Remote {
        /// How.
        protocol: Protocol,
        /// Where.
        target: Target,
        /// How queries get there.
        way: Way,
    },
}

impl ServerSpec {
    /// A server that is asked for everything, and given four seconds, as in V2Ray.
    #[must_use]
    pub fn new(address: ServerAddress) -> Self {
        Self {
            address,
            expected: None,
            unexpected: None,
            client_subnet: None,
            family: Family::Any,
            skip_fallback: false,
            is_final: false,
            timeout: DEFAULT_TIMEOUT,
            cache: true,
            stale: None,
            hosts: None,
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Remote { protocol, target, .. } = self else { return f.write_str("localhost") };
        match protocol {
            Protocol::Udp => write!(f, "udp://{target}"),
            Protocol::Tcp => write!(f, "tcp://{target}"),
            Protocol::Tls => write!(f, "tls://{target}"),
            Protocol::Https { path } => write!(f, "https://{target}{path}"),
        }
    }
}

/// Addresses by which answers are judged.
#[derive(Debug, Clone)]
pub struct AddressFilter {
    /// The addresses.
    pub set: Arc<dyn AddressSet>,
    /// Whether an answer of which nothing would be left is used as it is.
    pub only_prefer: bool,
}

/// A set of addresses. This is a seam: the index that rules use is put here.
pub trait AddressSet: Send + Sync + fmt::Debug {
    /// Whether `address` is in it.
    fn contains(&self, address: IpAddr) -> bool;
}

/// A server with what is open to it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) spec: ServerSpec,
    /// What it is called in messages.
    pub(crate) label: Box<str>,
    /// `None` for the system.
    client: Option<Client>,
    own_name: Option<DomainName>,
}

impl Server {
    pub(crate) fn new(spec: ServerSpec, network: &Arc<dyn Network>, tls: &Tls, bootstrap: &Resolver) -> Self {
        let label = spec.address.to_string().into();
        let ServerAddress::Remote { protocol, target, way } = &spec.address else {
            return Self { spec, label, client: None, own_name: None };
        };
        let tls = match protocol {
            Protocol::Udp | Protocol::Tcp => None,
            Protocol::Tls => Some(tls.for_dns()),
            Protocol::Https { .. } => Some(tls.for_http()),
        };
        let own_name = target.host.domain().cloned();
        let network_kind = match protocol {
            Protocol::Udp => waypost_net::Network::Udp,
            Protocol::Tcp | Protocol::Tls | Protocol::Https { .. } => waypost_net::Network::Tcp,
        };
        let to = Destination { target: target.clone(), way: way.clone(), network: network_kind };
        let client = Client::new(protocol, Connector::new(network.clone(), to, tls, bootstrap.clone()));
        Self { spec, label, client: Some(client), own_name }
    }

    pub(crate) fn is_system(&self) -> bool {
        self.client.is_none()
    }

    /// Asks for the addresses of a name.
    pub(crate) async fn find(&self, name: &DomainName, kind: Kind) -> Result<Finding, ServerError> {
        let question = message::question(name, kind).ok_or(ServerError::Question)?;
        let is_own_name = self.own_name.as_ref() == Some(name);
        let limit = if is_own_name { self.spec.timeout.min(OWN_NAME_TIMEOUT) } else { self.spec.timeout };
        match timeout(limit, self.find_without_limit(question)).await {
            Ok(found) => found,
            Err(_elapsed) if is_own_name && self.is_resolving() => {
                Err(ServerError::Loop { name: name.clone() })
            }
            Err(_elapsed) => Err(ServerError::Timeout { limit }),
        }
    }

    async fn find_without_limit(&self, question: Query) -> Result<Finding, ServerError> {
        let is_datagram = matches!(self.spec.address, ServerAddress::Remote { protocol: Protocol::Udp, .. });
        let mut with_edns = is_datagram || self.spec.client_subnet.is_some();
        loop {
            let bytes = message::query(&question, self.spec.client_subnet, with_edns);
            let request = Request { bytes: bytes.ok_or(ServerError::Question)?, question: question.clone() };
            let answer = self.exchange(request).await?;
            let answer = message::parse(&answer).ok_or(ServerError::Garbled)?;
            match message::finding(&answer, &question) {
                Ok(finding) => return Ok(finding),
                Err(BadAnswer::Aliases) => return Err(ServerError::Aliases),
                // A server that does not know EDNS has to be asked without it (RFC 6891 §6.2.2).
                Err(BadAnswer::Code(ResponseCode::FormErr | ResponseCode::NotImp)) if with_edns => {
                    with_edns = false;
                }
                Err(BadAnswer::Code(code)) => {
                    return Err(ServerError::Code { code: code.to_string().into() });
                }
            }
        }
    }

    /// Sends a query as it is.
    pub(crate) async fn pass_on(&self, request: Request) -> Result<Vec<u8>, ServerError> {
        let limit = self.spec.timeout;
        timeout(limit, self.exchange(request)).await.unwrap_or(Err(ServerError::Timeout { limit }))
    }

    async fn exchange(&self, request: Request) -> Result<Vec<u8>, ServerError> {
        match &self.client {
            Some(client) => client.exchange(request).await,
            None => Err(ServerError::Question),
        }
    }

    fn is_resolving(&self) -> bool {
        self.client.as_ref().is_some_and(Client::is_resolving)
    }

    /// What is left of an answer by `expected` and `unexpected`.
    pub(crate) fn accept(&self, addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        let addresses = keep(addresses, self.spec.expected.as_ref(), true);
        keep(addresses, self.spec.unexpected.as_ref(), false)
    }
}

fn keep(addresses: Vec<IpAddr>, filter: Option<&AddressFilter>, wanted: bool) -> Vec<IpAddr> {
    let Some(filter) = filter else { return addresses };
    let is_kept = |address: &IpAddr| filter.set.contains(*address) == wanted;
    let kept: Vec<IpAddr> = addresses.iter().copied().filter(is_kept).collect();
    if kept.is_empty() && filter.only_prefer { addresses } else { kept }
}
