use std::fmt;

use waypost_health::{CheckId, MemberId};
use waypost_net::{Network, Tag};

use crate::{GroupId, KeyState, Strategy, Tier};

/// The members to try for one connection, best first; never empty, nobody twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The tier that serves.
    pub tier: Tier,
    /// The key that was hashed, if the strategy hashes.
    pub key: Option<HashedKey>,
    /// One attempt after the other.
    pub attempts: Vec<Attempt>,
}

/// A hash key and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedKey {
    /// The parts, joined with `|`.
    pub text: Box<str>,
    /// Whether any part besides the salt is known.
    pub state: KeyState,
    /// The hash of the key.
    pub position: u64,
}

/// A member of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The outbound to try.
    pub member: MemberId,
    /// The check by which its group knows it.
    pub check: Option<CheckId>,
    /// The groups inside the planning one that led to it, outermost first.
    pub via: Vec<GroupId>,
    /// Why it has this place.
    pub reason: Reason,
}

/// Why a member has its place in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// The strategy that chose it to be the first; `None` for those that follow.
    pub chosen_by: Option<Strategy>,
    /// What the member is.
    pub role: Role,
    /// Its tier.
    pub tier: Tier,
}

/// What a member is in its group at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Somebody chose it.
    Selected,
    /// The strategy chooses among these.
    Candidate,
    /// Usable, but not among the fastest.
    OutsideTopN,
    /// No candidate is left, and of the suspects this one worked last.
    LastGood,
    /// Something speaks against it that is being looked into.
    Suspect,
    /// It rests, because connections through it failed.
    Ejected,
    /// Probes through it fail.
    Down,
    /// Nobody stands, and the group tries everybody then.
    Anybody,
    /// The group has no member that is good enough, and this serves in their place.
    Fallback,
}

impl Role {
    /// A word or two for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::Candidate => "candidate",
            Self::OutsideTopN => "outside top-n",
            Self::LastGood => "last good",
            Self::Suspect => "suspect",
            Self::Ejected => "ejected",
            Self::Down => "down",
            Self::Anybody => "anybody",
            Self::Fallback => "fallback",
        }
    }
}

/// Why there is nobody to try. The connection has to be refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No member can carry the network.
    #[error("`{group}`: no member for {network}")]
    NoMemberFor {
        /// The group.
        group: Tag,
        /// The network.
        network: Network,
    },
    /// There is a verdict against every member.
    #[error("`{group}`: pool empty: {down} down, {ejected} ejected")]
    EmptyPool {
        /// The group.
        group: Tag,
        /// How many are down.
        down: usize,
        /// How many are ejected.
        ejected: usize,
    },
    /// The group has no member and no fallback.
    #[error("`{group}` has no member and no fallback")]
    NoMembers {
        /// The group.
        group: Tag,
    },
    /// The flow has no hash key, and the group refuses such flows.
    #[error("`{group}`: the connection has no hash key")]
    EmptyKey {
        /// The group.
        group: Tag,
    },
    /// There is no such group.
    #[error("there is no such group")]
    UnknownGroup,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(strategy) = self.chosen_by {
            write!(f, "chosen by {strategy}: ")?;
        }
        match (self.role, self.tier) {
            (Role::Selected, Tier::Primary | Tier::Backup) => f.write_str("the current choice"),
            (Role::Candidate, Tier::Primary) => f.write_str("candidate"),
            (Role::Candidate, Tier::Backup) => f.write_str("backup"),
            (Role::OutsideTopN, Tier::Primary) => f.write_str("slower than the candidates"),
            (Role::OutsideTopN, Tier::Backup) => f.write_str("backup, slower than the others"),
            (Role::LastGood, Tier::Primary) => f.write_str("suspect, worked last"),
            (Role::LastGood, Tier::Backup) => f.write_str("backup, suspect, worked last"),
            (Role::Suspect, Tier::Primary) => f.write_str("suspect"),
            (Role::Suspect, Tier::Backup) => f.write_str("backup, suspect"),
            (Role::Ejected, Tier::Primary) => f.write_str("last resort: ejected"),
            (Role::Ejected, Tier::Backup) => f.write_str("last resort: backup, ejected"),
            (Role::Down, Tier::Primary) => f.write_str("last resort: down"),
            (Role::Down, Tier::Backup) => f.write_str("last resort: backup, down"),
            (Role::Anybody, Tier::Primary) => f.write_str("nobody stands, all are tried"),
            (Role::Anybody, Tier::Backup) => f.write_str("nobody stands, all are tried: backup"),
            (Role::Fallback, Tier::Primary | Tier::Backup) => {
                f.write_str("fallback, no member is good enough")
            }
        }
    }
}
