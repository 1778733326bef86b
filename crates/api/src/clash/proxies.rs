//! Outbounds and groups as proxies.

mod entry;

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use waypost_proxy::SelectError;

pub(crate) use self::entry::{Catalogue, Entry, display_name, group_name, millis};
use crate::{
    app::Shared,
    respond::{Json, Name, Refusal, json},
};

#[derive(Serialize)]
struct Proxies {
    proxies: BTreeMap<String, Entry>,
}

#[derive(Serialize)]
struct Groups {
    proxies: Vec<Entry>,
}

#[derive(Deserialize)]
pub(super) struct Selected {
    name: String,
}

pub(super) async fn list(State(app): State<Shared>) -> Response {
    let catalogue = Catalogue::of(&app.control);
    let global = catalogue.global();
    let mut proxies: BTreeMap<String, Entry> =
        catalogue.entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
    proxies.entry(global.name.clone()).or_insert(global);
    json(&Proxies { proxies })
}

pub(super) async fn show(State(app): State<Shared>, Name(name): Name) -> Result<Response, Refusal> {
    Catalogue::of(&app.control).find(&name).map(|entry| json(&entry)).ok_or(Refusal::NOT_FOUND)
}

pub(super) async fn groups(State(app): State<Shared>) -> Response {
    let entries = Catalogue::of(&app.control).entries;
    json(&Groups { proxies: entries.into_iter().filter(Entry::is_group).collect() })
}

pub(super) async fn group(State(app): State<Shared>, Name(name): Name) -> Result<Response, Refusal> {
    let found = Catalogue::of(&app.control).find(&name).filter(Entry::is_group);
    found.map(|entry| json(&entry)).ok_or(Refusal::NOT_FOUND)
}

pub(super) async fn select(
    State(app): State<Shared>,
    Name(name): Name,
    body: Result<Json<Selected>, Refusal>,
) -> Result<StatusCode, Refusal> {
    if Catalogue::of(&app.control).find(&name).is_none() {
        return Err(Refusal::NOT_FOUND);
    }
    let Json(Selected { name: member }) = body?;
    app.control.select(&name, &member).await.map_err(|error| refusal(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn unselect(State(app): State<Shared>, Name(name): Name) -> Result<StatusCode, Refusal> {
    if Catalogue::of(&app.control).find(&name).is_none() {
        return Err(Refusal::NOT_FOUND);
    }
    app.control.unselect(&name).await.map_err(|error| refusal(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// What clients of Clash read when nothing was chosen.
fn refusal(error: &SelectError) -> Refusal {
    match error {
        SelectError::NoSuchMember { .. } => Refusal::bad("Selector update error: not found"),
        // What is known, and no group, is an outbound.
        SelectError::UnknownGroup | SelectError::NotASelector { .. } | _ => {
            Refusal::bad("Must be a Selector")
        }
    }
}
