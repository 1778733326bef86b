//! One report for everything that has the same labels: a series must not appear twice in a scrape.

use std::collections::BTreeMap;

use waypost_proxy::{DelayClasses, GroupReport, MemberTotals, OutboundReport, RuleReport, Tier};

/// Outbounds by tag; V2Ray lets all of them do without one.
pub(super) fn outbounds(reports: Vec<OutboundReport>) -> Vec<OutboundReport> {
    merge(reports, |report| super::tag(report).to_owned(), add_outbound)
}

/// Rules by label and action; a label that somebody gives need not be the only one of its kind.
pub(super) fn rules(reports: Vec<RuleReport>) -> Vec<RuleReport> {
    let labels = |report: &RuleReport| (report.label.clone(), report.action.clone());
    merge(reports, labels, |sum, report| sum.hits = sum.hits.saturating_add(report.hits))
}

/// Groups by tag; a balancer may be called like a group among the outbounds.
pub(super) fn groups(reports: Vec<GroupReport>) -> Vec<GroupReport> {
    merge(reports, |report| report.tag.clone(), add_group)
}

fn add_outbound(sum: &mut OutboundReport, report: OutboundReport) {
    let OutboundReport { live, totals, delays, transitions, .. } = report;
    sum.live = sum.live.saturating_add(live);
    add_totals(&mut sum.totals, totals);
    add_delays(&mut sum.delays, &delays);
    for ((_, sum), (_, times)) in sum.transitions.iter_mut().zip(transitions) {
        *sum = sum.saturating_add(times);
    }
}

fn add_totals(sum: &mut MemberTotals, totals: MemberTotals) {
    let MemberTotals { carried, failed, overtaken, silent } = totals;
    sum.carried = sum.carried.saturating_add(carried);
    sum.failed = sum.failed.saturating_add(failed);
    sum.overtaken = sum.overtaken.saturating_add(overtaken);
    sum.silent = sum.silent.saturating_add(silent);
}

fn add_delays(sum: &mut DelayClasses, delays: &DelayClasses) {
    for (sum, count) in sum.counts.iter_mut().zip(delays.counts) {
        *sum = sum.saturating_add(count);
    }
    sum.sum += delays.sum;
    sum.failed = sum.failed.saturating_add(delays.failed);
}

fn add_group(sum: &mut GroupReport, report: GroupReport) {
    sum.changes = sum.changes.saturating_add(report.changes);
    if report.tier == Tier::Backup {
        sum.tier = Tier::Backup;
    }
    for member in report.members {
        if sum.members.iter().all(|known| known.tag != member.tag) {
            sum.members.push(member);
        }
    }
}

/// Adds each report to the first one with its labels, and keeps the order.
fn merge<T, K: Ord>(reports: Vec<T>, labels: impl Fn(&T) -> K, add: impl Fn(&mut T, T)) -> Vec<T> {
    let mut merged: Vec<T> = Vec::with_capacity(reports.len());
    let mut places = BTreeMap::new();
    for report in reports {
        let place = *places.entry(labels(&report)).or_insert(merged.len());
        match merged.get_mut(place) {
            Some(sum) => add(sum, report),
            None => merged.push(report),
        }
    }
    merged
}
