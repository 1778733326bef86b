//! What connections are decided and dialled with.

use std::collections::HashMap;

use rand::Rng;
use waypost_balance::{Balancer, EmptyPool, Reason};
use waypost_dns::{Family, Resolver};
use waypost_net::Tag;
use waypost_router::{Decision, Router, Way};

use crate::Dialer;

/// An immutable set of rules, outbounds and balancers. A connection takes it once and keeps it to
/// its end, so that a reload never changes what is under way.
#[derive(Debug)]
pub struct Snapshot {
    router: Router,
    outbounds: Box<[Outbound]>,
    by_tag: HashMap<Tag, usize>,
    balancers: HashMap<Tag, Balancer>,
    resolver: Resolver,
    family: Family,
}

/// A way out with its name.
#[derive(Debug)]
pub struct Outbound {
    /// The tag; only the first outbound can do without.
    pub tag: Option<Tag>,
    /// What dials.
    pub dialer: Dialer,
}

/// The outbounds to try for one connection, in order.
#[derive(Debug)]
pub struct Route<'s> {
    /// The balancer that made the plan, if one did.
    pub balancer: Option<&'s Balancer>,
    /// The one to try first.
    pub first: RouteAttempt<'s>,
    /// Those to try when it fails, one after the other.
    pub others: Vec<RouteAttempt<'s>>,
}

impl<'s> Route<'s> {
    /// An attempt by its place: 0 is the first one; a number beyond the last means the first, too.
    pub(crate) fn attempt(&self, number: usize) -> RouteAttempt<'s> {
        number.checked_sub(1).and_then(|other| self.others.get(other)).copied().unwrap_or(self.first)
    }
}

/// An outbound of a route.
#[derive(Debug, Clone, Copy)]
pub struct RouteAttempt<'s> {
    /// The outbound.
    pub outbound: &'s Outbound,
    /// Why it has this place.
    pub why: Why,
}

/// Why an outbound is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No rule matched, and it is the first of the file.
    Default,
    /// The rule names it.
    Rule,
    /// A balancer put it there.
    Balancer(Reason),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("no rule matched: the first outbound"),
            Self::Rule => f.write_str("named by the rule"),
            Self::Balancer(reason) => reason.fmt(f),
        }
    }
}

/// Why there is no outbound to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoute {
    /// A balancer has nobody to choose.
    #[error(transparent)]
    EmptyPool(#[from] EmptyPool),
    /// A tag names nothing. A checked configuration has no such tag.
    #[error("nothing is called `{tag}`")]
    UnknownTag {
        /// The tag.
        tag: Tag,
    },
    /// There is no outbound at all. A checked configuration has one.
    #[error("there is no outbound")]
    NoOutbound,
}

impl Snapshot {
    pub(crate) fn new(
        router: Router,
        outbounds: Vec<Outbound>,
        balancers: Vec<Balancer>,
        resolver: Resolver,
        family: Family,
    ) -> Self {
        let tagged = outbounds.iter().enumerate();
        let by_tag = tagged.filter_map(|(index, outbound)| Some((outbound.tag.clone()?, index))).collect();
        let balancers = balancers.into_iter().map(|balancer| (balancer.tag().clone(), balancer)).collect();
        Self { router, outbounds: outbounds.into(), by_tag, balancers, resolver, family }
    }

    /// The rules.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The outbounds in the order of the file.
    #[must_use]
    pub fn outbounds(&self) -> &[Outbound] {
        &self.outbounds
    }

    /// The balancer that `way` leads to, if it leads to one.
    #[must_use]
    pub fn balancer(&self, way: &Way) -> Option<&Balancer> {
        match way {
            Way::Outbound(_) => None,
            Way::Balancer(tag) => self.balancers.get(tag),
        }
    }

    /// Resolves names, for rules and for outbounds.
    #[must_use]
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The families that look-ups for rules ask for.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The outbounds to try for a decision.
    ///
    /// # Errors
    ///
    /// If there is none: the connection has to be refused then, nothing else is tried in its place.
    pub fn route(&self, decision: &Decision<'_>, rng: &mut impl Rng) -> Result<Route<'_>, NoRoute> {
        let one = |outbound, why| Route {
            balancer: None,
            first: RouteAttempt { outbound, why },
            others: Vec::new(),
        };
        let Some(rule) = decision.rule else {
            let first = self.outbounds.first().ok_or(NoRoute::NoOutbound)?;
            return Ok(one(first, Why::Default));
        };
        match rule.way() {
            Way::Outbound(tag) => Ok(one(self.outbound(tag)?, Why::Rule)),
            Way::Balancer(tag) => {
                let balancer =
                    self.balancers.get(tag).ok_or_else(|| NoRoute::UnknownTag { tag: tag.clone() })?;
                let mut attempts = balancer.plan(rng)?.attempts.into_iter().map(|attempt| {
                    let outbound = self.outbound(&attempt.member)?;
                    Ok(RouteAttempt { outbound, why: Why::Balancer(attempt.reason) })
                });
                let first = attempts.next().ok_or(NoRoute::NoOutbound)??;
                let others = attempts.collect::<Result<_, NoRoute>>()?;
                Ok(Route { balancer: Some(balancer), first, others })
            }
        }
    }

    fn outbound(&self, tag: &Tag) -> Result<&Outbound, NoRoute> {
        let found = self.by_tag.get(tag).and_then(|&index| self.outbounds.get(index));
        found.ok_or_else(|| NoRoute::UnknownTag { tag: tag.clone() })
    }
}
