//! What would become of a connection, and why.

use std::{cell::RefCell, fmt, net::IpAddr, sync::Arc, time::Duration};

use rand::Rng;
use serde_json::{Value, json};
use tokio::{
    runtime::{Handle, Runtime},
    task::spawn_blocking,
    time::timeout,
};
use waypost_balance::{HashedKey, KeyState, Role, Strategy, Tier};
use waypost_config::model::Config;
use waypost_dns::Family;
use waypost_health::{MemberId, Status};
use waypost_net::{DomainName, Flow, Tag};
use waypost_router::{
    Action, Answer, ConditionTrace, Effect, Explanation, Pass, Question, RuleTrace, Verdict,
};

use crate::{
    Proxy, StartError,
    chain::Chain,
    dispatch::{change, enter_addresses, lookup_family},
    mode::Modes,
    pools::View,
    snapshot::rule_label,
    snapshot::{NoRoute, Route, Snapshot, WayOut, Why},
    system::monotonic,
};

/// As long as a connection waits for the addresses of a name.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// A decision with everything that led to it: the router's own record, and what became of it.
#[derive(Debug)]
pub struct Explained {
    /// Every rule that was tried.
    pub explanation: Explanation,
    /// What rules are called, by position.
    pub labels: Vec<String>,
    /// The look-ups that rules asked for.
    pub lookups: Vec<Lookup>,
    /// What rules did before the next was tried, one after the other.
    pub performed: Vec<String>,
    /// What the deciding rule is called; `None` if no rule matched.
    pub rule: Option<String>,
    /// The group that was asked.
    pub group: Option<GroupChoice>,
    /// The outbounds to try, in order, or why there is none.
    pub outbounds: Result<Vec<PlannedOutbound>, NoRoute>,
    /// Addresses that the deciding rule matched and that are dialled first.
    pub matched_addresses: Vec<IpAddr>,
}

/// A look-up of a name.
#[derive(Debug)]
pub struct Lookup {
    /// The name.
    pub name: DomainName,
    /// Its addresses, or why there is none.
    pub result: Result<Vec<IpAddr>, String>,
}

