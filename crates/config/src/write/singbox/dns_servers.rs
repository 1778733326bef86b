//! `dns` of a file that was one of sing-box.

use super::{
    super::{
        json::{Fields, Json},
        losses::Losses,
        text,
    },
    dns::put_family,
    matcher,
};
use crate::model::{
    AddressFamily, Dns, DnsProtocol, DnsRule, DnsServer, DnsServerAddress, DnsWay, DomainEntry, HostsAnswer,
    HostsEntry,
};

/// `dns` with its servers, rules and `final`.
pub(super) fn dns(dns: &Dns, losses: &mut Losses) -> Fields {
    let mut fields = Fields::default();
    let servers: Vec<Json> = dns.servers.iter().map(|server| self::server(server, losses).into()).collect();
    fields.put_filled("servers", servers);
    let rules: Vec<Json> = dns.rules.iter().filter_map(|rule| self::rule(dns, rule, losses)).collect();
    fields.put_filled("rules", rules);
    let named = dns.servers.get(dns.default).filter(|_| dns.default > 0);
    fields.put_some("final", named.and_then(|server| server.name.as_ref()).map(|name| name.as_str()));
    put_family(dns.family, &mut fields);
    if let Some(first) = dns.servers.first() {
        fields.put_some("client_subnet", first.client_ip.map(|ip| ip.to_string()));
        fields.put_if("disable_cache", !first.cache);
        fields.put("timeout", text::duration(first.timeout));
        for server in &dns.servers {
            let common = |server: &DnsServer| (server.client_ip, server.cache, server.timeout);
            if common(server) != common(first) {
                losses.lose(server.span, "that a DNS server is asked in another way than the others", None);
            }
        }
    }
    fields
}

fn server(server: &DnsServer, losses: &mut Losses) -> Fields {
    let mut fields = Fields::default();
    fields.put_some("tag", server.name.as_ref().map(|name| name.as_str()));
    let is_old = server.family != AddressFamily::Any;
    match &server.address {
        DnsServerAddress::System if is_old => fields.put("address", "local"),
        DnsServerAddress::System => fields.put("type", "local"),
        DnsServerAddress::Hosts(entries) => {
            fields.put("type", "hosts");
            fields.put_filled("predefined", hosts(entries, losses));
        }
        DnsServerAddress::Remote { protocol, target, way } => {
            let (kind, path) = match protocol {
                DnsProtocol::Udp => ("udp", None),
                DnsProtocol::Tcp => ("tcp", None),
                DnsProtocol::Tls => ("tls", None),
                DnsProtocol::Https { path } => ("https", Some(&**path)),
            };
            if is_old || *way == DnsWay::ThroughDefault {
                fields.put("address", format!("{kind}://{target}{}", path.unwrap_or_default()));
            } else {
                fields.put("type", kind);
                fields.put("server", target.host.to_string());
                fields.put("server_port", target.port);
                fields.put_some("path", path);
            }
            if let DnsWay::Through(tag) = way {
                fields.put("detour", tag.value.as_str());
            }
        }
    }
    put_family(server.family, &mut fields);
    fields
}

fn hosts(entries: &[HostsEntry], losses: &mut Losses) -> Fields {
    let mut fields = Fields::default();
    for HostsEntry { pattern, answer } in entries {
        match (&pattern.value, answer) {
            (DomainEntry::Full(name), HostsAnswer::Addresses(addresses)) => {
                fields.put(&**name, addresses.iter().map(ToString::to_string).collect::<Vec<_>>());
            }
            (
                DomainEntry::Full(_)
                | DomainEntry::Keyword(_)
                | DomainEntry::Regexp(_)
                | DomainEntry::Suffix(_)
                | DomainEntry::Below(_)
                | DomainEntry::List(_),
                HostsAnswer::Addresses(_) | HostsAnswer::Alias(_),
            ) => losses.lose(pattern.span, "more than addresses of whole names", None),
        }
    }
    fields
}

fn rule(dns: &Dns, rule: &DnsRule, losses: &mut Losses) -> Option<Json> {
    let mut fields = matcher::fields(&rule.matcher, rule.span, losses)?;
    if fields.is_empty() {
        fields.put("query_type", vec!["A".to_owned(), "AAAA".to_owned()]);
    }
    match rule.server {
        None => fields.put("action", "reject"),
        Some(place) => {
            let name = dns.servers.get(place).and_then(|server| server.name.as_ref());
            fields.put_some("server", name.map(|name| name.as_str()));
            put_family(rule.family, &mut fields);
            fields.put_if("disable_cache", rule.disable_cache);
            fields.put_some("client_subnet", rule.client_ip.map(|ip| ip.to_string()));
        }
    }
    Some(fields.into())
}
