//! `transport`: what is laid over TCP or TLS.

use crate::{
    Span, Spanned,
    keys::{Form, Key, KeyTable},
    model::{EarlyData, Grpc, HttpUpgrade, Layer, WebSocket},
    nearest,
    object::Object,
    report::{Report, all_of, quote},
    transport::{
        read_early_header, read_headers, read_host_header, read_path, read_request_text, split_early_data,
    },
};

const HEADERS: Key = Key::new(
    "headers",
    Form::MapOf(&Form::OneOrMany(&Form::Text)),
    "Further headers of the request, `Host` among them.",
);
const PATH: Key = Key::new("path", Form::Text, "The path of the request; `/` without it.");

/// Where protocols with a transport have it.
pub(super) const KEY: Key = Key::new(
    "transport",
    Form::ByType {
        key: "type",
        default: None,
        tables: &[
            ("ws", "WebSocketTransport"),
            ("grpc", "GrpcTransport"),
            ("httpupgrade", "HttpUpgradeTransport"),
        ],
    },
    "What is laid over TCP or TLS; nothing without it.",
);

const fn kind(name: &'static [&'static str]) -> Key {
    Key::new("type", Form::Word(name), "What is laid over TCP or TLS.")
}

pub(super) static WEB_SOCKET: KeyTable = KeyTable {
    name: "WebSocketTransport",
    path: "transport with the type `ws`",
    doc: "WebSocket.",
    keys: &[
        kind(&["ws"]),
        PATH,
        HEADERS,
        Key::new(
            "max_early_data",
            Form::up_to(u32::MAX as u64),
            "How many bytes may go with the request; none without it.",
        ),
        Key::new(
            "early_data_header_name",
            Form::Text,
            "The header that carries them; they are appended to the path without it.",
        ),
    ],
};

pub(super) static GRPC: KeyTable = KeyTable {
    name: "GrpcTransport",
    path: "transport with the type `grpc`",
    doc: "gRPC: many connections as streams in one.",
    keys: &[
        kind(&["grpc"]),
        Key::new("service_name", Form::Text, "The name of the service, the same at both ends."),
        Key::new(
            "idle_timeout",
            Form::Duration,
            "How long nothing comes before the other end is asked whether it lives.",
        ),
        Key::new("ping_timeout", Form::Duration, "How long it may take to answer."),
        Key::new("permit_without_stream", Form::Flag, "Whether it is asked while nothing is open."),
    ],
};

pub(super) static HTTP_UPGRADE: KeyTable = KeyTable {
    name: "HttpUpgradeTransport",
    path: "transport with the type `httpupgrade`",
    doc: "What follows an upgrade of HTTP/1.1.",
    keys: &[
        kind(&["httpupgrade"]),
        Key::new(
            "host",
            Form::Text,
            "The `Host` header; the name for TLS or the address of the server without it.",
        ),
        PATH,
        HEADERS,
    ],
};

#[derive(Clone, Copy)]
enum Kind {
    WebSocket,
    Grpc,
    HttpUpgrade,
}

const TYPES: [(&str, Kind); 3] =
    [("ws", Kind::WebSocket), ("grpc", Kind::Grpc), ("httpupgrade", Kind::HttpUpgrade)];

/// Types of sing-box that do not exist here.
const FOREIGN: [&str; 2] = ["http", "quic"];

/// Reads `transport`.
pub(super) fn read(object: &Object<'_>, report: &mut Report<'_>) -> Layer {
    let Some(field) = object.get("transport").filter(|field| !field.value.is_off()) else {
        return Layer::Raw;
    };
    if field.value.members().is_none() {
        field.expected("an object", report);
        return Layer::Raw;
    }
    let span = field.value.span;
    match field.value.member("type").map(|member| (member.value.text(), member.value.span)) {
        None => {
            let brace = Span { start: span.start, end: span.start + 1 };
            report.error(brace, "a transport needs a `type`").help(format!("there are {}", words()));
            Layer::Raw
        }
        Some((None, span)) => {
            report.error(span, "expected a string for `type`");
            Layer::Raw
        }
        Some((Some(word), span)) => match find(Spanned::new(word, span), report) {
            Some(Kind::WebSocket) => read_web_socket(object, report),
            Some(Kind::Grpc) => read_grpc(object, report),
            Some(Kind::HttpUpgrade) => read_http_upgrade(object, report),
            None => Layer::Raw,
        },
    }
}

