//! All groups, which may be members of each other.

use std::time::Instant;

use rand::Rng;
use waypost_health::{CheckId, MemberId, Status};
use waypost_net::{Flow, Network, Tag};
use waypost_ring::BuildError;

use crate::{
    Attempt, EmptyPoolAction, Group, GroupId, GroupSpec, HashedKey, KeyState, MemberSpec, MemberTarget,
    OnEmptyKey, Plan, PlanError, Reason, Role, SelectError, Standing, Strategy, Tier,
    order::Choice,
    standing::{Class, GroupState, Ladder},
};

/// All groups of a configuration. They never change.
#[derive(Debug)]
pub struct Groups {
    groups: Box<[Group]>,
    /// Members before the groups that they are in.
    order: Box<[GroupId]>,
}

/// What groups remember from one moment to the next.
#[derive(Debug, Clone)]
pub struct GroupStates(pub(crate) Box<[GroupState]>);

/// What all groups come to at a moment.
#[derive(Debug, Clone)]
pub struct Standings(Box<[Standing]>);

/// Why groups cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupsError {
    /// A group is a member of itself, by way of these.
    #[error("groups are members of each other: {}", names(path))]
    Cycle {
        /// The groups on the way round; the first one is also behind the last.
        path: Vec<Tag>,
    },
    /// A member is a group that does not exist.
    #[error("`{group}` has a member that does not exist")]
    UnknownGroup {
        /// The group.
        group: Tag,
    },
    /// The members cannot be placed on a ring.
    #[error("`{group}`: {error}")]
    Placement {
        /// The group.
        group: Tag,
        /// Why not.
        error: BuildError,
    },
}

/// What planning needs to know besides the groups.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What the groups come to now.
    pub standings: &'a Standings,
    /// The connection.
    pub flow: &'a Flow,
    /// How many live connections an outbound has.
    pub load: &'a dyn Fn(MemberId) -> usize,
}

impl Groups {
    /// Makes groups that can plan. Members that are groups are numbered by their place in `specs`.
    ///
    /// # Errors
    ///
    /// If groups are members of each other, a member is missing, or a ring cannot be built.
    pub fn try_new(specs: Vec<GroupSpec>) -> Result<Self, GroupsError> {
        let order = sort(&specs)?;
        let group = |spec: GroupSpec| {
            let tag = spec.tag.clone();
            Group::try_new(spec).map_err(|error| GroupsError::Placement { group: tag, error })
        };
        Ok(Self { groups: specs.into_iter().map(group).collect::<Result<_, _>>()?, order: order.into() })
    }

