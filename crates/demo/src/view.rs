//! What is shown at a moment.

use std::{collections::VecDeque, time::Duration};

use waypost_proxy::{GroupReport, MemberReport, State, Tier};

use crate::{
    figures::Times,
    frame::{Frame, Line, Look, grouped},
    processes::Condition,
    script::CAST,
};

/// Every frame has this width, which any terminal has.
pub(crate) const WIDTH: usize = 80;
const BAR_WIDTH: usize = 24;

/// Everything that a frame shows.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) now: Duration,
    pub(crate) span: Duration,
    /// What happened last, and what it means.
    pub(crate) title: &'a str,
    pub(crate) meaning: &'a str,
    pub(crate) conditions: [Condition; CAST.len()],
    pub(crate) group: &'a GroupReport,
    /// The part of the last second's connections that each member carried, in percent.
    pub(crate) shares: &'a [u64],
    pub(crate) last_second: Times,
    /// The set-up time that 99 of 100 did not exceed, of each second so far.
    pub(crate) history: &'a [Duration],
    pub(crate) n_connections: usize,
    pub(crate) n_lost: usize,
}

/// How many connections each member had carried at the last moments.
#[derive(Debug, Default)]
pub(crate) struct Shares(VecDeque<(Duration, Vec<u64>)>);

impl Shares {
    /// Takes in what was carried so far; returns each member's part of the last second in percent.
    pub(crate) fn update(&mut self, now: Duration, group: &GroupReport) -> Vec<u64> {
        let carried: Vec<u64> = group.members.iter().map(|member| member.totals.carried).collect();
        self.0.push_back((now, carried));
        let from = now.saturating_sub(Duration::from_secs(1));
        // The oldest one that stays is from the begin of the second, or from before it.
        while self.0.get(1).is_some_and(|(at, _)| *at <= from) {
            self.0.pop_front();
        }
        let (Some((_, before)), Some((_, after))) = (self.0.front(), self.0.back()) else {
            return Vec::new();
        };
        let parts: Vec<u64> =
            after.iter().zip(before).map(|(after, before)| after.saturating_sub(*before)).collect();
        let sum = parts.iter().sum::<u64>().max(1);
        parts.into_iter().map(|part| (part * 100 + sum / 2) / sum).collect()
    }
}

