//! What has to hold, as rules of V2Ray can say it: several rules one after the other, each of which
//! has conditions that all have to hold.

use waypost_net::{Network, Networks, PortRange, PortSet};

use crate::model::{Conditions, IpEntry, IpSet, IpVersion, Logical, LogicalMode, Matcher, ProcessEntry};
use crate::{Span, Spanned};

/// More rules than this in place of one are no help to anybody.
const MAX_RULES: usize = 64;

/// What only sing-box recognises.
const FOREIGN_PROTOCOLS: [&str; 6] = ["dns", "stun", "dtls", "ssh", "rdp", "ntp"];

/// What V2Ray cannot say.
pub(super) type Unsayable = &'static str;

/// The rules of which one has to match.
pub(super) fn alternatives(matcher: &Matcher) -> Result<Vec<Conditions>, Unsayable> {
    let alternatives = expand(matcher, false)?;
    alternatives.iter().try_for_each(check)?;
    Ok(alternatives.into_iter().filter(|conditions| !never_holds(conditions)).collect())
}

fn expand(matcher: &Matcher, negate: bool) -> Result<Vec<Conditions>, Unsayable> {
    match matcher {
        Matcher::One(conditions) => {
            let plain = split(conditions);
            if conditions.invert == negate { Ok(plain) } else { negate_all(&plain) }
        }
        Matcher::Logical(Logical { mode, matchers, invert }) => {
            let negate = *invert != negate;
            if let (LogicalMode::And, false, Some(outside)) = (mode, negate, outside(matchers)) {
                return Ok(vec![outside]);
            }
            let parts = matchers.iter().map(|matcher| expand(matcher, negate));
            match (mode, negate) {
                (LogicalMode::Or, false) | (LogicalMode::And, true) => {
                    let parts: Result<Vec<_>, _> = parts.collect();
                    bounded(parts?.into_iter().flatten().collect())
                }
                (LogicalMode::And, false) | (LogicalMode::Or, true) => parts
                    .into_iter()
                    .try_fold(vec![Conditions::default()], |product, part| multiply(&product, &part?)),
            }
        }
    }
}