    /// A group by its number.
    #[must_use]
    pub fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id.index())
    }

    /// All groups with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        (0..).map(GroupId).zip(&self.groups)
    }

    /// The state that groups begin with.
    #[must_use]
    pub fn start(&self) -> GroupStates {
        GroupStates(self.groups.iter().map(GroupState::new).collect())
    }

    /// The outbounds that a group leads to, with the checks by which they are known, each once.
    #[must_use]
    pub fn leaves(&self, id: GroupId) -> Vec<(MemberId, Option<CheckId>)> {
        let mut leaves = Vec::new();
        for group in self.reaches(id).into_iter().filter_map(|id| self.get(id)) {
            for member in group.members() {
                match member.target {
                    MemberTarget::Leaf { member, check } if !leaves.contains(&(member, check)) => {
                        leaves.push((member, check));
                    }
                    MemberTarget::Leaf { .. } | MemberTarget::Group(_) => {}
                }
            }
        }
        leaves
    }

    /// A group and all groups that it leads to, each once.
    #[must_use]
    pub fn reaches(&self, id: GroupId) -> Vec<GroupId> {
        let mut reached = vec![id];
        let mut next = 0;
        while let Some(group) = reached.get(next).and_then(|id| self.get(*id)) {
            for member in group.members().chain(&group.spec().fallback) {
                if let MemberTarget::Group(nested) = member.target
                    && !reached.contains(&nested)
                {
                    reached.push(nested);
                }
            }
            next += 1;
        }
        reached
    }

    /// Chooses a member of a selector. The next [`update`](Self::update) brings it into effect.
    ///
    /// # Errors
    ///
    /// If the group is none that takes a choice, or has no such member.
    pub fn select(&self, states: &mut GroupStates, id: GroupId, member: &str) -> Result<(), SelectError> {
        let group = self.get(id).ok_or(SelectError::UnknownGroup)?;
        let index = group.selectable(member)?;
        states.0.get_mut(id.index()).ok_or(SelectError::UnknownGroup)?.selected = Some(index);
        Ok(())
    }

    /// Takes a choice back: a selector goes to the member that it begins with. The next
    /// [`update`](Self::update) brings it into effect.
    ///
    /// # Errors
    ///
    /// If the group is none that takes a choice.
    pub fn unselect(&self, states: &mut GroupStates, id: GroupId) -> Result<(), SelectError> {
        let group = self.get(id).ok_or(SelectError::UnknownGroup)?;
        group.takes_choice()?;
        states.0.get_mut(id.index()).ok_or(SelectError::UnknownGroup)?.selected = group.initially_selected();
        Ok(())
    }

    /// Takes in what is known of the outbounds now.
    pub fn update(
        &self,
        states: &mut GroupStates,
        status: impl Fn(MemberId, Option<CheckId>) -> Status,
        now: Instant,
    ) -> Standings {
        let mut standings: Vec<Option<Standing>> = vec![None; self.groups.len()];
        for &id in &self.order {
            let (Some(group), Some(state)) = (self.get(id), states.0.get_mut(id.index())) else { continue };
            let of = |target: &MemberTarget| match target {
                MemberTarget::Leaf { member, check } => status(*member, *check),
                MemberTarget::Group(nested) => {
                    let nested = standings.get(nested.index()).and_then(Option::as_ref);
                    nested.map_or(Status::UNKNOWN, Standing::as_member)
                }
            };
            let statuses = group.members().map(|member| of(&member.target)).collect();
            let standing = state.update(group, statuses, now);
            if let Some(place) = standings.get_mut(id.index()) {
                *place = Some(standing);
            }
        }
        Standings(standings.into_iter().flatten().collect())
    }

    /// Chooses the member that a connection should try first, without ordering the others.
    ///
    /// # Errors
    ///
    /// If there is nobody.
    pub fn pick(&self, id: GroupId, context: Context<'_>, rng: &mut impl Rng) -> Result<MemberId, PlanError> {
        let group = self.get(id).ok_or(PlanError::UnknownGroup)?;
        let standing = context.standings.get(id).ok_or(PlanError::UnknownGroup)?;
        let mut key = String::new();
        let strategy = self.strategy(group, context.flow, &mut key)?;
        let load = |member| self.load(group, member, context.load);
        let choice = Choice { strategy, standing, key: key.as_bytes(), turn: group.turn(true), load: &load };
        let ladder = standing.ladder(context.flow.network);
        let has_fallback = group.spec().fallback.is_some() && !ladder.yields;
        let class = ladder.classes.first().filter(|class| stands(class) && !has_fallback);
        let first = class.and_then(|class| group.pick(class, &choice, rng));
        match first.and_then(|member| group.member(member as usize)).map(|member| member.target) {
            Some(MemberTarget::Leaf { member, .. }) => return Ok(member),
            Some(MemberTarget::Group(nested)) => {
                if let Ok(member) = self.pick(nested, context, rng) {
                    return Ok(member);
                }
            }
            None => {}
        }
        let plan = self.plan(id, context, rng)?;
        plan.attempts.first().map(|attempt| attempt.member).ok_or(PlanError::UnknownGroup)
    }

    /// Orders the members of a group for one connection: the strategy's choice first, then everybody
    /// who could carry it in its place.
    ///
    /// # Errors
    ///
    /// If there is nobody. The connection is then refused; nothing else is tried in its place.
    pub fn plan(&self, id: GroupId, context: Context<'_>, rng: &mut impl Rng) -> Result<Plan, PlanError> {
        self.plan_at(id, context, rng, true)
    }

    /// Plans for a group that is first in the plan of the connection, or follows in it.
    fn plan_at(
        &self,
        id: GroupId,
        context: Context<'_>,
        rng: &mut impl Rng,
        is_first: bool,
    ) -> Result<Plan, PlanError> {
        let group = self.get(id).ok_or(PlanError::UnknownGroup)?;
        let standing = context.standings.get(id).ok_or(PlanError::UnknownGroup)?;
        let network = context.flow.network;
        if group.n_members() == 0 {
            return self.fallback(group, context, rng, is_first);
        }
        let mut text = String::new();
        let strategy = self.strategy(group, context.flow, &mut text)?;
        let ladder = standing.ladder(network);
        let anybody = anybody(group, ladder, network)?;
        let classes = anybody.as_deref().unwrap_or(&ladder.classes);
        let load = |member| self.load(group, member, context.load);
        let turn = group.turn(is_first);
        let choice = Choice { strategy, standing, key: text.as_bytes(), turn, load: &load };
        let mut attempts: Vec<Attempt> = Vec::with_capacity(ladder.n_members);
        if !ladder.yields
            && let Ok(plan) = self.fallback(group, context, rng, is_first)
        {
            attempts = plan.attempts;
        }
        let mut members = Vec::new();
        for class in classes {
            members.clear();
            group.order(class, &choice, rng, &mut members);
            for &member in &members {
                let Some(MemberSpec { target, .. }) = group.member(member as usize) else { continue };
                let is_first = is_first && attempts.is_empty();
                let chosen_by = attempts.is_empty().then_some(strategy);
                let reason = Reason { chosen_by, role: class.role, tier: tier_of(group, member) };
                let found = self.attempts(*target, reason, context, rng, is_first);
                append(&mut attempts, found);
            }
        }
        if attempts.is_empty() {
            return Err(empty(group, ladder));
        }
        let key = group.placement(standing.tier).filter(|_| strategy == Strategy::ConsistentHash);
        let key = key.map(|(placement, _)| HashedKey {
            position: placement.position(text.as_bytes()),
            state: if text.is_empty() { KeyState::Empty } else { KeyState::Filled },
            text: text.into(),
        });
        Ok(Plan { tier: standing.tier, key, attempts })
    }

    fn fallback(
        &self,
        group: &Group,
        context: Context<'_>,
        rng: &mut impl Rng,
        is_first: bool,
    ) -> Result<Plan, PlanError> {
        let Some(fallback) = &group.spec().fallback else {
            return Err(PlanError::NoMembers { group: group.tag().clone() });
        };
        let network = context.flow.network;
        if !fallback.networks.contains(network) {
            return Err(PlanError::NoMemberFor { group: group.tag().clone(), network });
        }
        let reason = Reason { chosen_by: None, role: Role::Fallback, tier: Tier::Primary };
        let mut attempts = Vec::new();
        match fallback.target {
            MemberTarget::Leaf { member, check } => {
                attempts.push(Attempt { member, check, via: Vec::new(), reason });
            }
            MemberTarget::Group(nested) => {
                let plan = self.plan_at(nested, context, rng, is_first)?;
                attempts.extend(plan.attempts.into_iter().map(|attempt| through(nested, reason, attempt)));
            }
        }
        Ok(Plan { tier: Tier::Primary, key: None, attempts })
    }

    /// What a member leads to. A nested group with nobody leads nowhere; the other members are tried.
    fn attempts(
        &self,
        target: MemberTarget,
        reason: Reason,
        context: Context<'_>,
        rng: &mut impl Rng,
        is_first: bool,
    ) -> Vec<Attempt> {
        match target {
            MemberTarget::Leaf { member, check } => vec![Attempt { member, check, via: Vec::new(), reason }],
            MemberTarget::Group(nested) => {
                let Ok(plan) = self.plan_at(nested, context, rng, is_first) else { return Vec::new() };
                plan.attempts.into_iter().map(|attempt| through(nested, reason, attempt)).collect()
            }
        }
    }

    /// The strategy for this flow, and its key. A flow without key may be one for chance.
    fn strategy(&self, group: &Group, flow: &Flow, key: &mut String) -> Result<Strategy, PlanError> {
        let spec = group.spec();
        if spec.strategy != Strategy::ConsistentHash {
            return Ok(spec.strategy);
        }
        match (spec.hash.key.write(flow, key), spec.hash.on_empty_key) {
            (KeyState::Filled, _) => Ok(Strategy::ConsistentHash),
            (KeyState::Empty, OnEmptyKey::HashEmpty) => {
                key.clear();
                Ok(Strategy::ConsistentHash)
            }
            (KeyState::Empty, OnEmptyKey::Random) => Ok(Strategy::Random),
            (KeyState::Empty, OnEmptyKey::Error) => Err(PlanError::EmptyKey { group: spec.tag.clone() }),
        }
    }

    fn load(&self, group: &Group, member: u32, load: &dyn Fn(MemberId) -> usize) -> usize {
        match group.member(member as usize).map(|member| member.target) {
            None => 0,
            Some(MemberTarget::Leaf { member, .. }) => load(member),
            Some(MemberTarget::Group(nested)) => {
                self.leaves(nested).into_iter().map(|(member, _)| load(member)).sum()
            }
        }
    }
}

