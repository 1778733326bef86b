//! What became of the connections, by phase and by second.

use std::time::Duration;

use crate::traffic::Record;

/// All connections so far.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    samples: Vec<Sample>,
    /// When each phase began; the first one begins with the traffic.
    phases: Vec<Duration>,
    first_lost: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    setup: Duration,
    ended: Duration,
    is_lost: bool,
}

/// Some connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Times {
    pub(crate) n_connections: usize,
    pub(crate) n_lost: usize,
    /// Half of the set-ups took at most so long.
    pub(crate) p50: Duration,
    /// And 99 of 100 so long.
    pub(crate) p99: Duration,
    /// The slowest one from its begin to the end of its answer.
    pub(crate) slowest: Duration,
}

impl Figures {
    pub(crate) fn begin_phase(&mut self, at: Duration) {
        self.phases.push(at);
    }

    pub(crate) fn add(&mut self, record: Record) {
        let Record { at, setup, answered, lost } = record;
        self.samples.push(Sample { at, setup, ended: at + answered, is_lost: lost.is_some() });
        if self.first_lost.is_none() {
            self.first_lost = lost;
        }
    }

    /// Why the first lost connection was lost.
    pub(crate) fn first_lost(&self) -> Option<&str> {
        self.first_lost.as_deref()
    }

    pub(crate) fn all(&self) -> Times {
        times(self.samples.iter())
    }

    pub(crate) fn count(&self) -> usize {
        self.samples.len()
    }

    pub(crate) fn n_lost(&self) -> usize {
        self.samples.iter().filter(|sample| sample.is_lost).count()
    }

    /// The connections that ended in the second before `now`. Those that end late come late, so the
    /// search ends with the first one that is two seconds older than it needs to be.
    pub(crate) fn last_second(&self, now: Duration) -> Times {
        let from = now.saturating_sub(Duration::from_secs(1));
        let enough = from.saturating_sub(Duration::from_secs(2));
        let recent = self.samples.iter().rev().take_while(|sample| sample.ended >= enough);
        times(recent.filter(|sample| sample.ended >= from && sample.ended < now))
    }

    /// The connections of each phase, by when they began.
    pub(crate) fn by_phase(&self) -> Vec<Times> {
        let ends = self.phases.iter().skip(1).copied().chain([Duration::MAX]);
        let of = |(&from, to): (&Duration, Duration)| {
            times(self.samples.iter().filter(|sample| sample.at >= from && sample.at < to))
        };
        self.phases.iter().zip(ends).map(of).collect()
    }
}

fn times<'s>(samples: impl Iterator<Item = &'s Sample>) -> Times {
    let samples: Vec<&Sample> = samples.collect();
    let mut setups: Vec<Duration> = samples.iter().map(|sample| sample.setup).collect();
    setups.sort_unstable();
    Times {
        n_connections: samples.len(),
        n_lost: samples.iter().filter(|sample| sample.is_lost).count(),
        p50: percentile(&setups, 50),
        p99: percentile(&setups, 99),
        slowest: samples
            .iter()
            .map(|sample| sample.ended.saturating_sub(sample.at))
            .max()
            .unwrap_or_default(),
    }
}

/// The value that so many percent do not exceed (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn record(at: u64, setup: u64, lost: Option<&str>) -> Record {
        Record { at: MS(at), setup: MS(setup), answered: MS(setup + 1), lost: lost.map(str::to_owned) }
    }

    #[test]
    fn phases_have_the_connections_that_began_in_them() {
        let mut figures = Figures::default();
        figures.begin_phase(Duration::ZERO);
        for at in 0..100 {
            figures.add(record(at, at + 1, None));
        }
        figures.begin_phase(MS(1000));
        figures.add(record(1000, 7, Some("SOCKS: reply 5")));
        figures.add(record(999, 500, None));
        figures.add(record(1001, 9, Some("no answer")));
        let phases = figures.by_phase();
        assert_eq!(
            phases,
            [
                Times { n_connections: 101, n_lost: 0, p50: MS(51), p99: MS(100), slowest: MS(501) },
                Times { n_connections: 2, n_lost: 2, p50: MS(7), p99: MS(9), slowest: MS(10) },
            ]
        );
        assert_eq!((figures.count(), figures.n_lost()), (103, 2));
        assert_eq!(figures.first_lost(), Some("SOCKS: reply 5"));
        assert_eq!(figures.all().n_connections, 103);
    }

    #[test]
    fn the_last_second_has_those_that_ended_in_it() {
        let mut figures = Figures::default();
        for (at, setup) in [(0, 10), (2000, 5), (1500, 1000), (2600, 4), (2995, 20)] {
            figures.add(record(at, setup, None));
        }
        let times = figures.last_second(MS(3000));
        assert_eq!((times.n_connections, times.p50, times.p99), (3, MS(5), MS(1000)));
        assert_eq!(figures.last_second(MS(9000)), Times::default());
    }
}
