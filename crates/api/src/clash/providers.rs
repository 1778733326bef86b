//! Providers: one with all outbounds, and the rule sets.

use std::{collections::BTreeMap, time::Duration};

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Serialize;
use tokio::task::JoinSet;
use waypost_config::model::ProbeUrl;
use waypost_proxy::{OutboundKind, RuleSetKind, RuleSetReport, UpdateError};

use super::{
    delay::{DEFAULT_URL, measure},
    proxies::{Catalogue, Entry, millis},
};
use crate::{
    app::Shared,
    respond::{Arguments, Name, Refusal, json},
    time::Time,
};

/// The provider that mihomo has for what is in the configuration itself.
const DEFAULT: &str = "default";
/// How long a check of all outbounds waits for each.
const CHECK_LIMIT: Duration = Duration::from_secs(5);
/// How many outbounds a check asks at a time, as with mihomo and sing-box.
const ABREAST: usize = 10;

#[derive(Serialize)]
struct Providers<T> {
    providers: BTreeMap<String, T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Provider {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    vehicle_type: &'static str,
    proxies: Vec<Entry>,
    test_url: String,
    expected_status: &'static str,
    updated_at: Time,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleProvider {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    behavior: &'static str,
    format: &'static str,
    vehicle_type: &'static str,
    rule_count: usize,
    entry_count: usize,
    updated_at: Option<Time>,
    next_update: Option<Time>,
    error: Option<Box<str>>,
}

#[derive(Serialize)]
struct Delay {
    delay: u64,
}

pub(super) async fn proxies(State(app): State<Shared>) -> Response {
    json(&Providers { providers: BTreeMap::from([(DEFAULT.to_owned(), default_provider(&app))]) })
}

pub(super) async fn provider(State(app): State<Shared>, Name(name): Name) -> Result<Response, Refusal> {
    known(&name)?;
    Ok(json(&default_provider(&app)))
}

/// There is nothing to fetch for what is in the configuration itself.
pub(super) async fn refresh(Name(name): Name) -> Result<StatusCode, Refusal> {
    known(&name)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks every outbound, and files what comes under each.
pub(super) async fn check(State(app): State<Shared>, Name(name): Name) -> Result<StatusCode, Refusal> {
    known(&name)?;
    let url = test_url(&app).ok_or(Refusal::NOT_FOUND)?;
    let outbounds = app.control.outbounds().into_iter();
    let mut waiting =
        outbounds.filter(|outbound| is_testable(outbound.kind)).filter_map(|outbound| outbound.tag);
    let mut tests = JoinSet::new();
    loop {
        while tests.len() < ABREAST
            && let Some(tag) = waiting.next()
        {
            let (control, url) = (app.control.clone(), url.clone());
            tests.spawn(async move {
                // What failed is filed as well.
                let _delay = control.test_outbound(tag.as_str(), &url, &[], CHECK_LIMIT).await;
            });
        }
        if tests.join_next().await.is_none() {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
}

pub(super) async fn member(
    State(app): State<Shared>,
    Name((provider, name)): Name<(String, String)>,
) -> Result<Response, Refusal> {
    known(&provider)?;
    let entry = default_provider(&app).proxies.into_iter().find(|entry| entry.name == name);
    entry.map(|entry| json(&entry)).ok_or(Refusal::NOT_FOUND)
}

pub(super) async fn check_member(
    State(app): State<Shared>,
    Name((provider, name)): Name<(String, String)>,
    arguments: Arguments,
) -> Result<Response, Refusal> {
    known(&provider)?;
    measure(&app, &name, &arguments).await.map(|delay| json(&Delay { delay: millis(delay) }))
}

pub(super) async fn rule_sets(State(app): State<Shared>) -> Response {
    let sets = app.control.rule_sets().into_iter().map(|set| (set.tag.to_string(), RuleProvider::of(set)));
    json(&Providers { providers: sets.collect() })
}

/// Fetches a rule set, or reads its file again.
pub(super) async fn update_rule_set(
    State(app): State<Shared>,
    Name(name): Name,
) -> Result<StatusCode, Refusal> {
    match app.control.update_rule_set(&name).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(UpdateError::Unknown) => Err(Refusal::NOT_FOUND),
        Err(error) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

fn known(name: &str) -> Result<(), Refusal> {
    if name == DEFAULT { Ok(()) } else { Err(Refusal::NOT_FOUND) }
}

fn default_provider(app: &Shared) -> Provider {
    Provider {
        name: DEFAULT,
        kind: "Proxy",
        vehicle_type: "Compatible",
        proxies: Catalogue::of(&app.control).entries,
        test_url: test_url(app).map(|url| url.text.to_string()).unwrap_or_default(),
        expected_status: "*",
        updated_at: Time(app.started_at),
    }
}

/// What the first group asks for that asks for anything.
fn test_url(app: &Shared) -> Option<ProbeUrl> {
    let of_groups = app.control.groups().into_iter().find_map(|group| group.test_url?.parse().ok());
    of_groups.or_else(|| DEFAULT_URL.parse().ok())
}

fn is_testable(kind: OutboundKind) -> bool {
    match kind {
        OutboundKind::Direct
        | OutboundKind::Socks
        | OutboundKind::Http
        | OutboundKind::Shadowsocks
        | OutboundKind::Vmess
        | OutboundKind::Vless
        | OutboundKind::Trojan => true,
        OutboundKind::Block | OutboundKind::Dns | OutboundKind::Loopback | OutboundKind::Api => false,
    }
}

impl RuleProvider {
    fn of(set: RuleSetReport) -> Self {
        Self {
            name: set.tag.to_string(),
            kind: "Rule",
            behavior: "Classical",
            format: "SingBox",
            vehicle_type: match set.kind {
                RuleSetKind::Inline => "Inline",
                RuleSetKind::Local => "File",
                RuleSetKind::Remote => "HTTP",
            },
            rule_count: set.n_rules,
            entry_count: set.n_entries,
            updated_at: set.fetched_at.map(Time),
            next_update: set.next_update.map(Time),
            error: set.last_error,
        }
    }
}
