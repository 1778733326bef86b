//! What a group comes to at a moment: who serves, and in which order the others follow.

use std::time::Instant;

use waypost_health::{Estimate, State, Status};
use waypost_net::Network;

use crate::{
    Role, Strategy, Tier,
    group::Group,
    tier::{Facts, TierState},
    top_n::{self, Margin},
};

const NETWORKS: [Network; 2] = [Network::Tcp, Network::Udp];

/// What a group comes to at a moment. Immutable; a new one is made when something changes.
#[derive(Debug, Clone)]
pub struct Standing {
    pub(crate) tier: Tier,
    pub(crate) is_bootstrapping: bool,
    /// The choice of a selector, as its place in the group.
    pub(crate) selected: Option<u32>,
    /// Whether the choice of a selector is all that it leads to.
    is_exclusive: bool,
    /// Who is first for each network, if that is one for all connections.
    favourites: [Option<u32>; 2],
    pub(crate) statuses: Box<[Status]>,
    pub(crate) ladders: [Ladder; 2],
}

/// The members that can carry one network, in classes, the best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ladder {
    pub(crate) classes: Vec<Class>,
    pub(crate) n_members: usize,
    pub(crate) n_down: usize,
    pub(crate) n_ejected: usize,
    /// Whether the strategy has somebody to choose. If not, the fallback comes before the members.
    pub(crate) yields: bool,
}

/// Members that the strategy may order among themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) tier: Tier,
    pub(crate) role: Role,
    pub(crate) members: Box<[u32]>,
    /// The running sum of the weights, where they differ.
    pub(crate) weights: Option<Box<[u32]>>,
    set: Box<[u64]>,
}

/// What a group remembers from one moment to the next.
#[derive(Debug, Clone)]
pub(crate) struct GroupState {
    tier: TierState,
    /// How many probes of each primary had ended when the last failure of the tier was counted.
    counted_at: Box<[u64]>,
    /// The fastest, for each network and tier.
    incumbents: [[Vec<u32>; 2]; 2],
    /// The choice of a selector, as its place in the group.
    pub(crate) selected: Option<u32>,
    pub(crate) next_change: Option<Instant>,
}

impl Standing {
    /// The tier that serves.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Whether the first round of probes is not over, so that every primary serves.
    #[must_use]
    pub fn is_bootstrapping(&self) -> bool {
        self.is_bootstrapping
    }

    /// What is known of each member, primaries first.
    #[must_use]
    pub fn statuses(&self) -> &[Status] {
        &self.statuses
    }

    /// What each member is for a network, primaries first; `None` for one that cannot carry it.
    #[must_use]
    pub fn roles(&self, network: Network) -> Vec<Option<Role>> {
        let mut roles = vec![None; self.statuses.len()];
        for class in &self.ladder(network).classes {
            for &member in &class.members {
                if let Some(role @ None) = roles.get_mut(member as usize) {
                    *role = Some(class.role);
                }
            }
        }
        roles
    }

    /// The members that serve, as places in the group, primaries first: the candidates, and the
    /// suspects beside them until there is a verdict. Live connections of others may be interrupted.
    #[must_use]
    pub fn serving(&self, network: Network) -> Vec<usize> {
        if let Some(selected) = self.selected {
            return vec![selected as usize];
        }
        let first = self.ladder(network).classes.first().map(|class| class.tier);
        let serves = |class: &&Class| {
            Some(class.tier) == first
                && matches!(
                    class.role,
                    Role::Selected | Role::Candidate | Role::LastGood | Role::Suspect | Role::Anybody
                )
        };
        let classes = self.ladder(network).classes.iter().filter(serves);
        let mut serving: Vec<usize> =
            classes.flat_map(|class| &*class.members).map(|&member| member as usize).collect();
        serving.sort_unstable();
        serving.dedup();
        serving
    }

    /// The member that somebody has chosen, or that a selector begins with, as a place in the group.
    #[must_use]
    pub fn selected(&self) -> Option<usize> {
        self.selected.map(|member| member as usize)
    }

