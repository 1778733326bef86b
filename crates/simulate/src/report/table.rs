//! A report for people.

use std::{fmt, time::Duration};

use super::{Quantiles, Report};
use crate::duration::show;

/// How many losses a table shows.
const MAX_LOSSES: usize = 10;
/// How many rows of other lists.
const MAX_ROWS: usize = 40;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, strategy, seed, .. } = self;
        let n_members = self.members.len();
        writeln!(f, "{group}: {strategy} over {n_members} members, {}, seed {seed}\n", show(self.duration))?;
        self.write_summary(f)?;
        self.write_losses(f)?;
        self.write_events(f)?;
        self.write_phases(f)?;
        self.write_members(f)
    }
}

impl Report {
    fn write_summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, attempts, .. } = self;
        writeln!(
            f,
            "connections   {} came, {} answered, {} lost ({} though some member worked), {} broken later",
            connections.total,
            connections.answered,
            connections.lost,
            connections.lost_needlessly,
            connections.broken
        )?;
        writeln!(f, "set-up        {}", quantiles(self.setup.as_ref()))?;
        writeln!(f, "first answer  {}", quantiles(self.answer.as_ref()))?;
        writeln!(
            f,
            "dials         {}: {} failed, {} after a failure, {} beside a slow one; {} first flights repeated, {} spilled",
            attempts.dials,
            attempts.failures,
            attempts.retries,
            attempts.hedges,
            attempts.replays,
            attempts.spills
        )?;
        let switches = self.tier_switches.iter().take(MAX_LOSSES);
        let switches: Vec<String> =
            switches.map(|switch| format!("{} at {}", switch.to, show(switch.at))).collect();
        let dots = if self.n_tier_switches > switches.len() { ", ..." } else { "" };
        match self.n_tier_switches {
            0 => writeln!(f, "tier          never changed")?,
            n => writeln!(f, "tier          changed {n} times: {}{dots}", switches.join(", "))?,
        }
        if let Some(remaps) = self.remaps {
            writeln!(
                f,
                "keys          {} looked at every second; moved: {} as their member left, {} as one returned, {} with the tier, {} otherwise",
                remaps.keys, remaps.left, remaps.returned, remaps.tier, remaps.other
            )?;
        }
        if let Some(imbalance) = self.imbalance {
            writeln!(f, "imbalance     {imbalance:.2} (busiest member / mean)")?;
        }
        Ok(())
    }

    fn write_losses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.losses.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nlost at   after     why")?;
        for loss in self.losses.iter().take(MAX_LOSSES) {
            let remark = if loss.somebody_worked { "; some member worked" } else { "" };
            let after = show(loss.at.saturating_sub(loss.arrived));
            writeln!(f, "{:<9} {after:<9} {}{remark}", show(loss.at), loss.reason)?;
        }
        let hidden = self.connections.lost.saturating_sub(MAX_LOSSES as u64);
        if hidden > 0 { writeln!(f, "... and {hidden} more") } else { Ok(()) }
    }

    fn write_events(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.events.is_empty() {
            return Ok(());
        }
        let width = width(self.events.iter().map(|event| event.what.as_str()), "event");
        writeln!(f, "\n{:<width$}  at        for       p99 of the first second  recovered after", "event")?;
        for event in self.events.iter().take(MAX_ROWS) {
            let lasts = event.until.map(|until| until.saturating_sub(event.at));
            writeln!(
                f,
                "{:<width$}  {:<9} {:<9} {:<24} {}",
                event.what,
                show(event.at),
                lasts.map_or_else(|| "-".to_owned(), show),
                event.first_second.map_or_else(|| "-".to_owned(), |quantiles| show(quantiles.p99)),
                event.recovered_after.map_or_else(|| "not before the end".to_owned(), show)
            )?;
        }
        rest(f, self.events.len())
    }

    fn write_phases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = width(self.phases.iter().map(|phase| phase.what.as_str()), "phase").min(40);
        writeln!(
            f,
            "\n{:<width$}  from      to           came  lost  set-up p50  p99        first answer p50  p99        max",
            "phase"
        )?;
        for phase in self.phases.iter().take(MAX_ROWS) {
            let time = |quantiles: &Option<Quantiles>, of: fn(&Quantiles) -> Duration| {
                quantiles.as_ref().map_or_else(|| "-".to_owned(), |quantiles| show(of(quantiles)))
            };
            writeln!(
                f,
                "{:<width$}  {:<9} {:<9} {:>7} {:>5}  {:<11} {:<10} {:<17} {:<10} {}",
                phase.what,
                show(phase.from),
                show(phase.to),
                phase.connections,
                phase.lost,
                time(&phase.setup, |quantiles| quantiles.p50),
                time(&phase.setup, |quantiles| quantiles.p99),
                time(&phase.answer, |quantiles| quantiles.p50),
                time(&phase.answer, |quantiles| quantiles.p99),
                time(&phase.answer, |quantiles| quantiles.max),
            )?;
        }
        rest(f, self.phases.len())
    }

    fn write_members(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = width(self.members.iter().map(|member| member.tag.as_str()), "member");
        writeln!(
            f,
            "\n{:<width$}  tier     carried   share    dials  probes  failed  known to work",
            "member"
        )?;
        for member in &self.members {
            let tier = member.tier.map_or_else(|| "nested".to_owned(), |tier| tier.to_string());
            writeln!(
                f,
                "{:<width$}  {tier:<8} {:>7} {:>6.1}% {:>8} {:>7} {:>7} {:>13.1}%",
                member.tag,
                member.carried,
                member.share * 100.0,
                member.dials,
                member.probes,
                member.probes_failed,
                member.up_share * 100.0
            )?;
        }
        Ok(())
    }
}

fn quantiles(quantiles: Option<&Quantiles>) -> String {
    let Some(Quantiles { p50, p90, p99, max, .. }) = quantiles else { return "-".to_owned() };
    format!("p50 {}, p90 {}, p99 {}, max {}", show(*p50), show(*p90), show(*p99), show(*max))
}

fn width<'t>(texts: impl Iterator<Item = &'t str>, head: &str) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0).max(head.len())
}

fn rest(f: &mut fmt::Formatter<'_>, n_rows: usize) -> fmt::Result {
    if n_rows > MAX_ROWS { writeln!(f, "... and {} more", n_rows - MAX_ROWS) } else { Ok(()) }
}
