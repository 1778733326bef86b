//! Two thousand random groups and scripts against a model that is too simple to be wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use waypost_balance::{Role, Strategy, Tier};
use waypost_health::MemberId;
use waypost_net::Network;
use waypost_simulate::{Action, Ended, Observer, Planned, run, run_observed};

use crate::{
    models::{Shape, start},
    oracle::Script,
};

const SEEDS_PER_TEST: u64 = 500;
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks every plan and every end, and writes down what should not be.
struct Judge<'a> {
    shape: &'a Shape,
    script: &'a Script,
    is_silence_scripted: bool,
    /// Of each key: who had it, among whom, in which tier.
    owners: BTreeMap<String, (MemberId, BTreeSet<usize>, Tier)>,
    plan_lengths: BTreeMap<u64, usize>,
    n_checked: u64,
    faults: String,
}

impl Judge<'_> {
    fn fault(&mut self, at: Duration, connection: u64, text: &str) {
        let _infallible = writeln!(self.faults, "at {at:?}, connection {connection}: {text}");
    }

    /// Nobody is dialled after the deadlines, and who did not time out is not dialled again and again.
    fn check_dials(&mut self, ended: &Ended<'_>, plan_length: usize) {
        let pace = &self.shape.pace;
        let is_repetition = |at: Duration| ended.stood.is_some_and(|stood| at >= stood);
        let repetitions: Vec<Duration> =
            ended.dials.iter().map(|(_, at)| *at).filter(|at| is_repetition(*at)).collect();
        let until = |first: Duration| first + pace.total_timeout;
        let first_repetition = repetitions.first().copied().unwrap_or(ended.arrived);
        let is_late =
            |at: Duration| at > until(if is_repetition(at) { first_repetition } else { ended.arrived });
        if ended.dials.iter().any(|(_, at)| is_late(*at)) {
            self.fault(ended.at, ended.connection, &format!("dialled too late: {:?}", ended.dials));
        }
        let n_terms = 1 + u128::from(!repetitions.is_empty());
        let n_timeouts = n_terms * (pace.total_timeout.as_nanos() / pace.attempt_timeout.as_nanos());
        let abreast = plan_length.min(usize::from(pace.max_in_flight.get()));
        if ended.dials.len() > 3 * plan_length + abreast * usize::try_from(n_timeouts).unwrap() {
            self.fault(ended.at, ended.connection, &format!("too many dials: {:?}", ended.dials));
        }
    }

    /// A key keeps its member until that one leaves or somebody better comes.
    fn check_owner(&mut self, planned: &Planned<'_>) {
        let (Some(key), Some(first)) = (&planned.plan.key, planned.plan.attempts.first()) else { return };
        if first.reason.role == Role::Anybody {
            return;
        }
        let roles = planned.standing.roles(Network::Tcp);
        let tier = |member: usize| if member < self.shape.n_primary { Tier::Primary } else { Tier::Backup };
        let is_rival =
            |&member: &usize| roles[member] == Some(first.reason.role) && tier(member) == first.reason.tier;
        let rivals: BTreeSet<usize> = (0..roles.len()).filter(is_rival).collect();
        let new = (first.member, rivals, first.reason.tier);
        let Some(old) = self.owners.insert(key.text.to_string(), new.clone()) else { return };
        self.n_checked += 1;
        let stayed = old.2 == new.2 && new.1.contains(&old.0.index());
        let is_newcomer = !old.1.contains(&new.0.index());
        if stayed && old.0 != new.0 && !is_newcomer {
            self.fault(planned.at, planned.connection, &format!("key moved from {old:?} to {new:?}"));
        }
    }
}

