//! One group: its members, and how its strategy orders them.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{Rng, RngExt as _, seq::SliceRandom as _};
use waypost_health::{Estimate, Status};
use waypost_net::{Network, Networks, Tag};
use waypost_ring::{BuildError, Member, Placement, PlacementSpec};

use crate::{
    GroupSpec, HashSpec, MemberSpec, Role, Strategy, Tier,
    standing::{Class, Standing},
    top_n::{by_delay, speed},
};

/// A group that is ready to plan. It never changes; what changes is its [`Standing`].
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

/// What a strategy orders by, besides the members.
pub(crate) struct Choice<'a> {
    pub(crate) strategy: Strategy,
    pub(crate) standing: &'a Standing,
    /// The key, if the strategy hashes.
    pub(crate) key: &'a [u8],
    /// Whose turn it is, if the strategy takes turns.
    pub(crate) turn: usize,
    /// How many live connections a member has.
    pub(crate) load: &'a dyn Fn(u32) -> usize,
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
            | Strategy::Failover => None,
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
            | Strategy::Failover => 0,
        }
    }

    /// The member of a class that the strategy puts first.
    pub(crate) fn pick(&self, class: &Class, choice: &Choice<'_>, rng: &mut impl Rng) -> Option<u32> {
        let members = &class.members;
        match choice.strategy {
            Strategy::Random => pick_random(class, rng),
            Strategy::ConsistentHash => self.owner(class, choice),
            Strategy::RoundRobin => members.get(place_of(choice.turn, class)).copied(),
            Strategy::LeastConn => {
                let one = pick_random(class, rng)?;
                let other = pick_other(class, one, rng).unwrap_or(one);
                Some(if self.is_busier(one, other, choice) { other } else { one })
            }
            Strategy::LeastPing => {
                members.iter().copied().min_by_key(|&member| speed(delay(choice.standing, member)))
            }
            Strategy::Failover => members.first().copied(),
        }
    }

    /// All members of a class in the order of the strategy, appended to `order`.
    pub(crate) fn order(&self, class: &Class, choice: &Choice<'_>, rng: &mut impl Rng, order: &mut Vec<u32>) {
        let begin = order.len();
        match choice.strategy {
            Strategy::Random => shuffle(class, rng, order),
            Strategy::ConsistentHash => self.walk(class, choice, order),
            Strategy::RoundRobin => {
                order.extend(&*class.members);
                order.get_mut(begin..).unwrap_or_default().rotate_left(place_of(choice.turn, class));
            }
            Strategy::LeastConn => {
                let first = self.pick(class, choice, rng);
                let mut others: Vec<u32> = class.members.to_vec();
                others.shuffle(rng);
                others.sort_by(|&one, &other| {
                    self.load_share(one, choice).total_cmp(&self.load_share(other, choice))
                });
                order.extend(first);
                order.extend(others.into_iter().filter(|&member| Some(member) != first));
            }
            Strategy::LeastPing => {
                order.extend(&*class.members);
                by_delay(order.get_mut(begin..).unwrap_or_default(), |member| delay(choice.standing, member));
            }
            Strategy::Failover => order.extend(&*class.members),
        }
    }

    fn owner(&self, class: &Class, choice: &Choice<'_>) -> Option<u32> {
        let Some((placement, first)) = self.placement(class.tier).filter(|_| class.role != Role::Anybody)
        else {
            let mut order = Vec::new();
            self.walk(class, choice, &mut order);
            return order.first().copied();
        };
        let place = |index: usize| u32::try_from(index).unwrap_or(u32::MAX).saturating_add(first);
        if let Some(factor) = self.spec.hash.balance_factor {
            let total = class.members.iter().map(|&member| (choice.load)(member)).sum();
            let weights = class.members.iter().map(|&member| u64::from(self.weight(member))).sum();
            let has_room = |member: u32| {
                let weight = u32::from(self.weight(member));
                (choice.load)(member) < waypost_ring::capacity(total, weight, weights, factor.get())
            };
            let owner = placement.owner_where(choice.key, |index| {
                let member = place(index.get());
                class.contains(member) && has_room(member)
            });
            if owner.is_some() {
                return owner.map(|owner| place(owner.get()));
            }
        }
        placement
            .owner_where(choice.key, |index| class.contains(place(index.get())))
            .map(|owner| place(owner.get()))
    }

    fn walk(&self, class: &Class, choice: &Choice<'_>, order: &mut Vec<u32>) {
        let begin = order.len();
        if class.role != Role::Anybody {
            order.extend(self.owner(class, choice));
        }
        for tier in [Tier::Primary, Tier::Backup] {
            let Some((placement, first)) = self.placement(tier) else { continue };
            for index in placement.walk(choice.key) {
                let member = u32::try_from(index.get()).unwrap_or(u32::MAX).saturating_add(first);
                if class.contains(member) && order.get(begin) != Some(&member) {
                    order.push(member);
                }
            }
        }
    }

    fn is_busier(&self, one: u32, other: u32, choice: &Choice<'_>) -> bool {
        self.load_share(one, choice) > self.load_share(other, choice)
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of connections is far below 2^52")]
    fn load_share(&self, member: u32, choice: &Choice<'_>) -> f64 {
        (choice.load)(member) as f64 / f64::from(self.weight(member))
    }
}

