//! Outbounds that go through others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use waypost_net::Tag;

use crate::{
    Spanned,
    model::{Outbound, OutboundProtocol},
    names::Names,
    report::{Report, quote},
};

/// A circle of more outbounds than this is not written out whole.
const MAX_SHOWN: usize = 8;
/// Further circles are not looked for: each costs a walk through all outbounds.
const MAX_TOLD: usize = 32;

/// Checks at the end of the file that the outbounds that others go through exist and can carry a
/// connection, and that no outbound goes through itself.
pub(crate) fn check_detours(outbounds: &[Outbound], names: &mut Names, report: &mut Report<'_>) {
    let by_tag: BTreeMap<&Tag, &Outbound> = outbounds
        .iter()
        .rev()
        .filter_map(|outbound| Some((&outbound.tag.as_ref()?.value, outbound)))
        .collect();
    let in_circles = in_circles(&by_tag);
    let mut told = BTreeSet::new();
    let mut n_told = 0;
    for outbound in outbounds {
        let Some(detour) = &outbound.detour else { continue };
        let written = Spanned::new(detour.value.as_str(), detour.span);
        if names.balancers.contains(&detour.value) && !names.outbounds.contains(&detour.value) {
            names.balancers.mark_used(&detour.value);
            report
                .error(detour.span, format!("{} is a balancer, no outbound", quote(&detour.value)))
                .help("make a group of outbounds instead (`loadbalance`), and name that");
            continue;
        }
        if names.outbounds.find(written, "outbound", report).is_none() {
            continue;
        }
        if !outbound.protocol.dials() {
            report
                .error(detour.span, "this outbound dials nothing itself, so nothing goes through another")
                .help(if outbound.protocol.is_group() {
                    "say it in each of its members"
                } else {
                    "remove it"
                });
            continue;
        }
        if let Some(what) = by_tag.get(&detour.value).and_then(|target| cannot_carry(&target.protocol)) {
            report
                .error(detour.span, format!("{} {what}, it cannot carry a connection", quote(&detour.value)))
                .help("name an outbound that dials, or a group");
            continue;
        }
        if let Some(tag) = outbound.tag.as_ref().map(|tag| &tag.value)
            && n_told < MAX_TOLD
            && in_circles.contains(tag)
            && !told.contains(tag)
            && let Some(way) = find_circle(tag, detour, &by_tag)
        {
            report_circle(tag, &way, detour, report);
            told.extend(way);
            n_told += 1;
        }
        warn_of_socket(outbound, detour, report);
    }
}

fn cannot_carry(protocol: &OutboundProtocol) -> Option<&'static str> {
    match protocol {
        OutboundProtocol::Blackhole { .. } => Some("is a blackhole"),
        OutboundProtocol::Dns(_) => Some("answers DNS questions"),
        OutboundProtocol::Api => Some("is the remote control"),
        OutboundProtocol::Loopback { .. } => Some("leads back to the rules"),
        OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Socks(_)
        | OutboundProtocol::Http(_)
        | OutboundProtocol::Shadowsocks(_)
        | OutboundProtocol::Vmess(_)
        | OutboundProtocol::Vless(_)
        | OutboundProtocol::Trojan(_)
        | OutboundProtocol::LoadBalance(_)
        | OutboundProtocol::Selector(_)
        | OutboundProtocol::UrlTest(_) => None,
    }
}

/// The outbounds that the connections of one can take next.
fn next(outbound: &Outbound) -> Vec<&Tag> {
    match &outbound.protocol {
        OutboundProtocol::LoadBalance(group) => {
            group.primary.iter().chain(&group.backup).map(|member| &member.value).collect()
        }
        OutboundProtocol::Selector(group) => group.members.iter().map(|member| &member.value).collect(),
        OutboundProtocol::UrlTest(group) => group.members.iter().map(|member| &member.value).collect(),
        OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Blackhole { .. }
        | OutboundProtocol::Socks(_)
        | OutboundProtocol::Http(_)
        | OutboundProtocol::Shadowsocks(_)
        | OutboundProtocol::Vmess(_)
        | OutboundProtocol::Vless(_)
        | OutboundProtocol::Trojan(_)
        | OutboundProtocol::Dns(_)
        | OutboundProtocol::Api
        | OutboundProtocol::Loopback { .. } => outbound.detour.iter().map(|detour| &detour.value).collect(),
    }
}

