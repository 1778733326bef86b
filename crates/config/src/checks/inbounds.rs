//! Inbounds that get into each other's way.

use std::{collections::BTreeMap, net::IpAddr};

use waypost_net::PortRange;

use crate::{
    model::{Inbound, InboundProtocol, Listen},
    report::{Report, quote},
};

/// Reports inbounds that would fight for a port or a path.
pub(crate) fn find_port_conflicts(inbounds: &[Inbound], report: &mut Report<'_>) {
    let mut taken: BTreeMap<u16, Vec<(IpAddr, &Inbound)>> = BTreeMap::new();
    let mut paths: BTreeMap<&str, &Inbound> = BTreeMap::new();
    for inbound in inbounds {
        let conflict = match &inbound.listen {
            Listen::Unix { path, .. } => {
                let earlier = paths.get(&**path).copied();
                paths.entry(path).or_insert(inbound);
                earlier.map(|earlier| (format!("the path {}", quote(path)), earlier))
            }
            Listen::Ports { ip, ports } => {
                let ports = ports.first.max(1)..=ports.last;
                let conflict = ports.clone().find_map(|port| {
                    let earlier = taken.get(&port)?.iter().find(|(earlier, _)| overlap(*earlier, *ip))?;
                    Some((format!("port {port} of {ip}"), earlier.1))
                });
                if conflict.is_none() {
                    ports.for_each(|port| taken.entry(port).or_default().push((*ip, inbound)));
                }
                conflict
            }
        };
        if let Some((what, earlier)) = conflict {
            let line = report.line(earlier.span);
            report.error(inbound.span, format!("{what} is already taken by the inbound on line {line}"));
        }
    }
}

/// Whether two listeners on the same port exclude each other.
fn overlap(left: IpAddr, right: IpAddr) -> bool {
    left == right || (left.is_ipv4() == right.is_ipv4() && (left.is_unspecified() || right.is_unspecified()))
}

/// Reports inbounds that would fight for a port for datagrams.
pub(crate) fn find_udp_port_conflicts(inbounds: &[Inbound], report: &mut Report<'_>) {
    let mut taken: Vec<(&Inbound, IpAddr, PortRange)> = Vec::new();
    for inbound in inbounds {
        let Some((ip, ports)) = datagram_ports(inbound) else { continue };
        let meets = |(_, other, range): &&(&Inbound, IpAddr, PortRange)| {
            overlap(*other, ip) && range.first.max(ports.first) <= range.last.min(ports.last)
        };
        match taken.iter().find(meets) {
            Some((earlier, _, range)) => {
                let (line, port) = (report.line(earlier.span), range.first.max(ports.first));
                let message =
                    format!("UDP port {port} of {ip} is already taken by the inbound on line {line}");
                report.error(inbound.span, message);
            }
            None => taken.push((inbound, ip, ports)),
        }
    }
}

/// The ports that an inbound takes datagrams on, if the file names them.
fn datagram_ports(inbound: &Inbound) -> Option<(IpAddr, PortRange)> {
    let ip = inbound.listen.ip()?;
    let ports = match &inbound.protocol {
        InboundProtocol::Client(_) => {
            let port = inbound.udp?.port?;
            PortRange { first: port, last: port }
        }
        InboundProtocol::Door(door) => inbound.listen.ports().filter(|_| door.networks.udp)?,
        InboundProtocol::Shadowsocks(shadowsocks) => {
            inbound.listen.ports().filter(|_| shadowsocks.networks.udp)?
        }
        InboundProtocol::Vmess(_) | InboundProtocol::Vless(_) | InboundProtocol::Trojan(_) => return None,
    };
    (ports.first > 0).then_some((ip, ports))
}
