//! Writes `.srs` files.

use std::{collections::HashSet, io::Write as _};

use flate2::{Compression, write::ZlibEncoder};
use ipnet::IpNet;

use super::{
    AddressRanges, DefaultRule, DomainMatch, Domains, HeadlessRule, LogicalMode, NEWEST_VERSION, RuleSet,
    RuleSetWriteError, adguard,
    item::{ANY_LABEL, DEFAULT, END, Item, LOGICAL, ROOT_LABEL},
    trie_write::{Keys, push_reversed},
};
use crate::proto::put_varint;

/// Writes a set as the lowest version that can say it, but as version 1 only if that is the version
/// of the set; sing-box chooses in the same way.
///
/// # Errors
///
/// If a rule has no conditions.
pub fn write_srs(set: &RuleSet) -> Result<Vec<u8>, RuleSetWriteError> {
    let needed = set.needed_version();
    write_srs_as(set, if set.version == 1 && needed == 2 && !has_adguard(set) { 1 } else { needed })
}

/// Writes a set as `version` of the format.
///
/// What the compressed part inflates to equals, byte for byte, what sing-box writes for the same
/// source.
///
/// # Errors
///
/// If the version does not exist or cannot say what the set says, or if a rule has no conditions.
pub fn write_srs_as(set: &RuleSet, version: u8) -> Result<Vec<u8>, RuleSetWriteError> {
    if !(1..=NEWEST_VERSION).contains(&version) {
        return Err(RuleSetWriteError::Version(version));
    }
    let mut rules = Vec::new();
    put_varint(&mut rules, set.rules.len() as u64);
    for (index, rule) in set.rules.iter().enumerate() {
        put_rule(&mut rules, rule, version, index)?;
    }
    let mut file = b"SRS".to_vec();
    file.push(version);
    let mut encoder = ZlibEncoder::new(file, Compression::best());
    // A vector takes everything.
    let written = encoder.write_all(&rules).and_then(|()| encoder.finish());
    Ok(written.unwrap_or_default())
}

fn has_adguard(set: &RuleSet) -> bool {
    let mut found = false;
    set.for_each_rule(|rule| found |= !rule.adguard.is_empty());
    found
}

/// The lowest version that can say what `rule` says, and the item that needs it.
pub(super) fn needed_version(rule: &DefaultRule) -> (u8, Item) {
    if !rule.package_name_regexps.is_empty() {
        (5, Item::PackageNameRegex)
    } else if !rule.network_interface_addresses.is_empty() {
        (4, Item::NetworkInterfaceAddress)
    } else if !rule.default_interface_addresses.is_empty() {
        (4, Item::DefaultInterfaceAddress)
    } else if !rule.network_types.is_empty() {
        (3, Item::NetworkType)
    } else if rule.network_is_expensive {
        (3, Item::NetworkIsExpensive)
    } else if rule.network_is_constrained {
        (3, Item::NetworkIsConstrained)
    } else if !rule.adguard.is_empty() {
        (2, Item::AdGuard)
    } else {
        (1, Item::Domain)
    }
}

fn put_rule(
    out: &mut Vec<u8>,
    rule: &HeadlessRule,
    version: u8,
    index: usize,
) -> Result<(), RuleSetWriteError> {
    match rule {
        HeadlessRule::Default(rule) => {
            if rule.is_empty() {
                return Err(RuleSetWriteError::NoConditions(index));
            }
            let (needs, item) = needed_version(rule);
            if needs > version {
                return Err(RuleSetWriteError::NeedsVersion { item: item.word(), needs, asked: version });
            }
            put_default(out, rule, version);
        }
        HeadlessRule::Logical(logical) => {
            if logical.rules.is_empty() {
                return Err(RuleSetWriteError::NoConditions(index));
            }
            out.push(LOGICAL);
            out.push(match logical.mode {
                LogicalMode::And => 0,
                LogicalMode::Or => 1,
            });
            put_varint(out, logical.rules.len() as u64);
            for rule in &logical.rules {
                put_rule(out, rule, version, index)?;
            }
            out.push(u8::from(logical.invert));
        }
    }
    Ok(())
}

