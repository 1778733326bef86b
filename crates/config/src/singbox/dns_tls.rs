//! `tls` of a DNS server.

use crate::{
    keys::{Form, Key, KeyTable},
    object::Object,
    report::Report,
};

const TRUST: &str = "the certificate has to come from an authority that the system trusts";
const OWN: &str = "the versions and ciphers of TLS are chosen here";

/// Where the servers that speak TLS have it.
pub(super) const KEY: Key = Key::new("tls", Form::Object("DnsTls"), "How TLS is spoken.");

pub(super) static TLS: KeyTable = KeyTable {
    name: "DnsTls",
    path: "tls",
    doc: "How a DNS server speaks TLS. Its certificate has to be for `server`, and to come from an authority that the system trusts.",
    keys: &[
        Key::new("enabled", Form::Flag, "Whether TLS is spoken, which the type of the server says already."),
        Key::new("server_name", Form::Text, "The name in the certificate; only that of `server`."),
        Key::new("disable_sni", Form::Flag, "Whether the name is not sent.").only_off("the name is sent"),
        Key::new("insecure", Form::Flag, "Whether any certificate will do.").only_off(TRUST),
        Key::new("certificate", Form::Any, "Another authority.").only_off(TRUST),
        Key::new("certificate_path", Form::Text, "Another authority.").only_off(TRUST),
        Key::new("alpn", Form::OneOrMany(&Form::Text), "The protocols that are offered.").no_effect(OWN),
        Key::new("min_version", Form::Text, "The oldest version of TLS.").no_effect(OWN),
        Key::new("max_version", Form::Text, "The newest version of TLS.").no_effect(OWN),
        Key::new("cipher_suites", Form::OneOrMany(&Form::Text), "The ciphers.").no_effect(OWN),
        Key::new("utls", Form::Any, "How a browser would say it.")
            .only_off("it is not available in this version"),
        Key::new("ech", Form::Any, "Encrypts the name.").only_off("it is not available in this version"),
    ],
};

/// Checks that what is wanted is what is done.
pub(super) fn check(server: &Object<'_>, report: &mut Report<'_>) {
    let Some(tls) = server.object("tls", &TLS, report) else { return };
    let written = server.text("server", report).map_or("", |server| server.value);
    if let Some(name) = tls.text("server_name", report)
        && !name.value.is_empty()
        && !name.value.eq_ignore_ascii_case(written)
    {
        report.error(name.span, "the certificate has to be for `server` in this version").help(
            "remove `server_name` if the certificate is for the address too, or write the name into `server`",
        );
    }
}