    /// The member that somebody has chosen, or else the one that every connection of a network is given to
    /// first, as a place in the group; `None` if the strategy spreads connections, or nobody can carry
    /// one.
    #[must_use]
    pub fn favourite(&self, network: Network) -> Option<usize> {
        let [tcp, udp] = self.favourites;
        let first = match network {
            Network::Tcp => tcp,
            Network::Udp => udp,
        };
        first.map(|member| member as usize)
    }

    pub(crate) fn ladder(&self, network: Network) -> &Ladder {
        let [tcp, udp] = &self.ladders;
        match network {
            Network::Tcp => tcp,
            Network::Udp => udp,
        }
    }

    /// What the group is as a member of another one.
    pub(crate) fn as_member(&self) -> Status {
        if let Some(selected) = self.selected.filter(|_| self.is_exclusive) {
            return self.statuses.get(selected as usize).copied().unwrap_or(Status::UNKNOWN);
        }
        let any = |wanted: fn(State) -> bool| self.statuses.iter().find(|status| wanted(status.state));
        let known = |state| matches!(state, State::Up);
        let best = any(known).or_else(|| any(State::is_usable)).or_else(|| any(State::stands));
        let delays =
            self.statuses.iter().filter(|status| status.state.is_usable()).filter_map(|status| status.delay);
        Status {
            state: best.map_or(State::Down, |status| status.state),
            delay: delays.min_by_key(Estimate::mean),
            samples: None,
            n_probes: self.statuses.iter().map(|status| status.n_probes).min().unwrap_or_default(),
            last_success: self.statuses.iter().filter_map(|status| status.last_success).max(),
        }
    }
}

impl GroupState {
    pub(crate) fn new(group: &Group) -> Self {
        Self {
            tier: TierState::START,
            counted_at: vec![0; group.n_primary()].into(),
            incumbents: Default::default(),
            selected: group.initially_selected(),
            next_change: None,
        }
    }

    /// Goes on where an earlier group was. `of` says where a member that was at a place is now, and
    /// `before` where one was that is at a place now.
    pub(crate) fn inherit(
        &mut self,
        old: &Self,
        of: impl Fn(u32) -> Option<u32>,
        before: impl Fn(usize) -> Option<u32>,
    ) {
        self.tier = old.tier;
        for (place, counted) in self.counted_at.iter_mut().enumerate() {
            let known = before(place).and_then(|before| old.counted_at.get(before as usize));
            *counted = known.copied().unwrap_or_default();
        }
        for (new, known) in self.incumbents.iter_mut().flatten().zip(old.incumbents.iter().flatten()) {
            *new = known.iter().filter_map(|&member| of(member)).collect();
        }
        self.selected = old.selected.and_then(of).or(self.selected);
    }

    /// Takes in what is known of the members now.
    pub(crate) fn update(&mut self, group: &Group, statuses: Vec<Status>, now: Instant) -> Standing {
        let is_bootstrapping = self.move_tier(group, &statuses, now);
        let tier = self.tier.tier();
        let ladders = NETWORKS.map(|network| self.ladder(group, &statuses, network, is_bootstrapping));
        let favourites = [0, 1].map(|network| {
            let ladder = ladders.get(network)?;
            let leads = ladder.classes.first().is_some_and(|class| class.role == Role::Selected);
            // Where somebody chose although the group can do it, a choice that is down yields.
            let chosen = self.selected.filter(|_| leads || group.spec().strategy == Strategy::Selector);
            chosen.or_else(|| favourite(group, ladder, &statuses))
        });
        Standing {
            tier,
            is_bootstrapping: is_bootstrapping && self.selected.is_none(),
            selected: self.selected,
            is_exclusive: group.is_exclusive(),
            favourites,
            statuses: statuses.into(),
            ladders,
        }
    }

    fn move_tier(&mut self, group: &Group, statuses: &[Status], now: Instant) -> bool {
        let (primary, backup) = statuses.split_at_checked(group.n_primary()).unwrap_or((statuses, &[]));
        // As many probes as there are primaries: who is down for long is probed seldom.
        let since = primary
            .iter()
            .zip(&self.counted_at)
            .map(|(status, counted)| status.n_probes.saturating_sub(*counted));
        let probed = since.sum::<u64>() >= primary.len().max(1) as u64;
        let facts = Facts {
            primary_stands: primary.iter().any(|status| status.state.stands()),
            primary_usable: primary.iter().any(|status| status.state.is_usable()),
            backup_usable: backup.iter().any(|status| status.state.is_usable()),
            probed_again: probed,
        };
        let (next, counted) = self.tier.next(facts, group.spec().hysteresis, now);
        if counted {
            self.counted_at = primary.iter().map(|status| status.n_probes).collect();
        }
        self.tier = next;
        self.next_change = next.next_change(facts, group.spec().hysteresis);
        primary.iter().any(|status| status.state == State::Unknown)
    }

