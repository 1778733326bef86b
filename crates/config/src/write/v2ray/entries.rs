//! Entries of lists, each with its prefix.

use crate::{
    Spanned,
    model::{AddressFamily, DomainEntry, GeositeRef, IpEntry, IpSet},
};

pub(super) fn domains(entries: &[Spanned<DomainEntry>]) -> Vec<String> {
    entries.iter().map(|entry| domain(&entry.value)).collect()
}

pub(super) fn domain(entry: &DomainEntry) -> String {
    match entry {
        // A prefix needs something behind it.
        DomainEntry::Keyword(text) if text.is_empty() => String::new(),
        DomainEntry::Keyword(text) => format!("keyword:{text}"),
        DomainEntry::Regexp(text) => format!("regexp:{text}"),
        DomainEntry::Suffix(name) => format!("domain:{name}"),
        DomainEntry::Full(name) => format!("full:{name}"),
        DomainEntry::Below(name) => format!("regexp:\\.{}$", name.replace('.', "\\.")),
        DomainEntry::List(GeositeRef { file, code, attributes }) => {
            let attributes: String = attributes.iter().map(|attribute| format!("@{attribute}")).collect();
            match &**file {
                "geosite.dat" => format!("geosite:{code}{attributes}"),
                file => format!("ext:{file}:{code}{attributes}"),
            }
        }
    }
}

/// Entries that V2Ray has; the others have no word.
pub(super) fn ips(entries: &[Spanned<IpEntry>]) -> Vec<String> {
    entries.iter().filter_map(|entry| ip(&entry.value)).collect()
}

fn ip(entry: &IpEntry) -> Option<String> {
    let bang = if entry.inverse { "!" } else { "" };
    Some(match &entry.set {
        IpSet::Net(net) => format!("{bang}{net}"),
        IpSet::NotPublic => return None,
        IpSet::List { file, code } => match &**file {
            "geoip.dat" => format!("{bang}geoip:{code}"),
            file => format!("{bang}ext:{file}:{code}"),
        },
    })
}

pub(super) fn family(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Any => "UseIP",
        AddressFamily::V4 => "UseIPv4",
        AddressFamily::V6 => "UseIPv6",
    }
}
