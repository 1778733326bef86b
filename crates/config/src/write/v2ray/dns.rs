use super::{
    super::json::{Fields, Json},
    entries,
};
use crate::model::{
    AddressFamily, AddressFilter, Dns, DnsFallback, DnsProtocol, DnsServer, DnsServerAddress, HostsAnswer,
};

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
    let DnsServerAddress::Remote { protocol, target, local } = address else { return "localhost".to_owned() };
    let local = if *local { "+local" } else { "" };
    let (scheme, path) = match protocol {
        DnsProtocol::Udp => ("udp", ""),
        DnsProtocol::Tcp => ("tcp", ""),
        DnsProtocol::Tls => ("tls", ""),
        DnsProtocol::Https { path } => ("https", &**path),
    };
    format!("{scheme}{local}://{target}{path}")
}