impl Observer for Judge<'_> {
    fn planned(&mut self, planned: &Planned<'_>) {
        let attempts = &planned.plan.attempts;
        self.plan_lengths.insert(planned.connection, attempts.len());
        let members: BTreeSet<MemberId> = attempts.iter().map(|attempt| attempt.member).collect();
        if members.len() != attempts.len() {
            self.fault(planned.at, planned.connection, "a member stands in the plan twice");
        }
        let statuses = planned.standing.statuses();
        let primaries = &statuses[..self.shape.n_primary];
        let primary_usable = primaries.iter().any(|status| status.state.is_usable());
        let is_backup_first = attempts[0].reason.tier == Tier::Backup;
        if primary_usable && planned.plan.tier == Tier::Primary && is_backup_first {
            self.fault(planned.at, planned.connection, "a backup comes before a primary that can be used");
        }
        self.check_owner(planned);
    }

    fn ended(&mut self, ended: &Ended<'_>) {
        let total = self.shape.pace.total_timeout;
        let (arrived, deadline) = (ended.arrived, ended.arrived + total);
        let plan_length = self.plan_lengths.remove(&ended.connection).unwrap_or(0);
        self.check_dials(ended, plan_length);
        if self.script.everybody_is_dead(arrived.saturating_sub(PROBE_TIMEOUT), deadline) {
            self.n_checked += 1;
            if ended.outcome.is_ok() || ended.at > deadline {
                let text =
                    format!("nobody works, and it ended after {:?}: {:?}", ended.at - arrived, ended.outcome);
                self.fault(ended.at, ended.connection, &text);
            }
        }
        if !self.script.somebody_is_normal(arrived, deadline) {
            return;
        }
        self.n_checked += 1;
        let Err(reason) = ended.outcome else { return };
        // A flight that may not be sent twice is lost with the member that has it.
        let mut dialled = ended.dials.iter().map(|(member, _)| member.index());
        let dies_with = dialled.any(|member| !self.script.is_normal(member, arrived, ended.at));
        let dies = !ended.is_repeatable && ended.stood.is_some() && (self.is_silence_scripted || dies_with);
        if !dies {
            let Ended { is_repeatable, stood, dials, .. } = ended;
            let text = format!(
                "arrived at {arrived:?}, lost though somebody works: {reason:?}, repeatable {is_repeatable}, stood {stood:?}, {dials:?}"
            );
            self.fault(ended.at, ended.connection, &text);
        }
    }
}

/// Plays one seed; yields how much was checked, and what should not be.
fn play(seed: u64) -> (u64, String) {
    let mut rng = StdRng::seed_from_u64(seed);
    let shape = Shape::random(&mut rng);
    let script = Script::random(shape.n_members(), &mut rng);
    let is_silent = |action: Action| matches!(action, Action::Silence | Action::Block);
    let mut judge = Judge {
        shape: &shape,
        script: &script,
        is_silence_scripted: script.trace.events.iter().any(|event| is_silent(event.action)),
        owners: BTreeMap::new(),
        plan_lengths: BTreeMap::new(),
        n_checked: 0,
        faults: String::new(),
    };
    let report = run_observed(shape.model(), &script.trace, seed, start(), &mut judge).unwrap();
    let (n_checked, mut faults) = (judge.n_checked, judge.faults);
    if seed.is_multiple_of(10) {
        let later = start() + Duration::from_secs(rng.random_range(1..1_000));
        let again = run(shape.model(), &script.trace, seed, later).unwrap();
        if again.to_json() != report.to_json() {
            faults.push_str("the same seed gave another report\n");
        }
    }
    if shape.strategy == Strategy::ConsistentHash && shape.top_n == 0 {
        let others = report.remaps.unwrap().other;
        if others > 0 {
            let _infallible = writeln!(faults, "{others} keys moved for no reason");
        }
    }
    if !faults.is_empty() {
        let _infallible = writeln!(faults, "{shape:?}\n{:?}", script.trace);
    }
    (n_checked, faults)
}

#[track_caller]
fn check(part: u64) {
    let begin: Instant = start();
    let seeds = part * SEEDS_PER_TEST..(part + 1) * SEEDS_PER_TEST;
    let (mut n_checked, mut n_bad, mut first) = (0, 0, String::new());
    for seed in seeds.clone() {
        let (n_more, faults) = play(seed);
        n_checked += n_more;
        if !faults.is_empty() {
            n_bad += 1;
            if first.len() < 60_000 {
                let _infallible = writeln!(first, "seed {seed}:\n{faults}");
            }
        }
    }
    #[expect(clippy::print_stdout, reason = "how long it takes is worth knowing")]
    {
        println!("{} seeds, {n_checked} checks, {:?}", seeds.end - seeds.start, begin.elapsed());
    }
    assert!(n_checked > 10_000, "the scripts are too hard to check anything: {n_checked}");
    assert!(n_bad == 0, "{n_bad} seeds are wrong\n{first}");
}

#[test]
fn random_traces_break_no_promise_part_1() {
    check(0);
}

#[test]
fn random_traces_break_no_promise_part_2() {
    check(1);
}

#[test]
fn random_traces_break_no_promise_part_3() {
    check(2);
}

#[test]
fn random_traces_break_no_promise_part_4() {
    check(3);
}