    /// Who is tried for a network, the best first.
    fn ladder(
        &mut self,
        group: &Group,
        statuses: &[Status],
        network: Network,
        is_bootstrapping: bool,
    ) -> Ladder {
        let Some(selected) = self.selected else {
            return self.classes(group, statuses, network, is_bootstrapping);
        };
        if group.is_exclusive() {
            let status = statuses.get(selected as usize).copied().unwrap_or(Status::UNKNOWN);
            let is_ejected = matches!(status.state, State::Ejected { .. });
            return Ladder::only(group, network, selected, [status.state == State::Down, is_ejected]);
        }
        let mut ladder = self.classes(group, statuses, network, is_bootstrapping);
        ladder.put_first(group, selected);
        ladder
    }

    /// Puts the members into classes. Within a tier: candidates, then those that are not among the
    /// fastest, then suspects. A tier without candidate offers the suspect that worked last, and then
    /// the other tier. Who has a verdict against him comes last of all.
    fn classes(
        &mut self,
        group: &Group,
        statuses: &[Status],
        network: Network,
        is_bootstrapping: bool,
    ) -> Ladder {
        let mut ladder = Ladder::default();
        let active = self.tier.tier();
        let mut left_over = Vec::new();
        for (tier, is_active) in [(active, true), (active.other(), false)] {
            let members: Vec<u32> = group.members_of(tier, network).collect();
            ladder.n_members += members.len();
            let state =
                |member: u32| statuses.get(member as usize).map_or(State::Unknown, |status| status.state);
            let of = |wanted: fn(State) -> bool| {
                members.iter().copied().filter(|&member| wanted(state(member))).collect::<Vec<u32>>()
            };
            let suspects = of(|state| matches!(state, State::Suspect(_)));
            let ejected = of(|state| matches!(state, State::Ejected { .. }));
            let down = of(|state| matches!(state, State::Down));
            ladder.n_down += down.len();
            ladder.n_ejected += ejected.len();
            let fastest = self.fastest(group, statuses, &members, network, tier, is_bootstrapping);
            let (candidates, slower): (Vec<u32>, Vec<u32>) =
                of(State::is_usable).into_iter().partition(|member| fastest.contains(member));
            let had_nobody = candidates.is_empty() && slower.is_empty();
            // Who is usable may still not be good enough for the strategy.
            ladder.yields |= !candidates.is_empty() || (slower.is_empty() && !suspects.is_empty());
            ladder.push(group, tier, Role::Candidate, candidates);
            ladder.push(group, tier, Role::OutsideTopN, slower);
            if is_active && had_nobody {
                // One suspect is worth a try before the other tier; the rest come behind it.
                let (last_good, others) = split_last_good(suspects, statuses);
                ladder.push(group, tier, Role::LastGood, last_good);
                left_over.push((tier, Role::Suspect, others));
            } else {
                ladder.push(group, tier, Role::Suspect, suspects);
            }
            left_over.extend([(tier, Role::Ejected, ejected), (tier, Role::Down, down)]);
        }
        left_over.sort_by_key(|(_, role, _)| *role);
        for (tier, role, members) in left_over {
            ladder.push(group, tier, role, members);
        }
        ladder
    }

