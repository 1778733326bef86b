//! Balancers: turn a flow into an ordered plan of members to try.
//!
//! A [`Balancer`] has members, a strategy that chooses one of them for each connection, and perhaps
//! a fallback for when there is none. Its [`plan`](Balancer::plan) is a list: the choice first, then
//! every other member, so that a connection is lost only when no member could carry it. The crate
//! does no IO and reads no clock; the random generator is an argument.
//!
//! ```
//! use rand::{SeedableRng, rngs::StdRng};
//! use waypost_balance::{Balancer, Strategy, select};
//! use waypost_net::Tag;
//!
//! let tags = ["us1", "jp2", "jp1"].map(Tag::from);
//! let members = select(&["jp"], &tags);
//! let balancer = Balancer::new(Tag::from("b1"), members, Strategy::RoundRobin, None);
//! let plan = balancer.plan(&mut StdRng::seed_from_u64(1))?;
//! let order: Vec<&str> = plan.attempts.iter().map(|attempt| attempt.member.as_str()).collect();
//! assert_eq!(order, ["jp1", "jp2"]);
//! # Ok::<(), waypost_balance::EmptyPool>(())
//! ```
#![deny(missing_docs)]

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use rand::{Rng, seq::SliceRandom};
use waypost_net::Tag;

/// How a balancer chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Uniformly at random.
    #[default]
    Random,
    /// One after the other, in the order of their tags.
    RoundRobin,
}

impl Strategy {
    /// The name as configuration files write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::RoundRobin => "roundRobin",
        }
    }
}

/// A group of outbounds that share the connections of some rules.
#[derive(Debug)]
pub struct Balancer {
    tag: Tag,
    members: Box<[Tag]>,
    strategy: Strategy,
    fallback: Option<Tag>,
    /// Whose turn it is, for `roundRobin`.
    turn: AtomicUsize,
}

/// The members to try for one connection, best first; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One attempt after the other.
    pub attempts: Vec<Attempt>,
}

/// A member of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The outbound to try.
    pub member: Tag,
    /// Why it has this place in the plan.
    pub reason: Reason,
}

/// Why a member has its place in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The strategy chose it.
    Chosen(Strategy),
    /// It comes next if those before it cannot be reached.
    Next,
    /// The balancer has no member, and this is its fallback.
    Fallback,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen(strategy) => write!(f, "chosen by {}", strategy.as_str()),
            Self::Next => f.write_str("next if those before it fail"),
            Self::Fallback => f.write_str("fallback, the balancer is empty"),
        }
    }
}

/// A balancer has neither a member nor a fallback: the connection has to be refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("balancer `{balancer}` selects no outbound and has no fallback")]
pub struct EmptyPool {
    /// The balancer.
    pub balancer: Tag,
}

/// The tags that begin with one of `prefixes`, sorted and each once.
#[must_use]
pub fn select<P: AsRef<str>>(prefixes: &[P], tags: &[Tag]) -> Vec<Tag> {
    let chosen = |tag: &&Tag| prefixes.iter().any(|prefix| tag.starts_with(prefix.as_ref()));
    let mut members: Vec<Tag> = tags.iter().filter(chosen).cloned().collect();
    members.sort();
    members.dedup();
    members
}

impl Balancer {
    /// A balancer over `members`.
    #[must_use]
    pub fn new(tag: Tag, members: Vec<Tag>, strategy: Strategy, fallback: Option<Tag>) -> Self {
        Self { tag, members: members.into(), strategy, fallback, turn: AtomicUsize::new(0) }
    }

    /// The balancer's tag.
    #[must_use]
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// The members, sorted by tag.
    #[must_use]
    pub fn members(&self) -> &[Tag] {
        &self.members
    }

    /// How it chooses.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// What is used where there is no member.
    #[must_use]
    pub fn fallback(&self) -> Option<&Tag> {
        self.fallback.as_ref()
    }

