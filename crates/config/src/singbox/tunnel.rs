//! Protocols with keys of their own: `shadowsocks`, `vmess`, `vless` and `trojan`.

pub(super) mod inbound;
pub(super) mod outbound;

use crate::{
    keys::{Form, Key},
    object::Object,
    report::Report,
    transport::check_disabled,
};

/// The methods of Shadowsocks.
const METHOD: Key = Key::new(
    "method",
    Form::Word(&[
        "aes-128-gcm",
        "aes-256-gcm",
        "chacha20-ietf-poly1305",
        "xchacha20-ietf-poly1305",
        "2022-blake3-aes-128-gcm",
        "2022-blake3-aes-256-gcm",
        "2022-blake3-chacha20-poly1305",
    ]),
    "How what is sent is encrypted.",
);
const UUID: Key = Key::new("uuid", Form::Text, "The id of the user: a UUID, or a text of up to 30 bytes.");
const FLOW: Key = Key::new("flow", Form::Word(&[""]), "Only empty: XTLS Vision is not available.");
const MULTIPLEX: Key = Key::new("multiplex", Form::Any, "Several connections in one; only switched off.");

fn check_multiplex(object: &Object<'_>, report: &mut Report<'_>) {
    check_disabled(
        object,
        "multiplex",
        "`multiplex` is not available in this version",
        "switch it off on both ends; the transport `grpc` carries many connections in one",
        report,
    );
}