impl Scene<'_> {
    pub(crate) fn frame(&self) -> Frame {
        let clock = format!("{:.1} s of {} s", self.now.min(self.span).as_secs_f32(), self.span.as_secs());
        let heading = Line::default().with(Look::Bold, "waypost demo").right(WIDTH, Look::Dim, &clock);
        let rule = Line::default().with(Look::Dim, "─".repeat(WIDTH));
        let event = Line::default()
            .with(Look::Accent, "▶ ")
            .with(Look::Bold, self.title)
            .with(Look::Dim, format!("  {}", self.meaning));
        let columns = Line::default().with(
            Look::Dim,
            format!(
                "{:<11} {:<8} {:<9} {:>6}  {:<29} {:>10}",
                "member", "process", "health", "delay", "connections, last second", "carried"
            ),
        );
        let mut lines = vec![heading, rule.clone(), event, Line::default(), columns];
        let shares = self.shares.iter().copied().chain(std::iter::repeat(0));
        let members = self.group.members.iter().zip(self.conditions).zip(shares);
        lines.extend(members.map(|((member, condition), share)| self.member(member, condition, share)));
        lines.push(Line::default());
        lines.push(self.setup());
        lines.push(Line::plain("p99, by second  ").with(Look::Accent, sparks(self.history, WIDTH - 16)));
        lines.push(self.moved_on());
        lines.push(rule);
        lines.push(self.verdict());
        Frame(lines)
    }

    fn member(&self, member: &MemberReport, condition: Condition, share: u64) -> Line {
        let look = state_look(member.state);
        let tier = match member.tier {
            Tier::Primary => "primary",
            Tier::Backup => "backup",
        };
        let condition_look = match condition {
            Condition::Runs => Look::Plain,
            Condition::Killed | Condition::Frozen => Look::Bad,
        };
        let delay = member.delay.map_or_else(|| "-".to_owned(), |delay| format!("{} ms", millis(delay)));
        let percent = usize::try_from(share).unwrap_or(usize::MAX).min(100);
        let length = (percent * BAR_WIDTH).div_ceil(100);
        let share = if percent == 0 { String::new() } else { format!("{percent:>3}%") };
        let serves = member.tier == self.group.tier;
        Line::default()
            .with(if serves { Look::Bold } else { Look::Dim }, format!("{} {tier:<9} ", member.tag))
            .with(condition_look, format!("{:<8} ", condition.word()))
            .with(look, format!("{:<9} ", member.state.word()))
            .with(Look::Plain, format!("{delay:>6}  "))
            .with(look, "█".repeat(length))
            .with(Look::Plain, format!("{share:>5}"))
            .right(WIDTH, Look::Plain, &grouped(member.totals.carried))
    }

    fn setup(&self) -> Line {
        let Times { p50, p99, .. } = self.last_second;
        Line::plain("set-up time     ")
            .with(Look::Plain, format!("p50 {:>4} ms   p99 ", millis(p50)))
            .with(time_look(p99), format!("{:>4} ms", millis(p99)))
            .with(Look::Dim, "   of the last second's connections")
    }

    fn moved_on(&self) -> Line {
        let sum = |of: fn(&MemberReport) -> u64| self.group.members.iter().map(of).sum::<u64>();
        let moved_on = sum(|member| member.totals.moved_on());
        let (failed, slow, silent) = (
            sum(|member| member.totals.failed),
            sum(|member| member.totals.overtaken),
            sum(|member| member.totals.silent),
        );
        Line::plain(format!("moved on        {} attempts", grouped(moved_on))).with(
            Look::Dim,
            format!("   {} failed, {} overtaken, {} silent", grouped(failed), grouped(slow), grouped(silent)),
        )
    }

    fn verdict(&self) -> Line {
        let n_connections = u64::try_from(self.n_connections).unwrap_or(u64::MAX);
        let look = if self.n_lost == 0 { Look::Good } else { Look::Bad };
        Line::default().with(Look::Bold, format!("connections     {}", grouped(n_connections))).right(
            WIDTH,
            look,
            &format!("lost: {}", self.n_lost),
        )
    }
}

/// The same in one line, for logs.
pub(crate) fn plain_line(scene: &Scene<'_>) -> String {
    let shares = scene.shares.iter().copied().chain(std::iter::repeat(0));
    let members: Vec<String> = (scene.group.members.iter().zip(shares))
        .map(|(member, share)| format!("{} {} {share}%", member.tag, member.state.word()))
        .collect();
    let moved_on: u64 = scene.group.members.iter().map(|member| member.totals.moved_on()).sum();
    format!(
        "{} | set-up p50 {} ms, p99 {} ms | connections: {}, moved on: {moved_on}, lost: {}",
        members.join(", "),
        millis(scene.last_second.p50),
        millis(scene.last_second.p99),
        scene.n_connections,
        scene.n_lost,
    )
}

fn state_look(state: State) -> Look {
    match state {
        State::Unknown => Look::Dim,
        State::Up => Look::Good,
        State::Suspect(_) => Look::Doubtful,
        State::Ejected { .. } | State::Down => Look::Bad,
    }
}

fn time_look(time: Duration) -> Look {
    if time < Duration::from_millis(100) { Look::Plain } else { Look::Doubtful }
}

/// Rounded, and at least 1.
pub(crate) fn millis(duration: Duration) -> u128 {
    if duration.is_zero() { 0 } else { ((duration.as_micros() + 500) / 1000).max(1) }
}

