//! Why a connection goes where it goes.

use axum::{extract::State, response::Response};
use serde::Serialize;
use waypost_proxy::{AttemptRecord, Connection, ConnectionId};

use super::UNTAGGED;
use crate::{
    app::Shared,
    clash::connections::chains,
    respond::{Name, Refusal, json},
    time::Time,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reasons<'c> {
    id: String,
    start: Time,
    network: &'static str,
    target: String,
    source: Option<String>,
    inbound: Option<&'c str>,
    user: Option<&'c str>,
    protocol: Option<&'c str>,
    sniffed: Option<&'c str>,
    rule: &'c str,
    rule_index: Option<usize>,
    chains: Vec<&'c str>,
    why: Option<String>,
    key: Option<&'c str>,
    attempts: Vec<Attempt<'c>>,
    upload: u64,
    download: u64,
}

#[derive(Serialize)]
struct Attempt<'c> {
    outbound: &'c str,
    /// Milliseconds after the client's request.
    began_ms: u128,
    took_ms: u128,
    end: String,
}

pub(super) async fn why(State(app): State<Shared>, Name(id): Name) -> Result<Response, Refusal> {
    let id = id.parse().map_err(|_| Refusal::NOT_FOUND)?;
    let connection = app.control.connections().get(ConnectionId(id)).ok_or(Refusal::NOT_FOUND)?;
    Ok(reasons(&connection))
}

fn reasons(connection: &Connection) -> Response {
    let (info, path) = (&connection.info, connection.path());
    let (upload, download) = connection.conduit.counters.totals();
    json(&Reasons {
        id: connection.id.0.to_string(),
        start: Time(connection.started_at),
        network: info.network.as_str(),
        target: info.target.to_string(),
        source: info.source.map(|source| source.to_string()),
        inbound: info.inbound.as_deref(),
        user: info.user.as_deref(),
        protocol: info.protocol.as_deref(),
        sniffed: info.sniffed.as_ref().map(|name| name.as_str()),
        rule: &info.rule,
        rule_index: info.rule_index,
        chains: chains(&path).collect(),
        why: path.why.as_ref().map(ToString::to_string),
        key: path.key.as_deref(),
        attempts: path.attempts.iter().map(Attempt::of).collect(),
        upload,
        download,
    })
}

impl<'c> Attempt<'c> {
    fn of(record: &'c AttemptRecord) -> Self {
        Self {
            outbound: record.outbound.as_deref().unwrap_or(UNTAGGED),
            began_ms: record.began.as_millis(),
            took_ms: record.took.as_millis(),
            end: record.end.to_string(),
        }
    }
}
