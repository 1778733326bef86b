//! All members, their checks and the pools that use them.

mod inherit;
mod sampled;
mod verdicts;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rand::Rng;

pub use self::inherit::Correspondence;
use crate::{
    CheckSettings, Estimate, Outcome, ProbeRecord, State, Status,
    check::{Check, Verdict},
    passive::{Passive, Wish},
};

/// How many probes are under way at a time. sing-box and mihomo make 10; frozen members hold theirs
/// until the timeout, so there are some more.
const MAX_IN_FLIGHT: usize = 16;

/// A member of a [`Monitor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(u32);

/// The probes of one member with one URL, shared by all pools that want the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(u32);

/// Members that serve together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(u32);

impl MemberId {
    /// Members are numbered from 0 in the order in which they were added.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl CheckId {
    /// Checks are numbered from 0 in the order in which they were added.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl PoolId {
    fn at(index: usize) -> Self {
        Self(len_u32(index))
    }

    /// Pools are numbered from 0 in the order in which they were added.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What somebody should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Probes took a member down.
    WentDown(MemberId),
    /// A member that was down works again.
    CameUp(MemberId),
    /// Connections through a member failed in a row, and it rests.
    Ejected(MemberId),
    /// Every member that stood has begun to fail and nobody has worked since: the fault is probably on
    /// this side. Verdicts wait.
    UplinkSuspected,
    /// Somebody works again.
    UplinkReturned,
}

/// Watches members; see the [crate's documentation](crate).
#[derive(Debug, Clone, Default)]
pub struct Monitor {
    members: Vec<Member>,
    checks: Vec<(MemberId, Check)>,
    by_url: HashMap<(MemberId, Box<str>), CheckId>,
    /// What each check asks, by its number.
    urls: Vec<Box<str>>,
    pools: Vec<Pool>,
    n_in_flight: usize,
    uplink_suspected: bool,
    events: Vec<Event>,
}

#[derive(Debug, Clone, Default)]
struct Member {
    passive: Passive,
    checks: Vec<CheckId>,
    last_success: Option<Instant>,
    /// When the run of failures that it is in began.
    failing_since: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Pool {
    members: Vec<(MemberId, Option<CheckId>)>,
    idle_timeout: Duration,
    last_used: Option<Instant>,
}

impl Monitor {
    /// A monitor that watches nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member.
    pub fn add_member(&mut self) -> MemberId {
        let id = MemberId(len_u32(self.members.len()));
        self.members.push(Member::default());
        id
    }

    /// Probes `member` with what `url` stands for. A member is probed once for each URL: asking again
    /// yields the same check, with the shorter interval and the longer runs of both.
    pub fn add_check(&mut self, member: MemberId, url: &str, settings: CheckSettings) -> CheckId {
        if let Some(&id) = self.by_url.get(&(member, url.into())) {
            if let Some((_, check)) = self.checks.get_mut(id.index()) {
                check.settings = check.settings.join(settings);
            }
            return id;
        }
        self.insert_check(member, url, Check::new(settings))
    }

    /// Adds a pool. Its members are probed while it is used, and for `idle_timeout` after.
    pub fn add_pool(&mut self, members: &[(MemberId, Option<CheckId>)], idle_timeout: Duration) -> PoolId {
        let id = PoolId(len_u32(self.pools.len()));
        self.pools.push(Pool { members: members.to_vec(), idle_timeout, last_used: None });
        id
    }

    /// All members.
    pub fn members(&self) -> impl ExactSizeIterator<Item = MemberId> + use<> {
        (0..len_u32(self.members.len())).map(MemberId)
    }

    /// All checks.
    pub fn checks(&self) -> impl Iterator<Item = CheckId> + use<> {
        (0..len_u32(self.checks.len())).map(CheckId)
    }

    /// Plans the first round of probes, each at a moment of its own.
    pub fn start(&mut self, now: Instant, rng: &mut impl Rng) {
        let n_checks = self.checks.len();
        for (_, check) in &mut self.checks {
            check.start(n_checks, now, rng);
        }
        for pool in &mut self.pools {
            pool.last_used = Some(now);
        }
    }

    /// Says that a connection uses a pool. The first one after the pool was idle has all its members
    /// probed at once.
    pub fn touch(&mut self, pool: PoolId, now: Instant) {
        if self.is_idle(pool, now) {
            self.ask_pool(pool, now);
        }
        if let Some(pool) = self.pools.get_mut(pool.index()) {
            pool.last_used = Some(now);
        }
    }

    /// Whether a pool was not used for its idle timeout, so that its members are not probed for it.
    #[must_use]
    pub fn is_idle(&self, pool: PoolId, now: Instant) -> bool {
        self.pools.get(pool.index()).is_none_or(|pool| pool.is_idle(now))
    }

