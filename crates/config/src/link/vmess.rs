//! `vmess://`: base64 of the JSON of v2rayN, the form of VLESS, and that of Shadowrocket.

use super::{
    LinkError, Part,
    server::{Login, Server},
    share_url::{self, ShareUrl, split_authority},
    stream::{Stream, words},
    text,
    vless::{shadowrocket_body, shadowrocket_stream},
};
use crate::{
    Options, Source,
    json::{self, Kind, Number, Value},
    report::Report,
};

/// Reads a link, with the name that is inside.
pub(super) fn read(url: &ShareUrl<'_>) -> (String, Result<Server, LinkError>) {
    if url.body.contains('@') {
        return (url.name.clone(), read_standard(url));
    }
    if let Some(decoded) = shadowrocket_body(url) {
        let name = url.first(&["remarks", "remark"]);
        let name = if name.is_empty() { &url.name } else { name };
        return (name.to_owned(), read_shadowrocket(url, &decoded));
    }
    let Some(decoded) = text::base64_text(&text::unescape_lossy(url.body)) else {
        return (url.name.clone(), Err(LinkError::Unreadable(Part::Base64)));
    };
    match Source::new("", decoded).ok().and_then(|source| read_json(&source)) {
        Some(json) => {
            let name = json.get("ps");
            (if name.is_empty() { url.name.clone() } else { name }, read_v2rayn(&json))
        }
        None => (url.name.clone(), Err(LinkError::Unreadable(Part::Json))),
    }
}

fn read_standard(url: &ShareUrl<'_>) -> Result<Server, LinkError> {
    let authority = url.authority(None)?;
    let id = text::unescape(&authority.user)?;
    if id.is_empty() {
        return Err(LinkError::Missing(Part::Id));
    }
    let security = url.get("encryption").to_owned();
    let login = Login::Vmess { id, alter_id: url.first(&["alterId", "aid"]).to_owned(), security };
    Ok(Server { host: authority.host, port: authority.port, login, stream: Stream::of_url(url), udp: true })
}

fn read_shadowrocket(url: &ShareUrl<'_>, decoded: &str) -> Result<Server, LinkError> {
    let authority = split_authority(decoded, None)?;
    let (security, id) = authority.user.split_once(':').unwrap_or(("", &authority.user));
    let login = Login::Vmess {
        id: id.to_owned(),
        alter_id: url.first(&["alterId", "aid"]).to_owned(),
        security: security.to_owned(),
    };
    let stream = shadowrocket_stream(url);
    Ok(Server { host: authority.host, port: authority.port, login, stream, udp: true })
}

/// The object inside of a link; numbers and words are both texts here, as programs mix them.
struct Json(Value);

impl Json {
    fn get(&self, name: &str) -> String {
        match self.0.member(name).map(|member| &member.value.kind) {
            Some(Kind::String(text)) => text.trim().to_owned(),
            Some(Kind::Number(Number::Unsigned(number))) => number.to_string(),
            Some(Kind::Number(Number::Signed(number))) => number.to_string(),
            Some(Kind::Number(Number::Float(number))) => number.to_string(),
            Some(Kind::Bool(flag)) => flag.to_string(),
            Some(Kind::Array(items)) => {
                let words: Vec<&str> = items.iter().filter_map(Value::text).collect();
                words.join(",")
            }
            Some(Kind::Null | Kind::Object(_)) | None => String::new(),
        }
    }

    fn first(&self, names: &[&str]) -> String {
        names.iter().map(|name| self.get(name)).find(|text| !text.is_empty()).unwrap_or_default()
    }
}

fn read_json(source: &Source) -> Option<Json> {
    let options = Options::default();
    let mut report = Report::new(source, &options);
    json::parse(&mut report).filter(|root| root.members().is_some()).map(Json)
}

fn read_v2rayn(json: &Json) -> Result<Server, LinkError> {
    let (host, port) = (json.first(&["add", "address", "server"]), json.get("port"));
    let id = json.first(&["id", "uuid"]);
    for (text, part) in [(&host, Part::Host), (&port, Part::Port), (&id, Part::Id)] {
        if text.is_empty() {
            return Err(LinkError::Missing(part));
        }
    }
    let network = json.first(&["net", "network"]);
    let is_grpc = matches!(network.to_ascii_lowercase().as_str(), "grpc" | "gun");
    let (kind, path) = (json.get("type"), json.get("path"));
    let (mut header_host, mut path_or_service) = (json.get("host"), path);
    // The first version had both in one.
    if let Some((host, path)) = header_host.clone().split_once(';').filter(|_| json.get("v") != "2") {
        (header_host, path_or_service) = (host.to_owned(), path.to_owned());
    }
    let security = json.get("tls");
    let security = if text::is_on(&security) { "tls".to_owned() } else { security };
    let security = if security == "false" || security == "0" { String::new() } else { security };
    let insecure = json.first(&["allowInsecure", "allow_insecure", "insecure", "skip-cert-verify"]);
    let stream = Stream {
        security,
        server_name: json.first(&["sni", "serverName", "peer"]),
        alpn: words(&json.get("alpn")),
        insecure: text::is_on(&insecure) || json.get("verify_cert") == "false",
        host: header_host,
        path: if is_grpc { String::new() } else { path_or_service.clone() },
        service_name: if is_grpc { path_or_service } else { String::new() },
        mode: if is_grpc { kind.clone() } else { String::new() },
        header: kind,
        network,
        ech: json.get("ech"),
        pins: json.get("pcs"),
        ..Stream::default()
    };
    Ok(Server {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: share_url::port(&port)?,
        login: Login::Vmess { id, alter_id: json.get("aid"), security: json.first(&["scy", "security"]) },
        stream,
        udp: true,
    })
}