    /// Who may be a candidate, as far as speed matters.
    fn fastest(
        &mut self,
        group: &Group,
        statuses: &[Status],
        members: &[u32],
        network: Network,
        tier: Tier,
        is_bootstrapping: bool,
    ) -> Vec<u32> {
        let spec = group.spec();
        if spec.strategy == Strategy::LeastLoad {
            let status = |member: u32| statuses.get(member as usize).copied().unwrap_or(Status::UNKNOWN);
            let usable = || members.iter().copied().filter(|&member| status(member).state.is_usable());
            // Nobody is left out for want of probes.
            if usable().all(|member| status(member).delay.is_none()) {
                return members.to_vec();
            }
            return spec.least_load.select(usable(), statuses);
        }
        let n = match (spec.strategy, tier) {
            // However many are asked for, one serves until another one is clearly faster.
            (Strategy::LeastPing | Strategy::UrlTest, Tier::Primary | Tier::Backup) => 1,
            (Strategy::Selector, Tier::Primary | Tier::Backup) => 0,
            (_, Tier::Primary) => spec.top_n.primary,
            (_, Tier::Backup) => spec.top_n.backup,
        };
        if n == 0 || is_bootstrapping {
            return members.to_vec();
        }
        let status = |member: u32| statuses.get(member as usize).copied().unwrap_or(Status::UNKNOWN);
        // A suspect keeps its place until there is a verdict.
        let ranked: Vec<(u32, Option<Estimate>)> = members
            .iter()
            .map(|&member| (member, status(member)))
            .filter(|(_, status)| status.state.stands())
            .map(|(member, status)| (member, status.delay))
            .collect();
        let [tcp, udp] = &mut self.incumbents;
        let [primary, backup] = match network {
            Network::Tcp => tcp,
            Network::Udp => udp,
        };
        let incumbents = match tier {
            Tier::Primary => primary,
            Tier::Backup => backup,
        };
        let margin =
            Margin { tolerance: spec.top_n.tolerance, allows_jitter: spec.strategy != Strategy::UrlTest };
        *incumbents = top_n::choose(&ranked, n, margin, incumbents);
        if incumbents.iter().any(|&member| status(member).state.is_usable()) {
            incumbents.clone()
        } else {
            // All of the fastest are suspects: the others are not worse than nobody.
            members.to_vec()
        }
    }
}

impl Ladder {
    fn push(&mut self, group: &Group, tier: Tier, role: Role, members: Vec<u32>) {
        if !members.is_empty() {
            self.classes.push(Class::new(group, tier, role, members));
        }
    }
}

impl Class {
    pub(crate) fn new(group: &Group, tier: Tier, role: Role, members: Vec<u32>) -> Self {
        let weights: Vec<u32> = members.iter().map(|&member| u32::from(group.weight(member))).collect();
        let differ = weights.windows(2).any(|pair| pair.first() != pair.last());
        let sums = weights.iter().scan(0_u32, |sum, weight| {
            *sum = sum.saturating_add(*weight);
            Some(*sum)
        });
        let mut set = vec![0; group.n_members().div_ceil(64)];
        for &member in &members {
            if let Some(word) = set.get_mut(member as usize / 64) {
                *word |= 1 << (member % 64);
            }
        }
        Self { tier, role, weights: differ.then(|| sums.collect()), members: members.into(), set: set.into() }
    }

    pub(crate) fn contains(&self, member: u32) -> bool {
        self.set.get(member as usize / 64).is_some_and(|word| word & (1 << (member % 64)) != 0)
    }
}

/// Who is first for all connections alike.
fn favourite(group: &Group, ladder: &Ladder, statuses: &[Status]) -> Option<u32> {
    let members = || ladder.classes.first().map(|class| class.members.iter().copied());
    let delay = |member: u32| statuses.get(member as usize).and_then(|status| status.delay);
    match group.spec().strategy {
        Strategy::Failover => members()?.next(),
        Strategy::LeastPing | Strategy::UrlTest => {
            members()?.min_by_key(|&member| top_n::speed(delay(member)))
        }
        Strategy::Selector
        | Strategy::Random
        | Strategy::ConsistentHash
        | Strategy::RoundRobin
        | Strategy::LeastConn
        | Strategy::LeastLoad => None,
    }
}

/// The suspect that worked last, and the others.
fn split_last_good(suspects: Vec<u32>, statuses: &[Status]) -> (Vec<u32>, Vec<u32>) {
    let last_success = |member: u32| statuses.get(member as usize).and_then(|status| status.last_success);
    // The first of equals: the order of the configuration.
    let best = suspects.iter().copied().rev().max_by_key(|&member| last_success(member));
    suspects.into_iter().partition(|&member| Some(member) == best)
}