    /// The checks of a pool's members.
    pub(crate) fn checks_of(&self, pool: PoolId) -> impl Iterator<Item = CheckId> + '_ {
        let members = self.pools.get(pool.index()).map(|pool| &*pool.members).unwrap_or_default();
        members.iter().filter_map(|(_, check)| *check)
    }

    /// Asks for a probe of each member of a pool as soon as one may be made.
    pub fn ask_pool(&mut self, pool: PoolId, now: Instant) {
        let checks: Vec<CheckId> = self.checks_of(pool).collect();
        for check in checks {
            if let Some((_, check)) = self.checks.get_mut(check.index()) {
                check.ask(now);
            }
        }
    }

    /// The probes to make now; each counts as under way until [`probe_ended`](Self::probe_ended).
    pub fn due(&mut self, now: Instant) -> Vec<CheckId> {
        let in_use = self.checks_in_use(now);
        let mut due: Vec<(Instant, CheckId)> = Vec::new();
        for (index, (_, check)) in self.checks.iter().enumerate() {
            let next = check.next(in_use.get(index).copied().unwrap_or(false));
            due.extend(next.filter(|&next| next <= now).map(|next| (next, CheckId(len_u32(index)))));
        }
        due.sort();
        due.truncate(MAX_IN_FLIGHT.saturating_sub(self.n_in_flight));
        for (_, id) in &due {
            if let Some((_, check)) = self.checks.get_mut(id.index()) {
                check.begin();
                self.n_in_flight += 1;
            }
        }
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// When [`due`](Self::due) will have something, or a state changes by itself.
    #[must_use]
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let changes =
            self.members.iter().filter_map(|member| member.passive.next_change(member.is_probed(), now));
        let full = self.n_in_flight >= MAX_IN_FLIGHT;
        let in_use = self.checks_in_use(now);
        let probes = self.checks.iter().zip(in_use).filter_map(|((_, check), in_use)| check.next(in_use));
        changes.chain(probes.filter(|_| !full)).min()
    }

    /// Takes in how a probe ended: how long it took, or `None` if it failed.
    pub fn probe_ended(&mut self, id: CheckId, delay: Option<Duration>, now: Instant, rng: &mut impl Rng) {
        let Some((member_id, check)) = self.checks.get_mut(id.index()) else { return };
        let (member_id, was_down) = (*member_id, check.verdict == Verdict::Down);
        self.n_in_flight = self.n_in_flight.saturating_sub(usize::from(check.in_flight));
        let usual = check.delay.map_or(Duration::ZERO, |delay| delay.mean());
        check.ended(delay, now, rng);
        if delay.is_none() {
            if let Some(member) = self.members.get_mut(member_id.index()) {
                member.failing_since.get_or_insert(now);
            }
            return self.judge(now);
        }
        // Runs of successes and rests are for choosing among several; the only one that works is needed.
        let is_needed = !self.has_standing_fellow(member_id, now);
        let (Some((_, check)), Some(member)) =
            (self.checks.get_mut(id.index()), self.members.get_mut(member_id.index()))
        else {
            return;
        };
        member.passive.probe_succeeded(usual, now);
        if is_needed {
            check.bring_up();
            member.passive.end_ejection();
        }
        if let Some(until) = member.passive.held_until(now) {
            check.ask_at(until);
        }
        if was_down && check.verdict == Verdict::Up {
            self.events.push(Event::CameUp(member_id));
        }
        self.succeeded(member_id, now);
        self.judge(now);
    }

    /// Takes in what became of a connection through a member. Returns whether anybody's status may be
    /// another one now; most connections confirm what is known.
    pub fn outcome(&mut self, id: MemberId, outcome: Outcome, now: Instant) -> bool {
        let confirms = match outcome {
            Outcome::Connected { .. } | Outcome::FirstByte { .. } => self.is_sound(id),
            Outcome::Failed | Outcome::Overtaken | Outcome::Silent => false,
        };
        let Some(member) = self.members.get_mut(id.index()) else { return false };
        let wish = member.passive.outcome(outcome, now);
        match outcome {
            Outcome::FirstByte { .. } => self.connection_succeeded(id, now),
            // A member may say yes before it has dialled, so this proves little.
            Outcome::Connected { .. } => {}
            Outcome::Failed | Outcome::Overtaken | Outcome::Silent => {
                member.failing_since.get_or_insert(now);
            }
        }
        match wish {
            Wish::Nothing => {}
            Wish::Probe => self.ask_member(id, now),
            Wish::Eject => {
                self.ask_member(id, now);
                self.eject(id, now);
            }
        }
        if !confirms {
            self.judge(now);
        }
        !confirms
    }

