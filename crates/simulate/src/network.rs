//! The scripted network: what becomes of a round trip through a member.

use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng};
use waypost_health::MemberId;

use crate::{Action, Event, Link, Model, RunError, Trace, Whom};

/// When a dial that got no answer is made again, doubled each time (RFC 6298 §2.1 and §5.5).
const DIAL_AGAIN: Duration = Duration::from_secs(1);
/// The same for what is sent over a connection, unless two round trips take longer (Linux' least).
const SEND_AGAIN: Duration = Duration::from_millis(200);
/// A round trip takes at least this share of the average, whatever the jitter.
const LEAST_SHARE: f64 = 0.25;
/// How often members may be killed and restored by flapping, all together.
const MAX_TURNS: usize = 200_000;

/// What a member does. The worse one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// It answers.
    Works,
    /// It answers probes only.
    Blocked,
    /// It says yes and never answers.
    Silent,
    /// It does nothing at all.
    Frozen,
    /// It refuses.
    Killed,
}

/// A stretch of time, to the begin of the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    from: Duration,
    condition: Condition,
    factor: f64,
}

/// A member by the script.
#[derive(Debug)]
struct Scripted {
    link: Link,
    /// The first one begins at 0.
    stretches: Vec<Stretch>,
}

/// What becomes of a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialled {
    pub(crate) ends: Duration,
    pub(crate) end: DialEnd,
}

/// How a dial ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialEnd {
    Connected,
    Refused,
    /// Nobody answered, and nobody said no.
    TimedOut,
}

/// What becomes of the first bytes that are sent over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Answered(Duration),
    Closed(Duration),
    Never,
}

/// All members of a monitor by the script.
#[derive(Debug)]
pub(crate) struct Network {
    members: Vec<Scripted>,
    rng: StdRng,
}

/// Something that holds for a member from here to there.
#[derive(Debug, Clone, Copy)]
struct Effect {
    from: Duration,
    to: Duration,
    condition: Condition,
    factor: f64,
}

impl Network {
    pub(crate) fn new(model: &Model, trace: &Trace, rng: StdRng) -> Result<Self, RunError> {
        let mut effects = effects(model, trace)?;
        let members = model.monitor.members().map(|member| {
            let tag = model.members.iter().find(|(id, _)| *id == member).map(|(_, tag)| tag);
            let link = tag.map_or(trace.default_member, |tag| trace.link(tag));
            let effects = effects.get_mut(member.index()).map(std::mem::take).unwrap_or_default();
            Scripted { link, stretches: stretches(&effects) }
        });
        Ok(Self { members: members.collect(), rng })
    }

    /// Dials a member at a moment.
    pub(crate) fn dial(&mut self, member: MemberId, at: Duration, limit: Duration) -> Dialled {
        let too_late = Dialled { ends: at + limit, end: DialEnd::TimedOut };
        let (mut sent, mut pause) = (at, DIAL_AGAIN);
        while sent < at + limit {
            let Some(trip) = self.trip(member, sent) else { return too_late };
            let dialled = match trip.condition {
                Condition::Frozen => None,
                Condition::Killed => Some(Dialled { ends: sent + trip.time, end: DialEnd::Refused }),
                Condition::Works | Condition::Blocked | Condition::Silent => {
                    Some(Dialled { ends: sent + trip.time, end: DialEnd::Connected })
                }
            };
            if let Some(dialled) = dialled.filter(|_| !trip.is_lost) {
                return if dialled.ends < at + limit { dialled } else { too_late };
            }
            sent += pause;
            pause *= 2;
        }
        too_late
    }

    /// Sends the first bytes over a connection that has just been made; nobody waits longer than `limit`.
    pub(crate) fn exchange(&mut self, member: MemberId, at: Duration, limit: Duration) -> Reply {
        self.send(member, at, limit, Condition::Works)
    }

