//! `tlsSettings`.

use super::host;
use crate::{
    Span, Spanned,
    json::part_of,
    keys::{Form, Key, KeyTable},
    model::{ClientTls, Identity, Layer, Pem, Pin, ServerTls},
    object::{Field, Object, choose},
    pins,
    report::{Report, quote},
    transport::{
        PemKind, check_alpn, read_alpn, read_pem, read_versions, warn_insecure, warn_without_effect,
    },
};

const OWN: &str = "the ciphers and curves of TLS are chosen here, and all of them are good";
const ECH: &str = "the name for TLS is not encrypted in this version";

pub(super) static TLS: KeyTable = KeyTable {
    name: "TlsSettings",
    path: "tlsSettings",
    doc: "How TLS is spoken. A server's certificate has to be for `serverName` and to come from an authority that is trusted, unless it is known by its hash.",
    keys: &[
        Key::new(
            "serverName",
            Form::Text,
            "The name that a server has to have a certificate for, and that it is told (SNI); the address of the server without it.",
        ),
        Key::new(
            "alpn",
            Form::Strings,
            "The protocols that are offered; what the transport needs without it.",
        ),
        Key::new(
            "certificates",
            Form::Objects("TlsCertificate"),
            "Of an inbound what it shows, at least one; of an outbound authorities, or what it shows of itself.",
        ),
        Key::new("disableSystemRoot", Form::Flag, "Whether only the authorities in `certificates` count."),
        Key::new(
            "minVersion",
            Form::Word(&["1.0", "1.1", "1.2", "1.3"]),
            "The oldest version of TLS; `1.2` without it, and older ones are not spoken.",
        ),
        Key::new("maxVersion", Form::Word(&["1.2", "1.3"]), "The newest version of TLS; `1.3` without it."),
        Key::new(
            "pinnedPeerCertSha256",
            Form::Strings,
            "Certificates by their SHA-256 in hexadecimal digits, one of which a server has to show.",
        ),
        Key::new(
            "pinnedPeerCertificateChainSha256",
            Form::Strings,
            "The same for the whole chain, in base64, as `v2ray tls certChainHash` tells it.",
        ),
        Key::new(
            "pinnedPeerCertificatePublicKeySha256",
            Form::Strings,
            "The same for the public key of the certificate, in base64.",
        ),
        Key::new("allowInsecure", Form::Flag, "Whether any certificate will do; for experiments."),
        Key::new(
            "allowInsecureIfPinnedPeerCertificate",
            Form::Flag,
            "Whether a certificate that is known by its hash need not come from an authority.",
        ),
        Key::new(
            "verifyPeerCertByName",
            Form::Strings,
            "Whom the certificate has to be for; only what `serverName` says.",
        )
        .alias(&["verifyPeerCertInNames"]),
        Key::new(
            "verifyClientCertificate",
            Form::Flag,
            "Whether clients have to show a certificate from an authority in `certificates`.",
        ),
        Key::new("rejectUnknownSni", Form::Flag, "Whether clients that name somebody else are turned away."),
        Key::new("fingerprint", Form::Text, "Which browser the handshake looks like.")
            .no_effect("the handshake is that of rustls, and can be told from a browser's"),
        Key::new("enableSessionResumption", Form::Flag, "Whether sessions are resumed.")
            .no_effect("they are where it saves time"),
        Key::new("disableSessionResumption", Form::Flag, "Whether sessions are never resumed.")
            .no_effect("they are where it saves time"),
        Key::new("cipherSuites", Form::Text, "The ciphers.").no_effect(OWN),
        Key::new("preferServerCipherSuites", Form::Flag, "Whose choice of ciphers counts.").no_effect(OWN),
        Key::new("curvePreferences", Form::Strings, "The curves.").no_effect(OWN),
        Key::new("echConfigList", Form::Text, "Encrypts the name.").only_off(ECH),
        Key::new("echConfig", Form::Text, "Encrypts the name.").only_off(ECH),
        Key::new("echDohServer", Form::Text, "Encrypts the name.").only_off(ECH),
        Key::new("echServerKeys", Form::Text, "Encrypts the name.").only_off(ECH),
        Key::new("echForceQuery", Form::Any, "Belongs to `echConfigList`.").no_effect(ECH),
        Key::new("echSockopt", Form::Any, "Belongs to `echConfigList`.").no_effect(ECH),
        Key::new("masterKeyLog", Form::Text, "A file that the keys of connections are written to.")
            .only_off("keys are written nowhere"),
    ],
};

