//! The live connections.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use parking_lot::Mutex;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use waypost_config::model::{ClientProtocol, InboundProtocol};
use waypost_net::{Host, Tag};
use waypost_proxy::{Connection, ConnectionId, Control, Path};

use crate::{
    app::{App, Shared},
    memory::resident,
    own::UNTAGGED,
    respond::{Name, json_text},
    stream::{self, IfWebSocket, Interval, Kind},
    time::Time,
};

/// What is shown of a rule beside each of its connections; the list of rules has the rest.
const MAX_RULE_TEXT: usize = 80;

pub(super) async fn list(
    State(app): State<Shared>,
    Interval(every): Interval,
    IfWebSocket(reader): IfWebSocket,
) -> Response {
    if let Some(reader) = reader {
        return stream::frames(&app, reader, Kind::Connections, every);
    }
    let mut text = Vec::new();
    match write(&app, &mut text) {
        Ok(()) => json_text(text),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

pub(super) async fn close_all(State(app): State<Shared>) -> StatusCode {
    app.control.connections().close_all();
    StatusCode::NO_CONTENT
}

/// Closes one. It may be over already, so that a number that nobody has is no error.
pub(super) async fn close(State(app): State<Shared>, Name(id): Name) -> StatusCode {
    if let Ok(id) = id.parse() {
        let _is_live = app.control.connections().close(ConnectionId(id));
    }
    StatusCode::NO_CONTENT
}

/// Writes all live connections and the sums as JSON.
pub(crate) fn write(app: &App, to: &mut Vec<u8>) -> serde_json::Result<()> {
    let live = app.control.connections().snapshot();
    let names = app.names.of(&app.control);
    let all = app.control.volumes().all;
    let frame = Frame {
        download_total: all.down,
        upload_total: all.up,
        connections: List { live: &live, names: &names },
        memory: resident(),
    };
    to.reserve(live.len() * 640);
    serde_json::to_writer(to, &frame)
}

/// What connections are called by, made once for a configuration.
#[derive(Debug, Default)]
pub(crate) struct NameCache(Mutex<Option<(u64, Arc<Names>)>>);

#[derive(Debug)]
pub(crate) struct Names {
    /// The protocol and the tag of each inbound.
    inbounds: BTreeMap<Tag, String>,
    /// The name and the text of each rule.
    rules: Vec<(Arc<str>, String)>,
}

impl NameCache {
    fn of(&self, control: &Control) -> Arc<Names> {
        let generation = control.generation();
        let mut cached = self.0.lock();
        match &*cached {
            Some((known, names)) if *known == generation => names.clone(),
            Some(_) | None => {
                let names = Arc::new(Names::new(control));
                *cached = Some((generation, names.clone()));
                names
            }
        }
    }
}

impl Names {
    fn new(control: &Control) -> Self {
        let config = control.config();
        let tagged =
            config.inbounds.iter().filter_map(|inbound| Some((&inbound.tag.as_ref()?.value, inbound)));
        let inbounds = tagged
            .map(|(tag, inbound)| (tag.clone(), format!("{}/{tag}", protocol_word(&inbound.protocol))))
            .collect();
        let rules = control.rules().into_iter().map(|rule| {
            let text = rule.text;
            let end = text.char_indices().nth(MAX_RULE_TEXT).map(|(end, _)| end);
            let short = end.and_then(|end| text.get(..end)).map(|short| format!("{short}…"));
            (rule.label, short.unwrap_or(text))
        });
        Self { inbounds, rules: rules.collect() }
    }

    /// What has to hold for the rule of a connection, unless the rule is of another configuration.
    fn rule_text(&self, connection: &Connection) -> &str {
        let rule = connection.info.rule_index.and_then(|index| self.rules.get(index));
        rule.filter(|(label, _)| *label == connection.info.rule).map_or("", |(_, text)| text)
    }
}

/// What an inbound speaks, in the words of configuration files.
pub(crate) fn protocol_word(protocol: &InboundProtocol) -> &'static str {
    match protocol {
        InboundProtocol::Client(ClientProtocol::Socks) => "socks",
        InboundProtocol::Client(ClientProtocol::Http) => "http",
        InboundProtocol::Client(ClientProtocol::Mixed) => "mixed",
        InboundProtocol::Door(_) => "tunnel",
        InboundProtocol::Shadowsocks(_) => "shadowsocks",
        InboundProtocol::Vmess(_) => "vmess",
        InboundProtocol::Vless(_) => "vless",
        InboundProtocol::Trojan(_) => "trojan",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'f> {
    download_total: u64,
    upload_total: u64,
    connections: List<'f>,
    memory: u64,
}

struct List<'f> {
    live: &'f [Arc<Connection>],
    names: &'f Names,
}

struct Shown<'f> {
    connection: &'f Connection,
    path: Arc<Path>,
    names: &'f Names,
}