/// The outbounds that are in a circle, or lead from one to another: what is left when those that
/// nothing leads to are taken away again and again.
fn in_circles<'a>(by_tag: &BTreeMap<&'a Tag, &'a Outbound>) -> BTreeSet<&'a Tag> {
    let mut ways: BTreeMap<&Tag, usize> = by_tag.keys().map(|tag| (*tag, 0)).collect();
    let leads_to = |tag: &Tag| by_tag.get(tag).map(|outbound| next(outbound)).unwrap_or_default();
    for tag in by_tag.keys().flat_map(|tag| leads_to(tag)) {
        ways.entry(tag).and_modify(|ways| *ways += 1);
    }
    let mut free: Vec<&Tag> = ways.iter().filter(|(_, ways)| **ways == 0).map(|(tag, _)| *tag).collect();
    while let Some(tag) = free.pop() {
        ways.remove(tag);
        for next in leads_to(tag) {
            let Some(ways) = ways.get_mut(next) else { continue };
            *ways = ways.saturating_sub(1);
            if *ways == 0 {
                free.push(next);
            }
        }
    }
    ways.into_keys().collect()
}

/// The shortest way from the detour of an outbound back to it, if there is one: that is what there
/// is to cut.
fn find_circle<'a>(
    tag: &'a Tag,
    detour: &'a Spanned<Tag>,
    by_tag: &BTreeMap<&'a Tag, &'a Outbound>,
) -> Option<Vec<&'a Tag>> {
    let mut before: BTreeMap<&Tag, &Tag> = BTreeMap::new();
    let mut seen: BTreeSet<&Tag> = BTreeSet::from([&detour.value]);
    let mut waiting = VecDeque::from([&detour.value]);
    let mut found = *tag == detour.value;
    while let Some(at) = waiting.pop_front().filter(|_| !found) {
        let Some(outbound) = by_tag.get(at) else { continue };
        for next in next(outbound) {
            if seen.insert(next) {
                before.insert(next, at);
                waiting.push_back(next);
            }
            found |= next == tag;
        }
    }
    let mut at = found.then_some(tag)?;
    let mut way = vec![at];
    while let Some(previous) = before.get(at).filter(|_| at != &detour.value) {
        way.push(previous);
        at = previous;
    }
    way.reverse();
    Some(way)
}

fn report_circle(tag: &Tag, way: &[&Tag], detour: &Spanned<Tag>, report: &mut Report<'_>) {
    let mut shown = vec![quote(tag)];
    shown.extend(way.iter().take(MAX_SHOWN).map(|tag| quote(tag)));
    if way.len() > MAX_SHOWN {
        shown.push("…".to_owned());
    }
    let message = format!("these outbounds go through each other in a circle: {}", shown.join(" -> "));
    report.error(detour.span, message).help("let one of them dial by itself");
}

fn warn_of_socket(outbound: &Outbound, detour: &Spanned<Tag>, report: &mut Report<'_>) {
    let socket = &outbound.socket;
    let set = [
        ("the local address", socket.send_through.is_some()),
        ("the mark", socket.mark.is_some()),
        ("the interface", socket.interface.is_some()),
    ];
    let names: Vec<&str> = set.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
    if !names.is_empty() {
        report
            .warning(
                detour.span,
                format!(
                    "this outbound sets {} in vain, because {} dials",
                    names.join(" and "),
                    quote(&detour.value)
                ),
            )
            .help("set them there");
    }
}
