//! What connections are decided and dialled with.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

use rand::Rng;
use waypost_balance::{Attempt, Context, Group, GroupId, HashedKey, PlanError, Reason, Tier};
use waypost_config::model::DialPace;
use waypost_dns::{Family, Resolver};
use waypost_health::{CheckId, MemberId};
use waypost_net::{DomainName, Flow, Network, Networks, Tag};
use waypost_router::{Decision, Reject, Resolve, Router, Rule, Way};
use waypost_transport::ServerTransport;

use crate::{
    Dialer, Path,
    build::Recipe,
    dials::single_pace,
    health::Health,
    hits::Hits,
    lookups::Lookups,
    mode::Modes,
    pools::{PoolSettings, Pools, View},
    queries::QueryNetwork,
    sniffing::Sniffing,
};

/// An immutable set of rules, outbounds and groups. A connection takes it once and keeps it to
/// its end, so that a reload never changes what is under way.
#[derive(Debug)]
pub struct Snapshot {
    router: Router,
    /// What each rule is called in logs, by its index, and what no rule is called.
    labels: Box<[Arc<str>]>,
    no_rule: Arc<str>,
    hits: Arc<Hits>,
    rest: Arc<Rest>,
}

/// What stays as it is when only rule sets change.
#[derive(Debug)]
struct Rest {
    outbounds: Box<[Outbound]>,
    by_tag: HashMap<Tag, WayOut>,
    /// Balancers have names of their own: one may be called like an outbound.
    balancers: HashMap<Tag, WayOut>,
    /// The first entry of the file, an outbound or a group.
    default: Option<WayOut>,
    pools: Pools,
    /// What is known of the members, from the moment that somebody asks.
    health: OnceLock<Health>,
    resolver: Resolver,
    /// The resolver without its servers, for what their queries need on their way.
    bootstrap: Resolver,
    lookups: Lookups,
    queries: Arc<QueryNetwork>,
    family: Family,
    /// What `clash_mode` conditions see; `None` if the file has no modes.
    modes: Option<Arc<Modes>>,
    /// What the inbounds sniff by, in the order of the file.
    sniffing: Box<[Option<Arc<Sniffing>>]>,
    /// What carries the protocols of the inbounds, in the order of the file.
    transports: Box<[Option<Arc<ServerTransport>>]>,
    /// What other rules are compiled from, if there are rule sets.
    recipe: Option<Arc<Recipe>>,
}

/// A way out with its name.
#[derive(Debug)]
pub struct Outbound {
    /// The tag; only the first outbound can do without.
    pub tag: Option<Tag>,
    /// What it is, whatever it is called: protocol, addresses and accounts.
    pub(crate) identity: Box<[u8]>,
    /// What dials.
    pub dialer: Dialer,
    /// What the configuration lets it carry.
    pub(crate) allowed: Networks,
    /// What resolves names for it, if that is not what resolves all others.
    pub(crate) resolver: Option<Resolver>,
    /// What that is made from.
    pub(crate) lookup: Option<Resolve>,
    /// The way of a connection that goes here without a group.
    pub(crate) path: Arc<Path>,
}

impl Outbound {
    pub(crate) fn new(tag: Option<Tag>, dialer: Dialer, allowed: Networks) -> Self {
        let path = Arc::new(Path { outbound: tag.clone(), ..Path::default() });
        Self { tag, identity: Box::default(), dialer, allowed, resolver: None, lookup: None, path }
    }
}

/// What a tag stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WayOut {
    /// The outbound of this number.
    Outbound(usize),
    /// A group of outbounds, or a balancer.
    Group(GroupId),
}

/// The outbounds to try for one connection, in order.
#[derive(Debug)]
pub struct Route<'s> {
    /// The group that made the plan, if one did.
    pub group: Option<RouteGroup<'s>>,
    /// The one to try first.
    pub first: RouteAttempt<'s>,
    /// Those to try when it fails, one after the other.
    pub others: Vec<RouteAttempt<'s>>,
}

/// The group that made a plan.
#[derive(Debug)]
pub struct RouteGroup<'s> {
    /// The group.
    pub group: &'s Group,
    pub(crate) pace: DialPace,
    /// The tier that serves.
    pub tier: Tier,
    /// The key that was hashed, if the strategy hashes.
    pub key: Option<HashedKey>,
}

impl<'s> Route<'s> {
    /// An attempt by its place: 0 is the first one; a number beyond the last means the first, too.
    pub(crate) fn attempt(&self, number: usize) -> &RouteAttempt<'s> {
        number.checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.first)
    }

    /// How many attempts there are.
    pub(crate) fn len(&self) -> usize {
        1 + self.others.len()
    }
}