    /// What is known of a member, as seen by one of its checks.
    #[must_use]
    pub fn status(&self, id: MemberId, check: Option<CheckId>, now: Instant) -> Status {
        let Some(member) = self.members.get(id.index()) else { return Status::UNKNOWN };
        let check = check.and_then(|check| self.checks.get(check.index())).map(|(_, check)| check);
        let samples = check.and_then(|check| Some(check.sampler.as_ref()?.samples.stats(now)));
        let verdict = match (check.map_or(Verdict::Unknown, |check| check.verdict), samples) {
            // It was up, but that is too long ago.
            (Verdict::Up, Some(stats)) if stats.all == 0 => Verdict::Unknown,
            (verdict, _) => verdict,
        };
        let state = match (verdict, member.passive.ejection(now)) {
            (Verdict::Down, _) => State::Down,
            (Verdict::Unknown | Verdict::Up, Some(ejection)) => {
                State::Ejected { until: ejection.until, cause: ejection.cause }
            }
            (Verdict::Unknown | Verdict::Up, None) => {
                let suspected = member.passive.suspected(member.is_probed(), now).map(State::Suspect);
                suspected.unwrap_or(if verdict == Verdict::Up { State::Up } else { State::Unknown })
            }
        };
        Status {
            state,
            delay: check.and_then(|check| check.delay),
            samples: samples.filter(|stats| stats.all > 0),
            n_probes: check.map_or(0, |check| check.n_ended),
            last_success: member.last_success,
        }
    }

    /// The last probes of a check, oldest first.
    pub fn history(&self, check: CheckId) -> impl Iterator<Item = ProbeRecord> + '_ {
        self.checks.get(check.index()).into_iter().flat_map(|(_, check)| check.history.iter().copied())
    }

    /// Whether a probe is under way.
    #[must_use]
    pub fn is_probing(&self, check: CheckId) -> bool {
        self.checks.get(check.index()).is_some_and(|(_, check)| check.in_flight)
    }

    /// The member that a check probes.
    #[must_use]
    pub fn probed_member(&self, check: CheckId) -> Option<MemberId> {
        self.checks.get(check.index()).map(|(member, _)| *member)
    }

    /// How long a dial of a member usually takes, handshake included.
    #[must_use]
    pub fn usual_dial(&self, id: MemberId) -> Option<Estimate> {
        self.members.get(id.index())?.passive.dial
    }

    /// How long a member usually takes to bring the first byte of an answer.
    #[must_use]
    pub fn usual_first_byte(&self, id: MemberId) -> Option<Estimate> {
        self.members.get(id.index())?.passive.first_byte
    }

    /// Whether everybody fails, so that the fault is probably on this side.
    #[must_use]
    pub fn uplink_suspected(&self) -> bool {
        self.uplink_suspected
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether nothing at all speaks against a member, nor against this side.
    fn is_sound(&self, id: MemberId) -> bool {
        let standing = |check: &CheckId| {
            self.checks
                .get(check.index())
                .is_some_and(|(_, check)| check.verdict == Verdict::Up && !check.is_failing())
        };
        let sound = |member: &Member| {
            member.failing_since.is_none() && member.passive.is_clean() && member.checks.iter().all(standing)
        };
        !self.uplink_suspected && self.members.get(id.index()).is_some_and(sound)
    }

    fn checks_in_use(&self, now: Instant) -> Vec<bool> {
        let mut in_use = vec![false; self.checks.len()];
        for pool in self.pools.iter().filter(|pool| !pool.is_idle(now)) {
            for check in pool.members.iter().filter_map(|(_, check)| *check) {
                if let Some(in_use) = in_use.get_mut(check.index()) {
                    *in_use = true;
                }
            }
        }
        in_use
    }

    fn ask_member(&mut self, id: MemberId, now: Instant) {
        let Some(member) = self.members.get(id.index()) else { return };
        for &check in &member.checks {
            if let Some((_, check)) = self.checks.get_mut(check.index()) {
                check.ask(now);
            }
        }
    }

    fn connection_succeeded(&mut self, id: MemberId, now: Instant) {
        let Some(member) = self.members.get(id.index()) else { return };
        for &check in &member.checks {
            if let Some((_, check)) = self.checks.get_mut(check.index()) {
                let was_down = check.verdict == Verdict::Down;
                check.connection_succeeded();
                if was_down {
                    self.events.push(Event::CameUp(id));
                }
            }
        }
        self.succeeded(id, now);
    }
}

impl Member {
    fn is_probed(&self) -> bool {
        !self.checks.is_empty()
    }
}

impl Pool {
    fn is_idle(&self, now: Instant) -> bool {
        self.last_used.is_none_or(|used| now >= used + self.idle_timeout)
    }
}

/// Nobody configures four billion members; the last number would be shared.
fn len_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
