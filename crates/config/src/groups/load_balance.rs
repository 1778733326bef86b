//! `loadbalance`: a group of outbounds that one connection after the other is given to.

pub(super) mod dial;
mod hash;
pub(crate) mod keys;
pub(super) mod probe;

use std::{
    collections::BTreeSet,
    num::{NonZeroU16, NonZeroU32},
};

use waypost_net::Tag;

use super::members;
use crate::{
    Spanned,
    json::Member,
    keys::is_comment,
    model::{EmptyPoolAction, Hash, HashAlgorithm, Hysteresis, LoadBalance, LoadBalanceStrategy, TopN},
    names::{Group, GroupKind, Names},
    nearest,
    object::{Field, Object, choose, read_map},
    report::{Report, all_of, quote},
};

const STRATEGIES: [(&str, LoadBalanceStrategy); 6] = [
    ("random", LoadBalanceStrategy::Random),
    ("consistent_hash", LoadBalanceStrategy::ConsistentHash),
    ("round_robin", LoadBalanceStrategy::RoundRobin),
    ("least_conn", LoadBalanceStrategy::LeastConn),
    ("least_ping", LoadBalanceStrategy::LeastPing),
    ("failover", LoadBalanceStrategy::Failover),
];

const EMPTY_POOL_ACTIONS: [(&str, EmptyPoolAction); 3] = [
    ("error", EmptyPoolAction::Error),
    ("fallback_all", EmptyPoolAction::FallbackAll),
    ("random", EmptyPoolAction::FallbackAll),
];

/// The most that a ring holds; a mistyped number is not to take all memory.
const MAX_VIRTUAL_NODES: u64 = 1 << 20;

/// With more members than this, a list of them is no help.
const MAX_LISTED_MEMBERS: usize = 8;

