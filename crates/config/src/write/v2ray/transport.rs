//! `streamSettings`.

use super::super::{
    json::{Fields, Json},
    losses::Losses,
    tls::{put_pem, put_versions},
};
use crate::{
    Span, Spanned,
    model::{
        ClientTls, Grpc, HttpUpgrade, Identity, Layer, Pem, Pin, ServerTls, SocketOptions, Transport,
        WebSocket,
    },
    pins,
    transport::split_early_data,
};
use waypost_net::Tag;

/// `streamSettings` of an outbound.
pub(super) fn of_outbound(
    transport: &Transport<ClientTls>,
    socket: &SocketOptions,
    detour: Option<&Spanned<Tag>>,
    span: Span,
    losses: &mut Losses,
) -> Fields {
    let mut options = sockets(socket);
    options.put_some("dialerProxy", detour.map(|tag| tag.value.as_str()));
    let tls = transport.tls.as_ref().map(|tls| client_tls(tls, span, losses));
    stream(&transport.layer, tls, options, span, losses)
}

/// `streamSettings` of an inbound.
pub(super) fn of_inbound(
    transport: &Transport<ServerTls>,
    socket: &SocketOptions,
    span: Span,
    losses: &mut Losses,
) -> Fields {
    let tls = transport.tls.as_ref().map(|tls| server_tls(tls));
    stream(&transport.layer, tls, sockets(socket), span, losses)
}

/// What is set on sockets.
fn sockets(socket: &SocketOptions) -> Fields {
    let seconds = |duration: std::time::Duration| duration.as_secs();
    let mut options = Fields::default();
    options.put_some("mark", socket.mark);
    options.put_some("interface", socket.interface.as_deref());
    options.put_some("tcpKeepAliveIdle", socket.keep_alive_idle.map(seconds));
    options.put_some("tcpKeepAliveInterval", socket.keep_alive_interval.map(seconds));
    let millis = socket.user_timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    options.put_some("tcpUserTimeout", millis);
    options.put_some("tcpFastOpen", socket.fast_open);
    options.put_some("tcpcongestion", socket.congestion.as_deref());
    options
}

fn stream(layer: &Layer, tls: Option<Fields>, options: Fields, span: Span, losses: &mut Losses) -> Fields {
    let mut stream = Fields::default();
    match layer {
        Layer::Raw => {}
        Layer::WebSocket(web_socket) => {
            stream.put("network", "ws");
            stream.put_filled("wsSettings", self::web_socket(web_socket, span, losses));
        }
        Layer::HttpUpgrade(upgrade) => {
            stream.put("network", "httpupgrade");
            stream.put_filled("httpupgradeSettings", http_upgrade(upgrade, span, losses));
        }
        Layer::Grpc(grpc) => {
            stream.put("network", "grpc");
            stream.put_filled("grpcSettings", self::grpc(grpc, span, losses));
        }
    }
    if let Some(tls) = tls {
        stream.put("security", "tls");
        stream.put_filled("tlsSettings", tls);
    }
    stream.put_filled("sockopt", options);
    let mut fields = Fields::default();
    fields.put_filled("streamSettings", stream);
    fields
}

fn request(
    path: &str,
    host: Option<&str>,
    headers: &[(Box<str>, Box<str>)],
    span: Span,
    losses: &mut Losses,
) -> Fields {
    if split_early_data(path).1.is_some() {
        losses.lose(span, "`ed` in a path that is sent as it is", None);
    }
    let mut fields = Fields::default();
    fields.put("path", path);
    fields.put_some("host", host);
    let mut written = Fields::default();
    for (index, (name, value)) in headers.iter().enumerate() {
        if headers.iter().take(index).any(|(earlier, _)| earlier == name) {
            losses.lose(span, "several headers of one name", None);
        } else {
            written.put(&**name, &**value);
        }
    }
    fields.put_filled("headers", written);
    fields
}

fn web_socket(web_socket: &WebSocket, span: Span, losses: &mut Losses) -> Fields {
    let WebSocket { path, host, headers, early_data } = web_socket;
    let mut fields = request(path, host.as_deref(), headers, span, losses);
    if let Some(early) = early_data {
        fields.put("maxEarlyData", early.max_bytes.min(i32::MAX.unsigned_abs()));
        fields.put_some("earlyDataHeaderName", early.header.as_deref());
    }
    fields
}

