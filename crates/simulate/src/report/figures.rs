//! From what was counted to the figures of a report.

use std::time::Duration;

use waypost_balance::{Group, MemberTarget, Tier};

use super::{Disturbance, MemberReport, Phase, Quantiles, Report, Timeline};
use crate::{
    Action, Event, Trace, Whom,
    engine::Engine,
    tally::{Sample, Tally},
};

/// With fewer connections before the first event their times say little.
const MIN_NORMAL: usize = 20;
/// How long connections have to be answered as usual.
const CALM: Duration = Duration::from_secs(3);
/// Who has not recovered by then is not waited for.
const MAX_RECOVERY: Duration = Duration::from_secs(3_600);
/// One of so many may be slow.
const SLOW_ONE_OF: usize = 10;
/// How many events the name of a phase names.
const MAX_NAMED: usize = 3;

/// Everything that a report is made of.
pub(crate) struct Summary<'a> {
    pub(crate) tally: Tally,
    pub(crate) engine: Engine,
    pub(crate) trace: &'a Trace,
    pub(crate) seed: u64,
}

impl Summary<'_> {
    pub(crate) fn report(mut self) -> Report {
        self.tally.samples.sort_by_key(|sample| sample.arrived);
        let samples = &self.tally.samples;
        let normal_answer = self.normal_answer();
        let group = self.engine.group();
        Report {
            group: group.map(|group| group.tag().to_string()).unwrap_or_default(),
            strategy: group.map(|group| group.spec().strategy.to_string()).unwrap_or_default(),
            seed: self.seed,
            duration: self.trace.duration,
            connections: self.tally.connections,
            setup: Quantiles::of(samples.iter().filter_map(Sample::setup)),
            answer: Quantiles::of(samples.iter().filter_map(Sample::answer)),
            normal_answer,
            remaps: self.tally.owners.as_ref().map(|owners| owners.remaps),
            imbalance: self.imbalance(),
            events: self.events(normal_answer),
            phases: self.phases(),
            members: self.members(group),
            n_tier_switches: self.tally.lanes.n_switches,
            tier_switches: std::mem::take(&mut self.tally.lanes.switches),
            timeline: Timeline {
                length: self.tally.lanes.length,
                slices: std::mem::take(&mut self.tally.lanes.slices),
            },
            attempts: self.tally.attempts,
            losses: self.tally.losses,
        }
    }

    fn normal_answer(&self) -> Option<Duration> {
        let first = self.trace.events.iter().map(|event| event.at).min().unwrap_or(Duration::MAX);
        let quiet = self.between(Duration::ZERO, first);
        let quiet = if quiet.len() < MIN_NORMAL { &self.tally.samples } else { quiet };
        Quantiles::of(quiet.iter().filter_map(Sample::answer)).map(|quantiles| quantiles.p90)
    }

    fn imbalance(&self) -> Option<f64> {
        let carried =
            || self.tally.members.iter().map(|member| member.carried).filter(|&carried| carried > 0);
        let (sum, count) = (carried().sum::<u64>(), carried().count());
        carried().max().map(|max| max as f64 * count as f64 / sum as f64)
    }

    fn events(&self, normal: Option<Duration>) -> Vec<Disturbance> {
        let calm = normal.map(|normal| Calm::new(&self.tally.samples, 2 * normal, self.trace.duration));
        let events = self.trace.events.iter().map(|event| Disturbance {
            at: event.at,
            until: event.ends(),
            what: event.to_string(),
            first_second: Quantiles::of(
                self.between(event.at, event.at + Duration::from_secs(1)).iter().filter_map(Sample::answer),
            ),
            recovered_after: calm.as_ref().and_then(|calm| calm.recovered_after(event.at)),
        });
        let mut events: Vec<Disturbance> = events.collect();
        events.sort_by_key(|event| event.at);
        events
    }

    fn phases(&self) -> Vec<Phase> {
        let end = self.trace.duration;
        let begins = self.trace.events.iter().map(|event| event.at);
        let ends = self.trace.events.iter().filter_map(Event::ends);
        let mut edges: Vec<Duration> = begins.chain(ends).filter(|&at| at < end).collect();
        edges.extend([Duration::ZERO, end]);
        edges.sort_unstable();
        edges.dedup();
        let holds = holds(&self.trace.events);
        let pairs = edges.iter().zip(edges.iter().skip(1));
        let phases = pairs.map(|(&from, &to)| {
            let samples = self.between(from, to);
            Phase {
                from,
                to,
                what: what_holds(&holds, from),
                connections: samples.len(),
                lost: samples.iter().filter(|sample| sample.answer().is_none()).count(),
                setup: Quantiles::of(samples.iter().filter_map(Sample::setup)),
                answer: Quantiles::of(samples.iter().filter_map(Sample::answer)),
            }
        });
        phases.collect()
    }

    fn members(&self, group: Option<&Group>) -> Vec<MemberReport> {
        let answered = self.tally.connections.answered.max(1) as f64;
        let tallies = self.tally.members.iter().enumerate();
        let members = tallies.map(|(leaf, tally)| MemberReport {
            tag: tally.tag.clone(),
            tier: group.and_then(|group| tier(group, tally.member)),
            carried: tally.carried,
            share: tally.carried as f64 / answered,
            dials: tally.n_dials,
            probes: tally.n_probes,
            probes_failed: tally.n_probes_failed,
            up_share: self.tally.lanes.share_up(leaf),
        });
        members.collect()
    }

    /// The connections that came from here to there.
    fn between(&self, from: Duration, to: Duration) -> &[Sample] {
        let samples = &self.tally.samples;
        let begin = samples.partition_point(|sample| sample.arrived < from);
        let end = samples.partition_point(|sample| sample.arrived < to);
        samples.get(begin..end).unwrap_or_default()
    }
}