/// One character for each of the last seconds. The steps are about a factor of two.
fn sparks(times: &[Duration], width: usize) -> String {
    const STEPS: [(u64, char); 7] =
        [(30, '▁'), (60, '▂'), (120, '▃'), (200, '▄'), (300, '▅'), (500, '▆'), (900, '▇')];
    let spark = |time: &Duration| {
        let step = STEPS.iter().find(|(limit, _)| *time < Duration::from_millis(*limit));
        step.map_or('█', |(_, spark)| *spark)
    };
    times.iter().skip(times.len().saturating_sub(width)).map(spark).collect()
}

#[cfg(test)]
mod tests {
    use waypost_proxy::{
        GroupKind, MemberTotals, Role, Strategy, Volume,
        net::{Networks, Tag},
    };

    use super::*;

    fn group(carried: [u64; CAST.len()]) -> GroupReport {
        let member = |(cast, carried): (&crate::script::Cast, u64)| MemberReport {
            last_fault: None,
            is_group: false,
            volume: Volume::default(),
            tag: Tag::from(cast.name),
            tier: if cast.is_primary { Tier::Primary } else { Tier::Backup },
            state: State::Up,
            role: Some(Role::Candidate),
            delay: Some(Duration::from_millis(u64::from(cast.delay))),
            live: 0,
            totals: MemberTotals { carried, ..MemberTotals::default() },
        };
        GroupReport {
            is_balancer: false,
            kind: GroupKind::LoadBalance,
            networks: Networks::ALL,
            test_url: None,
            takes_choice: false,
            chosen: None,
            last_change: None,
            changes: 0,
            tag: Tag::from("demo"),
            strategy: Strategy::Failover,
            choice: None,
            tier: Tier::Primary,
            is_bootstrapping: false,
            members: CAST.iter().zip(carried).map(member).collect(),
        }
    }

    #[test]
    fn shares_are_those_of_the_last_second() {
        let mut shares = Shares::default();
        let mut last = Vec::new();
        for tick in 0..=20 {
            // At first only the first member carries, later the first two.
            let carried = [tick * 10, if tick < 10 { 0 } else { (tick - 10) * 30 }, 0, 0, 0, 0];
            last = shares.update(Duration::from_millis(200) * u32::try_from(tick).unwrap(), &group(carried));
        }
        assert_eq!(last, [25, 75, 0, 0, 0, 0]);
        assert!(shares.0.len() <= 7, "{}", shares.0.len());
    }

    #[test]
    fn a_frame_fits_the_narrowest_terminal_whatever_the_numbers_are() {
        let group = group([9_999_999; CAST.len()]);
        for (title, meaning) in crate::script::events(Duration::from_secs(600))
            .iter()
            .map(|event| (event.title, event.meaning))
            .chain([crate::script::OPENING])
        {
            let scene = Scene {
                now: Duration::from_secs(600),
                span: Duration::from_secs(600),
                title,
                meaning,
                conditions: [Condition::Frozen; CAST.len()],
                group: &group,
                shares: &[100; CAST.len()],
                last_second: Times {
                    n_connections: 100,
                    n_lost: 100,
                    p50: Duration::from_secs(9),
                    p99: Duration::from_secs(9),
                    slowest: Duration::from_secs(20),
                },
                history: &[Duration::from_secs(1); 600],
                n_connections: 60_000,
                n_lost: 60_000,
            };
            let frame = scene.frame();
            for line in &frame.0 {
                assert!(line.width() <= WIDTH, "{line:?}");
            }
        }
    }

    #[test]
    fn sparks_grow_with_the_time() {
        let times = [0, 29, 30, 100, 150, 250, 400, 800, 900, 20_000].map(Duration::from_millis);
        assert_eq!(sparks(&times, 80), "▁▁▂▃▄▅▆▇██");
        assert_eq!(sparks(&times, 3), "▇██");
    }
}
