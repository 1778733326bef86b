//! Connections as messages.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use tonic::Status;
use waypost_net::{DomainName, Flow, Host, Network, Tag, Target};

use crate::{
    messages::{common, router::RoutingContext},
    typed::shown,
};

/// What a connection goes to of which only other things are known: a name that nobody has (RFC 6761 §6.4).
/// No address is known of it then, and no list has it.
const NO_TARGET: &str = "unknown.invalid";

/// Which fields of a context are told.
#[derive(Debug, Clone)]
pub(super) struct Selection([bool; FIELDS.len()]);

type Clear = fn(&mut RoutingContext);

/// The names of the fields, and how each is left out.
const FIELDS: [(&str, Clear); 14] = [
    ("inbound", |context| context.inbound_tag.clear()),
    ("network", |context| context.network = 0),
    ("ip_source", |context| context.source_ips.clear()),
    ("ip_target", |context| context.target_ips.clear()),
    ("ip_local", |context| context.local_ips.clear()),
    ("port_source", |context| context.source_port = 0),
    ("port_target", |context| context.target_port = 0),
    ("port_local", |context| context.local_port = 0),
    ("domain", |context| context.target_domain.clear()),
    ("protocol", |context| context.protocol.clear()),
    ("user", |context| context.user.clear()),
    ("attributes", |context| context.attributes.clear()),
    ("outbound_group", |context| context.outbound_group_tags.clear()),
    ("outbound", |context| context.outbound_tag.clear()),
];

impl Selection {
    /// Of beginnings of names; none means all fields.
    pub(super) fn new(selectors: &[String]) -> Self {
        let is_selected = |name: &str| {
            selectors.is_empty() || selectors.iter().any(|selector| name.starts_with(selector.as_str()))
        };
        Self(FIELDS.map(|(name, _)| is_selected(name)))
    }

    /// The context with these fields only.
    pub(super) fn of(&self, mut context: RoutingContext) -> RoutingContext {
        context.vless_route = 0;
        for (is_selected, (_, clear)) in self.0.iter().zip(FIELDS) {
            if !is_selected {
                clear(&mut context);
            }
        }
        context
    }
}

/// What is asked about.
///
/// # Errors
///
/// If a field cannot be what it is to be, such as an address of five bytes.
pub(super) fn flow_of(context: &RoutingContext) -> Result<Flow, Status> {
    let addresses = context.target_ips.iter().map(|bytes| read_ip(bytes)).collect::<Result<Vec<_>, _>>()?;
    let host = match (context.target_domain.as_str(), addresses.first()) {
        ("", Some(address)) => Host::Ip(*address),
        ("", None) => name(NO_TARGET)?,
        (domain, _) => name(domain)?,
    };
    let target = Target::new(host, read_port(context.target_port)?);
    let mut flow = Flow::new(read_network(context.network)?, target);
    if flow.target.host.domain().is_some() {
        flow.addresses = addresses;
    }
    flow.source = read_end(&context.source_ips, context.source_port)?;
    flow.local = read_end(&context.local_ips, context.local_port)?;
    flow.inbound =
        Some(&context.inbound_tag).filter(|tag| !tag.is_empty()).map(|tag| Tag::from(tag.as_str()));
    flow.user = Some(&context.user).filter(|user| !user.is_empty()).map(|user| Arc::from(user.as_str()));
    flow.protocol =
        Some(&context.protocol).filter(|label| !label.is_empty()).map(|label| label.clone().into());
    for (key, value) in &context.attributes {
        flow.attributes.insert(key, value);
    }
    Ok(flow)
}

fn name(text: &str) -> Result<Host, Status> {
    let name = DomainName::new(text);
    name.map(Host::from).map_err(|error| {
        Status::invalid_argument(format!("not the name of a target: `{}`: {error}", shown(text)))
    })
}

/// A network that is not given counts as TCP.
fn read_network(network: i32) -> Result<Network, Status> {
    use common::Network as Known;
    match Known::try_from(network) {
        Ok(Known::Unknown | Known::RawTcp | Known::Tcp) => Ok(Network::Tcp),
        Ok(Known::Udp) => Ok(Network::Udp),
        Ok(Known::Unix) | Err(_) => {
            Err(Status::invalid_argument(format!("not a network that rules know: {network}")))
        }
    }
}

fn read_port(port: u32) -> Result<u16, Status> {
    u16::try_from(port).map_err(|_too_large| Status::invalid_argument(format!("not a port: {port}")))
}

