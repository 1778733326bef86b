//! `tls` and `transport`.

use super::super::{
    json::{Fields, Json},
    losses::Losses,
    text,
    tls::{put_pem, put_versions},
};
use crate::{
    Span,
    model::{ClientTls, Grpc, HttpUpgrade, Layer, Pem, Pin, ServerTls, TlsVersions, WebSocket},
    pins,
};

/// `tls` of an outbound.
pub(super) fn client_tls(tls: &ClientTls, span: Span, losses: &mut Losses) -> Fields {
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
    fields.put("enabled", true);
    fields.put_some("server_name", server_name.as_ref().map(ToString::to_string));
    fields.put_if("disable_sni", *disable_sni);
    fields.put_if("insecure", *allow_insecure);
    put_common(alpn, *versions, &mut fields);
    match (&**authorities, only_own_authorities) {
        ([], _) => {}
        (_, _) if pins.iter().any(|pin| matches!(pin, Pin::PublicKey(_))) => {
            losses.lose(span, "an authority beside the hash of a public key", None);
        }
        ([authority], true) => put_pem(authority, ["certificate_path", "certificate"], &mut fields),
        ([_], false) => losses.lose(span, "an authority beside those of the system", None),
        (_, _) => losses.lose(span, "several authorities", "write their certificates into one file"),
    }
    if let Some(identity) = identity {
        put_pem(&identity.certificate, ["client_certificate_path", "client_certificate"], &mut fields);
        put_pem(&identity.key, ["client_key_path", "client_key"], &mut fields);
    }
    let hash = |pin: &Pin| match pin {
        Pin::PublicKey(hash) => Some(pins::to_base64(hash)),
        Pin::Certificate(_) | Pin::Chain(_) => None,
    };
    let hashes: Vec<String> = pins.iter().filter_map(hash).collect();
    if hashes.len() < pins.len() {
        losses.lose(span, "the hash of a certificate", "it knows that of a public key");
    }
    fields.put_filled("certificate_public_key_sha256", hashes);
    fields
}

/// `tls` of an inbound.
pub(super) fn server_tls(tls: &ServerTls, span: Span, losses: &mut Losses) -> Fields {
    let ServerTls { identities, alpn, client_authorities, reject_unknown_sni, versions } = tls;
    let mut fields = Fields::default();
    fields.put("enabled", true);
    put_common(alpn, *versions, &mut fields);
    if identities.len() > 1 {
        losses.lose(span, "several certificates of one inbound", "write an inbound for each");
    }
    if let Some(identity) = identities.first() {
        put_pem(&identity.certificate, ["certificate_path", "certificate"], &mut fields);
        put_pem(&identity.key, ["key_path", "key"], &mut fields);
    }
    put_client_authorities(client_authorities, &mut fields);
    if *reject_unknown_sni {
        losses.lose(span, "`rejectUnknownSni`", None);
    }
    fields
}

fn put_client_authorities(authorities: &[Pem], fields: &mut Fields) {
    let mut files: Vec<&str> = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    for authority in authorities {
        match authority {
            Pem::File(path) => files.push(&path.value),
            Pem::Inline(text) => lines.extend(text.value.expose().split('\n')),
        }
    }
    if !authorities.is_empty() {
        fields.put("client_authentication", "require-and-verify");
    }
    fields.put_filled("client_certificate_path", files);
    fields.put_filled("client_certificate", lines);
}

fn put_common(alpn: &[Box<str>], versions: TlsVersions, fields: &mut Fields) {
    fields.put_filled("alpn", alpn.iter().map(|name| &**name).collect::<Vec<_>>());
    put_versions(versions, ["min_version", "max_version"], fields);
}

/// `transport`, if something is laid over TCP or TLS.
pub(super) fn layer(layer: &Layer, span: Span, losses: &mut Losses) -> Fields {
    match layer {
        Layer::Raw => Fields::default(),
        Layer::WebSocket(web_socket) => self::web_socket(web_socket),
        Layer::HttpUpgrade(upgrade) => http_upgrade(upgrade),
        Layer::Grpc(grpc) => self::grpc(grpc, span, losses),
    }
}

fn web_socket(web_socket: &WebSocket) -> Fields {
    let WebSocket { path, host, headers, early_data } = web_socket;
    let mut fields = Fields::default();
    fields.put("type", "ws");
    fields.put("path", &**path);
    let host = host.iter().map(|host| ("Host", &**host));
    let others = headers.iter().map(|(name, value)| (&**name, &**value));
    fields.put_filled("headers", self::headers(host.chain(others)));
    if let Some(early) = early_data {
        fields.put("max_early_data", early.max_bytes);
        fields.put_some("early_data_header_name", early.header.as_deref());
    }
    fields
}

fn http_upgrade(upgrade: &HttpUpgrade) -> Fields {
    let HttpUpgrade { path, host, headers } = upgrade;
    let mut fields = Fields::default();
    fields.put("type", "httpupgrade");
    fields.put_some("host", host.as_deref());
    fields.put("path", &**path);
    let headers = headers.iter().map(|(name, value)| (&**name, &**value));
    fields.put_filled("headers", self::headers(headers));
    fields
}

/// Headers by name; those of one name together.
fn headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Fields {
    let mut by_name: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, value) in headers {
        match by_name.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => by_name.push((name, vec![value])),
        }
    }
    let mut fields = Fields::default();
    for (name, values) in by_name {
        match &*values {
            [value] => fields.put(name, *value),
            _ => fields.put(name, Json::from(values)),
        }
    }
    fields
}

fn grpc(grpc: &Grpc, span: Span, losses: &mut Losses) -> Fields {
    let Grpc { service_name, authority, user_agent, idle_timeout, ping_timeout, permit_without_stream } =
        grpc;
    let mut fields = Fields::default();
    fields.put("type", "grpc");
    fields.put("service_name", &**service_name);
    if authority.is_some() {
        losses.lose(span, "`authority` of `grpc`", None);
    }
    if user_agent.is_some() {
        losses.drop(span, "`user_agent` of `grpc`");
    }
    fields.put_some("idle_timeout", idle_timeout.map(text::duration));
    fields.put_some("ping_timeout", ping_timeout.map(text::duration));
    fields.put_if("permit_without_stream", *permit_without_stream);
    fields
}