pub(super) static CERTIFICATE: KeyTable = KeyTable {
    name: "TlsCertificate",
    path: "tlsSettings.certificates[]",
    doc: "A certificate with its key, or an authority.",
    keys: &[
        Key::new(
            "usage",
            Form::Word(&["encipherment", "verify", "verifyclient"]),
            "`encipherment`: this end shows it (without the key `usage`, too). `verify` and `verifyclient`: an authority that the other end's comes from.",
        ),
        Key::new("certificateFile", Form::Text, "The file with the certificate and those above it, in PEM."),
        Key::new("certificate", Form::List(&Form::Text), "The same as lines of text."),
        Key::new("keyFile", Form::Text, "The file with its key, in PEM; not for authorities."),
        Key::new("key", Form::List(&Form::Text), "The same as lines of text."),
        Key::new("ocspStapling", Form::Number, "How often the authority is asked for a stamp.")
            .no_effect("no stamp is sent"),
        Key::new("oneTimeLoading", Form::Flag, "Whether files are read once.")
            .no_effect("files are read again when they change"),
        Key::new("buildChain", Form::Flag, "Belongs to the usage `issue`.")
            .no_effect("certificates are not issued"),
    ],
};

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usage {
    Own,
    Authority,
}

/// What `certificates` has.
#[derive(Default)]
struct Certificates {
    identities: Vec<(Identity, Span)>,
    authorities: Vec<Pem>,
}

/// Reads `tlsSettings` of an outbound.
pub(super) fn read_client(stream: &Object<'_>, layer: &Layer, report: &mut Report<'_>) -> Option<ClientTls> {
    if !stream.has("tlsSettings") {
        return Some(ClientTls::default());
    }
    let tls = stream.object("tlsSettings", &TLS, report)?;
    warn_without_effect(&tls, &["verifyClientCertificate", "rejectUnknownSni"], "it is for inbounds", report);
    let server_name = tls.text("serverName", report).filter(|name| !name.value.is_empty());
    check_names(&tls, server_name, report);
    let server_name = server_name.and_then(|name| host::read(name, report));
    let Certificates { identities, authorities } = read_certificates(&tls, report);
    if let Some((_, second)) = identities.get(1) {
        report
            .error(*second, "an outbound shows one certificate of its own")
            .help("an authority has `\"usage\": \"verify\"`");
    }
    let pins = read_pins(&tls, report);
    let allow_insecure = read_insecure(&tls, !pins.is_empty(), report);
    let only_own = tls.flag("disableSystemRoot", report);
    if let Some(only_own) = only_own.filter(|only| only.value && authorities.is_empty() && !allow_insecure) {
        report
            .error(only_own.span, "without the authorities of the system nobody is trusted")
            .help("add a certificate with `\"usage\": \"verify\"`, or remove it");
    }
    Some(ClientTls {
        server_name,
        disable_sni: false,
        alpn: read_protocols(&tls, layer, report),
        authorities,
        only_own_authorities: only_own.is_some_and(|only| only.value),
        pins,
        allow_insecure,
        identity: identities.into_iter().next().map(|(identity, _)| identity),
        versions: read_versions(&tls, ["minVersion", "maxVersion"], report),
    })
}