fn delay(standing: &Standing, member: u32) -> Option<Estimate> {
    standing.statuses.get(member as usize).and_then(|status: &Status| status.delay)
}

/// The place in a class that has the `turn`th turn. Weights give a member several turns, spread out.
fn place_of(turn: usize, class: &Class) -> usize {
    let Some(sums) = &class.weights else { return turn % class.members.len().max(1) };
    let total = sums.last().copied().unwrap_or(1).max(1);
    // Steps of about the golden ratio reach every place and seldom a neighbour.
    let mut stride = (total.saturating_mul(5) / 8).max(1);
    while greatest_common_divisor(stride, total) != 1 {
        stride += 1;
    }
    let point = (turn as u64 % u64::from(total)) * u64::from(stride) % u64::from(total);
    sums.partition_point(|&sum| u64::from(sum) <= point)
}

fn pick_random(class: &Class, rng: &mut impl Rng) -> Option<u32> {
    let index = match &class.weights {
        None if class.members.is_empty() => return None,
        None => rng.random_range(0..class.members.len()),
        Some(sums) => {
            let point = rng.random_range(0..sums.last().copied().filter(|&total| total > 0)?);
            sums.partition_point(|&sum| sum <= point)
        }
    };
    class.members.get(index).copied()
}

/// Another member than `first`, if there is one, with the chance of its weight among the others.
fn pick_other(class: &Class, first: u32, rng: &mut impl Rng) -> Option<u32> {
    let taken = class.members.iter().position(|&member| member == first)?;
    let index = match &class.weights {
        None if class.members.len() < 2 => return None,
        None => {
            let index = rng.random_range(0..class.members.len() - 1);
            index + usize::from(index >= taken)
        }
        Some(sums) => {
            let begin = taken.checked_sub(1).and_then(|before| sums.get(before)).copied().unwrap_or(0);
            let weight = sums.get(taken)? - begin;
            let point =
                rng.random_range(0..sums.last().map(|total| total - weight).filter(|&rest| rest > 0)?);
            let point = if point < begin { point } else { point + weight };
            sums.partition_point(|&sum| sum <= point)
        }
    };
    class.members.get(index).copied()
}

/// Draws one after the other, each with the chance of its weight among those that are left (Efraimidis
/// and Spirakis, 2006: the largest `u^(1/w)` first).
fn shuffle(class: &Class, rng: &mut impl Rng, order: &mut Vec<u32>) {
    let begin = order.len();
    order.extend(&*class.members);
    let drawn = order.get_mut(begin..).unwrap_or_default();
    let Some(sums) = &class.weights else { return drawn.shuffle(rng) };
    let before = std::iter::once(&0).chain(&**sums);
    let weights = sums.iter().zip(before).map(|(sum, before)| sum - before);
    let mut keyed: Vec<(f64, u32)> = class
        .members
        .iter()
        .zip(weights)
        .map(|(&member, weight)| (-rng.random::<f64>().ln() / f64::from(weight.max(1)), member))
        .collect();
    keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (place, (_, member)) in drawn.iter_mut().zip(keyed) {
        *place = member;
    }
}

fn greatest_common_divisor(mut one: u32, mut other: u32) -> u32 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}
