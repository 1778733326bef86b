//! The whole picture: inbounds, rules, groups, members and outbounds, and what goes through them.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use waypost_net::Tag;
use waypost_proxy::{
    Control, GroupReport, MemberFault, MemberReport, OutboundReport, Role, RuleReport, Volume, Volumes,
};

use super::UNTAGGED;
use crate::{
    app::{App, Shared},
    clash::{
        connections::protocol_word,
        proxies::{display_name, group_name},
    },
    respond::json_text,
    stream::{self, Before, IfWebSocket, Interval, Kind},
    time::Time,
};

pub(super) async fn show(
    State(app): State<Shared>,
    Interval(every): Interval,
    IfWebSocket(reader): IfWebSocket,
) -> Response {
    if let Some(reader) = reader {
        return stream::frames(&app, reader, Kind::Live, every);
    }
    let mut text = Vec::new();
    match write(&app, &mut app.last_look.lock(), &mut text) {
        Ok(()) => json_text(text),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Writes the picture as JSON; rates are those since the one before.
pub(crate) fn write(app: &App, before: &mut Before, to: &mut Vec<u8>) -> serde_json::Result<()> {
    let control = &app.control;
    let volumes = control.volumes();
    let picture = Picture {
        time: Time::now(),
        version: env!("CARGO_PKG_VERSION"),
        generation: control.generation(),
        uptime: app.started.elapsed().as_secs_f64(),
        rates: before.rates(volumes.all).into(),
        totals: volumes.all.into(),
        connections: control.connections().len(),
        inbounds: inbounds(control, &volumes),
        rules: control.rules().into_iter().map(Rule::of).collect(),
        default: Default {
            to: control.default_way().map_or_else(|| UNTAGGED.to_owned(), |tag| tag.to_string()),
            hits: control.figures().unmatched,
        },
        groups: control.groups().iter().map(Group::of).collect(),
        outbounds: control.outbounds().iter().map(Outbound::of).collect(),
    };
    serde_json::to_writer(to, &picture)
}

#[derive(Serialize)]
struct Picture {
    time: Time,
    version: &'static str,
    generation: u64,
    /// Seconds since the interface began to answer.
    uptime: f64,
    rates: Bytes,
    totals: Bytes,
    connections: usize,
    inbounds: Vec<Inbound>,
    rules: Vec<Rule>,
    default: Default,
    groups: Vec<Group>,
    outbounds: Vec<Outbound>,
}

#[derive(Serialize, Clone, Copy)]
struct Bytes {
    up: u64,
    down: u64,
}

#[derive(Serialize)]
struct Inbound {
    tag: String,
    protocol: &'static str,
    address: String,
    connections: usize,
    #[serde(flatten)]
    bytes: Bytes,
}

#[derive(Serialize)]
struct Rule {
    index: usize,
    label: String,
    line: usize,
    file: Option<Box<str>>,
    text: String,
    action: String,
    to: Option<String>,
    hits: u64,
}

#[derive(Serialize)]
struct Default {
    to: String,
    hits: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    tag: String,
    #[serde(rename = "type")]
    kind: &'static str,
    strategy: String,
    tier: String,
    bootstrapping: bool,
    now: String,
    members: Vec<Member>,
    last_change: Option<Change>,
}

#[derive(Serialize)]
struct Change {
    time: Time,
    reason: String,
}

#[derive(Serialize)]
struct Member {
    tag: String,
    group: bool,
    tier: String,
    state: &'static str,
    role: Option<&'static str>,
    delay: Option<f64>,
    connections: usize,
    #[serde(flatten)]
    bytes: Bytes,
    carried: u64,
    failed: u64,
    overtaken: u64,
    silent: u64,
    #[serde(rename = "lastError")]
    last_error: Option<Change>,
}

#[derive(Serialize)]
struct Outbound {
    tag: String,
    #[serde(rename = "type")]
    kind: &'static str,
    connections: usize,
    #[serde(flatten)]
    bytes: Bytes,
    state: &'static str,
    delay: Option<f64>,
    #[serde(rename = "lastError")]
    last_error: Option<Change>,
}

impl From<Volume> for Bytes {
    fn from(Volume { up, down }: Volume) -> Self {
        Self { up, down }
    }
}

fn inbounds(control: &Control, volumes: &Volumes) -> Vec<Inbound> {
    let mut live: BTreeMap<Option<Tag>, usize> = BTreeMap::new();
    for connection in control.connections().snapshot() {
        *live.entry(connection.info.inbound.clone()).or_default() += 1;
    }
    let (config, addresses) = (control.config(), control.addresses());
    let inbound = |inbound: &waypost_config::model::Inbound| {
        let tag = inbound.tag.as_ref().map(|tag| tag.value.clone());
        let address = addresses.iter().find(|listen| listen.inbound == tag);
        let volume = tag.as_ref().and_then(|tag| volumes.inbounds.get(tag)).copied().unwrap_or_default();
        Inbound {
            protocol: protocol_word(&inbound.protocol),
            address: address.map(|listen| listen.address.to_string()).unwrap_or_default(),
            connections: live.get(&tag).copied().unwrap_or(0),
            bytes: volume.into(),
            tag: tag.map_or_else(|| UNTAGGED.to_owned(), |tag| tag.to_string()),
        }
    };
    config.inbounds.iter().map(inbound).collect()
}

impl Rule {
    fn of(report: RuleReport) -> Self {
        let RuleReport { index, label, line, file, text, action, to, hits, .. } = report;
        let to = to.map(|tag| tag.to_string());
        Self { index, label: label.to_string(), line, file, text, action, to, hits }
    }
}

impl Group {
    fn of(report: &GroupReport) -> Self {
        Self {
            tag: report.tag.to_string(),
            kind: group_name(report.kind),
            strategy: report.strategy.to_string(),
            tier: report.tier.to_string(),
            bootstrapping: report.is_bootstrapping,
            now: report.choice.as_ref().map(ToString::to_string).unwrap_or_default(),
            members: report.members.iter().map(Member::of).collect(),
            last_change: report
                .last_change
                .as_ref()
                .map(|change| Change { time: Time(change.at), reason: change.reason.to_string() }),
        }
    }
}

impl Member {
    fn of(report: &MemberReport) -> Self {
        Self {
            tag: report.tag.to_string(),
            group: report.is_group,
            tier: report.tier.to_string(),
            state: report.state.word(),
            role: report.role.map(Role::word),
            delay: report.delay.map(millis),
            connections: report.live,
            bytes: report.volume.into(),
            carried: report.totals.carried,
            failed: report.totals.failed,
            overtaken: report.totals.overtaken,
            silent: report.totals.silent,
            last_error: report.last_fault.as_ref().map(Change::of_fault),
        }
    }
}

impl Outbound {
    fn of(report: &OutboundReport) -> Self {
        Self {
            tag: report.tag.as_ref().map_or(UNTAGGED, Tag::as_str).to_owned(),
            kind: display_name(report.kind),
            connections: report.live,
            bytes: report.volume.into(),
            state: report.state.word(),
            delay: report.history.last().and_then(|sample| sample.delay).map(millis),
            last_error: report.last_fault.as_ref().map(Change::of_fault),
        }
    }
}

impl Change {
    fn of_fault(fault: &MemberFault) -> Self {
        Self { time: Time(fault.at), reason: fault.reason.to_string() }
    }
}

/// Milliseconds with a tenth.
fn millis(delay: Duration) -> f64 {
    (delay.as_secs_f64() * 10_000.0).round() / 10.0
}