    /// Orders the members for one connection.
    ///
    /// # Errors
    ///
    /// If there is neither a member nor a fallback. The connection is then refused; nothing else is
    /// tried in its place.
    pub fn plan(&self, rng: &mut impl Rng) -> Result<Plan, EmptyPool> {
        let mut order: Vec<&Tag> = self.members.iter().collect();
        match self.strategy {
            Strategy::Random => order.shuffle(rng),
            Strategy::RoundRobin if !order.is_empty() => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed) % order.len();
                order.rotate_left(turn);
            }
            Strategy::RoundRobin => {}
        }
        let mut attempts: Vec<Attempt> = order
            .into_iter()
            .map(|member| Attempt { member: member.clone(), reason: Reason::Next })
            .collect();
        match (attempts.first_mut(), &self.fallback) {
            (Some(first), _) => first.reason = Reason::Chosen(self.strategy),
            (None, Some(fallback)) => {
                attempts.push(Attempt { member: fallback.clone(), reason: Reason::Fallback });
            }
            (None, None) => return Err(EmptyPool { balancer: self.tag.clone() }),
        }
        Ok(Plan { attempts })
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn tags(names: &[&str]) -> Vec<Tag> {
        names.iter().map(|&name| Tag::from(name)).collect()
    }

    fn balancer(members: &[&str], strategy: Strategy, fallback: Option<&str>) -> Balancer {
        Balancer::new(Tag::from("b"), tags(members), strategy, fallback.map(Tag::from))
    }

    #[test]
    fn selectors_are_prefixes() {
        let outbounds = tags(&["us1", "jp1", "jp2", "jp10", "hk1", "direct"]);
        assert_eq!(select(&["jp1", "jp2"], &outbounds), tags(&["jp1", "jp10", "jp2"]));
        assert_eq!(select(&[""], &tags(&["b", "a"])), tags(&["a", "b"]));
        assert_eq!(select(&["a", "ab"], &tags(&["a", "ab"])), tags(&["a", "ab"]));
        assert_eq!(select(&["z"], &tags(&["z1", "z0", "z2"])), tags(&["z0", "z1", "z2"]));
        assert!(select(&["JP"], &outbounds).is_empty());
    }

    #[test]
    fn round_robin_takes_turns() {
        let balancer = balancer(&["a", "b", "c"], Strategy::RoundRobin, None);
        let mut rng = StdRng::seed_from_u64(7);
        let picks: Vec<String> =
            (0..7).map(|_| balancer.plan(&mut rng).unwrap().attempts[0].member.to_string()).collect();
        assert_eq!(picks, ["a", "b", "c", "a", "b", "c", "a"]);
    }

    #[test]
    fn random_is_uniform_and_every_plan_has_every_member_once() {
        let balancer = balancer(&["a", "b", "c", "d"], Strategy::Random, Some("f"));
        let mut rng = StdRng::seed_from_u64(7);
        let mut first = BTreeMap::<String, usize>::new();
        for _ in 0..10_000 {
            let plan = balancer.plan(&mut rng).unwrap();
            let mut members: Vec<Tag> = plan.attempts.iter().map(|attempt| attempt.member.clone()).collect();
            *first.entry(members[0].to_string()).or_default() += 1;
            members.sort();
            assert_eq!(members, tags(&["a", "b", "c", "d"]));
        }
        // Four standard deviations of a binomial with p = 1/4 are 173.
        assert!(first.values().all(|&count| count.abs_diff(2_500) < 175), "{first:?}");
    }

    #[test]
    fn an_empty_balancer_takes_its_fallback_or_refuses() {
        let mut rng = StdRng::seed_from_u64(7);
        for strategy in [Strategy::Random, Strategy::RoundRobin] {
            let plan = balancer(&[], strategy, Some("f")).plan(&mut rng).unwrap();
            assert_eq!(plan.attempts, [Attempt { member: Tag::from("f"), reason: Reason::Fallback }]);
            assert_eq!(
                balancer(&[], strategy, None).plan(&mut rng),
                Err(EmptyPool { balancer: Tag::from("b") })
            );
        }
    }
}
