//! The program itself: what it is, what it says, and what it does not do to itself.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Serialize;

use crate::{
    app::Shared,
    guard::wants_page,
    logs::level_of_word,
    respond::{Arguments, Refusal, json},
    stream::{Reader, Source},
};

#[derive(Serialize)]
struct Hello {
    hello: &'static str,
}

/// Dashboards take what they show from the two marks: groups with their tests, and a reload.
#[derive(Serialize)]
struct Version {
    version: &'static str,
    premium: bool,
    meta: bool,
}

/// Sends people to the page, and tells programs who is here.
pub(super) async fn hello(State(app): State<Shared>, headers: HeaderMap) -> Response {
    let asks_for_json = headers.get(header::CONTENT_TYPE).is_some_and(|given| given == "application/json");
    if wants_page(&headers) || (app.settings.external_ui.is_some() && !asks_for_json) {
        return Redirect::temporary("/ui/").into_response();
    }
    json(&Hello { hello: "clash" })
}

pub(super) async fn version() -> Response {
    json(&Version { version: concat!("waypost ", env!("CARGO_PKG_VERSION")), premium: true, meta: true })
}

pub(super) async fn logs(
    State(app): State<Shared>,
    arguments: Arguments,
    reader: Reader,
) -> Result<Response, Refusal> {
    let level = level_of_word(arguments.given("level").unwrap_or("info")).ok_or(Refusal::BODY_INVALID)?;
    let is_structured = arguments.get("format") == Some("structured");
    Ok(reader.send(&app, Source::Logs { lines: app.logs.subscribe(level), is_structured }))
}

pub(super) async fn upgrade_page(State(app): State<Shared>) -> Refusal {
    if app.settings.external_ui.is_none() {
        return Refusal::of(StatusCode::NOT_FOUND, "external UI not enabled");
    }
    Refusal::of(
        StatusCode::FORBIDDEN,
        "pages are not fetched: put the new one into the folder of `external_ui`",
    )
}

pub(super) async fn restart() -> Refusal {
    Refusal::of(
        StatusCode::FORBIDDEN,
        "the program does not restart itself: `PUT /configs` reads the configuration again and drops nobody",
    )
}
