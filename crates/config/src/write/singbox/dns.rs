use super::super::{
    json::{Fields, Json},
    losses::Losses,
};
use crate::model::{AddressFamily, Dns, DnsProtocol, DnsServer, DnsServerAddress, DnsWay};

/// `dns`, as far as it is a server that is asked for everything.
pub(super) fn dns(dns: &Dns, losses: &mut Losses) -> Fields {
    for entry in &dns.hosts {
        losses.lose(entry.pattern.span, "`hosts` in this version", "write a file of hosts for the system");
    }
    let mut servers = dns.servers.iter();
    let first = servers.next();
    for server in servers {
        losses.lose(server.span, "that another DNS server is asked after one", None);
    }
    let mut fields = Fields::default();
    if let Some(server) = first {
        fields.put("servers", self::server(server, losses));
        fields.put("final", "dns");
    }
    let of_server = first.map_or(AddressFamily::Any, |server| server.family);
    put_family(if dns.family == AddressFamily::Any { of_server } else { dns.family }, &mut fields);
    fields
}

/// Which addresses are asked for, if not all are.
pub(super) fn put_family(family: AddressFamily, fields: &mut Fields) {
    match family {
        AddressFamily::Any => {}
        AddressFamily::V4 => fields.put("strategy", "ipv4_only"),
        AddressFamily::V6 => fields.put("strategy", "ipv6_only"),
    }
}

fn server(server: &DnsServer, losses: &mut Losses) -> Vec<Json> {
    let restricted = !server.domains.is_empty() || server.expected.is_some() || server.unexpected.is_some();
    if restricted || server.client_ip.is_some() || !server.cache || server.stale.is_some() {
        losses.lose(server.span, "more than the address of a DNS server in this version", None);
    }
    let (mut fields, mut servers) = (Fields::default(), Vec::new());
    fields.put("tag", "dns");
    match &server.address {
        DnsServerAddress::System => fields.put("type", "local"),
        DnsServerAddress::Hosts(_) => {
            losses.lose(server.span, "a list of names as a server in this version", None);
        }
        DnsServerAddress::Remote { protocol, target, way } => {
            match way {
                DnsWay::Direct => {}
                DnsWay::Through(tag) => fields.put("detour", tag.value.as_str()),
                DnsWay::Routed => losses.lose(
                    server.span,
                    "that queries take the rules",
                    "`+local` in the address goes past them",
                ),
                DnsWay::ThroughDefault => losses.lose(
                    server.span,
                    "that queries go where no rule sends a connection",
                    "name the outbound in `detour`",
                ),
            }
            fields.put(
                "type",
                match protocol {
                    DnsProtocol::Udp => "udp",
                    DnsProtocol::Tcp => "tcp",
                    DnsProtocol::Tls => "tls",
                    DnsProtocol::Https { .. } => "https",
                },
            );
            fields.put("server", target.host.to_string());
            fields.put("server_port", target.port);
            if let DnsProtocol::Https { path } = protocol {
                fields.put("path", &**path);
            }
            if target.host.domain().is_some() {
                fields.put("domain_resolver", "dns-local");
                let mut local = Fields::default();
                local.put("tag", "dns-local");
                local.put("type", "local");
                servers.push(local.into());
            }
        }
    }
    servers.push(fields.into());
    servers
}
