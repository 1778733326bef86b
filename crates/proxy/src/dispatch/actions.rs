//! Running the rules: what they ask is found out, and what they want is done before the next is tried.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::timeout};
use tracing::debug;
use waypost_dns::Family;
use waypost_net::{DomainName, Flow};
use waypost_router::{Action, Decision, Effect, Question, Resolve, ResolveFamily, RouteOptions, Step};

use crate::{
    chain::Chain,
    first_bytes::FirstBytes,
    mode::Modes,
    process::find_process,
    snapshot::{NoRoute, Snapshot},
};

/// How long a rule waits for the addresses of a name.
const ROUTE_LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// A flow that no decision can be made for, because what a rule wanted cannot be done.
#[derive(Debug)]
pub(crate) struct Undecided {
    /// What the rule is called.
    pub(crate) rule: Arc<str>,
    pub(crate) error: NoRoute,
}

/// Runs a decision to its end.
///
/// # Errors
///
/// If a rule wants a name resolved that cannot be.
pub(crate) async fn decide<'s>(
    snapshot: &'s Snapshot,
    flow: &mut Flow,
    first: &mut FirstBytes<'_>,
) -> Result<Decision<'s>, Undecided> {
    flow.mode = snapshot.modes().map(Modes::current);
    if flow.detour.is_some() {
        return Ok(Decision { rule: None, matched_addresses: Vec::new() });
    }
    let mut step = snapshot.router().route(flow);
    loop {
        step = match step {
            Step::Decided(decision) => {
                if let Some(Action::Go { options, .. }) = decision.rule.map(|rule| rule.action()) {
                    change(options, flow);
                }
                return Ok(decision);
            }
            Step::Perform(performing) => {
                match performing.effect() {
                    Effect::Options(options) => change(options, flow),
                    Effect::Sniff(sniff) => first.sniff(sniff, flow).await,
                    Effect::Resolve(wanted) => {
                        Box::pin(resolve(snapshot, wanted, flow))
                            .await
                            .map_err(|error| Undecided { rule: snapshot.label(performing.rule()), error })?;
                    }
                }
                performing.done(flow)
            }
            Step::Ask(pending) => match pending.question().clone() {
                // A look-up must not wait for another one.
                Question::Addresses(_) if flow.is_own_query => pending.with_addresses(flow, Vec::new()),
                Question::Addresses(name) => {
                    let addresses = addresses(snapshot, &name).await;
                    pending.with_addresses(flow, addresses)
                }
                Question::Process => {
                    let process = match (flow.source, flow.local) {
                        (Some(source), Some(local)) => {
                            spawn_blocking(move || find_process(source, local)).await.unwrap_or_default()
                        }
                        (_, _) => None,
                    };
                    pending.with_process(flow, process)
                }
            },
        };
    }
}

/// The addresses of a name that an IP condition looks at; none if there is no answer.
async fn addresses(snapshot: &Snapshot, name: &DomainName) -> Vec<IpAddr> {
    let lookup = snapshot.resolver().resolve(name, snapshot.family());
    match timeout(ROUTE_LOOKUP_TIMEOUT, lookup).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => {
            debug!(%name, %error, "look-up for routing failed, IP conditions are false");
            Vec::new()
        }
        Err(_elapsed) => {
            debug!(%name, "look-up for routing took too long, IP conditions are false");
            Vec::new()
        }
    }
}

/// Resolves the name of the target for a rule, as sing-box does: the rules behind it look at the
/// addresses, and these are dialled.
async fn resolve(snapshot: &Snapshot, wanted: &Resolve, flow: &mut Flow) -> Result<(), NoRoute> {
    // A look-up must not wait for another one.
    let Some(name) = flow.target.host.domain().filter(|_| !flow.is_own_query).cloned() else { return Ok(()) };
    let family = lookup_family(wanted).unwrap_or_else(|| snapshot.family());
    let resolver = snapshot.lookups().resolver(snapshot.resolver(), wanted);
    let lookup = resolver.resolve(&name, family);
    let found = match timeout(ROUTE_LOOKUP_TIMEOUT, lookup).await {
        Ok(found) => found.map_err(|error| Chain(&error).to_string()),
        Err(_elapsed) => Err(format!("no answer within {ROUTE_LOOKUP_TIMEOUT:?}")),
    };
    enter_addresses(wanted, &name, found, flow)
}

/// Which addresses are asked for.
pub(crate) fn lookup_family(wanted: &Resolve) -> Option<Family> {
    wanted.family.map(|family| match family {
        ResolveFamily::PreferV4 | ResolveFamily::PreferV6 => Family::Any,
        ResolveFamily::OnlyV4 => Family::V4,
        ResolveFamily::OnlyV6 => Family::V6,
    })
}

/// Enters what came of a look-up that a rule wanted.
pub(crate) fn enter_addresses(
    wanted: &Resolve,
    name: &DomainName,
    found: Result<Vec<IpAddr>, String>,
    flow: &mut Flow,
) -> Result<(), NoRoute> {
    let unresolved = |reason: String| NoRoute::Unresolved { name: name.clone(), reason: reason.into() };
    let mut found = found.map_err(unresolved)?;
    match wanted.family {
        Some(ResolveFamily::PreferV4) => found.sort_by_key(|address| !address.is_ipv4()),
        Some(ResolveFamily::PreferV6) => found.sort_by_key(|address| !address.is_ipv6()),
        Some(ResolveFamily::OnlyV4 | ResolveFamily::OnlyV6) | None => {}
    }
    debug!(%name, addresses = ?found, "resolved for a rule");
    flow.addresses = found;
    Ok(())
}

/// Changes where a flow goes.
pub(crate) fn change(options: &RouteOptions, flow: &mut Flow) {
    if let Some(host) = &options.host {
        flow.target.host = host.clone();
        flow.addresses.clear();
    }
    flow.target.port = options.port.unwrap_or(flow.target.port);
    flow.udp_timeout = options.udp_timeout.or(flow.udp_timeout);
}