fn http_upgrade(upgrade: &HttpUpgrade, span: Span, losses: &mut Losses) -> Fields {
    let HttpUpgrade { path, host, headers } = upgrade;
    request(path, host.as_deref(), headers, span, losses)
}

fn grpc(grpc: &Grpc, span: Span, losses: &mut Losses) -> Fields {
    let Grpc { service_name, authority, user_agent, idle_timeout, ping_timeout, permit_without_stream } =
        grpc;
    let mut fields = Fields::default();
    if !service_name.is_empty() {
        fields.put("serviceName", &**service_name);
    }
    fields.put_some("authority", authority.as_deref());
    fields.put_some("user_agent", user_agent.as_deref());
    for (key, duration) in [("idle_timeout", idle_timeout), ("health_check_timeout", ping_timeout)] {
        let Some(duration) = duration else { continue };
        if duration.subsec_nanos() > 0 {
            losses.lose(span, "a time-out that is not whole seconds", None);
        }
        fields.put(key, duration.as_secs().max(1));
    }
    fields.put_if("permit_without_stream", *permit_without_stream);
    fields
}

fn client_tls(tls: &ClientTls, span: Span, losses: &mut Losses) -> Fields {
    let ClientTls {
        server_name,
        disable_sni,
        alpn,
        authorities,
        only_own_authorities,
        pins,
        allow_insecure,
        identity,
        versions,
    } = tls;
    let mut fields = Fields::default();
    fields.put_some("serverName", server_name.as_ref().map(ToString::to_string));
    if *disable_sni {
        losses.lose(span, "that a server is not told the name", None);
    }
    put_alpn(alpn, &mut fields);
    let mut certificates: Vec<Json> = authorities.iter().map(authority).collect();
    certificates.extend(identity.iter().map(self::identity));
    fields.put_filled("certificates", certificates);
    fields.put_if("disableSystemRoot", *only_own_authorities);
    fields.put_if("allowInsecure", *allow_insecure);
    put_versions(*versions, ["minVersion", "maxVersion"], &mut fields);
    let mut by_kind = [Vec::new(), Vec::new(), Vec::new()];
    let [certificates, chains, keys] = &mut by_kind;
    for pin in pins {
        match pin {
            Pin::Certificate(hash) => certificates.push(pins::to_hex(hash)),
            Pin::Chain(hash) => chains.push(pins::to_base64(hash)),
            Pin::PublicKey(hash) => keys.push(pins::to_base64(hash)),
        }
    }
    let names =
        ["pinnedPeerCertSha256", "pinnedPeerCertificateChainSha256", "pinnedPeerCertificatePublicKeySha256"];
    for (name, hashes) in names.into_iter().zip(by_kind) {
        fields.put_filled(name, hashes);
    }
    fields
}

fn server_tls(tls: &ServerTls) -> Fields {
    let ServerTls { identities, alpn, client_authorities, reject_unknown_sni, versions } = tls;
    let mut fields = Fields::default();
    put_alpn(alpn, &mut fields);
    let mut certificates: Vec<Json> = identities.iter().map(identity).collect();
    certificates.extend(client_authorities.iter().map(authority));
    fields.put("certificates", certificates);
    fields.put_if("verifyClientCertificate", !client_authorities.is_empty());
    fields.put_if("rejectUnknownSni", *reject_unknown_sni);
    put_versions(*versions, ["minVersion", "maxVersion"], &mut fields);
    fields
}

fn put_alpn(alpn: &[Box<str>], fields: &mut Fields) {
    fields.put_filled("alpn", alpn.iter().map(|name| &**name).collect::<Vec<_>>());
}

fn authority(pem: &Pem) -> Json {
    let mut fields = Fields::default();
    fields.put("usage", "verify");
    put_pem(pem, ["certificateFile", "certificate"], &mut fields);
    fields.into()
}

fn identity(identity: &Identity) -> Json {
    let mut fields = Fields::default();
    put_pem(&identity.certificate, ["certificateFile", "certificate"], &mut fields);
    put_pem(&identity.key, ["keyFile", "key"], &mut fields);
    fields.into()
}
