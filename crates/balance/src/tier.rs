//! Which tier serves.

use std::{fmt, time::Instant};

use crate::Hysteresis;

/// Primaries or backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Those who serve as long as one of them can.
    Primary,
    /// Those who serve when no primary can.
    Backup,
}

impl Tier {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Primary => Self::Backup,
            Self::Backup => Self::Primary,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        })
    }
}

/// What the tiers look like at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// There is no verdict against at least one primary.
    pub(crate) primary_stands: bool,
    /// Nothing speaks against at least one primary.
    pub(crate) primary_usable: bool,
    /// Nothing speaks against at least one backup.
    pub(crate) backup_usable: bool,
    /// Primaries were probed as often as there are of them since the last failure was counted.
    pub(crate) probed_again: bool,
}

/// The tier that serves, and what may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TierState {
    /// So often in a row no primary stood.
    Primary {
        failures: u32,
    },
    Backup {
        since: Instant,
    },
}

impl TierState {
    pub(crate) const START: Self = Self::Primary { failures: 0 };

    pub(crate) fn tier(self) -> Tier {
        match self {
            Self::Primary { .. } => Tier::Primary,
            Self::Backup { .. } => Tier::Backup,
        }
    }

    /// The state that follows, and whether a failure was counted.
    pub(crate) fn next(self, facts: Facts, hysteresis: Hysteresis, now: Instant) -> (Self, bool) {
        match self {
            Self::Primary { .. } if facts.primary_stands => (Self::START, false),
            Self::Primary { failures } => {
                // The first one counts at once, the next ones after another round's worth of probes.
                let counted = failures == 0 || facts.probed_again;
                let failures = failures.saturating_add(u32::from(counted));
                if failures >= hysteresis.primary_failures.get() && facts.backup_usable {
                    return (Self::Backup { since: now }, counted);
                }
                (Self::Primary { failures }, counted)
            }
            Self::Backup { since } => {
                // The hold keeps the group from swinging; it is no reason to serve nobody.
                let is_over = hold_end(since, hysteresis).is_some_and(|end| now >= end);
                let held = !is_over && facts.backup_usable;
                (if facts.primary_usable && !held { Self::START } else { self }, false)
            }
        }
    }

    /// When the state changes by itself.
    pub(crate) fn next_change(self, facts: Facts, hysteresis: Hysteresis) -> Option<Instant> {
        match self {
            Self::Backup { since } if facts.primary_usable => hold_end(since, hysteresis),
            Self::Primary { .. } | Self::Backup { .. } => None,
        }
    }
}

/// `None` if that is beyond all time.
fn hold_end(since: Instant, hysteresis: Hysteresis) -> Option<Instant> {
    since.checked_add(hysteresis.backup_hold_time)
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::*;

    const NOBODY: Facts =
        Facts { primary_stands: false, primary_usable: false, backup_usable: false, probed_again: true };
    const BACKUPS: Facts = Facts { backup_usable: true, ..NOBODY };
    const ALL: Facts = Facts { primary_stands: true, primary_usable: true, ..BACKUPS };

    fn hysteresis(failures: u32, hold: u64) -> Hysteresis {
        Hysteresis {
            primary_failures: NonZeroU32::new(failures).unwrap(),
            backup_hold_time: Duration::from_secs(hold),
        }
    }

    #[test]
    fn the_backups_take_over_after_so_many_failures_in_a_row() {
        let (mut state, now, hysteresis) = (TierState::START, start(), hysteresis(3, 30));
        for facts in [BACKUPS, BACKUPS, ALL, BACKUPS, BACKUPS] {
            state = state.next(facts, hysteresis, now).0;
            assert_eq!(state.tier(), Tier::Primary, "{facts:?}");
        }
        let waiting = Facts { probed_again: false, ..BACKUPS };
        assert_eq!(state.next(waiting, hysteresis, now), (TierState::Primary { failures: 2 }, false));
        assert_eq!(state.next(BACKUPS, hysteresis, now), (TierState::Backup { since: now }, true));
    }

    #[test]
    fn one_failure_is_enough_where_the_file_says_so() {
        assert_eq!(TierState::START.next(BACKUPS, hysteresis(1, 30), start()).0.tier(), Tier::Backup);
    }

    #[test]
    fn nobody_moves_to_backups_that_cannot_serve() {
        let mut state = TierState::START;
        for _ in 0..10 {
            state = state.next(NOBODY, hysteresis(3, 30), start()).0;
            assert_eq!(state.tier(), Tier::Primary);
        }
        assert_eq!(state.next(ALL, hysteresis(3, 30), start()).0, TierState::START);
    }

    #[test]
    fn the_primaries_return_when_the_hold_is_over() {
        let (now, hysteresis) = (start(), hysteresis(3, 30));
        let held = TierState::Backup { since: now };
        let before = now + Duration::from_millis(29_999);
        assert_eq!(held.next(ALL, hysteresis, before).0, held);
        assert_eq!(held.next_change(ALL, hysteresis), Some(now + Duration::from_secs(30)));
        assert_eq!(held.next(ALL, hysteresis, now + Duration::from_secs(30)).0, TierState::START);
        assert_eq!(held.next(BACKUPS, hysteresis, now + Duration::from_secs(99)).0, held);
        assert_eq!(held.next_change(BACKUPS, hysteresis), None);
    }

    #[test]
    fn an_endless_hold_ends_when_the_backups_do() {
        let (now, hysteresis) = (start(), hysteresis(3, u64::MAX));
        let held = TierState::Backup { since: now };
        assert_eq!(held.next(ALL, hysteresis, now).0, held);
        assert_eq!(held.next_change(ALL, hysteresis), None);
        assert_eq!(held.next(Facts { backup_usable: false, ..ALL }, hysteresis, now).0, TierState::START);
    }

    #[test]
    fn the_hold_never_beats_being_served() {
        let held = TierState::Backup { since: start() };
        let facts = Facts { backup_usable: false, ..ALL };
        assert_eq!(held.next(facts, hysteresis(3, 30), start()).0, TierState::START);
    }

    #[expect(clippy::disallowed_methods, reason = "a test begins at any moment")]
    fn start() -> Instant {
        Instant::now()
    }
}