/// Reads a `loadbalance` outbound from the object that has its keys. Whether its members exist is
/// checked by [`check_members`](super::check_members).
pub(crate) fn read(
    settings: &Object<'_>,
    tag: Option<&Spanned<Tag>>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<LoadBalance> {
    let primary = members::read_required(settings, "loadbalance", "primary_outbounds", report);
    let backup = members::read_tier(settings, "backup_outbounds", report);
    let all = primary.iter().chain(&backup).cloned().collect();
    let group = Group { tag: tag.map(|tag| tag.value.clone()), kind: GroupKind::LoadBalance, members: all };
    let strategy = read_strategy(settings, report);
    let chosen = strategy.map(|strategy| strategy.value);
    let weights = read_weights(settings, &group, chosen, report);
    let probe = probe::read(settings, report);
    let top_n = read_top_n(settings, chosen, [primary.len(), backup.len()], report);
    let hash = hash::read(settings, strategy, report);
    if chosen == Some(LoadBalanceStrategy::ConsistentHash) && hash.algorithm == HashAlgorithm::Ring {
        check_virtual_nodes(settings, &hash, &weights, group.members.len(), report);
    }
    names.groups.push(group);
    let hysteresis = read_hysteresis(settings, backup.is_empty(), report);
    let action = settings.text("empty_pool_action", report).filter(|action| !action.value.is_empty());
    let action = action.and_then(|word| choose("empty_pool_action", word, &EMPTY_POOL_ACTIONS, report));
    let interrupt = settings.flag("interrupt_exist_connections", report);
    let dial = dial::read(settings, report);
    let group = LoadBalance {
        primary,
        backup,
        weights,
        strategy: chosen.unwrap_or_default(),
        probe: probe?,
        top_n,
        hash,
        hysteresis,
        empty_pool_action: action.unwrap_or_default(),
        interrupt_exist_connections: interrupt.is_some_and(|interrupt| interrupt.value),
        dial,
    };
    (!group.primary.is_empty()).then_some(group)
}

/// Reads the strategy, with its place if it is written; `None` if it does not exist.
fn read_strategy(settings: &Object<'_>, report: &mut Report<'_>) -> Option<Spanned<LoadBalanceStrategy>> {
    let Some(field) = settings.get("strategy").filter(|field| field.value.text() != Some("")) else {
        return Some(Spanned::new(LoadBalanceStrategy::default(), settings.span));
    };
    let written = field.text(report)?;
    choose("strategy", written, &STRATEGIES, report).map(|strategy| Spanned::new(strategy, written.span))
}

fn read_weights(
    settings: &Object<'_>,
    group: &Group,
    strategy: Option<LoadBalanceStrategy>,
    report: &mut Report<'_>,
) -> Vec<(Tag, NonZeroU16)> {
    let Some(field) = settings.get("weights") else { return Vec::new() };
    if let Some(LoadBalanceStrategy::LeastPing | LoadBalanceStrategy::Failover) = strategy
        && !field.value.is_off()
    {
        report
            .warning(field.key_span, "`weights` have no effect, this strategy does not share")
            .help("`least_ping` and `failover` give everything to one member; remove them");
    }
    let known: BTreeSet<&str> = group.members.iter().map(|member| member.value.as_str()).collect();
    let mut weights = Vec::new();
    for member in read_map(field, report) {
        if !known.contains(&*member.key) {
            if !is_comment(&member.key) {
                report_stranger(member, group, report);
            }
            continue;
        }
        let value = Field { name: "weights", key_span: member.key_span, value: &member.value };
        if let Some(weight) = value.count(1..=u16::MAX, report).and_then(NonZeroU16::new) {
            weights.push((Tag::from(&*member.key), weight));
        } else if member.value.is_off() {
            report.help("a member without traffic is no member: remove it from the list");
        }
    }
    weights
}

fn report_stranger(weight: &Member, group: &Group, report: &mut Report<'_>) {
    let message = format!("{} has a weight, but is no member of this group", quote(&weight.key));
    report.error(weight.key_span, message);
    if report.is_full() {
        return;
    }
    let tags = || group.members.iter().map(|member| member.value.as_str());
    match nearest(&weight.key, tags()) {
        Some(tag) => report.help(format!("did you mean `{tag}`?")),
        None if (1..=MAX_LISTED_MEMBERS).contains(&group.members.len()) => {
            report.help(format!("the members are {}", all_of(tags())));
        }
        None => report.help("remove it, or add it to `primary_outbounds`"),
    }
}

fn read_top_n(
    settings: &Object<'_>,
    strategy: Option<LoadBalanceStrategy>,
    [n_primary, n_backup]: [usize; 2],
    report: &mut Report<'_>,
) -> TopN {
    let mut top_n = TopN::default();
    let Some(object) = settings.object("top_n", &keys::TOP_N, report) else { return top_n };
    top_n.primary = read_n_fastest(&object, "primary", n_primary, report);
    top_n.backup = read_n_fastest(&object, "backup", n_backup, report);
    top_n.tolerance = object.duration("tolerance", report).unwrap_or(top_n.tolerance);
    if let Some(field) = object.get("tolerance")
        && (top_n.primary, top_n.backup) == (0, 0)
        && strategy.is_some_and(|strategy| strategy != LoadBalanceStrategy::LeastPing)
    {
        report
            .warning(field.key_span, "`tolerance` has no effect, because all members are used")
            .help("add `primary` or `backup`, or remove it");
    }
    top_n
}

fn read_n_fastest(object: &Object<'_>, tier: &str, n_members: usize, report: &mut Report<'_>) -> usize {
    let Some(field) = object.get(tier) else { return 0 };
    let count = field.count(0..=u32::MAX, report).unwrap_or_default();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > n_members {
        let (message, help) = match n_members {
            0 => (format!("there are no {tier} outbounds to choose from"), "add some, or remove it"),
            n => {
                let (verb, plural) = if n == 1 { ("is", "") } else { ("are", "s") };
                let message = format!(
                    "there {verb} only {n} {tier} outbound{plural}, so the {count} fastest are all of them"
                );
                (message, "0 means all")
            }
        };
        report.warning(field.value.span, message).help(help);
    }
    count
}

fn read_hysteresis(settings: &Object<'_>, no_backup: bool, report: &mut Report<'_>) -> Hysteresis {
    let default = Hysteresis::default();
    let Some(object) = settings.object("hysteresis", &keys::HYSTERESIS, report) else { return default };
    let failures = object.count("primary_failures", 0..=u32::MAX, report);
    let hold = object.duration("backup_hold_time", report);
    for (name, written) in [("primary_failures", failures.is_some()), ("backup_hold_time", hold.is_some())] {
        if let Some(field) = object.get(name)
            && no_backup
            && written
        {
            report
                .warning(field.key_span, format!("`{name}` has no effect without `backup_outbounds`"))
                .help("add `backup_outbounds`, or remove it");
        }
    }
    Hysteresis {
        primary_failures: failures.and_then(NonZeroU32::new).unwrap_or(default.primary_failures),
        backup_hold_time: hold.unwrap_or(default.backup_hold_time),
    }
}

fn check_virtual_nodes(
    settings: &Object<'_>,
    hash: &Hash,
    weights: &[(Tag, NonZeroU16)],
    n_members: usize,
    report: &mut Report<'_>,
) {
    let weighted: u64 = weights.iter().map(|(_, weight)| u64::from(weight.get())).sum();
    let total_weight = weighted + (n_members.saturating_sub(weights.len())) as u64;
    let total = total_weight.saturating_mul(u64::from(hash.virtual_nodes.get()));
    if total > MAX_VIRTUAL_NODES {
        let place = settings.get("hash").or_else(|| settings.get("weights"));
        let span = place.map_or_else(|| members::brace(settings.span), |field| field.key_span);
        let message = format!(
            "{total} virtual nodes in one group (`virtual_nodes` times the sum of the weights), at most {MAX_VIRTUAL_NODES} are placed"
        );
        report.error(span, message).help("write smaller weights, or fewer `virtual_nodes`");
    }
}
