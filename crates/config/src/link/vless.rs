//! `vless://` (XTLS/Xray-core#91), and the form of Shadowrocket, whose first part is base64.

use super::{
    LinkError, Part,
    server::{Login, Server},
    share_url::{ShareUrl, split_authority},
    stream::Stream,
    text,
};

pub(super) fn read(url: &ShareUrl<'_>) -> Result<Server, LinkError> {
    if let Some(decoded) = shadowrocket_body(url) {
        let authority = split_authority(&decoded, None)?;
        // `auto:` stands before the id.
        let id = authority.user.rsplit_once(':').map_or(&*authority.user, |(_, id)| id).to_owned();
        let flow = match url.get("xtls") {
            "" | "0" => "",
            "1" => "xtls-rprx-direct",
            _ => "xtls-rprx-vision",
        };
        let login = Login::Vless { id, encryption: String::new(), flow: flow.to_owned() };
        let stream = shadowrocket_stream(url);
        return Ok(Server { host: authority.host, port: authority.port, login, stream, udp: true });
    }
    let authority = url.authority(None)?;
    let id = text::unescape(&authority.user)?;
    if id.is_empty() {
        return Err(LinkError::Missing(Part::Id));
    }
    let (encryption, flow) = (url.get("encryption").to_owned(), url.get("flow").to_owned());
    Ok(Server {
        host: authority.host,
        port: authority.port,
        login: Login::Vless { id, encryption, flow },
        stream: Stream::of_url(url),
        udp: true,
    })
}

/// What Shadowrocket writes before the parameters, decoded.
pub(super) fn shadowrocket_body(url: &ShareUrl<'_>) -> Option<String> {
    let has_user = url.body.contains('@');
    let decoded = if has_user { None } else { text::base64_text(&text::unescape_lossy(url.body)) };
    decoded.filter(|decoded| decoded.contains('@') && !decoded.trim_start().starts_with('{'))
}

/// What Shadowrocket's parameters say of the transport.
pub(super) fn shadowrocket_stream(url: &ShareUrl<'_>) -> Stream {
    let mut stream = Stream::of_url(url);
    let obfs = url.get("obfs");
    if !obfs.is_empty() && !obfs.eq_ignore_ascii_case("none") {
        stream.network = obfs.to_ascii_lowercase();
    }
    let host = url.first(&["obfsParam", "host"]);
    if obfs.eq_ignore_ascii_case("grpc") {
        stream.service_name = url.first(&["path", "serviceName"]).to_owned();
        stream.host = host.to_owned();
    } else if host.trim_start().starts_with('{') {
        // Headers as JSON, of which `Host` is the one that is there.
        let named = host.split_once("\"Host\"").and_then(|(_, rest)| rest.split('"').nth(1));
        stream.host = named.unwrap_or_default().to_owned();
    } else {
        stream.host = host.to_owned();
    }
    if !url.get("pbk").is_empty() {
        stream.security = "reality".to_owned();
    } else if url.is_on(&["tls"]) {
        stream.security = "tls".to_owned();
    }
    stream
}
