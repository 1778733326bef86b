//! Counting what happened.

use std::time::Duration;

use waypost_balance::Tier;
use waypost_health::{CheckId, MemberId};

use crate::{
    Attempts, Connections, Loss, LossReason, Model,
    connection::{Connection, Fate},
    lanes::Lanes,
    network::Network,
    owners::Owners,
};

/// How many losses are kept one by one.
const MAX_LOSSES: usize = 1_000;

/// One connection, in as few bytes as do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) arrived: Duration,
    /// In microseconds from the arrival; `u32::MAX` if that never came.
    setup: u32,
    answer: u32,
}

/// What is counted for one member.
#[derive(Debug, Clone)]
pub(crate) struct MemberTally {
    pub(crate) member: MemberId,
    pub(crate) tag: String,
    pub(crate) carried: u64,
    pub(crate) n_dials: u64,
    pub(crate) n_probes: u64,
    pub(crate) n_probes_failed: u64,
}

/// All that is counted.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) samples: Vec<Sample>,
    pub(crate) connections: Connections,
    pub(crate) attempts: Attempts,
    pub(crate) losses: Vec<Loss>,
    pub(crate) members: Vec<MemberTally>,
    pub(crate) lanes: Lanes,
    pub(crate) owners: Option<Owners>,
}

impl Sample {
    fn new(arrived: Duration, stood: Option<Duration>, answered: Option<Duration>) -> Self {
        let micros = |at: Option<Duration>| {
            let took = at.map(|at| at.saturating_sub(arrived).as_micros());
            took.map_or(u32::MAX, |took| u32::try_from(took).unwrap_or(u32::MAX - 1))
        };
        Self { arrived, setup: micros(stood), answer: micros(answered) }
    }

    /// How long the client waited until it was told that the connection stands.
    pub(crate) fn setup(&self) -> Option<Duration> {
        time(self.setup)
    }

    /// How long it waited for the first answer; `None` if the connection was lost.
    pub(crate) fn answer(&self) -> Option<Duration> {
        time(self.answer)
    }
}

fn time(micros: u32) -> Option<Duration> {
    (micros != u32::MAX).then(|| Duration::from_micros(micros.into()))
}

impl Tally {
    pub(crate) fn new(model: &Model, duration: Duration, leaves: &[(MemberId, Option<CheckId>)]) -> Self {
        // The file's order, for people.
        let mut leaves = leaves.to_vec();
        leaves.sort_unstable();
        leaves.dedup_by_key(|(member, _)| *member);
        let members = leaves.iter().map(|(member, _)| {
            let tag = model.members.iter().find(|(id, _)| id == member).map(|(_, tag)| tag.to_string());
            let tag = tag.unwrap_or_else(|| format!("#{}", member.index()));
            MemberTally { member: *member, tag, carried: 0, n_dials: 0, n_probes: 0, n_probes_failed: 0 }
        });
        Self {
            samples: Vec::new(),
            connections: Connections::default(),
            attempts: Attempts::default(),
            losses: Vec::new(),
            members: members.collect(),
            lanes: Lanes::new(duration, leaves),
            owners: None,
        }
    }

    pub(crate) fn probed(&mut self, member: MemberId, succeeded: bool) {
        if let Some(tally) = self.members.iter_mut().find(|tally| tally.member == member) {
            tally.n_probes += 1;
            tally.n_probes_failed += u64::from(!succeeded);
        }
    }

    /// Counts a connection whose fate is settled.
    pub(crate) fn ended(&mut self, connection: &Connection, fate: Fate, network: &Network, now: Duration) {
        let seen = &connection.seen;
        self.attempts.dials += seen.dials.len() as u64;
        self.attempts.hedges += u64::from(seen.n_hedges);
        self.attempts.retries += u64::from(seen.n_retries);
        self.attempts.failures += u64::from(seen.n_failed);
        self.attempts.replays += u64::from(connection.n_replays());
        for (number, _) in &seen.dials {
            let member = connection.attempts.get(*number).map(|attempt| attempt.member);
            if let Some(tally) = self.members.iter_mut().find(|tally| Some(tally.member) == member) {
                tally.n_dials += 1;
            }
        }
        match fate {
            Fate::Lost(reason) => self.lost(connection.arrived, connection.stood, reason, network, now),
            Fate::Answered(member, number) => {
                let tier = connection.attempts.get(number).map(|attempt| attempt.reason.tier);
                let is_spill = connection.tier == Tier::Primary && tier == Some(Tier::Backup);
                self.attempts.spills += u64::from(is_spill);
                self.connections.total += 1;
                self.connections.answered += 1;
                self.samples.push(Sample::new(connection.arrived, connection.stood, Some(now)));
                let leaf = self.members.iter().position(|tally| tally.member == member);
                if let Some(tally) = leaf.and_then(|leaf| self.members.get_mut(leaf)) {
                    tally.carried += 1;
                }
                self.lanes.count(connection.arrived, leaf.or(Some(usize::MAX)));
            }
        }
    }

    /// Counts a connection that is lost.
    pub(crate) fn lost(
        &mut self,
        arrived: Duration,
        stood: Option<Duration>,
        reason: LossReason,
        network: &Network,
        now: Duration,
    ) {
        self.connections.total += 1;
        self.connections.lost += 1;
        let could_have = self.members.iter().any(|tally| network.works(tally.member, arrived, now));
        self.connections.lost_needlessly += u64::from(could_have);
        if self.losses.len() < MAX_LOSSES {
            self.losses.push(Loss { arrived, at: now, reason, somebody_worked: could_have });
        }
        self.samples.push(Sample::new(arrived, stood, None));
        self.lanes.count(arrived, None);
    }
}
