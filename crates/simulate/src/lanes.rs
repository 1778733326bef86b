//! What a timeline shows: everybody's state, and who carried what, slice by slice.

use std::time::Duration;

use waypost_balance::Tier;
use waypost_health::{CheckId, MemberId, State};

use crate::{Slice, TierSwitch, Word, engine::Engine};

/// How long a slice may be; the first with which there are not too many is taken.
const LENGTHS: [u64; 12] =
    [250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000];
const MAX_SLICES: u128 = 600;
/// How many tier switches are kept one by one.
const MAX_SWITCHES: usize = 1_000;

/// The slices of a timeline.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(crate) length: Duration,
    n_slices: usize,
    pub(crate) slices: Vec<Slice>,
    leaves: Vec<(MemberId, Option<CheckId>)>,
    words: Vec<Word>,
    delays: Vec<Option<Duration>>,
    tier: Tier,
    pub(crate) switches: Vec<TierSwitch>,
    pub(crate) n_switches: usize,
}

impl Lanes {
    pub(crate) fn new(duration: Duration, leaves: Vec<(MemberId, Option<CheckId>)>) -> Self {
        let mut lengths = LENGTHS.iter().copied().map(Duration::from_millis);
        let is_enough = |length: &Duration| duration.as_millis().div_ceil(length.as_millis()) <= MAX_SLICES;
        let length = lengths.find(is_enough).unwrap_or(Duration::from_secs(3_600));
        let n_slices = duration.as_millis().div_ceil(length.as_millis());
        Self {
            length,
            n_slices: usize::try_from(n_slices).unwrap_or(usize::MAX),
            slices: Vec::new(),
            words: vec![Word::Unknown; leaves.len()],
            delays: vec![None; leaves.len()],
            leaves,
            tier: Tier::Primary,
            switches: Vec::new(),
            n_switches: 0,
        }
    }

    /// Takes in what is known of the members now.
    pub(crate) fn look(&mut self, engine: &Engine, now: Duration) {
        self.fill(now);
        let leaves = self.leaves.iter().map(|&(member, check)| {
            let delay = engine.monitor.status(member, check, engine.at(now)).delay;
            (word(engine.state(member, check, now)), delay.map(|delay| delay.mean()))
        });
        (self.words, self.delays) = leaves.unzip();
        let tier = engine.standing().map_or(self.tier, waypost_balance::Standing::tier);
        if tier != self.tier {
            self.tier = tier;
            self.n_switches += 1;
            if self.switches.len() < MAX_SWITCHES {
                self.switches.push(TierSwitch { at: now, to: tier });
            }
        }
        let Self { words, delays, tier, .. } = self;
        let (words, delays, is_backup) = (words.clone(), delays.clone(), *tier == Tier::Backup);
        let Some(slice) = self.slice(now) else { return };
        for (worst, word) in slice.states.iter_mut().zip(words) {
            *worst = word.max(*worst);
        }
        slice.delays = delays;
        slice.is_backup |= is_backup;
    }

    /// Counts a connection that came at this moment.
    pub(crate) fn count(&mut self, arrived: Duration, carrier: Option<usize>) {
        self.fill(arrived);
        let Some(slice) = self.slice(arrived) else { return };
        match carrier {
            Some(leaf) => {
                if let Some(carried) = slice.carried.get_mut(leaf) {
                    *carried += 1;
                }
            }
            None => slice.lost += 1,
        }
    }

    /// Makes the slices up to a moment; what is known holds on in each.
    pub(crate) fn fill(&mut self, now: Duration) {
        let n_wanted = self.index(now).saturating_add(1).min(self.n_slices);
        while self.slices.len() < n_wanted {
            self.slices.push(Slice {
                at: self.length * u32::try_from(self.slices.len()).unwrap_or(u32::MAX),
                states: self.words.clone(),
                delays: self.delays.clone(),
                carried: vec![0; self.leaves.len()],
                lost: 0,
                is_backup: self.tier == Tier::Backup,
            });
        }
    }

    /// For how many slices each member was in each state.
    pub(crate) fn share_up(&self, leaf: usize) -> f64 {
        let is_up = |slice: &&Slice| slice.states.get(leaf) == Some(&Word::Up);
        self.slices.iter().filter(is_up).count() as f64 / self.slices.len().max(1) as f64
    }

    fn index(&self, now: Duration) -> usize {
        usize::try_from(now.as_millis() / self.length.as_millis()).unwrap_or(usize::MAX)
    }

    fn slice(&mut self, now: Duration) -> Option<&mut Slice> {
        let index = self.index(now);
        self.slices.get_mut(index)
    }
}

fn word(state: State) -> Word {
    match state {
        State::Unknown => Word::Unknown,
        State::Up => Word::Up,
        State::Suspect(_) => Word::Suspect,
        State::Ejected { .. } => Word::Ejected,
        State::Down => Word::Down,
    }
}