impl GroupStates {
    /// When a group changes by itself, because a hold is over.
    #[must_use]
    pub fn next_change(&self) -> Option<Instant> {
        self.0.iter().filter_map(|state| state.next_change).min()
    }
}

impl Standings {
    /// What a group comes to.
    #[must_use]
    pub fn get(&self, id: GroupId) -> Option<&Standing> {
        self.0.get(id.index())
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("flow", self.flow).finish_non_exhaustive()
    }
}

/// What an attempt of a nested group is in the plan of the group that it is a member of.
fn through(nested: GroupId, reason: Reason, attempt: Attempt) -> Attempt {
    let mut via = vec![nested];
    via.extend(attempt.via);
    Attempt { via, reason, ..attempt }
}

/// Appends attempts; who is in the plan already keeps the earlier place.
fn append(attempts: &mut Vec<Attempt>, found: Vec<Attempt>) {
    for mut attempt in found {
        if attempts.iter().all(|earlier| earlier.member != attempt.member) {
            if !attempts.is_empty() {
                attempt.reason.chosen_by = None;
            }
            attempts.push(attempt);
        }
    }
}

fn tier_of(group: &Group, member: u32) -> Tier {
    if (member as usize) < group.n_primary() { Tier::Primary } else { Tier::Backup }
}

