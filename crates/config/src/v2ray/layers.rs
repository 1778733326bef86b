//! What is laid over TCP or TLS: the settings of `tcp`, `ws`, `httpupgrade` and `grpc`.

use std::time::Duration;

use crate::{
    Spanned,
    json::part_of,
    keys::{Form, Key, KeyTable},
    model::{EarlyData, Grpc, HttpUpgrade, WebSocket},
    object::Object,
    report::{Report, quote},
    transport::{
        EARLY_HEADER, read_early_header, read_headers, read_host_header, read_path, read_request_text,
        split_early_data,
    },
};

const LATER: &str = "it is not available in this version";
/// A day.
const MAX_SECONDS: u32 = 86_400;
const PATH: Key = Key::new("path", Form::Text, "The path of the request; `/` without it.");
const HOST: Key = Key::new(
    "host",
    Form::Text,
    "The `Host` header; the name for TLS or the address of the server without it.",
);
const HEADERS: Key = Key::new("headers", Form::MapOf(&Form::Text), "Further headers of the request.");
const PROXY_PROTOCOL: Key =
    Key::new("acceptProxyProtocol", Form::Flag, "Whether clients announce their address first.")
        .only_off(LATER);
const FORWARDED: Key =
    Key::new("parseXForwardedFor", Form::Flag, "Whether a header names the client.").only_off(LATER);

pub(super) static TCP: KeyTable = KeyTable {
    name: "TcpSettings",
    path: "tcpSettings",
    doc: "Settings of the transport `tcp`, where nothing is laid over.",
    keys: &[
        Key::new("header", Form::Object("TcpHeader"), "What is written first; only nothing."),
        PROXY_PROTOCOL,
    ],
};

pub(super) static TCP_HEADER: KeyTable = KeyTable {
    name: "TcpHeader",
    path: "tcpSettings.header",
    doc: "What is written before everything else, to look like something else.",
    keys: &[
        Key::new("type", Form::Word(&["none"]), "Only `none`."),
        Key::new("request", Form::Any, "Goes with other types."),
        Key::new("response", Form::Any, "Goes with other types."),
    ],
};

pub(super) static WEB_SOCKET: KeyTable = KeyTable {
    name: "WsSettings",
    path: "wsSettings",
    doc: "Settings of the transport `ws`: WebSocket.",
    keys: &[
        Key::new(
            "path",
            Form::Text,
            "The path of the request; `/` without it. `?ed=2048` behind it sends up to that many bytes with the request, in the header `Sec-WebSocket-Protocol`.",
        ),
        HOST,
        HEADERS,
        Key::new(
            "maxEarlyData",
            Form::up_to(0x7fff_ffff),
            "How many bytes may go with the request; none without it.",
        ),
        Key::new(
            "earlyDataHeaderName",
            Form::Text,
            "The header that carries them; they are appended to the path without it.",
        ),
        Key::new("useBrowserForwarding", Form::Flag, "Whether a browser makes the connection.")
            .only_off(LATER),
        PROXY_PROTOCOL,
        FORWARDED,
        Key::new(
            "heartbeatPeriod",
            Form::Number,
            "Seconds between two questions whether the other end lives.",
        )
        .no_effect("connections are kept by the system (`tcpKeepAliveIdle`)"),
    ],
};

pub(super) static HTTP_UPGRADE: KeyTable = KeyTable {
    name: "HttpUpgradeSettings",
    path: "httpupgradeSettings",
    doc: "Settings of the transport `httpupgrade`: what follows an upgrade of HTTP/1.1.",
    keys: &[PATH, HOST, HEADERS, PROXY_PROTOCOL],
};

pub(super) static GRPC: KeyTable = KeyTable {
    name: "GrpcSettings",
    path: "grpcSettings",
    doc: "Settings of the transport `grpc`: many connections as streams in one.",
    keys: &[
        Key::new("serviceName", Form::Text, "The name of the service, the same at both ends."),
        Key::new(
            "authority",
            Form::Text,
            "The name that the server is asked for; that for TLS or its address without it.",
        ),
        Key::new("user_agent", Form::Text, "What a client calls itself.").alias(&["userAgent"]),
        Key::new("multiMode", Form::Flag, "Several pieces in one message.").only_off(LATER),
        Key::new(
            "idle_timeout",
            Form::up_to(MAX_SECONDS as u64),
            "Seconds for which nothing comes before the other end is asked whether it lives.",
        )
        .alias(&["idleTimeout"]),
        Key::new(
            "health_check_timeout",
            Form::up_to(MAX_SECONDS as u64),
            "Seconds that it may take to answer.",
        )
        .alias(&["healthCheckTimeout"]),
        Key::new("permit_without_stream", Form::Flag, "Whether it is asked while nothing is open.")
            .alias(&["permitWithoutStream"]),
        Key::new("initial_windows_size", Form::Number, "How much may be on the way.")
            .alias(&["initialWindowsSize"])
            .no_effect("windows are large enough for fast lines"),
        FORWARDED,
    ],
};