/// The first address with the port. An address that is not given is the unspecified one, if there is a port.
fn read_end(addresses: &[Vec<u8>], port: u32) -> Result<Option<SocketAddr>, Status> {
    let port = read_port(port)?;
    match addresses.first() {
        Some(bytes) => Ok(Some(SocketAddr::new(read_ip(bytes)?, port))),
        None if port > 0 => Ok(Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))),
        None => Ok(None),
    }
}

/// An address of 4 or 16 bytes. One that is an IPv4 address in 16 bytes, as Go has them, is taken for that.
pub(crate) fn read_ip(bytes: &[u8]) -> Result<IpAddr, Status> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    let sixteen = || <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
    let address = four.or_else(|_other| sixteen());
    address.map(waypost_net::canonical_ip).map_err(|_length| {
        Status::invalid_argument(format!("an address has 4 or 16 bytes, not {}", bytes.len()))
    })
}

/// An address as bytes.
pub(crate) fn write_ip(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> RoutingContext {
        RoutingContext {
            inbound_tag: "in".to_owned(),
            network: 3,
            source_ips: vec![vec![10, 0, 0, 1]],
            target_ips: vec![vec![0; 16]],
            source_port: 1,
            target_port: 2,
            target_domain: "Example.com".to_owned(),
            protocol: "tls".to_owned(),
            user: "u".to_owned(),
            attributes: [("K".to_owned(), "v".to_owned())].into(),
            outbound_group_tags: vec!["g".to_owned()],
            outbound_tag: "o".to_owned(),
            local_ips: vec![vec![127, 0, 0, 1]],
            local_port: 3,
            vless_route: 0,
        }
    }

    #[track_caller]
    fn check(selectors: &[&str], expected: &RoutingContext) {
        let selectors: Vec<String> = selectors.iter().map(|&selector| selector.to_owned()).collect();
        assert_eq!(Selection::new(&selectors).of(full()), *expected);
    }

    #[test]
    fn selectors_are_beginnings_of_names() {
        check(&[], &full());
        check(&[""], &full());
        check(&["nothing"], &RoutingContext::default());
        let tag = || RoutingContext { outbound_tag: "o".to_owned(), ..RoutingContext::default() };
        check(&["outbound"], &RoutingContext { outbound_group_tags: vec!["g".to_owned()], ..tag() });
        let group = RoutingContext { outbound_group_tags: vec!["g".to_owned()], ..RoutingContext::default() };
        check(&["outbound_"], &group);
        let ports =
            RoutingContext { source_port: 1, target_port: 2, local_port: 3, ..RoutingContext::default() };
        check(&["port"], &ports);
    }

    #[test]
    fn all_that_is_given_is_asked_about() {
        let flow = flow_of(&full()).unwrap();
        assert_eq!(flow.network, Network::Udp);
        assert_eq!(flow.target.to_string(), "example.com:2");
        assert_eq!(flow.addresses, [IpAddr::V6(Ipv6Addr::UNSPECIFIED)]);
        assert_eq!(flow.source, "10.0.0.1:1".parse().ok());
        assert_eq!(flow.local, "127.0.0.1:3".parse().ok());
        assert_eq!(flow.attributes.get("k"), Some("v"));
        assert_eq!((flow.inbound.as_deref(), flow.user.as_deref()), (Some("in"), Some("u")));
        assert_eq!(flow.protocol.as_deref(), Some("tls"));
    }

    #[test]
    fn ipv4_in_sixteen_bytes_is_ipv4() {
        let mapped = Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped().octets().to_vec();
        let flow = flow_of(&RoutingContext { target_ips: vec![mapped], ..RoutingContext::default() });
        assert_eq!(flow.unwrap().target.to_string(), "1.2.3.4:0");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let context = RoutingContext::default;
        for wrong in [
            RoutingContext { target_ips: vec![vec![1, 2, 3]], ..context() },
            RoutingContext { source_ips: vec![Vec::new()], ..context() },
            RoutingContext { target_port: 65_536, ..context() },
            RoutingContext { network: 4, ..context() },
            RoutingContext { network: 99, ..context() },
            RoutingContext { target_domain: "not a name".to_owned(), ..context() },
        ] {
            assert_eq!(flow_of(&wrong).unwrap_err().code(), tonic::Code::InvalidArgument, "{wrong:?}");
        }
        assert_eq!(flow_of(&context()).unwrap().target.to_string(), "unknown.invalid:0");
    }
}