fn words() -> String {
    all_of(TYPES.map(|(word, _)| word))
}

fn find(written: Spanned<&str>, report: &mut Report<'_>) -> Option<Kind> {
    let found = TYPES.iter().find(|(word, _)| word.eq_ignore_ascii_case(written.value));
    if found.is_none() {
        let quoted = quote(written.value);
        if FOREIGN.iter().any(|word| word.eq_ignore_ascii_case(written.value)) {
            report.error(written.span, format!("the transport {quoted} is not available in this version"));
            report.help(format!("there are {}; the other end has to speak the same", words()));
        } else {
            report.error(written.span, format!("unknown transport: {quoted}"));
            report.help(match nearest(written.value, TYPES.map(|(word, _)| word)) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("there are {}; without `transport` there is nothing over TCP", words()),
            });
        }
    }
    found.map(|(_, kind)| *kind)
}

fn read_web_socket(object: &Object<'_>, report: &mut Report<'_>) -> Layer {
    let Some(settings) = object.object("transport", &WEB_SOCKET, report) else { return Layer::Raw };
    let path = settings.text("path", report);
    if let Some(path) = path
        && split_early_data(path.value).1.is_some()
    {
        report
            .warning(path.span, "`ed` in the path is sent as it is: only V2Ray and Xray read it")
            .help("write `\"max_early_data\": 2048, \"early_data_header_name\": \"Sec-WebSocket-Protocol\"` instead");
    }
    let headers = read_headers(&settings, "headers", true, report);
    let most = settings.count("max_early_data", 0..=u32::MAX, report).filter(|most| *most > 0);
    let header = settings.text("early_data_header_name", report).filter(|name| !name.value.is_empty());
    if let Some(header) = header.filter(|_| most.is_none()) {
        report
            .warning(header.span, "this header is for early data, of which there is none")
            .help("add `\"max_early_data\": 2048`, or remove it");
    }
    let header = header.and_then(|header| read_early_header(header, report));
    Layer::WebSocket(WebSocket {
        path: read_path(path, report).unwrap_or_default(),
        host: read_host_header(None, &headers, report),
        headers: headers.others,
        early_data: most.map(|max_bytes| EarlyData { max_bytes, header }),
    })
}

fn read_http_upgrade(object: &Object<'_>, report: &mut Report<'_>) -> Layer {
    let Some(settings) = object.object("transport", &HTTP_UPGRADE, report) else { return Layer::Raw };
    let headers = read_headers(&settings, "headers", true, report);
    let path = settings.text("path", report);
    Layer::HttpUpgrade(HttpUpgrade {
        path: read_path(path, report).unwrap_or_default(),
        host: read_host_header(settings.text("host", report), &headers, report),
        headers: headers.others,
    })
}

fn read_grpc(object: &Object<'_>, report: &mut Report<'_>) -> Layer {
    let Some(settings) = object.object("transport", &GRPC, report) else { return Layer::Raw };
    let service_name = settings.text("service_name", report);
    let positive = |duration: &std::time::Duration| !duration.is_zero();
    Layer::Grpc(Grpc {
        service_name: read_request_text(service_name, "the name of a service", report).unwrap_or_default(),
        authority: None,
        user_agent: None,
        idle_timeout: settings.duration("idle_timeout", report).filter(positive),
        ping_timeout: settings.duration("ping_timeout", report).filter(positive),
        permit_without_stream: settings.flag("permit_without_stream", report).is_some_and(|flag| flag.value),
    })
}