/// Reads `tlsSettings` of an inbound.
pub(super) fn read_server(stream: &Object<'_>, layer: &Layer, report: &mut Report<'_>) -> Option<ServerTls> {
    if !stream.has("tlsSettings") {
        let place = stream.get("security").map_or(stream.span, |field| field.value.span);
        report_no_certificate(place, report);
        return None;
    }
    let tls = stream.object("tlsSettings", &TLS, report)?;
    let of_clients = [
        "serverName",
        "disableSystemRoot",
        "allowInsecure",
        "allowInsecureIfPinnedPeerCertificate",
        "pinnedPeerCertSha256",
        "pinnedPeerCertificateChainSha256",
        "pinnedPeerCertificatePublicKeySha256",
        "verifyPeerCertByName",
    ];
    warn_without_effect(&tls, &of_clients, "it is for outbounds", report);
    let before = report.n_errors();
    let Certificates { identities, authorities } = read_certificates(&tls, report);
    if identities.is_empty() && report.n_errors() == before {
        report_no_certificate(tls.get("certificates").map_or(tls.span, |field| field.key_span), report);
    }
    let verify = tls.flag("verifyClientCertificate", report).filter(|verify| verify.value);
    match verify {
        Some(verify) if authorities.is_empty() => {
            report
                .error(verify.span, "nothing says whom certificates of clients have to come from")
                .help("add the authority to `certificates`, with `\"usage\": \"verify\"`");
        }
        None if !authorities.is_empty() => {
            let place = tls.get("certificates").map_or(tls.span, |field| field.key_span);
            report
                .warning(
                    place,
                    "clients are not asked for a certificate, so the authority here has no effect",
                )
                .help("add `\"verifyClientCertificate\": true`");
        }
        Some(_) | None => {}
    }
    Some(ServerTls {
        identities: identities.into_iter().map(|(identity, _)| identity).collect(),
        alpn: read_protocols(&tls, layer, report),
        client_authorities: if verify.is_some() { authorities } else { Vec::new() },
        reject_unknown_sni: tls.flag("rejectUnknownSni", report).is_some_and(|flag| flag.value),
        versions: read_versions(&tls, ["minVersion", "maxVersion"], report),
    })
}

fn report_no_certificate(place: Span, report: &mut Report<'_>) {
    report
        .error(place, "an inbound with TLS needs a certificate")
        .help("add `\"certificates\": [{\"certificateFile\": \"…\", \"keyFile\": \"…\"}]` to `tlsSettings`");
}

fn read_protocols(tls: &Object<'_>, layer: &Layer, report: &mut Report<'_>) -> Vec<Box<str>> {
    let empty = tls.get("alpn").is_some_and(|field| field.is_empty_list());
    let words = if empty { None } else { tls.strings("alpn", report) };
    let alpn = read_alpn(words, report);
    check_alpn(layer, &alpn, tls.get("alpn").map(|field| field.value.span), report);
    alpn
}

/// Accepts names to check that are the one that is sent.
fn check_names(tls: &Object<'_>, server_name: Option<Spanned<&str>>, report: &mut Report<'_>) {
    if tls.get("verifyPeerCertByName").is_none_or(|field| field.is_empty_list()) {
        return;
    }
    let names = tls.strings("verifyPeerCertByName", report).unwrap_or_default();
    let is_sent = |name: &Spanned<&str>| {
        server_name.is_some_and(|sent| sent.value.eq_ignore_ascii_case(name.value.trim()))
    };
    if let Some(other) = names.iter().find(|name| !is_sent(name)) {
        report
            .error(other.span, "the certificate has to be for the name that is sent, in this version")
            .help("write the name as `serverName`, or pin the certificate by `pinnedPeerCertSha256`");
    }
}

fn read_insecure(tls: &Object<'_>, pinned: bool, report: &mut Report<'_>) -> bool {
    let insecure = tls.flag("allowInsecure", report).filter(|flag| flag.value);
    let if_pinned = tls.flag("allowInsecureIfPinnedPeerCertificate", report).is_some_and(|flag| flag.value);
    if let Some(insecure) = insecure.filter(|_| !pinned) {
        warn_insecure(insecure.span, "allowInsecure", "pinnedPeerCertSha256", report);
    }
    insecure.is_some() || (if_pinned && pinned)
}

