//! How the strategies pick a member and order the others. A new one is a variant of
//! [`Strategy`] and its line in every `match` below.

use rand::{Rng, RngExt as _, seq::SliceRandom as _};
use waypost_health::{Estimate, Status};

use crate::{
    Group, Role, Standing, Strategy, Tier,
    least_load::Load,
    standing::Class,
    top_n::{by_delay, speed},
};

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
    /// The member of a class that the strategy puts first.
    pub(crate) fn pick(&self, class: &Class, choice: &Choice<'_>, rng: &mut impl Rng) -> Option<u32> {
        let members = &class.members;
        match choice.strategy {
            Strategy::Random => pick_random(class, rng),
            Strategy::LeastLoad if class.role == Role::Candidate => pick_random(class, rng),
            Strategy::LeastLoad => self.by_load(class, choice).first().copied(),
            Strategy::ConsistentHash => self.owner(class, choice),
            Strategy::RoundRobin => members.get(place_of(choice.turn, class)).copied(),
            Strategy::LeastConn => {
                let one = pick_random(class, rng)?;
                let other = pick_other(class, one, rng).unwrap_or(one);
                Some(if self.is_busier(one, other, choice) { other } else { one })
            }
            Strategy::LeastPing | Strategy::UrlTest => {
                members.iter().copied().min_by_key(|&member| speed(delay(choice.standing, member)))
            }
            Strategy::Failover => members.first().copied(),
            Strategy::Selector => {
                let chosen = choice.standing.selected.filter(|&member| class.contains(member));
                chosen.or_else(|| members.first().copied())
            }
        }
    }

    /// All members of a class in the order of the strategy, appended to `order`.
    pub(crate) fn order(&self, class: &Class, choice: &Choice<'_>, rng: &mut impl Rng, order: &mut Vec<u32>) {
        let begin = order.len();
        match choice.strategy {
            Strategy::Random => shuffle(class, rng, order),
            Strategy::LeastLoad if class.role == Role::Candidate => shuffle(class, rng, order),
            Strategy::LeastLoad => order.extend(self.by_load(class, choice)),
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
            Strategy::LeastPing | Strategy::UrlTest => {
                order.extend(&*class.members);
                by_delay(order.get_mut(begin..).unwrap_or_default(), |member| delay(choice.standing, member));
            }
            Strategy::Failover => order.extend(&*class.members),
            Strategy::Selector => {
                let first = self.pick(class, choice, rng);
                order.extend(first);
                order.extend(class.members.iter().filter(|&&member| Some(member) != first));
            }
        }
    }

    /// The members of a class by their load; those that were not measured come last.
    fn by_load(&self, class: &Class, choice: &Choice<'_>) -> Vec<u32> {
        let spec = &self.spec().least_load;
        let status = |member: u32| choice.standing.statuses.get(member as usize);
        let load = |member: u32| spec.load(member as usize, status(member)?);
        let mut loads: Vec<(u32, Option<Load>)> =
            class.members.iter().map(|&member| (member, load(member))).collect();
        loads.sort_by(|(_, one), (_, other)| match (one, other) {
            (Some(one), Some(other)) => one.compare(other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        });
        loads.into_iter().map(|(member, _)| member).collect()
    }

    fn owner(&self, class: &Class, choice: &Choice<'_>) -> Option<u32> {
        let Some((placement, first)) = self.placement(class.tier).filter(|_| class.role != Role::Anybody)
        else {
            let mut order = Vec::new();
            self.walk(class, choice, &mut order);
            return order.first().copied();
        };
        let place = |index: usize| u32::try_from(index).unwrap_or(u32::MAX).saturating_add(first);
        if let Some(factor) = self.spec().hash.balance_factor {
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
