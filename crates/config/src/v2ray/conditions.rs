use waypost_net::{Network, Networks, PortSet, Tag};

use super::{
    attrs, checks, domain,
    domain::Plain,
    ip,
    names::Names,
    port::{self, RangeForm},
};
use crate::{
    Spanned,
    model::{Conditions, DomainEntry, IpEntry, ProcessEntry, UserEntry},
    nearest,
    object::Object,
    report::{Report, quote},
};

/// What an HTTP inbound calls an absolute-form request.
const LABELS: [&str; 2] = ["http1", "http/1.1"];
/// What else sniffing recognises.
const SNIFFED_LABELS: [&str; 3] = ["tls", "quic", "bittorrent"];

/// The systems that Go programs name, without the exotic ones.
const SYSTEMS: [&str; 10] =
    ["linux", "windows", "darwin", "android", "ios", "freebsd", "openbsd", "netbsd", "dragonfly", "solaris"];

/// Reads the conditions of a rule; `None` if there is none, or none without error. `names` are
/// those that a condition may refer to, if that is to be checked.
pub(super) fn read(
    rule: &Object<'_>,
    form: RangeForm,
    names: Option<&Names>,
    report: &mut Report<'_>,
) -> Option<Conditions> {
    let ports = |name: &str, report: &mut Report<'_>| -> Option<PortSet> {
        rule.get(name).and_then(|field| port::read_set(field, form, report))
    };
    let conditions = Conditions {
        domain: read_domains(rule, report),
        ip: read_ips(rule, "ip", report),
        source: read_source(rule, report),
        local_ip: read_ips(rule, "localIP", report),
        port: ports("port", report),
        source_port: ports("sourcePort", report),
        local_port: ports("localPort", report),
        network: read_networks(rule, report),
        user: read_users(rule, report),
        inbound_tag: read_inbound_tags(rule, names, report),
        protocol: read_protocols(rule, names, report),
        attributes: rule.get("attrs").and_then(|field| attrs::read(field, report)),
        process: read_processes(rule, report).into_iter().collect(),
        local_os: read_systems(rule, report),
        ..Conditions::default()
    };
    (!checks::has_no_condition(&conditions)).then_some(conditions)
}