/// When connections are answered as usual.
struct Calm<'a> {
    samples: &'a [Sample],
    /// How many of the samples before each place are slow or lost.
    slow: Vec<usize>,
    /// How many of them are lost.
    lost: Vec<usize>,
    end: Duration,
}

impl<'a> Calm<'a> {
    fn new(samples: &'a [Sample], limit: Duration, end: Duration) -> Self {
        let sums = |is_bad: &dyn Fn(&Sample) -> bool| {
            let sums = samples.iter().scan(0, |sum, sample| {
                *sum += usize::from(is_bad(sample));
                Some(*sum)
            });
            std::iter::once(0).chain(sums).collect()
        };
        let slow = sums(&|sample| sample.answer().is_none_or(|answer| answer > limit));
        Self { samples, slow, lost: sums(&|sample| sample.answer().is_none()), end }
    }

    fn recovered_after(&self, at: Duration) -> Option<Duration> {
        let mut from = at;
        while from + CALM <= self.end.min(at + MAX_RECOVERY) {
            let [begin, end] = [from, from + CALM].map(|edge| self.place(edge));
            let n_slow = between(&self.slow, begin, end);
            if begin == end {
                // When nobody comes, nobody can tell.
                from = self.samples.get(begin)?.arrived;
            } else if between(&self.lost, begin, end) == 0 && n_slow * SLOW_ONE_OF <= end - begin {
                return Some(from - at);
            } else {
                // It gets better when the next slow one is past.
                let before = self.slow.get(begin).copied().unwrap_or(0);
                let next = self.slow.partition_point(|&sum| sum <= before).saturating_sub(1);
                from = self.samples.get(next)?.arrived + Duration::from_nanos(1);
            }
        }
        None
    }

    fn place(&self, at: Duration) -> usize {
        self.samples.partition_point(|sample| sample.arrived < at)
    }
}

fn between(sums: &[usize], begin: usize, end: usize) -> usize {
    let sum = |place: usize| sums.get(place).copied().unwrap_or(0);
    sum(end).saturating_sub(sum(begin))
}

/// From when to when each event holds; who was restored is well, whatever was said before.
fn holds(events: &[Event]) -> Vec<(Duration, Duration, &Event)> {
    let restores = || events.iter().filter(|event| event.action == Action::Restore);
    let harmful = events.iter().filter(|event| event.action != Action::Restore);
    let holds = harmful.map(|event| {
        let covers = |restore: &&Event| match (&restore.whom, &event.whom) {
            (Whom::All, _) => true,
            (Whom::Members(_), Whom::All) => false,
            (Whom::Members(well), Whom::Members(ill)) => ill.iter().all(|tag| well.contains(tag)),
        };
        let restored = restores().filter(covers).map(|restore| restore.at).filter(|&at| at >= event.at).min();
        let ends = event.ends().unwrap_or(Duration::MAX).min(restored.unwrap_or(Duration::MAX));
        (event.at, ends, event)
    });
    holds.collect()
}

fn what_holds(holds: &[(Duration, Duration, &Event)], at: Duration) -> String {
    let holding = || holds.iter().filter(|(from, to, _)| (*from..*to).contains(&at));
    let texts: Vec<String> = holding().take(MAX_NAMED).map(|(.., event)| event.to_string()).collect();
    match holding().count().saturating_sub(MAX_NAMED) {
        _ if texts.is_empty() => "quiet".to_owned(),
        0 => texts.join(" + "),
        n_more => format!("{} + {n_more} more", texts.join(" + ")),
    }
}

impl Quantiles {
    /// By the nearest rank.
    pub(crate) fn of(times: impl Iterator<Item = Duration>) -> Option<Self> {
        let mut times: Vec<Duration> = times.collect();
        times.sort_unstable();
        let max = *times.last()?;
        let rank =
            |percent: usize| times.get((times.len() * percent).div_ceil(100) - 1).copied().unwrap_or(max);
        Some(Self { count: times.len(), p50: rank(50), p90: rank(90), p99: rank(99), max })
    }
}

fn tier(group: &Group, member: waypost_health::MemberId) -> Option<Tier> {
    let is_it =
        |target: MemberTarget| matches!(target, MemberTarget::Leaf { member: leaf, .. } if leaf == member);
    let tiers = [(&group.spec().primary, Tier::Primary), (&group.spec().backup, Tier::Backup)];
    tiers.into_iter().find(|(members, _)| members.iter().any(|spec| is_it(spec.target))).map(|(_, tier)| tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let ms = |ms| Duration::from_millis(ms);
        let all = Quantiles::of((1..=200).rev().map(ms)).unwrap();
        let expected = Quantiles { count: 200, p50: ms(100), p90: ms(180), p99: ms(198), max: ms(200) };
        assert_eq!(all, expected);
        let one = Quantiles::of([ms(7)].into_iter()).unwrap();
        assert_eq!((one.p50, one.p99, one.max), (ms(7), ms(7), ms(7)));
        assert_eq!(Quantiles::of(std::iter::empty()), None);
    }
}
