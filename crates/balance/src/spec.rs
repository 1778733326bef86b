//! What a group is made of.

use std::{
    num::{NonZeroU8, NonZeroU16, NonZeroU32},
    time::Duration,
};

use waypost_health::{CheckId, MemberId};
use waypost_net::{Networks, Tag};
use waypost_ring::{Algorithm, DEFAULT_PROBES, DEFAULT_VIRTUAL_NODES};

use crate::{KeySpec, LeastLoadSpec, SelectorSpec, Strategy};

/// The number of a group among [`Groups`](crate::Groups).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub(crate) u32);

impl GroupId {
    /// The group at a place, from 0, of the specifications that [`Groups`](crate::Groups) are made of.
    #[must_use]
    pub fn new(index: usize) -> Self {
        // A number beyond any group names none.
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Its place.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Everything that makes a group.
#[derive(Debug, Clone)]
pub struct GroupSpec {
    /// Its name.
    pub tag: Tag,
    /// Those who serve.
    pub primary: Vec<MemberSpec>,
    /// Those who serve when no primary can.
    pub backup: Vec<MemberSpec>,
    /// How one of them is chosen.
    pub strategy: Strategy,
    /// How many of the fastest of each tier serve.
    pub top_n: TopN,
    /// How keys are made and placed; for [`Strategy::ConsistentHash`] only.
    pub hash: HashSpec,
    /// Who is good enough; for [`Strategy::LeastLoad`] only.
    pub least_load: LeastLoadSpec,
    /// Whom a selector begins with; for [`Strategy::Selector`] only.
    pub selector: SelectorSpec,
    /// When the backups take over, and for how long.
    pub hysteresis: Hysteresis,
    /// What is done when nobody stands.
    pub empty_pool: EmptyPoolAction,
    /// Who serves if there is no member at all, if there is a verdict against each of them, or if none
    /// is good enough for the strategy (V2Ray's `fallbackTag`). The members follow it then.
    pub fallback: Option<MemberSpec>,
    /// Whether somebody may choose a member, who comes first then as long as it stands.
    pub takes_choice: bool,
}

impl GroupSpec {
    /// A group of primaries with the documented defaults.
    #[must_use]
    pub fn new(tag: Tag, primary: Vec<MemberSpec>, strategy: Strategy) -> Self {
        Self {
            tag,
            primary,
            backup: Vec::new(),
            strategy,
            top_n: TopN::default(),
            hash: HashSpec::default(),
            least_load: LeastLoadSpec::default(),
            selector: SelectorSpec::default(),
            hysteresis: Hysteresis::default(),
            empty_pool: EmptyPoolAction::default(),
            fallback: None,
            takes_choice: matches!(strategy, Strategy::Selector | Strategy::UrlTest),
        }
    }
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSpec {
    /// Its name.
    pub tag: Tag,
    /// What it is.
    pub target: MemberTarget,
    /// What it is for the ring: protocol, address and account, so that a new name keeps its keys.
    pub identity: Box<[u8]>,
    /// How large its share is.
    pub weight: NonZeroU16,
    /// What it can carry.
    pub networks: Networks,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberTarget {
    /// An outbound, and the check by which this group knows it.
    Leaf {
        /// The outbound.
        member: MemberId,
        /// The check, if the group has its members probed.
        check: Option<CheckId>,
    },
    /// Another group.
    Group(GroupId),
}

/// How many of the fastest members of each tier serve; 0 means all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopN {
    /// Of the primaries.
    pub primary: usize,
    /// Of the backups.
    pub backup: usize,
    /// A newcomer has to be faster by more than this, or by twice the incumbent's jitter if that is
    /// more. With 0 the fastest serve, whatever the jitter.
    pub tolerance: Duration,
}

impl Default for TopN {
    /// All of both, with a tolerance of 10 ms.
    fn default() -> Self {
        Self { primary: 0, backup: 0, tolerance: Duration::from_millis(10) }
    }
}

/// How keys are made and placed.
#[derive(Debug, Clone)]
pub struct HashSpec {
    /// What a key is made of.
    pub key: KeySpec,
    /// What is done with a flow that has no key.
    pub on_empty_key: OnEmptyKey,
    /// How keys find members.
    pub algorithm: Algorithm,
    /// How many virtual nodes a member of weight 1 has on a ring.
    pub virtual_nodes: NonZeroU16,
    /// How many points of a ring a key is hashed to.
    pub probes: NonZeroU8,
    /// The most that a member may have of its fair share of the live connections, in percent, before
    /// its keys go to the next.
    pub balance_factor: Option<NonZeroU32>,
}

impl Default for HashSpec {
    fn default() -> Self {
        Self {
            key: KeySpec::default(),
            on_empty_key: OnEmptyKey::default(),
            algorithm: Algorithm::default(),
            virtual_nodes: DEFAULT_VIRTUAL_NODES,
            probes: DEFAULT_PROBES,
            balance_factor: None,
        }
    }
}

/// What is done with a flow that has no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnEmptyKey {
    /// A member is chosen at random.
    #[default]
    Random,
    /// The empty key is a key like others.
    HashEmpty,
    /// The flow is refused.
    Error,
}

/// When the backups take over, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hysteresis {
    /// After how many failures in a row of the whole primary tier the group moves to the backups: one
    /// when the last primary falls, and one more after as many further probes of primaries as there are
    /// primaries. Until then connections spill to the backups one by one.
    pub primary_failures: NonZeroU32,
    /// How long it stays there at least.
    pub backup_hold_time: Duration,
}

impl Default for Hysteresis {
    /// Three failures, and 30 seconds.
    fn default() -> Self {
        Self {
            primary_failures: NonZeroU32::MIN.saturating_add(2),
            backup_hold_time: Duration::from_secs(30),
        }
    }
}

/// What is done when no member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmptyPoolAction {
    /// The connection is refused.
    #[default]
    Error,
    /// Every member is tried, whatever is known of it.
    FallbackAll,
}
