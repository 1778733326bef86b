//! `tls` of inbounds and outbounds.

use super::host;
use crate::{
    Spanned,
    keys::{Form, Key, KeyTable, join},
    model::{ClientTls, Identity, Layer, Pem, Pin, ServerTls},
    object::{Object, choose},
    pins,
    report::{Report, quote},
    transport::{
        PemKind, check_alpn, check_disabled, read_alpn, read_inline, read_pem, read_versions, warn_insecure,
    },
};

const OWN: &str = "the ciphers and curves of TLS are chosen here, and all of them are good";
const COPYING: &str = "the kernel is not asked to encrypt";
const LATER: &str = "it is not available in this version";
const LINES: Form = Form::OneOrMany(&Form::Text);

const COMMON: [Key; 10] = [
    Key::new("enabled", Form::Flag, "Whether TLS is spoken; not without it."),
    Key::new("alpn", LINES, "The protocols that are offered; what the transport needs without it."),
    Key::new(
        "min_version",
        Form::Word(&["1.0", "1.1", "1.2", "1.3"]),
        "The oldest version of TLS; `1.2` without it, and older ones are not spoken.",
    ),
    Key::new("max_version", Form::Word(&["1.2", "1.3"]), "The newest version of TLS; `1.3` without it."),
    Key::new("cipher_suites", LINES, "The ciphers.").no_effect(OWN),
    Key::new("curve_preferences", LINES, "The curves.").no_effect(OWN),
    Key::new("kernel_tx", Form::Flag, "Whether the kernel encrypts.").no_effect(COPYING),
    Key::new("kernel_rx", Form::Flag, "Whether the kernel decrypts.").no_effect(COPYING),
    Key::new("ech", Form::Any, "Encrypts the name for TLS; only switched off."),
    Key::new("reality", Form::Any, "REALITY; only switched off."),
];

static OUTBOUND_KEYS: [Key; COMMON.len() + 15] = join(&[
    &COMMON,
    &[
        Key::new(
            "server_name",
            Form::Text,
            "The name that the server has to have a certificate for, and that it is told (SNI); the address of the server without it.",
        ),
        Key::new("disable_sni", Form::Flag, "Whether the server is not told the name."),
        Key::new("insecure", Form::Flag, "Whether any certificate will do; for experiments."),
        Key::new(
            "certificate",
            LINES,
            "The authorities that count, or the certificate of the server, in PEM; those of the system do not count then.",
        ),
        Key::new("certificate_path", Form::Text, "The same, in a file."),
        Key::new(
            "certificate_public_key_sha256",
            LINES,
            "Certificates by the SHA-256 of their public key, in base64, one of which the server has to show.",
        ),
        Key::new("client_certificate", LINES, "What this end shows of itself, in PEM."),
        Key::new("client_certificate_path", Form::Text, "The same, in a file."),
        Key::new("client_key", LINES, "Its key, in PEM."),
        Key::new("client_key_path", Form::Text, "The same, in a file."),
        Key::new("fragment", Form::Flag, "Cuts the first message into pieces.").only_off(LATER),
        Key::new("fragment_fallback_delay", Form::Duration, "Belongs to `fragment`.")
            .no_effect("there is no `fragment`"),
        Key::new("record_fragment", Form::Flag, "Cuts the first message into pieces.").only_off(LATER),
        Key::new("utls", Form::Any, "Which browser the handshake looks like; without effect."),
        Key::new("engine", Form::Text, "The library that is used.").no_effect("it is rustls"),
    ],
]);

static INBOUND_KEYS: [Key; COMMON.len() + 11] = join(&[
    &COMMON,
    &[
        Key::new("server_name", Form::Text, "The name of this server.")
            .no_effect("the certificate says who this server is"),
        Key::new("certificate", LINES, "The certificate and those above it, in PEM."),
        Key::new("certificate_path", Form::Text, "The same, in a file."),
        Key::new("key", LINES, "Its key, in PEM."),
        Key::new("key_path", Form::Text, "The same, in a file."),
        Key::new(
            "client_authentication",
            Form::Word(&["no", "require-and-verify"]),
            "Whether clients have to show a certificate; `require-and-verify` with `client_certificate`.",
        ),
        Key::new("client_certificate", LINES, "The authorities that they come from, in PEM."),
        Key::new("client_certificate_path", LINES, "The same, in files."),
        Key::new("client_certificate_public_key_sha256", LINES, "Clients by the hash of their public key.")
            .only_off("it is not available in this version; use `client_certificate`"),
        Key::new("insecure", Form::Flag, "Whether the server makes a certificate for itself.")
            .only_off("no certificate is made here; write `certificate_path` and `key_path`"),
        Key::new("acme", Form::Any, "A certificate from an authority in the network.")
            .alias(&["certificate_provider"])
            .only_off(
                "certificates are not fetched in this version; let another program do it, and name its files",
            ),
    ],
]);

