use super::sockopt;
use crate::{
    keys::{Form, Key, KeyTable},
    model::SocketOptions,
    object::Object,
    report::{Report, quote},
};

const PLAIN_TCP: &str = "transports other than plain TCP are not available in this version";

pub(super) static STREAM_SETTINGS: KeyTable = KeyTable {
    name: "StreamSettings",
    path: "streamSettings",
    doc: "The transport below the protocol; only plain TCP in this version.",
    keys: &[
        Key::new("network", Form::Word(&["tcp", "raw"]), "The transport.").alias(&["method"]),
        Key::new("security", Form::Word(&["none"]), "The encryption of the transport."),
        Key::new("sockopt", Form::Object("SocketOptions"), "What is set on sockets."),
        transport("tcpSettings"),
        transport("rawSettings"),
        transport("tlsSettings"),
        transport("xtlsSettings"),
        transport("utlsSettings"),
        transport("realitySettings"),
        transport("kcpSettings"),
        transport("wsSettings"),
        transport("httpSettings"),
        transport("httpupgradeSettings"),
        transport("xhttpSettings"),
        transport("splithttpSettings"),
        transport("dsSettings"),
        transport("quicSettings"),
        transport("grpcSettings"),
        transport("gunSettings"),
        transport("meekSettings"),
        transport("hy2Settings"),
        transport("hysteriaSettings"),
        transport("dtlsSettings"),
        transport("request"),
        transport("udpmasks"),
        transport("finalmask"),
        Key::new("address", Form::Text, "The address of the transport.").only_off(PLAIN_TCP),
        Key::new("port", Form::Port, "The port of the transport.").only_off(PLAIN_TCP),
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

const fn transport(name: &'static str) -> Key {
    Key::new(name, Form::Any, "Settings of a transport.").only_off(PLAIN_TCP)
}

/// Reads what is set on sockets, from `streamSettings` that say plain TCP.
pub(super) fn read(endpoint: &Object<'_>, report: &mut Report<'_>) -> SocketOptions {
    let Some(stream) = endpoint.object("streamSettings", &STREAM_SETTINGS, report) else {
        return SocketOptions::default();
    };
    let parts = [
        ("network", ["tcp", "raw", ""], "the transport", "only `tcp` is available in this version"),
        ("security", ["none", "", ""], "the security", "only `none` is available in this version"),
    ];
    for (name, accepted, what, help) in parts {
        let Some(written) = stream.text(name, report) else { continue };
        if !accepted.iter().any(|word| written.value.eq_ignore_ascii_case(word)) {
            report
                .error(written.span, format!("{what} {} is not supported", quote(written.value)))
                .help(help);
        }
    }
    sockopt::read(&stream, report)
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