    /// Probes a member; yields when that ends, and how long it took if it was answered.
    pub(crate) fn probe(
        &mut self,
        member: MemberId,
        at: Duration,
        limit: Duration,
    ) -> (Duration, Option<Duration>) {
        let dialled = self.dial(member, at, limit);
        if dialled.end != DialEnd::Connected {
            return (dialled.ends, None);
        }
        let left = (at + limit).saturating_sub(dialled.ends);
        match self.send(member, dialled.ends, left, Condition::Blocked) {
            Reply::Answered(ends) if ends < at + limit => (ends, Some(ends - at)),
            Reply::Closed(ends) if ends < at + limit => (ends, None),
            Reply::Answered(_) | Reply::Closed(_) | Reply::Never => (at + limit, None),
        }
    }

    /// When a connection through a member breaks between two moments, if it does.
    pub(crate) fn next_kill(&self, member: MemberId, from: Duration, to: Duration) -> Option<Duration> {
        let scripted = self.members.get(member.index())?;
        if scripted.at(from).condition == Condition::Killed {
            return Some(from);
        }
        let next = scripted.stretches.partition_point(|stretch| stretch.from <= from);
        let later = scripted.stretches.iter().skip(next).take_while(|stretch| stretch.from < to);
        later.clone().find(|stretch| stretch.condition == Condition::Killed).map(|stretch| stretch.from)
    }

    /// Whether a member worked all the time between two moments.
    pub(crate) fn works(&self, member: MemberId, from: Duration, to: Duration) -> bool {
        let Some(scripted) = self.members.get(member.index()) else { return false };
        let next = scripted.stretches.partition_point(|stretch| stretch.from <= from);
        let mut met = scripted.stretches.iter().skip(next.saturating_sub(1));
        met.by_ref()
            .take_while(|stretch| stretch.from <= to)
            .all(|stretch| stretch.condition == Condition::Works)
    }

    /// `most` is the worst condition in which an answer comes.
    fn send(&mut self, member: MemberId, at: Duration, limit: Duration, most: Condition) -> Reply {
        let (mut sent, mut pause) = (at, None);
        let mut reply = None;
        while sent < at + limit {
            let Some(trip) = self.trip(member, sent) else { return Reply::Never };
            let arrives = !trip.is_lost && trip.condition < Condition::Frozen;
            if arrives && trip.condition <= most {
                reply = Some(sent + trip.time);
            }
            // What was swallowed is not sent again.
            if arrives || trip.condition == Condition::Killed {
                break;
            }
            let next = pause.unwrap_or_else(|| SEND_AGAIN.max(2 * trip.time));
            pause = Some(next * 2);
            sent += next;
        }
        let breaks = self.next_kill(member, at, reply.unwrap_or(at + limit));
        match (breaks, reply) {
            (Some(kill), _) => {
                let back = self.trip(member, kill).map_or(Duration::ZERO, |trip| trip.time / 2);
                Reply::Closed(kill + back)
            }
            (None, Some(answered)) => Reply::Answered(answered),
            (None, None) => Reply::Never,
        }
    }

    fn trip(&mut self, member: MemberId, at: Duration) -> Option<Trip> {
        let scripted = self.members.get(member.index())?;
        let link = scripted.link;
        // Of the sum of two independent ones, by Box and Muller.
        let (one, other): (f64, f64) = (self.rng.random(), self.rng.random());
        let normal = (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * other).cos();
        let average = link.latency.as_secs_f64();
        let seconds = (average + normal * link.jitter.as_secs_f64()).max(average * LEAST_SHARE);
        let is_lost = self.rng.random::<f64>() < link.loss;
        let time = Duration::from_nanos(nanos(seconds * scripted.at(at).factor));
        // What it does when the request is there counts.
        Some(Trip { time, condition: scripted.at(at + time / 2).condition, is_lost })
    }
}

#[derive(Debug, Clone, Copy)]
struct Trip {
    time: Duration,
    condition: Condition,
    is_lost: bool,
}

impl Scripted {
    fn at(&self, at: Duration) -> Stretch {
        let next = self.stretches.partition_point(|stretch| stretch.from <= at);
        let works = Stretch { from: Duration::ZERO, condition: Condition::Works, factor: 1.0 };
        self.stretches.get(next.saturating_sub(1)).copied().unwrap_or(works)
    }
}