pub(super) static OUTBOUND: KeyTable = KeyTable {
    name: "OutboundTls",
    path: "tls of an outbound",
    doc: "How TLS is spoken with a server. Its certificate has to be for `server_name` and to come from an authority that is trusted, unless it is known by its hash.",
    keys: &OUTBOUND_KEYS,
};

pub(super) static INBOUND: KeyTable = KeyTable {
    name: "InboundTls",
    path: "tls of an inbound",
    doc: "How TLS is spoken with clients.",
    keys: &INBOUND_KEYS,
};

/// Where outbounds have it.
pub(super) const OUTBOUND_KEY: Key = Key::new("tls", Form::Object("OutboundTls"), "TLS to the server.");
/// Where inbounds have it.
pub(super) const INBOUND_KEY: Key = Key::new("tls", Form::Object("InboundTls"), "TLS for clients.");

/// The object, if TLS is switched on.
fn read_enabled<'a>(
    endpoint: &Object<'a>,
    table: &'static KeyTable,
    report: &mut Report<'_>,
) -> Option<Object<'a>> {
    let tls = endpoint.object("tls", table, report)?;
    let enabled = tls.flag("enabled", report);
    if enabled.is_some_and(|enabled| enabled.value) {
        check_disabled(
            &tls,
            "reality",
            "REALITY is not available in this version",
            "use TLS with a certificate at the server",
            report,
        );
        check_disabled(
            &tls,
            "ech",
            "the name for TLS is not encrypted in this version",
            "remove `ech`",
            report,
        );
        return Some(tls);
    }
    let place = endpoint.get("tls").map(|field| field.key_span);
    if let Some(place) = place.filter(|_| !tls.has("enabled") && !tls.is_empty()) {
        report
            .warning(place, "TLS is not switched on, so this has no effect")
            .help("add `\"enabled\": true`");
    }
    None
}

/// Reads `tls` of an outbound.
pub(super) fn read_client(
    outbound: &Object<'_>,
    layer: &Layer,
    report: &mut Report<'_>,
) -> Option<Box<ClientTls>> {
    let tls = read_enabled(outbound, &OUTBOUND, report)?;
    warn_of_utls(&tls, report);
    let server_name = tls.text("server_name", report).filter(|name| !name.value.is_empty());
    let server_name = server_name.and_then(|name| host::read(name, report));
    let authority = read_pem(&tls, ["certificate_path", "certificate"], PemKind::Certificate, report);
    let pins = read_pins(&tls, report);
    if let Some(field) =
        tls.get("certificate_public_key_sha256").filter(|_| authority.is_some() && !pins.is_empty())
    {
        report
            .error(field.key_span, "`certificate` and `certificate_public_key_sha256` exclude each other")
            .help("the hash is enough");
    }
    let insecure = tls.flag("insecure", report).filter(|flag| flag.value);
    if let Some(insecure) = insecure.filter(|_| pins.is_empty()) {
        warn_insecure(insecure.span, "insecure", "certificate_public_key_sha256", report);
    }
    Some(Box::new(ClientTls {
        server_name,
        disable_sni: tls.flag("disable_sni", report).is_some_and(|flag| flag.value),
        alpn: read_protocols(&tls, layer, report),
        only_own_authorities: authority.is_some(),
        authorities: authority.into_iter().collect(),
        pins,
        allow_insecure: insecure.is_some(),
        identity: read_identity(
            &tls,
            [["client_certificate_path", "client_certificate"], ["client_key_path", "client_key"]],
            report,
        ),
        versions: read_versions(&tls, ["min_version", "max_version"], report),
    }))
}

/// Reads `tls` of an inbound.
pub(super) fn read_server(
    inbound: &Object<'_>,
    layer: &Layer,
    report: &mut Report<'_>,
) -> Option<Box<ServerTls>> {
    let tls = read_enabled(inbound, &INBOUND, report)?;
    let before = report.n_errors();
    let identity = read_identity(&tls, [["certificate_path", "certificate"], ["key_path", "key"]], report);
    if identity.is_none() && report.n_errors() == before {
        report
            .error(
                inbound.get("tls").map_or(tls.span, |field| field.key_span),
                "an inbound with TLS needs a certificate",
            )
            .help("add `\"certificate_path\": \"…\", \"key_path\": \"…\"`");
    }
    Some(Box::new(ServerTls {
        identities: identity.into_iter().collect(),
        alpn: read_protocols(&tls, layer, report),
        client_authorities: read_client_authorities(&tls, report),
        reject_unknown_sni: false,
        versions: read_versions(&tls, ["min_version", "max_version"], report),
    }))
}