fn put_default(out: &mut Vec<u8>, rule: &DefaultRule, version: u8) {
    out.push(DEFAULT);
    put_numbers(out, Item::QueryType, &rule.query_types);
    put_texts(out, Item::Network, &rule.networks);
    if !rule.domains.is_empty() {
        out.push(Item::Domain.number());
        put_domains(out, &rule.domains, version);
    }
    put_texts(out, Item::DomainKeyword, &rule.domain_keywords);
    put_texts(out, Item::DomainRegex, &rule.domain_regexps);
    put_ranges(out, Item::SourceIp, &rule.source_ip);
    put_ranges(out, Item::Ip, &rule.ip);
    put_numbers(out, Item::SourcePort, &rule.source_ports);
    put_texts(out, Item::SourcePortRange, &rule.source_port_ranges);
    put_numbers(out, Item::Port, &rule.ports);
    put_texts(out, Item::PortRange, &rule.port_ranges);
    put_texts(out, Item::ProcessName, &rule.process_names);
    put_texts(out, Item::ProcessPath, &rule.process_paths);
    put_texts(out, Item::ProcessPathRegex, &rule.process_path_regexps);
    put_texts(out, Item::PackageName, &rule.package_names);
    put_texts(out, Item::PackageNameRegex, &rule.package_name_regexps);
    put_network(out, rule);
    put_texts(out, Item::WifiSsid, &rule.wifi_ssids);
    put_texts(out, Item::WifiBssid, &rule.wifi_bssids);
    if !rule.adguard.is_empty() {
        out.push(Item::AdGuard.number());
        let mut keys = Keys::default();
        rule.adguard.iter().for_each(|line| keys.push(|key| adguard::key_of_line(line, key)));
        keys.write(out);
    }
    out.extend([END, u8::from(rule.invert)]);
}

fn put_network(out: &mut Vec<u8>, rule: &DefaultRule) {
    if !rule.network_types.is_empty() {
        out.push(Item::NetworkType.number());
        put_varint(out, rule.network_types.len() as u64);
        out.extend(rule.network_types.iter().map(|kind| kind.number()));
    }
    if rule.network_is_expensive {
        out.push(Item::NetworkIsExpensive.number());
    }
    if rule.network_is_constrained {
        out.push(Item::NetworkIsConstrained.number());
    }
    if !rule.network_interface_addresses.is_empty() {
        out.push(Item::NetworkInterfaceAddress.number());
        put_varint(out, rule.network_interface_addresses.len() as u64);
        for (kind, prefixes) in &rule.network_interface_addresses {
            out.push(kind.number());
            put_prefixes(out, prefixes);
        }
    }
    if !rule.default_interface_addresses.is_empty() {
        out.push(Item::DefaultInterfaceAddress.number());
        put_prefixes(out, &rule.default_interface_addresses);
    }
}

fn put_numbers(out: &mut Vec<u8>, item: Item, numbers: &[u16]) {
    if !numbers.is_empty() {
        out.push(item.number());
        put_varint(out, numbers.len() as u64);
        out.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    }
}

fn put_texts(out: &mut Vec<u8>, item: Item, texts: &[Box<str>]) {
    if !texts.is_empty() {
        out.push(item.number());
        put_varint(out, texts.len() as u64);
        for text in texts {
            put_bytes(out, text.as_bytes());
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_ranges(out: &mut Vec<u8>, item: Item, ranges: &AddressRanges) {
    if ranges.is_empty() {
        return;
    }
    out.extend([item.number(), 1]);
    out.extend((ranges.len() as u64).to_be_bytes());
    for (first, last) in &ranges.v4 {
        put_bytes(out, &first.to_be_bytes());
        put_bytes(out, &last.to_be_bytes());
    }
    for (first, last) in &ranges.v6 {
        put_bytes(out, &first.to_be_bytes());
        put_bytes(out, &last.to_be_bytes());
    }
}

fn put_prefixes(out: &mut Vec<u8>, prefixes: &[IpNet]) {
    put_varint(out, prefixes.len() as u64);
    for prefix in prefixes {
        match prefix {
            IpNet::V4(net) => put_bytes(out, &net.addr().octets()),
            IpNet::V6(net) => put_bytes(out, &net.addr().octets()),
        }
        out.push(prefix.prefix_len());
    }
}

/// Version 1 writes a suffix as the name and as every name below it. A name that is also a suffix is
/// written once.
fn put_domains(out: &mut Vec<u8>, domains: &Domains, version: u8) {
    let of_kind = |kind| move |&(how, _): &(DomainMatch, &str)| how == kind;
    let suffixes: HashSet<&str> =
        domains.iter().filter(of_kind(DomainMatch::Suffix)).map(|(_, name)| name).collect();
    let mut keys = Keys::default();
    for (how, name) in domains.iter() {
        match how {
            DomainMatch::Full if suffixes.contains(name) && version > 1 => {}
            DomainMatch::Full => keys.push(|key| push_reversed(name, key)),
            DomainMatch::Suffix if version > 1 => keys.push(|key| {
                push_reversed(name, key);
                key.push(ROOT_LABEL);
            }),
            DomainMatch::Suffix | DomainMatch::Below => {
                if how == DomainMatch::Suffix {
                    keys.push(|key| push_reversed(name, key));
                }
                keys.push(|key| {
                    push_reversed(name, key);
                    key.extend([b'.', ANY_LABEL]);
                });
            }
        }
    }
    keys.write(out);
}
