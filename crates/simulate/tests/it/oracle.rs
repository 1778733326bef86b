//! Random scripts, and a model of them that is too simple to be wrong.

use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng};
use waypost_net::Tag;
use waypost_simulate::{Action, Event, Link, Trace, Whom};

use crate::models::TAGS;

/// What is wrong with a member for a while.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    from: Duration,
    to: Duration,
    /// Whether it lets nobody through for all of that time.
    is_dead: bool,
}

/// A random script, and who works when by it.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) trace: Trace,
    troubles: Vec<Vec<Trouble>>,
    /// Members that lose something now and then are never sure.
    is_lossy: Vec<bool>,
}

impl Script {
    pub(crate) fn random(n_members: usize, rng: &mut StdRng) -> Self {
        let mut trace = Trace::new(Duration::from_secs(rng.random_range(15..45)));
        trace.arrivals.per_second = rng.random_range(2.0..5.0);
        trace.arrivals.clients = rng.random_range(1..40);
        trace.arrivals.repeatable = rng.random_range(0.5..1.0);
        let mut is_lossy = Vec::new();
        for tag in &TAGS[..n_members] {
            let latency = Duration::from_millis(rng.random_range(5..300));
            is_lossy.push(rng.random_range(0..6) == 0);
            let loss = if is_lossy[is_lossy.len() - 1] { rng.random_range(0.0..0.4) } else { 0.0 };
            trace.members.insert(Tag::from(*tag), Link { latency, jitter: latency / 8, loss });
        }
        trace.events = (0..rng.random_range(0..7)).map(|_| event(n_members, trace.duration, rng)).collect();
        let troubles = (0..n_members).map(|member| troubles(&trace.events, member)).collect();
        Self { trace, troubles, is_lossy }
    }

    /// Whether a member is as in quiet times from here to there.
    pub(crate) fn is_normal(&self, member: usize, from: Duration, to: Duration) -> bool {
        let meets = |trouble: &Trouble| trouble.from <= to && trouble.to >= from;
        !self.is_lossy[member] && !self.troubles[member].iter().any(meets)
    }

    pub(crate) fn somebody_is_normal(&self, from: Duration, to: Duration) -> bool {
        (0..self.troubles.len()).any(|member| self.is_normal(member, from, to))
    }

    /// Whether nobody lets anybody through from here to there.
    pub(crate) fn everybody_is_dead(&self, from: Duration, to: Duration) -> bool {
        let covers = |trouble: &Trouble| trouble.is_dead && trouble.from <= from && trouble.to >= to;
        self.troubles.iter().all(|troubles| troubles.iter().any(covers))
    }
}

fn event(n_members: usize, end: Duration, rng: &mut StdRng) -> Event {
    let action = match rng.random_range(0..8) {
        0 => Action::Kill,
        1 => Action::Freeze,
        2 => Action::Silence,
        3 => Action::Block,
        4 => Action::Slow { factor: rng.random_range(1.5..20.0) },
        5 => Action::Flap {
            period: Duration::from_millis(rng.random_range(200..5_000)),
            down_share: rng.random_range(0.1..0.9),
        },
        6 => Action::Outage,
        _ => Action::Restore,
    };
    let tags: Vec<Tag> =
        TAGS[..n_members].iter().filter(|_| rng.random_range(0..5) < 3).map(|&tag| Tag::from(tag)).collect();
    let is_all = action == Action::Outage || tags.is_empty() || rng.random_range(0..5) == 0;
    let lasts = Duration::from_millis(rng.random_range(200..40_000));
    let has_end = action != Action::Restore && rng.random_range(0..4) > 0;
    Event {
        at: end.mul_f64(rng.random_range(0.0..0.9)),
        whom: if is_all { Whom::All } else { Whom::Members(tags) },
        action,
        lasts: has_end.then_some(lasts),
    }
}

fn troubles(events: &[Event], member: usize) -> Vec<Trouble> {
    let meets = |event: &&Event| match &event.whom {
        Whom::All => true,
        Whom::Members(tags) => tags.iter().any(|tag| tag.as_str() == TAGS[member]),
    };
    let restored = |at: Duration| {
        let restores = events.iter().filter(meets).filter(|event| event.action == Action::Restore);
        restores.map(|event| event.at).filter(|&restore| restore >= at).min().unwrap_or(Duration::MAX)
    };
    let harmful = events.iter().filter(meets).filter(|event| event.action != Action::Restore);
    let trouble = |event: &Event| Trouble {
        from: event.at,
        to: event.ends().unwrap_or(Duration::MAX).min(restored(event.at)),
        is_dead: matches!(event.action, Action::Kill | Action::Freeze | Action::Outage),
    };
    harmful.map(trouble).collect()
}