/// What holds for each member of the monitor.
fn effects(model: &Model, trace: &Trace) -> Result<Vec<Vec<Effect>>, RunError> {
    let known: Vec<&str> = model.members.iter().map(|(_, tag)| tag.as_str()).collect();
    let unknown = |place: String, tag: &str| RunError::UnknownMember {
        place,
        tag: tag.to_owned(),
        known: known.join(", "),
    };
    if let Some(tag) = trace.members.keys().find(|tag| !known.contains(&tag.as_str())) {
        return Err(unknown(format!("members.{tag}"), tag));
    }
    let mut effects: Vec<Vec<Effect>> = model.monitor.members().map(|_| Vec::new()).collect();
    let mut order: Vec<(usize, &Event)> = trace.events.iter().enumerate().collect();
    order.sort_by_key(|(_, event)| event.at);
    let mut turns = 0;
    for (index, event) in order {
        let members: Vec<MemberId> = match &event.whom {
            Whom::All => model.monitor.members().collect(),
            Whom::Members(tags) => {
                let id = |tag: &waypost_net::Tag| {
                    let found = model.members.iter().find(|(_, known)| known == tag).map(|(id, _)| *id);
                    found.ok_or_else(|| unknown(format!("events[{index}]"), tag))
                };
                tags.iter().map(id).collect::<Result<_, _>>()?
            }
        };
        for member in members {
            let Some(effects) = effects.get_mut(member.index()) else { continue };
            turns += add(effects, event, trace.duration);
            if turns > MAX_TURNS {
                return Err(RunError::TooManyTurns { place: format!("events[{index}]"), limit: MAX_TURNS });
            }
        }
    }
    Ok(effects)
}

/// Adds what an event does to a member; yields how many effects that is.
fn add(effects: &mut Vec<Effect>, event: &Event, end: Duration) -> usize {
    let (from, to) = (event.at, event.ends().unwrap_or(Duration::MAX));
    let one = |condition, factor| Effect { from, to, condition, factor };
    let effect = match event.action {
        Action::Kill => one(Condition::Killed, 1.0),
        Action::Freeze | Action::Outage => one(Condition::Frozen, 1.0),
        Action::Silence => one(Condition::Silent, 1.0),
        Action::Block => one(Condition::Blocked, 1.0),
        Action::Slow { factor } => one(Condition::Works, factor),
        Action::Restore => {
            effects.retain(|effect| effect.from < from);
            for effect in effects.iter_mut() {
                effect.to = effect.to.min(from);
            }
            return 1;
        }
        Action::Flap { period, down_share } => {
            let (before, dead) = (effects.len(), period.mul_f64(down_share));
            let mut kill = from;
            while kill < to.min(end) && effects.len() <= before + MAX_TURNS {
                let to = to.min(kill + dead);
                effects.push(Effect { from: kill, to, condition: Condition::Killed, factor: 1.0 });
                kill += period;
            }
            return effects.len() - before;
        }
    };
    effects.push(effect);
    1
}

/// Joins what overlaps: the worst condition holds, and slowness multiplies.
fn stretches(effects: &[Effect]) -> Vec<Stretch> {
    let mut edges: Vec<(Duration, bool, usize)> = Vec::with_capacity(2 * effects.len());
    for (index, effect) in effects.iter().enumerate() {
        edges.push((effect.from, true, index));
        edges.push((effect.to, false, index));
    }
    edges.sort_unstable();
    let mut stretches = vec![Stretch { from: Duration::ZERO, condition: Condition::Works, factor: 1.0 }];
    let mut active: Vec<usize> = Vec::new();
    for (at, begins, index) in edges {
        if begins {
            active.push(index);
        } else {
            active.retain(|&other| other != index);
        }
        let of = || active.iter().filter_map(|&index| effects.get(index));
        let condition = of().map(|effect| effect.condition).max().unwrap_or(Condition::Works);
        let stretch = Stretch { from: at, condition, factor: of().map(|effect| effect.factor).product() };
        match stretches.last_mut() {
            Some(last) if last.from == at => *last = stretch,
            Some(_) | None => stretches.push(stretch),
        }
    }
    stretches
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few minutes at most")]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