fn read_protocols(tls: &Object<'_>, layer: &Layer, report: &mut Report<'_>) -> Vec<Box<str>> {
    let empty = tls.get("alpn").is_some_and(|field| field.is_empty_list());
    let words = if empty { None } else { tls.texts("alpn", report) };
    let alpn = read_alpn(words, report);
    check_alpn(layer, &alpn, tls.get("alpn").map(|field| field.value.span), report);
    alpn
}

fn read_identity(
    tls: &Object<'_>,
    [certificate_keys, key_keys]: [[&str; 2]; 2],
    report: &mut Report<'_>,
) -> Option<Identity> {
    let before = report.n_errors();
    let certificate = read_pem(tls, certificate_keys, PemKind::Certificate, report);
    let key = read_pem(tls, key_keys, PemKind::Key, report);
    let place = |names: [&str; 2]| {
        let field = names.into_iter().find_map(|name| tls.get(name));
        field.map_or(tls.span, |field| field.key_span)
    };
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (Some(_), None) if report.n_errors() == before => {
            let [path, text] = key_keys;
            report
                .error(place(certificate_keys), "this certificate has no key")
                .help(format!("add `{path}` or `{text}`"));
            None
        }
        (None, Some(_)) if report.n_errors() == before => {
            let [path, text] = certificate_keys;
            report
                .error(place(key_keys), "this key has no certificate")
                .help(format!("add `{path}` or `{text}`"));
            None
        }
        (Some(_), None) | (None, _) => None,
    }
}

fn read_pins(tls: &Object<'_>, report: &mut Report<'_>) -> Vec<Pin> {
    let name = "certificate_public_key_sha256";
    if tls.get(name).is_none_or(|field| field.is_empty_list()) {
        return Vec::new();
    }
    let texts = tls.texts(name, report).unwrap_or_default();
    let read = |written: Spanned<&str>, report: &mut Report<'_>| {
        let hash = pins::base64(written.value);
        if hash.is_none() {
            report
                .error(written.span, format!("not a hash for `{name}`: {}", quote(written.value)))
                .help("expected base64 of 32 bytes, as `sing-box` and OpenSSL make it of a public key");
        }
        hash.map(Pin::PublicKey)
    };
    texts.into_iter().filter_map(|written| read(written, report)).collect()
}

fn warn_of_utls(tls: &Object<'_>, report: &mut Report<'_>) {
    let Some(field) = tls.get("utls") else { return };
    let enabled = field.value.member("enabled").is_some_and(|enabled| !enabled.value.is_off());
    if enabled {
        report.warning(
            field.key_span,
            "`utls` has no effect: the handshake is that of rustls, and can be told from a browser's",
        );
    } else if field.value.members().is_none() {
        field.expected("an object", report);
    }
}

/// Reads whom certificates of clients have to come from; empty if they show none.
fn read_client_authorities(tls: &Object<'_>, report: &mut Report<'_>) -> Vec<Pem> {
    let mut authorities: Vec<Pem> = Vec::new();
    let paths = tls.get("client_certificate_path").filter(|field| !field.value.is_off());
    if paths.is_some() {
        let paths = tls.texts("client_certificate_path", report).unwrap_or_default();
        authorities
            .extend(paths.into_iter().map(|path| Pem::File(Spanned::new(path.value.into(), path.span))));
    }
    let inline = tls.get("client_certificate").filter(|field| !field.value.is_off());
    authorities.extend(inline.and_then(|field| read_inline(field, PemKind::Certificate, report)));
    let written = tls.text("client_authentication", report).filter(|word| !word.value.is_empty());
    let Some(written) = written else { return authorities };
    let choices = [
        ("no", Some(false)),
        ("require-and-verify", Some(true)),
        ("request", None),
        ("require-any", None),
        ("verify-if-given", None),
    ];
    match choose("client_authentication", written, &choices, report) {
        Some(Some(true)) if authorities.is_empty() => {
            report
                .error(written.span, "nothing says whom certificates of clients have to come from")
                .help("add `client_certificate_path`");
        }
        Some(Some(false)) if !authorities.is_empty() => {
            report
                .error(written.span, "with `client_certificate` clients have to show one")
                .help("write `require-and-verify`, or remove `client_certificate`");
        }
        Some(None) => {
            report
                .error(written.span, format!("{} is not available in this version", quote(written.value)))
                .help("there are `no` and `require-and-verify`");
        }
        Some(Some(_)) | None => {}
    }
    authorities
}
