//! Entries of lists in rules, as they are in a file.

use serde_json::Value;
use tonic::Status;

use super::context::read_ip;
use crate::{
    messages::{
        common::{IpOrDomain, Network, PortList, PortRange, ip_or_domain::Address},
        rules::{Cidr, Domain, GeoIp, XrayDomain, XrayIp, xray_domain, xray_ip},
    },
    typed,
};

/// A list of texts, or nothing if it is empty.
pub(crate) fn texts(texts: Vec<String>) -> Option<Value> {
    (!texts.is_empty()).then(|| Value::from(texts))
}

/// A text, or nothing if it is empty.
pub(crate) fn text(text: impl Into<String>) -> Option<Value> {
    Some(text.into()).filter(|text| !text.is_empty()).map(Value::from)
}

pub(super) fn domains(domains: &[Domain]) -> Result<Vec<String>, Status> {
    domains.iter().map(domain).collect()
}

fn domain(domain: &Domain) -> Result<String, Status> {
    let prefix = match domain.r#type {
        0 => "keyword",
        1 => "regexp",
        2 => "domain",
        3 => "full",
        other => return Err(Status::unimplemented(format!("domains of the type {other} are not available"))),
    };
    Ok(format!("{prefix}:{}", domain.value))
}

pub(crate) fn xray_domains(domains: &[XrayDomain]) -> Result<Vec<String>, Status> {
    let read = |entry: &XrayDomain| match &entry.value {
        Some(xray_domain::Value::Custom(custom)) => domain(custom),
        Some(xray_domain::Value::Geosite(list)) => {
            let attributes = list.attrs.trim_start_matches('@');
            let attributes = if attributes.is_empty() { String::new() } else { format!("@{attributes}") };
            Ok(format!("{}{attributes}", listed("geosite", "geosite.dat", &list.file, &list.code)))
        }
        None => Err(Status::unimplemented("a domain is of a kind that is not available")),
    };
    domains.iter().map(read).collect()
}

/// `geosite:CODE`, or `ext:FILE:CODE` if the file is another one.
fn listed(word: &str, usual: &str, file: &str, code: &str) -> String {
    if file.is_empty() || file == usual { format!("{word}:{code}") } else { format!("ext:{file}:{code}") }
}

/// The prefixes of lists, as V2Ray's programs send them, or the names of lists that came without.
pub(super) fn geo_ips(lists: &[Vec<u8>]) -> Result<Vec<String>, Status> {
    let mut entries = Vec::new();
    for list in lists {
        let list: GeoIp = typed::read(list, &[1, 2, 3, 5], "GeoIP")?;
        let bang = if list.inverse_match { "!" } else { "" };
        if list.cidr.is_empty() {
            let code = if list.code.is_empty() { &list.country_code } else { &list.code };
            entries.push(format!("{bang}geoip:{code}"));
        }
        for prefix in &list.cidr {
            entries.push(format!("{bang}{}", cidr(prefix)?));
        }
    }
    Ok(entries)
}

pub(crate) fn xray_ips(ips: &[XrayIp]) -> Result<Vec<String>, Status> {
    let read = |entry: &XrayIp| match &entry.value {
        Some(xray_ip::Value::Geoip(list)) => {
            let bang = if list.reverse_match { "!" } else { "" };
            Ok(format!("{bang}{}", listed("geoip", "geoip.dat", &list.file, &list.code)))
        }
        Some(xray_ip::Value::Custom(custom)) => {
            let bang = if custom.reverse_match { "!" } else { "" };
            let prefix =
                custom.cidr.as_ref().ok_or_else(|| Status::invalid_argument("a prefix is missing"))?;
            Ok(format!("{bang}{}", cidr(prefix)?))
        }
        None => Err(Status::unimplemented("an address is of a kind that is not available")),
    };
    ips.iter().map(read).collect()
}

pub(super) fn cidrs(prefixes: &[Cidr]) -> Result<Vec<String>, Status> {
    prefixes.iter().map(cidr).collect()
}

fn cidr(prefix: &Cidr) -> Result<String, Status> {
    Ok(format!("{}/{}", read_ip(&prefix.ip)?, prefix.prefix))
}

/// `80,443-445`.
pub(crate) fn ports(ports: Option<&PortList>) -> Option<Value> {
    let ranges: Vec<String> = ports?.range.iter().map(port_range).collect();
    text(ranges.join(","))
}

/// `80` or `443-445`.
pub(crate) fn port_range(range: &PortRange) -> String {
    let PortRange { from, to } = *range;
    if from == to { from.to_string() } else { format!("{from}-{to}") }
}

/// `tcp,udp`.
pub(crate) fn networks(networks: impl IntoIterator<Item = i32>) -> Result<Option<Value>, Status> {
    let mut words = Vec::new();
    for network in networks {
        let word = match Network::try_from(network) {
            Ok(Network::Tcp | Network::RawTcp) => "tcp",
            Ok(Network::Udp) => "udp",
            Ok(Network::Unknown | Network::Unix) | Err(_) => {
                return Err(Status::invalid_argument(format!("not a network that rules know: {network}")));
            }
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    Ok(text(words.join(",")))
}

/// An address or a name; nothing if there is none.
pub(crate) fn host(host: Option<&IpOrDomain>) -> Result<Option<String>, Status> {
    match host.and_then(|host| host.address.as_ref()) {
        Some(Address::Ip(bytes)) => read_ip(bytes).map(|address| Some(address.to_string())),
        Some(Address::Domain(name)) if name.is_empty() => Ok(None),
        Some(Address::Domain(name)) => Ok(Some(name.clone())),
        None => Ok(None),
    }
}
