//! What is allowed, but probably not meant.

use super::shadowed::{find_shadowed, is_final};
use crate::{
    Spanned,
    model::{Conditions, DomainStrategy, Rule},
    names::Names,
    report::{Report, quote},
};

/// Warns of rules behind one that takes every connection, or all that they could take, and of look-ups
/// that such a rule prevents.
pub(crate) fn find_unreachable(
    rules: &[Rule],
    strategy: Option<Spanned<DomainStrategy>>,
    report: &mut Report<'_>,
) {
    let catch_all = rules.iter().position(takes_all);
    let (before, from) = rules.split_at(catch_all.unwrap_or(rules.len()));
    find_shadowed(before, report);
    let Some((catch_all, behind)) = from.split_first() else { return };
    let line = report.line(catch_all.span);
    if let Some(first) = behind.first() {
        let message = match behind.len() {
            1 => format!("this rule is never reached, the rule on line {line} takes every connection"),
            n => format!(
                "this rule and the {} after it are never reached, the rule on line {line} takes every connection",
                n - 1
            ),
        };
        report.warning(first.span, message).help("move the rule for everything to the end");
    }
    let needs_addresses =
        before.iter().any(|rule| rule.matcher.one().is_some_and(|conditions| conditions.ip.is_some()));
    if let Some(strategy) = strategy
        && strategy.value == DomainStrategy::IpIfNonMatch
        && needs_addresses
    {
        let message = format!(
            "no connection is left unmatched, because of the rule on line {line}, so `IPIfNonMatch` never looks names up"
        );
        report
            .warning(strategy.span, message)
            .help("write `IPOnDemand`, or remove that rule; what no rule matches goes to the first outbound");
    }
}

/// Warns of outbounds and balancers that no connection can get to.
pub(crate) fn find_unused(names: &Names, report: &mut Report<'_>) {
    for tag in names.outbounds.unused() {
        report
            .warning(tag.span, format!("nothing uses the outbound {}", quote(&tag.value)))
            .help("no rule, balancer or group names it, and it is not the first");
    }
    for tag in names.balancers.unused() {
        report
            .warning(tag.span, format!("nothing uses the balancer {}", quote(&tag.value)))
            .help("no rule names it");
    }
    for &span in &names.nameless {
        report
            .warning(span, "nothing can use this outbound, it has no tag and is not the first")
            .help("add a `tag`, and a rule that names it");
    }
}

/// Whether no connection gets past a rule.
fn takes_all(rule: &Rule) -> bool {
    is_final(&rule.action) && rule.matcher.one().is_some_and(is_catch_all)
}

/// Whether the conditions hold for every connection that there can be.
fn is_catch_all(conditions: &Conditions) -> bool {
    let Conditions { port, network, invert, .. } = conditions;
    let all_ports = |range: &waypost_net::PortRange| range.first <= 1 && range.last == u16::MAX;
    !invert
        && is_empty_besides_port_and_network(conditions)
        && port.as_ref().is_none_or(|ports| ports.ranges().iter().any(all_ports))
        && network.is_none_or(|networks| networks == waypost_net::Networks::ALL)
}

/// Whether there is no condition at all.
pub(crate) fn has_no_condition(conditions: &Conditions) -> bool {
    conditions.port.is_none() && conditions.network.is_none() && is_empty_besides_port_and_network(conditions)
}

fn is_empty_besides_port_and_network(conditions: &Conditions) -> bool {
    let Conditions {
        domain: None,
        ip: None,
        source: None,
        local_ip: None,
        port: _,
        source_port: None,
        local_port: None,
        network: _,
        user: None,
        inbound_tag: None,
        protocol: None,
        attributes: None,
        process,
        local_os: None,
        ip_version: None,
        clash_mode: None,
        client: None,
        rule_sets: None,
        either: _,
        invert: _,
    } = conditions
    else {
        return false;
    };
    process.is_empty()
}