/// Accepts settings of `tcp` that add nothing.
pub(super) fn check_tcp(stream: &Object<'_>, report: &mut Report<'_>) {
    let settings = stream.object("tcpSettings", &TCP, report);
    let header = settings.and_then(|settings| settings.object("header", &TCP_HEADER, report));
    let kind = header.and_then(|header| header.text("type", report));
    if let Some(kind) = kind.filter(|kind| !kind.value.is_empty() && !kind.value.eq_ignore_ascii_case("none"))
    {
        report
            .error(
                kind.span,
                format!("the header type {} is not available in this version", quote(kind.value)),
            )
            .help("write `none`, or use `httpupgrade` at both ends");
    }
}

pub(super) fn read_web_socket(stream: &Object<'_>, report: &mut Report<'_>) -> WebSocket {
    let Some(settings) = stream.object("wsSettings", &WEB_SOCKET, report) else {
        return WebSocket { path: "/".into(), ..WebSocket::default() };
    };
    let (path, from_path) = read_path_with_early_data(&settings, report);
    let headers = read_headers(&settings, "headers", false, report);
    let most = settings.count("maxEarlyData", 0..=i32::MAX.unsigned_abs(), report).filter(|most| *most > 0);
    let header = settings.text("earlyDataHeaderName", report).filter(|name| !name.value.is_empty());
    match header {
        Some(header) if most.is_none() && from_path.is_none() => {
            report
                .warning(header.span, "this header is for early data, of which there is none")
                .help("add `\"maxEarlyData\": 2048`, or remove it");
        }
        Some(header) if most.is_none() && !header.value.eq_ignore_ascii_case(EARLY_HEADER) => {
            report
                .warning(
                    header.span,
                    format!("`ed` in the path means the header `{EARLY_HEADER}`, not this one"),
                )
                .help("write `maxEarlyData` instead of `ed`, or remove it");
        }
        Some(_) | None => {}
    }
    let early_data = match (most, from_path) {
        (Some(_), Some(written)) => {
            report.error(written.span, "`maxEarlyData` and `ed` in the path exclude each other");
            None
        }
        (Some(max_bytes), None) => {
            let header = header.map(|header| read_early_header(header, report));
            Some(EarlyData { max_bytes, header: header.flatten() })
        }
        (None, Some(written)) => {
            Some(EarlyData { max_bytes: written.value, header: Some(EARLY_HEADER.into()) })
        }
        (None, None) => None,
    };
    let host = read_host_header(settings.text("host", report), &headers, report);
    WebSocket {
        path,
        host,
        headers: headers.others,
        early_data: early_data.filter(|early| early.max_bytes > 0),
    }
}

pub(super) fn read_http_upgrade(stream: &Object<'_>, report: &mut Report<'_>) -> HttpUpgrade {
    let Some(settings) = stream.object("httpupgradeSettings", &HTTP_UPGRADE, report) else {
        return HttpUpgrade { path: "/".into(), ..HttpUpgrade::default() };
    };
    // What Xray does then, to send the first bytes before the answer, is seen by nobody.
    let (path, _early) = read_path_with_early_data(&settings, report);
    let headers = read_headers(&settings, "headers", false, report);
    let host = read_host_header(settings.text("host", report), &headers, report);
    HttpUpgrade { path, host, headers: headers.others }
}

fn read_path_with_early_data(
    settings: &Object<'_>,
    report: &mut Report<'_>,
) -> (Box<str>, Option<Spanned<u32>>) {
    let Some(written) = settings.text("path", report) else { return ("/".into(), None) };
    let (rest, early) = split_early_data(written.value);
    let early = early.and_then(|(at, early)| {
        let place = part_of(written.value, written.span, at..at + early.len());
        match early.parse::<u32>() {
            Ok(bytes) => Some(Spanned::new(bytes, place)),
            Err(_no_number) => {
                report
                    .error(place, format!("not a number of bytes: {}", quote(early)))
                    .help("expected a number such as `ed=2048`");
                None
            }
        }
    });
    let path = read_path(Some(Spanned::new(&rest, written.span)), report);
    (path.unwrap_or_default(), early)
}

pub(super) fn read_grpc(stream: &Object<'_>, report: &mut Report<'_>) -> Grpc {
    let Some(settings) = stream.object("grpcSettings", &GRPC, report) else { return Grpc::default() };
    let mut text = |name, what| {
        let written = settings.text(name, report);
        read_request_text(written, what, report)
    };
    let service_name = text("serviceName", "the name of a service");
    let authority = text("authority", "the name of a server");
    let user_agent = text("user_agent", "the name of a program");
    let mut seconds = |name| {
        let seconds = settings.count(name, 0..=MAX_SECONDS, report).filter(|&seconds| seconds > 0);
        seconds.map(|seconds| Duration::from_secs(seconds.into()))
    };
    let (idle_timeout, ping_timeout) = (seconds("idle_timeout"), seconds("health_check_timeout"));
    Grpc {
        service_name: service_name.unwrap_or_default(),
        authority,
        user_agent,
        idle_timeout,
        ping_timeout,
        permit_without_stream: settings.flag("permit_without_stream", report).is_some_and(|flag| flag.value),
    }
}