struct Chains<'f>(&'f Path);

struct Metadata<'f>(&'f Connection, &'f Names);

/// A value as text.
struct Text<T>(T);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.live.iter().map(|connection| Shown {
            connection,
            path: connection.path(),
            names: self.names,
        });
        serializer.collect_seq(shown)
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { connection, path, names } = self;
        let (up, down) = connection.conduit.counters.totals();
        let mut fields = serializer.serialize_struct("Connection", 8)?;
        fields.serialize_field("id", &Text(connection.id.0))?;
        fields.serialize_field("metadata", &Metadata(connection, names))?;
        fields.serialize_field("upload", &up)?;
        fields.serialize_field("download", &down)?;
        fields.serialize_field("start", &Time(connection.started_at))?;
        fields.serialize_field("chains", &Chains(path))?;
        fields.serialize_field("rule", &*connection.info.rule)?;
        fields.serialize_field("rulePayload", names.rule_text(connection))?;
        fields.end()
    }
}

impl Serialize for Chains<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(chains(self.0))
    }
}

/// The outbound that carries a connection, and the groups that led to it, outermost last.
pub(crate) fn chains(path: &Path) -> impl Iterator<Item = &str> {
    let outbound = path.outbound.as_deref().unwrap_or(UNTAGGED);
    std::iter::once(outbound).chain(path.chain.iter().rev().map(Tag::as_str))
}

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let info = &self.0.info;
        let inbound = info.inbound.as_ref();
        let kind =
            inbound.map_or("inbound", |tag| self.1.inbounds.get(tag).map_or(tag.as_str(), String::as_str));
        let (host, ip) = match &info.target.host {
            Host::Domain(name) => (name.as_str(), None),
            Host::Ip(ip) => ("", Some(*ip)),
        };
        let sniffed = info.sniffed.as_ref().map_or("", |name| name.as_str());
        let mut fields = serializer.serialize_struct("Metadata", 16)?;
        fields.serialize_field("network", info.network.as_str())?;
        fields.serialize_field("type", kind)?;
        match info.source {
            Some(source) => {
                fields.serialize_field("sourceIP", &Text(source.ip().to_canonical()))?;
                fields.serialize_field("sourcePort", &Text(source.port()))?;
            }
            None => {
                fields.serialize_field("sourceIP", "")?;
                fields.serialize_field("sourcePort", "")?;
            }
        }
        match ip {
            Some(ip) => fields.serialize_field("destinationIP", &Text(ip))?,
            None => fields.serialize_field("destinationIP", "")?,
        }
        fields.serialize_field("destinationPort", &Text(info.target.port))?;
        fields.serialize_field("host", if host.is_empty() { sniffed } else { host })?;
        fields.serialize_field("sniffHost", sniffed)?;
        fields.serialize_field("protocol", info.protocol.as_deref().unwrap_or_default())?;
        fields.serialize_field("dnsMode", "normal")?;
        fields.serialize_field("inboundName", inbound.map_or("", Tag::as_str))?;
        fields.serialize_field("inboundUser", info.user.as_deref().unwrap_or_default())?;
        fields.serialize_field("process", "")?;
        fields.serialize_field("processPath", "")?;
        fields.serialize_field("specialProxy", "")?;
        fields.serialize_field("remoteDestination", "")?;
        fields.end()
    }
}

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