fn read_domains(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<Spanned<DomainEntry>>> {
    let mut written = rule.strings("domain", report);
    if let Some(more) = rule.strings("domains", report) {
        written.get_or_insert_default().extend(more);
    }
    let entries = written?.into_iter().filter_map(|text| {
        let entry = domain::read(text, Plain::Keyword, report)?;
        Some(Spanned::new(entry, text.span))
    });
    Some(entries.collect())
}

fn read_ips(rule: &Object<'_>, name: &str, report: &mut Report<'_>) -> Option<Vec<Spanned<IpEntry>>> {
    let written = rule.strings(name, report)?;
    let entries = written.into_iter().filter_map(|text| {
        let entry = ip::read(text, report)?;
        Some(Spanned::new(entry, text.span))
    });
    Some(entries.collect())
}

fn read_source(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<Spanned<IpEntry>>> {
    if !rule.has("sourceIP") {
        return read_ips(rule, "source", report);
    }
    if let Some(source) = rule.get("source") {
        report
            .warning(source.key_span, "`source` has no effect, because `sourceIP` is given as well")
            .help("remove one of the two");
        read_ips(rule, "source", report);
    }
    read_ips(rule, "sourceIP", report)
}

fn read_networks(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Networks> {
    let mut networks = Networks::default();
    for word in rule.strings("network", report)? {
        let text = word.value;
        let trimmed = text.trim();
        if let Ok(network) = text.parse::<Network>() {
            networks.insert(network);
        } else if text.is_empty() {
            never(word, report).help("write `tcp`, `udp` or `tcp,udp`, or remove the key");
        } else if trimmed.parse::<Network>().is_ok() {
            never(word, report)
                .help(format!("write `{trimmed}` without the space, V2Ray does not remove it"));
        } else if trimmed.is_empty() {
            never(word, report).help("remove the space");
        } else if text.eq_ignore_ascii_case("unix") {
            never(word, report).help("targets are reached by `tcp` or `udp`");
        } else {
            report.error(word.span, format!("unknown network: {}", quote(text)));
            report.help(match nearest(text, ["tcp", "udp"]) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "expected `tcp` or `udp`".to_owned(),
            });
        }
    }
    Some(networks)
}

fn read_users(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<Spanned<UserEntry>>> {
    let mut users = Vec::new();
    for text in rule.strings("user", report)? {
        let entry = match text.value.strip_prefix("regexp:") {
            Some("") => {
                report.error(text.span, "there is no expression behind `regexp:`");
                continue;
            }
            Some(expression) => UserEntry::Regexp(expression.into()),
            None if text.value.is_empty() => {
                never(text, report).help("remove the key if everybody is meant");
                continue;
            }
            None => UserEntry::Exact(text.value.into()),
        };
        users.push(Spanned::new(entry, text.span));
    }
    Some(users)
}

fn read_inbound_tags(
    rule: &Object<'_>,
    names: Option<&Names>,
    report: &mut Report<'_>,
) -> Option<Vec<Spanned<Tag>>> {
    let mut tags = Vec::new();
    for text in rule.strings("inboundTag", report)? {
        if text.value.is_empty() {
            never(text, report).help("remove the key if every inbound is meant");
            continue;
        }
        if let Some(inbounds) = names.map(|names| &names.inbounds)
            && !inbounds.contains(text.value)
        {
            report.warning(text.span, format!("there is no inbound with the tag {}", quote(text.value)));
            inbounds.suggest(text.value, "inbound", report);
        }
        tags.push(Spanned::new(Tag::from(text.value), text.span));
    }
    Some(tags)
}

fn read_protocols(
    rule: &Object<'_>,
    names: Option<&Names>,
    report: &mut Report<'_>,
) -> Option<Vec<Box<str>>> {
    let mut prefixes = Vec::new();
    for text in rule.strings("protocol", report)? {
        if text.value.is_empty() {
            never(text, report).help("remove the key if every protocol is meant");
            continue;
        }
        let is_label = |labels: &[&str]| labels.iter().any(|label| label.starts_with(text.value));
        if !is_label(&LABELS) && !is_label(&SNIFFED_LABELS) {
            report
                .warning(text.span, format!("{} never matches in this version", quote(text.value)))
                .help("the labels are `http1`, `tls`, `quic` and `bittorrent`");
        } else if !is_label(&LABELS) && names.is_some_and(|names| !names.sniffs) {
            report
                .warning(text.span, format!("{} never matches, because no inbound sniffs", quote(text.value)))
                .help("add `\"sniffing\": {\"enabled\": true}` to an inbound");
        }
        prefixes.push(text.value.into());
    }
    Some(prefixes)
}

fn read_processes(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<Spanned<ProcessEntry>>> {
    let mut processes = Vec::new();
    for text in rule.strings("process", report)? {
        if text.value.is_empty() {
            never(text, report).help("write the name or the path of a program");
            continue;
        }
        let path = text.value.replace('\\', "/");
        let drive = path.get(1..3) == Some(":/") && path.starts_with(|c: char| c.is_ascii_alphabetic());
        let entry = if matches!(text.value, "self/" | "xray/") {
            report.error(text.span, format!("{} is not supported", quote(text.value)));
            report.help("the connections of this program itself do not pass the rules");
            continue;
        } else if !path.contains('/') {
            ProcessEntry::Name(path.into())
        } else if !path.starts_with('/') && !drive {
            report
                .error(text.span, format!("not an absolute path: {}", quote(text.value)))
                .help("write the name of the program alone, or its whole path");
            continue;
        } else if path.ends_with('/') {
            ProcessEntry::Folder(path.into())
        } else {
            ProcessEntry::Path(path.into())
        };
        processes.push(Spanned::new(entry, text.span));
    }
    Some(processes)
}

fn read_systems(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<Box<str>>> {
    let mut systems = Vec::new();
    for text in rule.strings("localOS", report)? {
        let system = text.value.to_ascii_lowercase();
        if !SYSTEMS.contains(&system.as_str()) {
            let near = nearest(&system, SYSTEMS);
            never(text, report).help(match near {
                Some(name) => format!("did you mean `{name}`?"),
                None => "write the name as Go has it, such as `linux`, `windows` or `darwin`".to_owned(),
            });
        }
        systems.push(system.into());
    }
    Some(systems)
}

/// Warns of an entry that V2Ray accepts and that no connection ever fits.
fn never<'a, 'r>(text: Spanned<&str>, report: &'r mut Report<'a>) -> &'r mut Report<'a> {
    let what = if text.value.is_empty() { "an empty entry".to_owned() } else { quote(text.value) };
    report.warning(text.span, format!("{what} never matches"))
}