/// An outbound of a route.
#[derive(Debug, Clone)]
pub struct RouteAttempt<'s> {
    /// The outbound.
    pub outbound: &'s Outbound,
    pub(crate) member: MemberId,
    pub(crate) check: Option<CheckId>,
    /// The groups that led to it, outermost first.
    pub chain: Vec<Tag>,
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
    /// A group put it there.
    Group(Reason),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("no rule matched: the first outbound"),
            Self::Rule => f.write_str("named by the rule"),
            Self::Group(reason) => reason.fmt(f),
        }
    }
}

/// Why there is no outbound to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoute {
    /// A group has nobody to choose.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A tag names nothing. A checked configuration has no such tag.
    #[error("nothing is called `{tag}`")]
    UnknownTag {
        /// The tag.
        tag: Tag,
    },
    /// A rule wants the name of the target resolved, and that has no addresses.
    #[error("`{name}` cannot be resolved: {reason}")]
    Unresolved {
        /// The name.
        name: DomainName,
        /// Why not.
        reason: Box<str>,
    },
    /// The rule rejects it.
    #[error("rejected by the rule")]
    Rejected(Reject),
    /// It is a question to a DNS server, which is answered here.
    #[error("a question to a DNS server")]
    HijackedDns,
    /// The outbound is not to carry it (`network` of a `socks` outbound of sing-box).
    #[error("the outbound does not carry {network}")]
    NotCarried {
        /// What it does not carry.
        network: Network,
    },
    /// There is no outbound at all. A checked configuration has one.
    #[error("there is no outbound")]
    NoOutbound,
}

/// What a snapshot is made of.
pub(crate) struct Parts {
    pub(crate) router: Router,
    pub(crate) outbounds: Vec<Outbound>,
    pub(crate) pools: Pools,
    /// The first entry of the file.
    pub(crate) default: Option<WayOut>,
    pub(crate) resolver: Resolver,
    pub(crate) lookups: Lookups,
    /// What the queries of the resolver travel in.
    pub(crate) queries: Arc<QueryNetwork>,
    pub(crate) family: Family,
    pub(crate) modes: Option<Arc<Modes>>,
    pub(crate) sniffing: Vec<Option<Sniffing>>,
    pub(crate) transports: Vec<Option<Arc<ServerTransport>>>,
    /// What other rules are compiled from.
    pub(crate) recipe: Option<Arc<Recipe>>,
}

