//! What is set, and what may be changed while running.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Serialize;
use serde_json::Value;
use waypost_config::model::{ClientProtocol, Config, Inbound, InboundProtocol, LogLevel};
use waypost_proxy::Control;

use crate::{
    app::Shared,
    respond::{Json, Refusal, json},
};

/// What is in force where the file has no modes: connections go by the rules.
const ONLY_MODE: &str = "Rule";

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Configs {
    port: u16,
    socks_port: u16,
    redir_port: u16,
    tproxy_port: u16,
    mixed_port: u16,
    allow_lan: bool,
    bind_address: &'static str,
    mode: String,
    mode_list: Vec<String>,
    /// The same under the name that metacubexd reads.
    modes: Vec<String>,
    log_level: &'static str,
    ipv6: bool,
    tun: Option<()>,
}

pub(super) async fn show(State(app): State<Shared>) -> Response {
    let config = app.control.config();
    let ports = ports(&app.control, &config);
    let port = |protocol: ClientProtocol| {
        let found = ports.iter().find(|(inbound, _)| inbound.protocol == InboundProtocol::Client(protocol));
        found.map_or(0, |(_, port)| *port)
    };
    let is_open = |inbound: &Inbound| inbound.listen.ip().is_some_and(|ip| !ip.is_loopback());
    let (mode, modes) = modes(&app.control);
    let level = app.logs.level().map_or(LogLevel::Info, crate::LevelControl::get);
    json(&Configs {
        port: port(ClientProtocol::Http),
        socks_port: port(ClientProtocol::Socks),
        redir_port: 0,
        tproxy_port: 0,
        mixed_port: port(ClientProtocol::Mixed),
        allow_lan: config.inbounds.iter().any(is_open),
        bind_address: "*",
        mode,
        mode_list: modes.clone(),
        modes,
        log_level: level_word(level),
        ipv6: true,
        tun: None,
    })
}

/// Changes the mode and the level of the log. Either all that is wanted is done, or nothing.
pub(super) async fn change(
    State(app): State<Shared>,
    Json(wanted): Json<BTreeMap<String, Value>>,
) -> Result<StatusCode, Refusal> {
    let mut mode = None;
    let mut level = None;
    for (key, value) in &wanted {
        match (key.as_str(), value) {
            ("mode", Value::String(name)) => mode = Some(known_mode(&app.control, name)?),
            ("log-level", Value::String(word)) => level = Some(level_of(word).ok_or(Refusal::BODY_INVALID)?),
            ("mode" | "log-level", _) => return Err(Refusal::BODY_INVALID),
            (key, _) => {
                let shown: String = key.chars().take(40).collect();
                return Err(Refusal::bad(format!("`{shown}` cannot be changed while running")));
            }
        }
    }
    if let Some(level) = level {
        let is_set = app.logs.level().is_some_and(|control| control.set(level));
        if !is_set {
            return Err(Refusal::bad("the level of this log cannot be changed"));
        }
    }
    // Where there are no modes, the only one is in force.
    if let Some(mode) = mode.filter(|_| app.control.mode().is_some()) {
        app.control.set_mode(&mode).await.map_err(|error| Refusal::bad(error.to_string()))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The mode in force, and all that there are.
fn modes(control: &Control) -> (String, Vec<String>) {
    match control.mode() {
        Some((current, names)) => (current.to_string(), names.iter().map(ToString::to_string).collect()),
        None => (ONLY_MODE.to_owned(), vec![ONLY_MODE.to_owned()]),
    }
}

/// A mode as the file writes it.
fn known_mode(control: &Control, wanted: &str) -> Result<String, Refusal> {
    let (_, names) = modes(control);
    let known = names.iter().find(|known| known.eq_ignore_ascii_case(wanted));
    known
        .cloned()
        .ok_or_else(|| Refusal::bad(format!("there is no such mode; there are {}", names.join(", "))))
}

/// The port on which each inbound listens, as the system chose it.
fn ports<'c>(control: &Control, config: &'c Config) -> Vec<(&'c Inbound, u16)> {
    let addresses = control.addresses();
    let port = |inbound: &'c Inbound| {
        let tag = inbound.tag.as_ref().map(|tag| &tag.value);
        let found =
            addresses.iter().find(|listen| listen.inbound.as_ref() == tag && listen.address.ip().is_some());
        let wanted = inbound.listen.ports().map(|ports| ports.first).filter(|port| *port > 0);
        Some((inbound, wanted.or_else(|| Some(found?.address.ip()?.port()))?))
    };
    config.inbounds.iter().filter_map(port).collect()
}

/// A level as Clash calls it.
pub(crate) fn level_word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warning => "warning",
        LogLevel::Error => "error",
        LogLevel::None => "silent",
    }
}

fn level_of(word: &str) -> Option<LogLevel> {
    Some(match word {
        "debug" => LogLevel::Debug,
        "info" => LogLevel::Info,
        "warning" | "warn" => LogLevel::Warning,
        "error" => LogLevel::Error,
        "silent" | "none" => LogLevel::None,
        _ => return None,
    })
}
