//! One group: its members.

use std::sync::atomic::{AtomicUsize, Ordering};

use waypost_net::{Network, Networks, Tag};
use waypost_ring::{BuildError, Member, Placement, PlacementSpec};

use crate::{GroupSpec, HashSpec, MemberSpec, Strategy, Tier};

/// A group that is ready to plan. It never changes; what changes is its [`Standing`](crate::Standing).
#[derive(Debug)]
pub struct Group {
    spec: GroupSpec,
    /// What the group can carry: what any of its members can.
    networks: Networks,
    /// Where keys lie, of each tier, if the strategy hashes.
    placements: Option<[Placement; 2]>,
    /// Whose turn is next.
    turn: AtomicUsize,
}

impl Group {
    pub(crate) fn try_new(spec: GroupSpec) -> Result<Self, BuildError> {
        let networks = spec.primary.iter().chain(&spec.backup).chain(&spec.fallback).fold(
            Networks::default(),
            |all, member| Networks {
                tcp: all.tcp || member.networks.tcp,
                udp: all.udp || member.networks.udp,
            },
        );
        let place = |members: &[MemberSpec]| {
            let members =
                members.iter().map(|member| Member::new(&*member.identity).with_weight(member.weight));
            let HashSpec { key, algorithm, virtual_nodes, probes, .. } = &spec.hash;
            let placement = PlacementSpec {
                algorithm: *algorithm,
                virtual_nodes: *virtual_nodes,
                probes: *probes,
                salt: key.seed(),
            };
            Placement::try_new(members, &placement)
        };
        let placements = match spec.strategy {
            Strategy::ConsistentHash => Some([place(&spec.primary)?, place(&spec.backup)?]),
            Strategy::Random
            | Strategy::RoundRobin
            | Strategy::LeastConn
            | Strategy::LeastPing
            | Strategy::LeastLoad
            | Strategy::Failover
            | Strategy::Selector
            | Strategy::UrlTest => None,
        };
        Ok(Self { spec, networks, placements, turn: AtomicUsize::new(0) })
    }

    /// What it is made of.
    #[must_use]
    pub fn spec(&self) -> &GroupSpec {
        &self.spec
    }

    /// Its name.
    #[must_use]
    pub fn tag(&self) -> &Tag {
        &self.spec.tag
    }

    /// What at least one of its members can carry.
    #[must_use]
    pub fn networks(&self) -> Networks {
        self.networks
    }

    /// All members, primaries first.
    pub fn members(&self) -> impl Iterator<Item = &MemberSpec> {
        self.spec.primary.iter().chain(&self.spec.backup)
    }

    /// The member at a place, primaries first.
    #[must_use]
    pub fn member(&self, index: usize) -> Option<&MemberSpec> {
        match index.checked_sub(self.spec.primary.len()) {
            None => self.spec.primary.get(index),
            Some(index) => self.spec.backup.get(index),
        }
    }

    pub(crate) fn n_primary(&self) -> usize {
        self.spec.primary.len()
    }

    pub(crate) fn n_members(&self) -> usize {
        self.spec.primary.len() + self.spec.backup.len()
    }

    pub(crate) fn weight(&self, member: u32) -> u16 {
        self.member(member as usize).map_or(1, |member| member.weight.get())
    }

    /// The members of a tier that can carry a network, by their place in the group.
    pub(crate) fn members_of(&self, tier: Tier, network: Network) -> impl Iterator<Item = u32> + '_ {
        let (first, members) = match tier {
            Tier::Primary => (0, &self.spec.primary),
            Tier::Backup => (self.n_primary(), &self.spec.backup),
        };
        let numbered = (0..).zip(members).filter(move |(_, member)| member.networks.contains(network));
        // The configuration bounds the number of members far below 2^32.
        numbered.map(move |(index, _): (usize, _)| u32::try_from(first + index).unwrap_or(u32::MAX))
    }

    pub(crate) fn placement(&self, tier: Tier) -> Option<(&Placement, u32)> {
        let [primary, backup] = self.placements.as_ref()?;
        match tier {
            Tier::Primary => Some((primary, 0)),
            Tier::Backup => Some((backup, u32::try_from(self.n_primary()).unwrap_or(u32::MAX))),
        }
    }

    /// Goes on with the turn of another group.
    pub(crate) fn go_on_from_turn(&self, other: &Self) {
        self.turn.store(other.turn.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whose turn it is. Whoever is first in the plan of a connection takes the turn; groups that only
    /// follow in it do not, or they would fall into step with the group around them.
    pub(crate) fn turn(&self, takes: bool) -> usize {
        match self.spec.strategy {
            Strategy::RoundRobin if takes => self.turn.fetch_add(1, Ordering::Relaxed),
            Strategy::RoundRobin => self.turn.load(Ordering::Relaxed),
            Strategy::Random
            | Strategy::ConsistentHash
            | Strategy::LeastConn
            | Strategy::LeastPing
            | Strategy::LeastLoad
            | Strategy::Failover
            | Strategy::Selector
            | Strategy::UrlTest => 0,
        }
    }
}
