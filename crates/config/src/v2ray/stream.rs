//! `streamSettings`: what carries the protocol.

use super::{layers, sockopt, tls};
use crate::{
    Spanned,
    keys::{Form, Key, KeyTable},
    model::{ClientTls, Layer, ServerTls, SocketOptions, Transport},
    nearest,
    object::Object,
    report::{Report, all_of, quote},
    transport::{LAYERS, warn_without_effect},
};

const LATER: &str = "it is not available in this version";

pub(super) static STREAM_SETTINGS: KeyTable = KeyTable {
    name: "StreamSettings",
    path: "streamSettings",
    doc: "What carries the protocol: TLS, and what is laid over it.",
    keys: &[
        Key::new(
            "network",
            Form::Word(&["tcp", "raw", "ws", "websocket", "grpc", "gun", "httpupgrade"]),
            "What is laid over TCP or TLS; `tcp` (or `raw`) is nothing, and stands without it.",
        )
        .alias(&["method"]),
        Key::new("security", Form::Word(&["none", "tls"]), "Whether TLS is spoken; `none` without it."),
        Key::new(
            "tlsSettings",
            Form::Object("TlsSettings"),
            "How TLS is spoken, with `\"security\": \"tls\"`.",
        ),
        Key::new("tcpSettings", Form::Object("TcpSettings"), "Settings of `tcp`.").alias(&["rawSettings"]),
        Key::new("wsSettings", Form::Object("WsSettings"), "Settings of `ws`."),
        Key::new("grpcSettings", Form::Object("GrpcSettings"), "Settings of `grpc`.").alias(&["gunSettings"]),
        Key::new("httpupgradeSettings", Form::Object("HttpUpgradeSettings"), "Settings of `httpupgrade`."),
        Key::new("sockopt", Form::Object("SocketOptions"), "What is set on sockets."),
        foreign("xtlsSettings"),
        foreign("utlsSettings"),
        foreign("realitySettings"),
        foreign("kcpSettings"),
        foreign("httpSettings"),
        foreign("xhttpSettings"),
        foreign("splithttpSettings"),
        foreign("dsSettings"),
        foreign("quicSettings"),
        foreign("meekSettings"),
        foreign("hy2Settings"),
        foreign("hysteriaSettings"),
        foreign("dtlsSettings"),
        Key::new("request", Form::Any, "Settings of a transport.").only_off(LATER),
        Key::new("udpmasks", Form::Any, "Disguises of datagrams.").only_off(LATER),
        Key::new("finalmask", Form::Any, "Disguises of what is sent.").only_off(LATER),
        Key::new("address", Form::Text, "The address of the transport.").only_off(LATER),
        Key::new("port", Form::Port, "The port of the transport.").only_off(LATER),
    ],
};

pub(super) static ALLOCATE: KeyTable = KeyTable {
    name: "Allocate",
    path: "allocate",
    doc: "When the ports of a range are listened on; always all of them.",
    keys: &[
        Key::new("strategy", Form::Word(&["always"]), "Only `always`."),
        Key::new("refresh", Form::Number, "Goes with other strategies."),
        Key::new("concurrency", Form::Number, "Goes with other strategies."),
    ],
};

pub(super) static MUX: KeyTable = KeyTable {
    name: "Mux",
    path: "mux",
    doc: "Several connections in one; not available in this version.",
    keys: &[
        Key::new("enabled", Form::Flag, "Only `false`."),
        Key::new("concurrency", Form::Number, "Goes with `enabled`."),
        Key::new("packetEncoding", Form::Text, "Goes with `enabled`."),
        Key::new("xudpConcurrency", Form::Number, "Goes with `enabled`."),
        Key::new("xudpProxyUDP443", Form::Text, "Goes with `enabled`."),
    ],
};

const fn foreign(name: &'static str) -> Key {
    Key::new(name, Form::Any, "Settings of something that does not exist here; not read.")
}

/// What is laid over TCP or TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Tcp,
    WebSocket,
    Grpc,
    HttpUpgrade,
}

impl Network {
    /// The words for them.
    pub(crate) const WORDS: [(&str, Self); 7] = [
        ("tcp", Self::Tcp),
        ("raw", Self::Tcp),
        ("ws", Self::WebSocket),
        ("websocket", Self::WebSocket),
        ("grpc", Self::Grpc),
        ("gun", Self::Grpc),
        ("httpupgrade", Self::HttpUpgrade),
    ];

    /// Transports of V2Ray and Xray that do not exist here.
    pub(crate) const FOREIGN: [&str; 18] = [
        "kcp",
        "mkcp",
        "quic",
        "h2",
        "h3",
        "http",
        "xhttp",
        "splithttp",
        "domainsocket",
        "ds",
        "hysteria",
        "hysteria2",
        "hy2",
        "meek",
        "mekya",
        "dtls",
        "request",
        "tlsmirror",
    ];

    /// The key with the settings.
    fn settings(self) -> &'static str {
        match self {
            Self::Tcp => "tcpSettings",
            Self::WebSocket => "wsSettings",
            Self::Grpc => "grpcSettings",
            Self::HttpUpgrade => "httpupgradeSettings",
        }
    }
}

/// What `streamSettings` say.
#[derive(Default)]
pub(super) struct Stream<'a, T> {
    pub(super) socket: SocketOptions,
    pub(super) transport: Transport<T>,
    /// `sockopt.dialerProxy`: the tag of an outbound.
    pub(super) dialer: Option<Spanned<&'a str>>,
}