/// Conditions for addresses that are not in a list, which takes two matchers in sing-box: there the
/// inversion of an address condition holds for names as well.
fn outside(matchers: &[Matcher]) -> Option<Conditions> {
    let [Matcher::One(every), Matcher::One(inverted)] = matchers else { return None };
    let (mut every, mut inverted) = ((**every).clone(), (**inverted).clone());
    let is_every = |entries: &Vec<Spanned<IpEntry>>| {
        let of = |version| entries.iter().any(|entry| entry.value == of_version(version));
        entries.len() == 2 && of(IpVersion::V4) && of(IpVersion::V6)
    };
    let (all, listed, is_target) = match (every.ip.take(), every.source.take()) {
        (Some(all), None) => (all, inverted.ip.take()?, true),
        (None, Some(all)) => (all, inverted.source.take()?, false),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let is_plain = !every.invert && inverted.invert && is_anything(&every) && is_anything(&inverted);
    if !is_plain || !is_every(&all) || listed.iter().any(|entry| entry.value.inverse) {
        return None;
    }
    let entries = Some(listed.into_iter().map(inverse).collect());
    Some(match is_target {
        true => Conditions { ip: entries, ..Conditions::default() },
        false => Conditions { source: entries, ..Conditions::default() },
    })
}

fn inverse(entry: Spanned<IpEntry>) -> Spanned<IpEntry> {
    Spanned::new(IpEntry { inverse: true, ..entry.value }, entry.span)
}

/// Takes the two halves apart of which one is enough.
fn split(conditions: &Conditions) -> Vec<Conditions> {
    let plain = Conditions { either: false, invert: false, ..conditions.clone() };
    let is_either = conditions.either && conditions.domain.is_some() && conditions.ip.is_some();
    if !is_either {
        return vec![plain];
    }
    vec![Conditions { ip: None, ..plain.clone() }, Conditions { domain: None, ..plain }]
}

fn bounded(rules: Vec<Conditions>) -> Result<Vec<Conditions>, Unsayable> {
    if rules.len() > MAX_RULES { Err("a rule with so many combinations") } else { Ok(rules) }
}

fn multiply(left: &[Conditions], right: &[Conditions]) -> Result<Vec<Conditions>, Unsayable> {
    if left.len().saturating_mul(right.len()) > MAX_RULES {
        return Err("a rule with so many combinations");
    }
    left.iter().flat_map(|left| right.iter().map(move |right| join(left, right))).collect()
}

/// Conditions that hold where none of these rules does.
fn negate_all(rules: &[Conditions]) -> Result<Vec<Conditions>, Unsayable> {
    rules.iter().try_fold(vec![Conditions::default()], |product, rule| multiply(&product, &negations(rule)?))
}

/// Rules of which one matches where `rule` does not.
fn negations(rule: &Conditions) -> Result<Vec<Conditions>, Unsayable> {
    const INVERT: Unsayable = "`invert` of these conditions";
    let mut rest = rule.clone();
    let mut negations = Vec::new();
    if let Some(ports) = rest.port.take() {
        negations.push(Conditions { port: Some(other_ports(&ports)), ..Conditions::default() });
    }
    if let Some(ports) = rest.source_port.take() {
        negations.push(Conditions { source_port: Some(other_ports(&ports)), ..Conditions::default() });
    }
    if let Some(networks) = rest.network.take() {
        let others =
            Networks { tcp: !networks.contains(Network::Tcp), udp: !networks.contains(Network::Udp) };
        negations.push(Conditions { network: Some(others), ..Conditions::default() });
    }
    // A client always has an address, while a target may be a name, for which no address condition holds.
    if let Some(entries) = rest.source.take() {
        if entries.iter().any(|entry| entry.value.inverse) {
            return Err(INVERT);
        }
        let source = Some(entries.into_iter().map(inverse).collect());
        negations.push(Conditions { source, ..Conditions::default() });
    }
    if is_anything(&rest) { Ok(negations) } else { Err(INVERT) }
}

fn other_ports(ports: &PortSet) -> PortSet {
    let mut next = Some(0_u16);
    let mut others = Vec::new();
    for range in ports.ranges() {
        if let Some(first) = next.filter(|&first| first < range.first) {
            others.push(PortRange { first, last: range.first - 1 });
        }
        next = range.last.checked_add(1);
    }
    others.extend(next.map(|first| PortRange { first, last: u16::MAX }));
    others.into_iter().collect()
}

/// Conditions that hold where both do.
fn join(left: &Conditions, right: &Conditions) -> Result<Conditions, Unsayable> {
    const TWICE: Unsayable = "two conditions on the same thing that both have to hold";
    fn one<T: Clone>(left: &Option<T>, right: &Option<T>) -> Result<Option<T>, Unsayable> {
        match (left, right) {
            (Some(_), Some(_)) => Err(TWICE),
            (Some(one), None) | (None, Some(one)) => Ok(Some(one.clone())),
            (None, None) => Ok(None),
        }
    }
    Ok(Conditions {
        domain: one(&left.domain, &right.domain)?,
        ip: one(&left.ip, &right.ip)?,
        source: one(&left.source, &right.source)?,
        local_ip: one(&left.local_ip, &right.local_ip)?,
        port: both(left.port.as_ref(), right.port.as_ref(), common_ports),
        source_port: both(left.source_port.as_ref(), right.source_port.as_ref(), common_ports),
        local_port: both(left.local_port.as_ref(), right.local_port.as_ref(), common_ports),
        network: both(left.network.as_ref(), right.network.as_ref(), |left, right| Networks {
            tcp: left.tcp && right.tcp,
            udp: left.udp && right.udp,
        }),
        user: one(&left.user, &right.user)?,
        inbound_tag: one(&left.inbound_tag, &right.inbound_tag)?,
        protocol: one(&left.protocol, &right.protocol)?,
        attributes: one(&left.attributes, &right.attributes)?,
        process: left.process.iter().chain(&right.process).cloned().collect(),
        local_os: one(&left.local_os, &right.local_os)?,
        ip_version: one(&left.ip_version, &right.ip_version)?,
        clash_mode: one(&left.clash_mode, &right.clash_mode)?,
        client: one(&left.client, &right.client)?,
        rule_sets: one(&left.rule_sets, &right.rule_sets)?,
        either: false,
        invert: false,
    })
}

fn both<T: Clone>(left: Option<&T>, right: Option<&T>, common: impl Fn(&T, &T) -> T) -> Option<T> {
    match (left, right) {
        (Some(left), Some(right)) => Some(common(left, right)),
        (one, other) => one.or(other).cloned(),
    }
}

fn common_ports(left: &PortSet, right: &PortSet) -> PortSet {
    let pairs = left.ranges().iter().flat_map(|left| right.ranges().iter().map(move |right| (left, right)));
    pairs
        .map(|(left, right)| PortRange {
            first: left.first.max(right.first),
            last: left.last.min(right.last),
        })
        .collect()
}

/// Whether no condition is there.
pub(super) fn is_anything(conditions: &Conditions) -> bool {
    crate::checks::has_no_condition(conditions)
}

/// Says what is not among the conditions of V2Ray.
fn check(conditions: &Conditions) -> Result<(), Unsayable> {
    let has_address = |entries: &Option<Vec<Spanned<IpEntry>>>| {
        entries.iter().flatten().all(|entry| !matches!(entry.value.set, IpSet::NotPublic))
    };
    if conditions.rule_sets.is_some() {
        return Err("`rule_set`");
    }
    if conditions.clash_mode.is_some() {
        return Err("`clash_mode`");
    }
    let mut labels = conditions.protocol.iter().flatten().map(|label| &**label);
    if labels.any(|label| FOREIGN_PROTOCOLS.contains(&label)) {
        return Err("this `protocol`, because it sniffs nothing but HTTP, TLS, QUIC and BitTorrent");
    }
    if conditions.client.is_some() {
        return Err("`client`");
    }
    if ![&conditions.ip, &conditions.source, &conditions.local_ip].into_iter().all(has_address) {
        return Err("`ip_is_private`");
    }
    if conditions.ip_version.is_some() && conditions.ip.is_some() {
        return Err("`ip_version` with other conditions on the address");
    }
    if conditions.process.len() > 1 {
        return Err("two conditions on the program of the client");
    }
    let sayable = |entry: &Spanned<ProcessEntry>| match entry.value {
        ProcessEntry::Name(_) | ProcessEntry::Path(_) | ProcessEntry::Folder(_) => true,
        ProcessEntry::Regexp(_) | ProcessEntry::User(_) | ProcessEntry::UserId(_) => false,
    };
    if !conditions.process.iter().flatten().all(sayable) {
        return Err("`process_path_regex`, `user` or `user_id`");
    }
    Ok(())
}

/// The addresses of a version, as an entry.
pub(super) fn of_version(version: IpVersion) -> IpEntry {
    let every = match version {
        IpVersion::V4 => ipnet::IpNet::from(ipnet::Ipv4Net::default()),
        IpVersion::V6 => ipnet::IpNet::from(ipnet::Ipv6Net::default()),
    };
    IpEntry { inverse: false, set: IpSet::Net(every) }
}

/// Whether one of the conditions holds for nothing at all, so that the rule has no effect.
pub(in crate::write) fn never_holds(conditions: &Conditions) -> bool {
    fn none<T>(list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_some_and(Vec::is_empty)
    }
    let Conditions { port, source_port, local_port, network, .. } = conditions;
    none(&conditions.domain)
        || none(&conditions.ip)
        || none(&conditions.source)
        || none(&conditions.local_ip)
        || none(&conditions.user)
        || none(&conditions.inbound_tag)
        || none(&conditions.protocol)
        || none(&conditions.local_os)
        || conditions.process.iter().any(Vec::is_empty)
        || [port, source_port, local_port].into_iter().flatten().any(PortSet::is_empty)
        || network.is_some_and(|networks| networks == Networks::default())
}

/// The first place that conditions have.
pub(super) fn span_of(conditions: &Conditions) -> Option<Span> {
    let sets = conditions.rule_sets.iter().flat_map(|sets| &sets.tags).map(|tag| tag.span);
    sets.chain(conditions.process.iter().flatten().map(|entry| entry.span)).next()
}
