use super::{
    domain::{self, Plain},
    ip,
};
use crate::{
    Spanned,
    keys::{Form, Key, KeyTable},
    model::{DomainEntry, IpEntry, OverrideProtocol, Sniffing},
    nearest,
    object::Object,
    report::{Report, one_of, quote},
};

pub(super) static SNIFFING: KeyTable = KeyTable {
    name: "Sniffing",
    path: "sniffing",
    doc: "Reading the protocol and the name of the target from the first bytes of a connection.",
    keys: &[
        Key::new("enabled", Form::Flag, "Whether the first bytes are looked at; without it they are not."),
        Key::new(
            "destOverride",
            Form::Strings,
            "The protocols whose name takes the place of the target: `http`, `tls`, `quic`.",
        ),
        Key::new("routeOnly", Form::Flag, "Whether only rules see the name, and the target stays as it is."),
        Key::new(
            "domainsExcluded",
            Form::Strings,
            "Names that are left out, as in rules; without prefix the whole name.",
        ),
        Key::new("ipsExcluded", Form::Strings, "Targets that keep their address, as `ip` in rules."),
        Key::new("metadataOnly", Form::Flag, "Whether the first bytes are not waited for."),
    ],
};

/// The words of `destOverride`. V2Ray takes them in any letter case.
const WORDS: [(&str, OverrideProtocol); 7] = [
    ("http", OverrideProtocol::Http),
    ("tls", OverrideProtocol::Tls),
    ("https", OverrideProtocol::Tls),
    ("ssl", OverrideProtocol::Tls),
    ("quic", OverrideProtocol::Quic),
    ("fakedns", OverrideProtocol::FakeDns),
    ("fakedns+others", OverrideProtocol::FakeDns),
];
/// The words that are worth writing.
const USEFUL_WORDS: [&str; 3] = ["http", "tls", "quic"];

/// Reads `sniffing`, or the old form of it; `None` where it is switched off.
pub(super) fn read(inbound: &Object<'_>, report: &mut Report<'_>) -> Option<Sniffing> {
    let old_form = || inbound.get("domainOverride").filter(|field| !field.is_empty_list());
    let Some(sniffing) = inbound.object("sniffing", &SNIFFING, report) else {
        old_form()?;
        let dest_override = read_words(inbound, "domainOverride", true, report);
        return Some(Sniffing { dest_override, ..Sniffing::default() });
    };
    if let Some(old) = old_form() {
        report
            .warning(old.key_span, "`domainOverride` has no effect, because `sniffing` is given as well")
            .help("remove it");
    }
    let enabled = sniffing.flag("enabled", report).is_some_and(|enabled| enabled.value);
    let metadata_only = sniffing.flag("metadataOnly", report).filter(|flag| flag.value);
    let read = Sniffing {
        dest_override: read_words(&sniffing, "destOverride", enabled, report),
        metadata_only: metadata_only.is_some(),
        route_only: sniffing.flag("routeOnly", report).is_some_and(|flag| flag.value),
        domains_excluded: read_domains(&sniffing, report),
        ips_excluded: read_ips(&sniffing, report),
    };
    if let Some(flag) = metadata_only.filter(|_| enabled) {
        report
            .warning(flag.span, "with `metadataOnly` nothing is recognised in this version")
            .help("what V2Ray knows without reading comes from FakeDNS; remove it to read the first bytes");
    }
    enabled.then_some(read)
}

fn read_words(
    object: &Object<'_>,
    name: &str,
    enabled: bool,
    report: &mut Report<'_>,
) -> Vec<OverrideProtocol> {
    let mut protocols = Vec::new();
    for text in object.strings(name, report).unwrap_or_default() {
        let Some((word, protocol)) = WORDS.iter().find(|(word, _)| text.value.eq_ignore_ascii_case(word))
        else {
            report_word(name, text, report);
            continue;
        };
        if enabled && !USEFUL_WORDS.contains(&protocol.label_prefix()) {
            let message = format!("`{word}` is not recognised in this version");
            report.warning(text.span, message).help("such connections go where the client asked for");
        }
        if !protocols.contains(protocol) {
            protocols.push(*protocol);
        }
    }
    protocols
}

fn report_word(name: &str, text: Spanned<&str>, report: &mut Report<'_>) {
    let written = text.value.to_ascii_lowercase();
    report.error(text.span, format!("unknown word in `{name}`: {}", quote(text.value)));
    report.help(if "bittorrent".starts_with(&*written) && !written.is_empty() {
        "BitTorrent is recognised without it, and has no name that could take the place of the target"
            .to_owned()
    } else {
        match nearest(&written, WORDS.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("expected {}", one_of(USEFUL_WORDS)),
        }
    });
}

fn read_domains(sniffing: &Object<'_>, report: &mut Report<'_>) -> Vec<Spanned<DomainEntry>> {
    let written = sniffing.strings("domainsExcluded", report).unwrap_or_default();
    let entry = |text: Spanned<&str>| Some(Spanned::new(domain::read(text, Plain::Full, report)?, text.span));
    written.into_iter().filter_map(entry).collect()
}

fn read_ips(sniffing: &Object<'_>, report: &mut Report<'_>) -> Vec<Spanned<IpEntry>> {
    let written = sniffing.strings("ipsExcluded", report).unwrap_or_default();
    let entry = |text: Spanned<&str>| Some(Spanned::new(ip::read(text, report)?, text.span));
    written.into_iter().filter_map(entry).collect()
}