/// Reads `streamSettings` of an inbound.
pub(super) fn read_inbound<'a>(inbound: &Object<'a>, report: &mut Report<'_>) -> Stream<'a, ServerTls> {
    read(inbound, tls::read_server, report)
}

/// Reads `streamSettings` of an outbound.
pub(super) fn read_outbound<'a>(outbound: &Object<'a>, report: &mut Report<'_>) -> Stream<'a, ClientTls> {
    read(outbound, tls::read_client, report)
}

fn read<'a, T: Default>(
    endpoint: &Object<'a>,
    read_tls: impl Fn(&Object<'_>, &Layer, &mut Report<'_>) -> Option<T>,
    report: &mut Report<'_>,
) -> Stream<'a, T> {
    let Some(stream) = endpoint.object("streamSettings", &STREAM_SETTINGS, report) else {
        return Stream::default();
    };
    let layer = match read_network(&stream, report) {
        Some(network) => read_layer(&stream, network, report),
        None => Layer::Raw,
    };
    let tls = match read_security(&stream, report) {
        Some(true) => read_tls(&stream, &layer, report).map(Box::new),
        Some(false) => {
            let reason = "`security` is not `tls`";
            warn_without_effect(&stream, &["tlsSettings"], reason, report);
            None
        }
        None => None,
    };
    let (socket, dialer) = sockopt::read(&stream, report);
    Stream { socket, transport: Transport { tls, layer }, dialer }
}

fn read_network(stream: &Object<'_>, report: &mut Report<'_>) -> Option<Network> {
    let Some(written) = stream.text("network", report) else {
        return (!stream.has("network")).then_some(Network::Tcp);
    };
    let is = |name: &str| written.value.eq_ignore_ascii_case(name);
    if written.value.is_empty() {
        return Some(Network::Tcp);
    }
    if let Some((_, network)) = Network::WORDS.iter().find(|(word, _)| is(word)) {
        return Some(*network);
    }
    let quoted = quote(written.value);
    if Network::FOREIGN.into_iter().any(is) {
        report.error(written.span, format!("the transport {quoted} is not available in this version"));
        report.help(format!("there are {}; the other end has to speak the same", all_of(LAYERS)));
        return None;
    }
    report.error(written.span, format!("unknown transport: {quoted}"));
    report.help(match nearest(written.value, Network::WORDS.map(|(word, _)| word)) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("there are {}", all_of(LAYERS)),
    });
    None
}

fn read_layer(stream: &Object<'_>, network: Network, report: &mut Report<'_>) -> Layer {
    let all = STREAM_SETTINGS.keys.iter().map(|key| key.name);
    let of_transports = all.filter(|name| name.ends_with("Settings") && !OF_SECURITY.contains(name));
    let others: Vec<&str> = of_transports.filter(|name| *name != network.settings()).collect();
    let word = Network::WORDS.iter().find(|(_, known)| *known == network).map_or("", |(word, _)| word);
    warn_without_effect(stream, &others, &format!("the transport is `{word}`"), report);
    match network {
        Network::Tcp => {
            layers::check_tcp(stream, report);
            Layer::Raw
        }
        Network::WebSocket => Layer::WebSocket(layers::read_web_socket(stream, report)),
        Network::Grpc => Layer::Grpc(layers::read_grpc(stream, report)),
        Network::HttpUpgrade => Layer::HttpUpgrade(layers::read_http_upgrade(stream, report)),
    }
}

/// The settings that belong to `security`.
const OF_SECURITY: [&str; 4] = ["tlsSettings", "xtlsSettings", "utlsSettings", "realitySettings"];

/// Whether TLS is spoken; `None` after an error.
fn read_security(stream: &Object<'_>, report: &mut Report<'_>) -> Option<bool> {
    let written = stream.text("security", report);
    if written.is_none() && stream.has("security") {
        return None;
    }
    let word = written.map_or("none", |written| written.value).to_ascii_lowercase();
    let refused = match word.as_str() {
        "" | "none" | "tls" => None,
        "reality" => Some((
            "REALITY is not available in this version",
            "there is `tls`, with a certificate at the server",
        )),
        "xtls" => Some(("XTLS is not available in this version", "there is `tls`")),
        "utls" => Some((
            "uTLS is not available in this version",
            "there is `tls`, whose handshake does not look like that of a browser",
        )),
        _ => Some(("unknown security", "there are `none` and `tls`")),
    };
    if let (Some((message, help)), Some(written)) = (refused, written) {
        report.error(written.span, format!("{message}: {}", quote(written.value))).help(help);
        return None;
    }
    let reason = format!("`security` is `{}`", if word == "tls" { "tls" } else { "none" });
    warn_without_effect(stream, &["xtlsSettings", "utlsSettings", "realitySettings"], &reason, report);
    Some(word == "tls")
}

/// Accepts `allocate` that listens on all ports always.
pub(super) fn check_allocate(inbound: &Object<'_>, report: &mut Report<'_>) {
    let Some(allocate) = inbound.object("allocate", &ALLOCATE, report) else { return };
    if let Some(strategy) = allocate.text("strategy", report)
        && !strategy.value.eq_ignore_ascii_case("always")
    {
        let message = format!("the strategy {} is not supported", quote(strategy.value));
        report.error(strategy.span, message).help("only `always` is available in this version");
    }
}

/// Accepts `mux` that is switched off.
pub(super) fn check_mux(outbound: &Object<'_>, report: &mut Report<'_>) {
    let Some(mux) = outbound.object("mux", &MUX, report) else { return };
    if let Some(enabled) = mux.flag("enabled", report).filter(|enabled| enabled.value) {
        report.error(enabled.span, "`mux` is not available in this version").help("write `false`");
    }
}