fn read_pins(tls: &Object<'_>, report: &mut Report<'_>) -> Vec<Pin> {
    let mut pins = Vec::new();
    let hex = "expected 64 hexadecimal digits, as `openssl x509 -fingerprint -sha256` shows them";
    let base64 = "expected base64 of 32 bytes";
    type Kind = (&'static str, fn(&str) -> Option<Pin>, &'static str);
    let kinds: [Kind; 3] = [
        ("pinnedPeerCertSha256", |text| pins::hex(text).map(Pin::Certificate), hex),
        ("pinnedPeerCertificateChainSha256", |text| pins::base64(text).map(Pin::Chain), base64),
        ("pinnedPeerCertificatePublicKeySha256", |text| pins::base64(text).map(Pin::PublicKey), base64),
    ];
    for (name, read, help) in kinds {
        let Some(field) = tls.get(name).filter(|field| !field.is_empty_list()) else { continue };
        for written in texts(field, tls, report) {
            match read(written.value) {
                Some(pin) => pins.push(pin),
                None => {
                    let message = format!("not a hash for `{name}`: {}", quote(written.value));
                    report.error(written.span, message).help(help);
                }
            }
        }
    }
    pins
}

/// The texts of a list, or of one text that is split at commas and at `~`, as Xray did at first.
fn texts<'a>(field: Field<'a>, tls: &Object<'a>, report: &mut Report<'_>) -> Vec<Spanned<&'a str>> {
    let mut texts = Vec::new();
    for text in tls.strings(field.name, report).unwrap_or_default() {
        // The place of a part of a string that was split already has no quotes.
        let is_part = text.span.end - text.span.start == text.value.len();
        let mut start = 0;
        for part in text.value.split('~') {
            let range = start..start + part.len();
            start += part.len() + 1;
            let place = if is_part {
                Span { start: text.span.start + range.start, end: text.span.start + range.end }
            } else {
                part_of(text.value, text.span, range)
            };
            if !part.trim().is_empty() {
                texts.push(Spanned::new(part.trim(), place));
            }
        }
    }
    texts
}

fn read_certificates(tls: &Object<'_>, report: &mut Report<'_>) -> Certificates {
    let mut certificates = Certificates::default();
    for item in tls.items("certificates", report) {
        let Some(object) = Object::read(item, "certificates[]", &CERTIFICATE, report) else { continue };
        let Some(usage) = read_usage(&object, report) else { continue };
        let before = report.n_errors();
        let certificate = read_pem(&object, ["certificateFile", "certificate"], PemKind::Certificate, report);
        let key = read_pem(&object, ["keyFile", "key"], PemKind::Key, report);
        let failed = report.n_errors() > before;
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        match (usage, certificate, key) {
            _ if failed => {}
            (_, None, _) => {
                report.error(brace, "a certificate needs `certificateFile` or `certificate`");
            }
            (Usage::Own, Some(_), None) => {
                report.error(brace, "a certificate that is shown needs its key: `keyFile` or `key`").help(
                    "if it is the authority that the other end's certificate comes from, add `\"usage\": \"verify\"`",
                );
            }
            (Usage::Own, Some(certificate), Some(key)) => {
                certificates.identities.push((Identity { certificate, key }, object.span));
            }
            (Usage::Authority, Some(certificate), _) => certificates.authorities.push(certificate),
        }
    }
    certificates
}

fn read_usage(object: &Object<'_>, report: &mut Report<'_>) -> Option<Usage> {
    let Some(written) = object.text("usage", report) else {
        return (!object.has("usage")).then_some(Usage::Own);
    };
    if written.value.eq_ignore_ascii_case("issue") {
        report
            .error(written.span, "certificates are not issued in this version")
            .help("make one beforehand, such as by an ACME client");
        return None;
    }
    if written.value.is_empty() {
        return Some(Usage::Own);
    }
    let choices =
        [("encipherment", Usage::Own), ("verify", Usage::Authority), ("verifyclient", Usage::Authority)];
    choose("usage", written, &choices, report)
}
