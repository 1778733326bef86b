//! Which members carry least: V2Ray's `leastLoad`.

use std::{cmp::Ordering, time::Duration};

use waypost_health::Status;

/// Who is good enough for [`Strategy::LeastLoad`](crate::Strategy::LeastLoad), and how many of them
/// share the connections. The rules and their defaults are those of V2Ray 5 and Xray.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeastLoadSpec {
    /// How many members are wanted at least; 0 means one, or as many as the baselines find.
    pub expected: usize,
    /// Members whose probes take this long or longer are left out; `None` for no limit.
    pub max_rtt: Option<Duration>,
    /// The share of failed probes, from 0 to 1, above which a member that is sampled is left out; 0 for
    /// no limit.
    pub tolerance: f64,
    /// Steps of quality: limits of the deviation of probe times, in the order in which they are tried.
    pub baselines: Vec<Duration>,
    /// What each member costs, by its place in the group; 1 for those that are not here. A load is
    /// multiplied by the square root.
    pub costs: Vec<f64>,
}

/// What a member is measured by. The less, the better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    /// The deviation of its probe times with its cost, in nanoseconds.
    cost: f64,
    average: Duration,
    fail: u32,
    all: u32,
}

impl LeastLoadSpec {
    /// How many of the best are selected, of members with these loads in nanoseconds, the least first.
    #[must_use]
    pub fn count(&self, loads: &[f64]) -> usize {
        if self.expected > loads.len() {
            return loads.len();
        }
        let wanted = self.expected.max(1);
        if self.baselines.is_empty() {
            return wanted.min(loads.len());
        }
        let mut count = 0;
        for baseline in &self.baselines {
            let limit = nanos(*baseline);
            count += loads.iter().skip(count).take_while(|&&load| load < limit).count();
            if count >= wanted {
                break;
            }
        }
        count.max(self.expected)
    }

    /// What a member costs, by its place in the group.
    #[must_use]
    pub fn cost(&self, member: usize) -> f64 {
        self.costs.get(member).copied().unwrap_or(1.0)
    }

    /// The load of a member; `None` if it was not measured.
    pub(crate) fn load(&self, member: usize, status: &Status) -> Option<Load> {
        let delay = status.delay?;
        let (deviation, fail, all) = match status.samples {
            Some(stats) => (stats.deviation, stats.fail, stats.all),
            // There is no deviation of single probes, and V2Ray takes the delay for it.
            None => (delay.mean(), 0, 0),
        };
        Some(Load { cost: nanos(deviation) * self.cost(member).sqrt(), average: delay.mean(), fail, all })
    }

    /// The members that share the connections, of those that are usable. Nobody, if none is good enough.
    pub(crate) fn select(&self, members: impl Iterator<Item = u32>, statuses: &[Status]) -> Vec<u32> {
        let measured = members.filter_map(|member| {
            let load = self.load(member as usize, statuses.get(member as usize)?)?;
            self.qualifies(&load).then_some((member, load))
        });
        let mut measured: Vec<(u32, Load)> = measured.collect();
        measured.sort_by(|(_, one), (_, other)| one.compare(other));
        let loads: Vec<f64> = measured.iter().map(|(_, load)| load.cost).collect();
        measured.truncate(self.count(&loads));
        measured.into_iter().map(|(member, _)| member).collect()
    }

    fn qualifies(&self, load: &Load) -> bool {
        let is_fast = self.max_rtt.is_none_or(|limit| load.average < limit);
        let share = if load.all == 0 { 0.0 } else { f64::from(load.fail) / f64::from(load.all) };
        is_fast && (self.tolerance <= 0.0 || share <= self.tolerance)
    }
}

impl Load {
    /// Sorts the lesser load first. A stable sort keeps the order of the members, which is that of
    /// their tags.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let by_probes = || (self.average, self.fail).cmp(&(other.average, other.fail));
        self.cost.total_cmp(&other.cost).then_with(by_probes).then_with(|| other.all.cmp(&self.all))
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below a nanosecond in a day")]
fn nanos(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}