/// A group, as far as it matters for a choice.
#[derive(Debug)]
pub struct GroupChoice {
    /// Its tag.
    pub tag: Tag,
    /// How it chooses.
    pub strategy: Strategy,
    /// The tier that serves.
    pub tier: Tier,
    /// Whether the first round of probes is not over.
    pub is_bootstrapping: bool,
    /// The rule set that may be a part of the key.
    pub rule_set: Option<Box<str>>,
    /// The key that was hashed.
    pub key: Option<HashedKey>,
    /// Whom it chooses from, primaries first.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug)]
pub struct GroupMember {
    /// Its tag.
    pub tag: Tag,
    /// Its tier.
    pub tier: Tier,
    /// What is known of it.
    pub status: Status,
    /// What it is for this connection; `None` if it cannot carry it.
    pub role: Option<Role>,
}

/// An outbound of a plan.
#[derive(Debug)]
pub struct PlannedOutbound {
    /// Its tag.
    pub tag: Option<Tag>,
    /// The groups that led to it, outermost first.
    pub chain: Vec<Tag>,
    /// Why it has this place.
    pub why: Why,
}

/// Decides about `flow` as [`explain`] does, and looks names up for real. Queries to DNS servers pass
/// the rules, so that this runs a proxy for them that nobody can come in to.
///
/// # Errors
///
/// If that proxy cannot run.
pub fn explain_with_lookups(
    snapshot: Snapshot,
    flow: &Flow,
    runtime: &Runtime,
    rng: &mut impl Rng,
) -> Result<Explained, StartError> {
    let _inside = runtime.enter();
    let proxy = Proxy::start(&Config::default(), snapshot)?;
    let snapshot = proxy.snapshot();
    let resolve = |name: &DomainName| {
        let lookup = snapshot.resolver().resolve(name, snapshot.family());
        runtime.block_on(lookup).map_err(|error| Chain(&error).to_string())
    };
    Ok(explain(&snapshot, flow, resolve, rng))
}

/// Decides about `flow` by the same code that decides about connections, and keeps the record.
/// `resolve` looks names up. The process behind the flow counts as unknown, and the members of groups
/// as not probed yet.
pub fn explain(
    snapshot: &Snapshot,
    flow: &Flow,
    resolve: impl FnMut(&DomainName) -> Result<Vec<IpAddr>, String>,
    rng: &mut impl Rng,
) -> Explained {
    let view = snapshot.pools().first_view(monotonic());
    explain_by(snapshot, flow, (&view, &|_| 0), resolve, rng)
}

/// Decides about `flow` as about a connection that comes in now, by all that is known of members. Names
/// are looked up for real.
pub(crate) async fn explain_running(snapshot: Arc<Snapshot>, flow: Flow) -> Explained {
    let handle = Handle::current();
    let explained = spawn_blocking({
        let (snapshot, flow) = (snapshot.clone(), flow.clone());
        move || {
            let mode = snapshot.modes().map(Modes::current);
            let flow = Flow { mode, ..flow };
            let resolve = |name: &DomainName| {
                let lookup = timeout(LOOKUP_LIMIT, snapshot.resolver().resolve(name, snapshot.family()));
                match handle.block_on(lookup) {
                    Ok(found) => found.map_err(|error| Chain(&error).to_string()),
                    Err(_elapsed) => Err(format!("no answer within {LOOKUP_LIMIT:?}")),
                }
            };
            let (health, view) = (snapshot.health(), snapshot.health().view());
            let load = |member| health.live(member);
            explain_by(&snapshot, &flow, (&view, &load), resolve, &mut crate::system::thread_rng())
        }
    });
    match explained.await {
        Ok(explained) => explained,
        // The runtime is going down; without look-ups the answer is there at once.
        Err(_stopping) => {
            let none = |_: &DomainName| Err("the program is stopping".to_owned());
            explain(&snapshot, &flow, none, &mut crate::system::thread_rng())
        }
    }
}

/// Decides by what is known of members: their states, and how many connections they have.
fn explain_by(
    snapshot: &Snapshot,
    flow: &Flow,
    (view, load): (&View, &dyn Fn(MemberId) -> usize),
    mut resolve: impl FnMut(&DomainName) -> Result<Vec<IpAddr>, String>,
    rng: &mut impl Rng,
) -> Explained {
    let resolve = RefCell::new(&mut resolve);
    let (mut lookups, mut performed, mut unresolved) = (Vec::new(), Vec::new(), None);
    let mut flow = flow.clone();
    let (decision, explanation) = snapshot.router().explain(
        &flow.clone(),
        |question| match question {
            Question::Addresses(name) => {
                let result = (resolve.borrow_mut())(name);
                let addresses = result.clone().unwrap_or_default();
                lookups.push(Lookup { name: name.clone(), result });
                Answer::Addresses(addresses)
            }
            Question::Process => Answer::Process(None),
        },
        |effect, changed| {
            let done = perform(effect, changed, &mut **resolve.borrow_mut());
            performed.push(done.unwrap_or_else(|error| {
                let text = error.to_string();
                unresolved.get_or_insert(error);
                text
            }));
            flow = changed.clone();
        },
    );
    if let Some(Action::Go { options, .. }) = decision.rule.map(waypost_router::Rule::action) {
        change(options, &mut flow);
    }
    flow.rule_set = snapshot.router().rule_set(&decision, &flow).map(Into::into);
    let way = unresolved.map_or_else(|| snapshot.way_out(&decision), Err);
    let routed = way.clone().and_then(|way| snapshot.route_in(view, way, &flow, load, rng));
    let group = way.ok().and_then(|way| group_choice(snapshot, way.0, &flow, view, routed.as_ref().ok()));
    let outbounds = routed.map(|route| {
        let attempts = std::iter::once(route.first).chain(route.others);
        let planned = attempts.map(|attempt| PlannedOutbound {
            tag: attempt.outbound.tag.clone(),
            chain: attempt.chain,
            why: attempt.why,
        });
        planned.collect()
    });
    Explained {
        explanation,
        labels: snapshot.router().rules().iter().map(rule_label).collect(),
        lookups,
        performed,
        rule: decision.rule.map(rule_label),
        group,
        outbounds,
        matched_addresses: decision.matched_addresses,
    }
}

/// Does what a rule wants before the next is tried, as far as that can be done without a client.
fn perform(
    effect: &Effect,
    flow: &mut Flow,
    resolve: &mut impl FnMut(&DomainName) -> Result<Vec<IpAddr>, String>,
) -> Result<String, NoRoute> {
    match effect {
        Effect::Options(options) => {
            change(options, flow);
            Ok(format!("it goes to {} from here", flow.target))
        }
        Effect::Sniff(_) => Ok("the first bytes of a client would be looked at".to_owned()),
        Effect::Resolve(wanted) => {
            let Some(name) = flow.target.host.domain().cloned() else {
                return Ok("the target is an address already".to_owned());
            };
            let family = lookup_family(wanted).unwrap_or(Family::Any);
            let found = resolve(&name).map(|found| {
                found.into_iter().filter(|address| family.contains(*address)).collect::<Vec<_>>()
            });
            enter_addresses(wanted, &name, found, flow)?;
            let addresses: Vec<String> = flow.addresses.iter().map(ToString::to_string).collect();
            Ok(format!("{name} is {}", addresses.join(", ")))
        }
    }
}

fn group_choice(
    snapshot: &Snapshot,
    way: WayOut,
    flow: &Flow,
    view: &View,
    route: Option<&Route<'_>>,
) -> Option<GroupChoice> {
    let (id, group, settings) = snapshot.group(way)?;
    let standing = view.standings.get(id)?;
    let n_primary = group.spec().primary.len();
    let members = group.members().zip(standing.statuses()).zip(standing.roles(flow.network)).enumerate();
    let members = members.map(|(index, ((member, status), role))| GroupMember {
        tag: member.tag.clone(),
        tier: if index < n_primary { Tier::Primary } else { Tier::Backup },
        status: *status,
        role,
    });
    Some(GroupChoice {
        tag: group.tag().clone(),
        strategy: group.spec().strategy,
        tier: standing.tier(),
        is_bootstrapping: standing.is_bootstrapping(),
        rule_set: flow.rule_set.clone().filter(|_| settings.needs_rule_set),
        key: route.and_then(|route| route.group.as_ref()).and_then(|group| group.key.clone()),
        members: members.collect(),
    })
}

/// What an outbound without a tag is called.
#[must_use]
pub fn outbound_label(tag: Option<&Tag>) -> &str {
    tag.map_or("(the first outbound, which has no tag)", Tag::as_str)
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut lookups, mut performed) = (self.lookups.iter(), self.performed.iter());
        let mut pass = Pass::First;
        for rule in &self.explanation.rules {
            if rule.pass != pass {
                pass = rule.pass;
                writeln!(f, "no rule matched; again with the addresses of the name:")?;
            }
            for question in &rule.questions {
                if *question == Question::Process {
                    writeln!(f, "? the process is unknown here")?;
                } else if let Some(lookup) = lookups.next() {
                    writeln!(f, "{lookup}")?;
                }
            }
            self.write_rule(f, rule)?;
            if rule.goes_on
                && let Some(done) = performed.next()
            {
                writeln!(f, "    > {done}")?;
            }
        }
        match &self.rule {
            Some(rule) => writeln!(f, "decided by {rule}")?,
            None => writeln!(f, "no rule matched")?,
        }
        if let Some(group) = &self.group {
            group.fmt(f)?;
        }
        if !self.matched_addresses.is_empty() {
            let addresses: Vec<String> = self.matched_addresses.iter().map(ToString::to_string).collect();
            writeln!(f, "dialled first: {}", addresses.join(", "))?;
        }
        match &self.outbounds {
            Ok(outbounds) => {
                for (index, PlannedOutbound { tag, chain, why }) in outbounds.iter().enumerate() {
                    let mark = if index == 0 { "=>" } else { "  " };
                    write!(f, "{mark} {} ({why}", outbound_label(tag.as_ref()))?;
                    for through in chain.iter().skip(1) {
                        write!(f, ", through {through}")?;
                    }
                    writeln!(f, ")")?;
                }
                Ok(())
            }
            Err(error) => writeln!(f, "=> refused: {error}"),
        }
    }
}