impl Snapshot {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            router,
            outbounds,
            pools,
            default,
            resolver,
            lookups,
            queries,
            family,
            modes,
            sniffing,
            transports,
            recipe,
        } = parts;
        let leaves = outbounds.iter().enumerate();
        let leaves =
            leaves.filter_map(|(index, outbound)| Some((outbound.tag.clone()?, WayOut::Outbound(index))));
        let groups = |of_balancers: bool| {
            let groups = pools.iter().filter(move |(_, _, settings)| settings.is_balancer == of_balancers);
            groups.map(|(id, group, _)| (group.tag().clone(), WayOut::Group(id)))
        };
        let by_tag = leaves.chain(groups(false)).collect();
        let balancers = groups(true).collect();
        let rest = Rest {
            outbounds: outbounds.into(),
            by_tag,
            balancers,
            default,
            pools,
            health: OnceLock::new(),
            bootstrap: resolver.without_servers(),
            resolver,
            lookups,
            queries,
            family,
            modes,
            sniffing: sniffing.into_iter().map(|sniffing| sniffing.map(Arc::new)).collect(),
            transports: transports.into(),
            recipe,
        };
        let hits = Arc::new(Hits::new(router.rules().len()));
        Self::with_rest(router, hits, Arc::new(rest))
    }

    /// The same with other rules, for rule sets that have changed.
    #[must_use]
    pub fn with_router(&self, router: Router) -> Self {
        // Rule sets change what rules match, and neither their number nor their order.
        Self::with_rest(router, self.hits.clone(), self.rest.clone())
    }

    fn with_rest(router: Router, hits: Arc<Hits>, rest: Arc<Rest>) -> Self {
        let labels = router.rules().iter().map(|rule| rule_label(rule).into()).collect();
        Self { labels, no_rule: "none".into(), router, hits, rest }
    }

    /// Whether nobody else has it, nor another snapshot that differs from it in nothing but its rules.
    pub(crate) fn is_sole(snapshot: &Arc<Self>) -> bool {
        Arc::strong_count(snapshot) == 1 && Arc::strong_count(&snapshot.rest) == 1
    }

    /// What is known of the members.
    pub(crate) fn health(&self) -> &Health {
        self.rest.health.get_or_init(|| Health::unwatched(&self.rest.pools))
    }

    /// Has the members known by `health`, if nobody has asked for them before.
    pub(crate) fn set_health(&self, health: Health) {
        let _first_wins = self.rest.health.set(health);
    }

    /// How often each rule has decided.
    pub(crate) fn hits(&self) -> &Hits {
        &self.hits
    }

    /// What takes what no rule matches.
    pub(crate) fn default_tag(&self) -> Option<Tag> {
        match self.rest.default? {
            WayOut::Outbound(index) => self.rest.outbounds.get(index)?.tag.clone(),
            WayOut::Group(id) => Some(self.rest.pools.groups.get(id)?.tag().clone()),
        }
    }

    /// What other rules are compiled from when a rule set changes; `None` without rule sets.
    pub(crate) fn recipe(&self) -> Option<&Arc<Recipe>> {
        self.rest.recipe.as_ref()
    }

    /// The rules.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The outbounds that dial, in the order of the file.
    #[must_use]
    pub fn outbounds(&self) -> &[Outbound] {
        &self.rest.outbounds
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.rest.pools
    }

    /// `None` if something else was made of it.
    pub(crate) fn into_outbounds_and_pools(self) -> Option<(Box<[Outbound]>, Pools)> {
        Arc::into_inner(self.rest).map(|rest| (rest.outbounds, rest.pools))
    }

    /// Resolves names, for rules and for outbounds.
    #[must_use]
    pub fn resolver(&self) -> &Resolver {
        &self.rest.resolver
    }

    /// The modes, if the file has any.
    pub(crate) fn modes(&self) -> Option<&Modes> {
        self.rest.modes.as_deref()
    }

    /// What resolves names on the way of a flow. For a query to a DNS server that is not the servers.
    pub(crate) fn resolver_for(&self, flow: &Flow) -> &Resolver {
        if flow.is_own_query { &self.rest.bootstrap } else { &self.rest.resolver }
    }

    /// What the queries of the resolver travel in.
    pub(crate) fn queries(&self) -> &Arc<QueryNetwork> {
        &self.rest.queries
    }

    /// The families that look-ups for rules ask for.
    #[must_use]
    pub fn family(&self) -> Family {
        self.rest.family
    }

    /// What carries the protocol of the inbound of this number; `None` if nothing does.
    pub(crate) fn transport(&self, inbound: usize) -> Option<Arc<ServerTransport>> {
        self.rest.transports.get(inbound)?.clone()
    }

    /// What the inbound of this number sniffs by; `None` if it does not.
    pub(crate) fn sniffing(&self, inbound: usize) -> Option<Arc<Sniffing>> {
        self.rest.sniffing.get(inbound)?.clone()
    }

    /// What the rule of a decision is called in logs.
    pub(crate) fn rule_label(&self, decision: &Decision<'_>) -> Arc<str> {
        decision.rule.map_or_else(|| self.no_rule.clone(), |rule| self.label(rule))
    }

    /// What a rule is called in logs.
    pub(crate) fn label(&self, rule: &Rule) -> Arc<str> {
        self.labels.get(rule.index()).unwrap_or(&self.no_rule).clone()
    }

    /// Where a decision leads, and why.
    pub(crate) fn way_out(&self, decision: &Decision<'_>) -> Result<(WayOut, Why), NoRoute> {
        let Some(rule) = decision.rule else {
            return Ok((self.rest.default.ok_or(NoRoute::NoOutbound)?, Why::Default));
        };
        let (tag, found) = match rule.way() {
            Some(Way::Outbound(tag)) => (tag, self.rest.by_tag.get(tag)),
            Some(Way::Balancer(tag)) => (tag, self.rest.balancers.get(tag)),
            Some(Way::Reject(reject)) => return Err(NoRoute::Rejected(*reject)),
            Some(Way::HijackDns) => return Err(NoRoute::HijackedDns),
            None => return Err(NoRoute::NoOutbound),
        };
        Ok((*found.ok_or_else(|| NoRoute::UnknownTag { tag: tag.clone() })?, Why::Rule))
    }

    /// A group by its name; of two that are called alike, the one that is no balancer.
    pub(crate) fn group_called(&self, tag: &str) -> Option<(GroupId, &Tag)> {
        let all = || self.rest.pools.iter().filter(|(_, group, _)| group.tag().as_str() == tag);
        let found = all().find(|(_, _, settings)| !settings.is_balancer).or_else(|| all().next());
        found.map(|(id, group, _)| (id, group.tag()))
    }

    /// Where a tag leads.
    pub(crate) fn named(&self, tag: &Tag) -> Result<(WayOut, Why), NoRoute> {
        let found = self.rest.by_tag.get(tag).ok_or_else(|| NoRoute::UnknownTag { tag: tag.clone() })?;
        Ok((*found, Why::Rule))
    }

    /// Which servers look-ups ask that name one.
    pub(crate) fn lookups(&self) -> &Lookups {
        &self.rest.lookups
    }

    /// What resolves names that an outbound dials for a flow.
    pub(crate) fn resolver_at<'a>(&'a self, outbound: &'a Outbound, flow: &Flow) -> &'a Resolver {
        match &outbound.resolver {
            Some(resolver) if !flow.is_own_query => resolver,
            Some(_) | None => self.resolver_for(flow),
        }
    }

    /// The group of a way out, if it is one.
    pub(crate) fn group(&self, way: WayOut) -> Option<(GroupId, &Group, &PoolSettings)> {
        match way {
            WayOut::Outbound(_) => None,
            WayOut::Group(id) => self.rest.pools.group(id).map(|(group, settings)| (id, group, settings)),
        }
    }

    /// The outbounds to try for a decision while nothing is known of any of them.
    ///
    /// # Errors
    ///
    /// If there is none: the connection has to be refused then, nothing else is tried in its place.
    pub fn route(
        &self,
        decision: &Decision<'_>,
        flow: &Flow,
        rng: &mut impl Rng,
    ) -> Result<Route<'_>, NoRoute> {
        let view = self.rest.pools.first_view(tokio::time::Instant::now().into_std());
        self.route_in(&view, self.way_out(decision)?, flow, &|_| 0, rng)
    }

    /// The outbounds to try on a way out, by what is known of them.
    ///
    /// # Errors
    ///
    /// As those of [`route`](Self::route).
    pub(crate) fn route_in(
        &self,
        view: &View,
        (way, why): (WayOut, Why),
        flow: &Flow,
        load: &dyn Fn(MemberId) -> usize,
        rng: &mut impl Rng,
    ) -> Result<Route<'_>, NoRoute> {
        let id = match way {
            WayOut::Group(id) => id,
            WayOut::Outbound(index) => {
                let outbound = self.rest.outbounds.get(index).ok_or(NoRoute::NoOutbound)?;
                if !outbound.allowed.contains(flow.network) {
                    return Err(NoRoute::NotCarried { network: flow.network });
                }
                let member = self.rest.pools.member(index).ok_or(NoRoute::NoOutbound)?;
                let first = RouteAttempt { outbound, member, check: None, chain: Vec::new(), why };
                return Ok(Route { group: None, first, others: Vec::new() });
            }
        };
        let (group, _) = self.rest.pools.group(id).ok_or(NoRoute::NoOutbound)?;
        let plan =
            self.rest.pools.groups.plan(id, Context { standings: &view.standings, flow, load }, rng)?;
        let pace = self.pace(id, &plan.attempts);
        let name = |id: &GroupId| self.rest.pools.groups.get(*id).map(|group| group.tag().clone());
        let mut attempts = plan.attempts.into_iter().filter_map(|attempt| {
            Some(RouteAttempt {
                outbound: self.rest.outbounds.get(attempt.member.index())?,
                member: attempt.member,
                check: attempt.check,
                chain: std::iter::once(&id).chain(&attempt.via).filter_map(name).collect(),
                why: Why::Group(attempt.reason),
            })
        });
        let first = attempts.next().ok_or(NoRoute::NoOutbound)?;
        let others = attempts.collect();
        let group = RouteGroup { group, pace, tier: plan.tier, key: plan.key };
        Ok(Route { group: Some(group), first, others })
    }
}

impl Snapshot {
    /// How the attempts of a plan are made: as the outermost group wants it that wants anything, of
    /// those on the way to the first.
    fn pace(&self, id: GroupId, attempts: &[Attempt]) -> DialPace {
        let via = attempts.first().map(|first| &*first.via).unwrap_or_default();
        let mut way = std::iter::once(&id).chain(via);
        let pace = way.find_map(|id| self.rest.pools.group(*id).and_then(|(_, settings)| settings.pace));
        pace.unwrap_or_else(|| if attempts.len() == 1 { single_pace() } else { DialPace::default() })
    }
}

/// What a rule is called in logs: its tag, or its number and line, with the file if
/// there are several.
pub(crate) fn rule_label(rule: &Rule) -> String {
    match rule.tag() {
        Some(tag) => tag.to_string(),
        None => {
            let file = rule.file().map(|file| format!(" of {file}")).unwrap_or_default();
            format!("rule {} (line {}{file})", rule.index() + 1, rule.line())
        }
    }
}
