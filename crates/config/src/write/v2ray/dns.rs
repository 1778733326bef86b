use super::{
    super::{
        json::{Fields, Json},
        losses::Losses,
    },
    entries,
};
use crate::model::{
    AddressFamily, AddressFilter, Dns, DnsFallback, DnsProtocol, DnsServer, DnsServerAddress, DnsWay,
    HostsAnswer,
};

/// What `dns` of sing-box says besides: which server is asked for a name, and by which way.
pub(super) fn lose(dns: &Dns, losses: &mut Losses) {
    for rule in &dns.rules {
        losses.lose(rule.span, "a DNS rule", "`domains` of a DNS server come closest");
    }
    let named = dns.servers.iter().filter(|server| server.name.is_some());
    for (index, server) in named.enumerate() {
        match &server.address {
            DnsServerAddress::Hosts(_) => {
                losses.lose(server.span, "a list of names as a server", "use `hosts`");
            }
            DnsServerAddress::Remote { way: DnsWay::Through(_) | DnsWay::ThroughDefault, .. } => {
                losses.lose(server.span, "`detour` of a DNS server", "rules decide about its `tag`");
            }
            DnsServerAddress::System | DnsServerAddress::Remote { .. } if index > 0 => {
                losses.lose(server.span, "a DNS server that is asked only where something names it", None);
            }
            DnsServerAddress::System | DnsServerAddress::Remote { .. } => {}
        }
    }
}

/// `dns`; empty if there is nothing to say.
pub(super) fn dns(dns: &Dns) -> Fields {
    let mut fields = Fields::default();
    let mut hosts = Fields::default();
    for entry in &dns.hosts {
        let pattern = entries::domain(&entry.pattern.value);
        match &entry.answer {
            HostsAnswer::Addresses(addresses) => {
                hosts.put(pattern, addresses.iter().map(ToString::to_string).collect::<Vec<_>>());
            }
            HostsAnswer::Alias(name) => hosts.put(pattern, name.as_str()),
        }
    }
    fields.put_filled("hosts", hosts);
    fields.put_filled(
        "servers",
        dns.servers.iter().map(|server| Json::from(self::server(server))).collect::<Vec<_>>(),
    );
    put_family(dns.family, &mut fields);
    match dns.fallback {
        DnsFallback::Always => {}
        DnsFallback::UnlessMatched => fields.put("disableFallbackIfMatch", true),
        DnsFallback::Never => fields.put("disableFallback", true),
    }
    fields
}

fn put_family(family: AddressFamily, fields: &mut Fields) {
    if family != AddressFamily::Any {
        fields.put("queryStrategy", entries::family(family));
    }
}

fn server(server: &DnsServer) -> Fields {
    let mut fields = Fields::default();
    fields.put("address", address(&server.address));
    fields.put_some("tag", server.tag.as_ref().map(|tag| tag.as_str()));
    fields.put_filled("domains", entries::domains(&server.domains));
    put_filter("expectedIPs", server.expected.as_ref(), &mut fields);
    put_filter("unexpectedIPs", server.unexpected.as_ref(), &mut fields);
    fields.put_some("clientIp", server.client_ip.map(|ip| ip.to_string()));
    put_family(server.family, &mut fields);
    fields.put_if("skipFallback", server.skip_fallback);
    fields.put_if("finalQuery", server.is_final);
    fields.put("timeoutMs", u64::try_from(server.timeout.as_millis()).unwrap_or(u64::MAX));
    fields.put_if("disableCache", !server.cache);
    if let Some(stale) = server.stale {
        fields.put("serveStale", true);
        fields.put("serveExpiredTTL", stale.as_secs());
    }
    fields
}

fn put_filter(key: &str, filter: Option<&AddressFilter>, fields: &mut Fields) {
    let Some(filter) = filter else { return };
    let mut list = entries::ips(&filter.entries);
    if filter.only_prefer {
        list.push("*".to_owned());
    }
    fields.put(key, list);
}

fn address(address: &DnsServerAddress) -> String {
    let DnsServerAddress::Remote { protocol, target, way } = address else { return "localhost".to_owned() };
    let local = match way {
        DnsWay::Direct => "+local",
        DnsWay::Routed | DnsWay::Through(_) | DnsWay::ThroughDefault => "",
    };
    let (scheme, path) = match protocol {
        DnsProtocol::Udp => ("udp", ""),
        DnsProtocol::Tcp => ("tcp", ""),
        DnsProtocol::Tls => ("tls", ""),
        DnsProtocol::Https { path } => ("https", &**path),
    };
    format!("{scheme}{local}://{target}{path}")
}