impl Explained {
    fn write_rule(&self, f: &mut fmt::Formatter<'_>, rule: &RuleTrace) -> fmt::Result {
        let label = self.labels.get(rule.index).map_or("", String::as_str);
        writeln!(f, "{} {label}", if rule.holds { "+" } else { "-" })?;
        for condition in &rule.conditions {
            let mark = match condition.verdict {
                Verdict::Holds => "+",
                Verdict::Fails => "-",
                Verdict::NotNeeded => "?",
            };
            write!(f, "    {mark} {}: {}", condition.name, condition.wanted)?;
            match (&condition.seen, condition.verdict) {
                (Some(seen), _) => writeln!(f, "  <- {seen}")?,
                (None, Verdict::NotNeeded) => writeln!(f, "  <- not looked at, another condition fails")?,
                (None, Verdict::Holds | Verdict::Fails) => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl Explained {
    /// The same record as JSON, for programs.
    #[must_use]
    pub fn to_json(&self, flow: &Flow) -> Value {
        let rules = self.explanation.rules.iter().map(|rule| {
            let conditions = rule.conditions.iter().map(|condition| {
                let verdict = match condition.verdict {
                    Verdict::Holds => "holds",
                    Verdict::Fails => "fails",
                    Verdict::NotNeeded => "not needed",
                };
                let ConditionTrace { name, wanted, seen, .. } = condition;
                json!({ "name": name, "wanted": wanted, "verdict": verdict, "seen": seen })
            });
            let pass = match rule.pass {
                Pass::First => "first",
                Pass::Resolving => "resolving",
            };
            let label = self.labels.get(rule.index);
            let conditions: Vec<Value> = conditions.collect();
            json!({ "index": rule.index, "rule": label, "pass": pass, "holds": rule.holds, "conditions": conditions })
        });
        let lookups = self.lookups.iter().map(|Lookup { name, result }| match result {
            Ok(addresses) => json!({ "name": name.as_str(), "addresses": addresses }),
            Err(error) => json!({ "name": name.as_str(), "error": error }),
        });
        let attempt = |planned: &PlannedOutbound| {
            let chain: Vec<&str> = planned.chain.iter().map(Tag::as_str).collect();
            json!({ "outbound": planned.tag.as_deref(), "chain": chain, "why": planned.why.to_string() })
        };
        let outbounds: Vec<Value> = self.outbounds.iter().flatten().map(attempt).collect();
        json!({
            "network": flow.network.as_str(), "target": flow.target.to_string(),
            "rules": rules.collect::<Vec<_>>(), "lookups": lookups.collect::<Vec<_>>(), "rule": self.rule,
            "performed": self.performed,
            "group": self.group.as_ref().map(GroupChoice::to_json), "outbounds": outbounds,
            "refused": self.outbounds.as_ref().err().map(ToString::to_string),
            "dialledFirst": self.matched_addresses,
        })
    }
}

impl GroupChoice {
    fn to_json(&self) -> Value {
        let key = self.key.as_ref().map(|key| {
            let position = format!("{:016x}", key.position);
            json!({ "text": &*key.text, "empty": key.state == KeyState::Empty, "position": position })
        });
        let members = self.members.iter().map(|member| {
            json!({
                "tag": member.tag.as_str(), "tier": member.tier.to_string(),
                "state": member.status.state.word(), "why": member.status.state.to_string(),
                "delayMs": member.status.delay.map(|delay| delay.millis()),
                "role": member.role.map(Role::word),
            })
        });
        json!({
            "tag": self.tag.as_str(), "strategy": self.strategy.as_str(), "tier": self.tier.to_string(),
            "bootstrapping": self.is_bootstrapping, "ruleSet": self.rule_set, "key": key,
            "members": members.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for GroupChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {} ({}), {} tier", self.tag, self.strategy, self.tier)?;
        writeln!(f, "{}", if self.is_bootstrapping { ", members not probed yet" } else { "" })?;
        if let Some(key) = &self.key {
            let text = if key.state == KeyState::Empty { "(empty)" } else { &*key.text };
            writeln!(f, "    key {text} at {:016x}", key.position)?;
        }
        if let Some(rule_set) = &self.rule_set {
            writeln!(f, "    rule set {rule_set}")?;
        }
        for member in &self.members {
            let is_selector = self.strategy == Strategy::Selector;
            let without = if is_selector { "not chosen" } else { "cannot carry this network" };
            let role = member.role.map_or(without, Role::word);
            write!(f, "    {} {}: {role}, {}", member.tier, member.tag, member.status.state)?;
            match member.status.delay {
                Some(delay) => writeln!(f, ", {} ms", delay.millis())?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "? {} is {}", self.name, addresses.join(", "))
            }
            Err(error) => write!(f, "? {} was not found: {error}", self.name),
        }
    }
}