fn stands(class: &Class) -> bool {
    match class.role {
        Role::Selected
        | Role::Candidate
        | Role::OutsideTopN
        | Role::LastGood
        | Role::Suspect
        | Role::Anybody
        | Role::Fallback => true,
        Role::Ejected | Role::Down => false,
    }
}

/// One class of everybody if nobody stands and the group wants that; `None` if somebody stands.
fn anybody(group: &Group, ladder: &Ladder, network: Network) -> Result<Option<Vec<Class>>, PlanError> {
    if ladder.classes.first().is_some_and(stands) {
        return Ok(None);
    }
    if ladder.n_members == 0 {
        return Err(PlanError::NoMemberFor { group: group.tag().clone(), network });
    }
    match group.spec().empty_pool {
        EmptyPoolAction::Error => Err(empty(group, ladder)),
        EmptyPoolAction::FallbackAll => {
            let members = |tier| group.members_of(tier, network);
            let members = members(Tier::Primary).chain(members(Tier::Backup)).collect();
            Ok(Some(vec![Class::new(group, Tier::Primary, Role::Anybody, members)]))
        }
    }
}

fn empty(group: &Group, ladder: &Ladder) -> PlanError {
    PlanError::EmptyPool { group: group.tag().clone(), down: ladder.n_down, ejected: ladder.n_ejected }
}

/// Orders groups so that each comes behind its members.
fn sort(specs: &[GroupSpec]) -> Result<Vec<GroupId>, GroupsError> {
    let mut order = Vec::with_capacity(specs.len());
    let mut done = vec![false; specs.len()];
    for index in 0..specs.len() {
        visit(specs, index, &mut Vec::new(), &mut done, &mut order)?;
    }
    Ok(order)
}

fn visit(
    specs: &[GroupSpec],
    index: usize,
    path: &mut Vec<usize>,
    done: &mut [bool],
    order: &mut Vec<GroupId>,
) -> Result<(), GroupsError> {
    let Some((spec, done_here)) = specs.get(index).zip(done.get(index).copied()) else { return Ok(()) };
    if done_here {
        return Ok(());
    }
    if let Some(begin) = path.iter().position(|&earlier| earlier == index) {
        let round = path.iter().skip(begin).chain([&index]);
        let path = round.filter_map(|&index| specs.get(index)).map(|spec| spec.tag.clone()).collect();
        return Err(GroupsError::Cycle { path });
    }
    path.push(index);
    for member in spec.primary.iter().chain(&spec.backup).chain(&spec.fallback) {
        if let MemberTarget::Group(nested) = member.target {
            if nested.index() >= specs.len() {
                return Err(GroupsError::UnknownGroup { group: spec.tag.clone() });
            }
            visit(specs, nested.index(), path, done, order)?;
        }
    }
    path.pop();
    if let Some(done) = done.get_mut(index) {
        *done = true;
    }
    order.push(GroupId(u32::try_from(index).unwrap_or(u32::MAX)));
    Ok(())
}

fn names(path: &[Tag]) -> String {
    path.iter().map(Tag::as_str).collect::<Vec<_>>().join(" -> ")
}
