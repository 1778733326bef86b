//! What carries the protocol of a link: TLS, and what is laid over it.

use super::{
    made::{Members, list, object, word},
    share_url::ShareUrl,
    text,
};
use crate::{
    json::Value,
    transport::{EARLY_HEADER, split_early_data},
};

/// What a link says of it, in the words of V2Ray; empty where it is silent.
#[derive(Default)]
pub(super) struct Stream {
    /// `network`, or `type` of links.
    pub(super) network: String,
    /// `security`.
    pub(super) security: String,
    pub(super) server_name: String,
    pub(super) alpn: Vec<String>,
    pub(super) insecure: bool,
    /// The `Host` header of `ws` and `httpupgrade`, and the authority of `grpc`.
    pub(super) host: String,
    pub(super) path: String,
    pub(super) service_name: String,
    /// `mode` of `grpc`.
    pub(super) mode: String,
    /// `headerType` of `tcp`.
    pub(super) header: String,
    /// Further headers of `ws` and `httpupgrade`.
    pub(super) headers: Vec<(String, String)>,
    /// Bytes of early data and their header, where the path does not say it.
    pub(super) early_data: (String, String),
    /// `ech`.
    pub(super) ech: String,
    /// `pcs`: hashes of certificates.
    pub(super) pins: String,
    /// `vcn`: whom the certificate has to be for.
    pub(super) names: String,
}

/// What is laid over TCP or TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    WebSocket,
    HttpUpgrade,
    Grpc,
    /// What does not exist here.
    Foreign,
}

impl Stream {
    /// Reads the parameters of a link (the standard of XTLS/Xray-core#91, and what programs add to it).
    pub(super) fn of_url(url: &ShareUrl<'_>) -> Self {
        let get = |name: &str| url.get(name).to_owned();
        let network = url.first(&["type", "network", "net"]).to_owned();
        let is_grpc = kind(&network) == Kind::Grpc;
        let host = if is_grpc { get("authority") } else { get("host") };
        Self {
            network,
            security: get("security"),
            server_name: url.first(&["sni", "peer", "serverName", "servername"]).to_owned(),
            alpn: words(url.get("alpn")),
            insecure: url.is_on(&["allowInsecure", "allow_insecure", "insecure", "skip-cert-verify"]),
            host,
            path: get("path"),
            service_name: url.first(&["serviceName", "servicename", "service_name"]).to_owned(),
            mode: get("mode"),
            header: get("headerType"),
            headers: Vec::new(),
            // Like `ed` in a path, unless the header is named (mihomo).
            early_data: (
                get("ed"),
                if url.get("eh").is_empty() { EARLY_HEADER.to_owned() } else { get("eh") },
            ),
            ech: get("ech"),
            pins: get("pcs"),
            names: get("vcn"),
        }
    }

    /// The object `streamSettings` for a server.
    pub(super) fn settings(mut self, server: &str) -> Value {
        let kind = kind(&self.network);
        self.fit(kind, server);
        let mut fields = Members::default();
        fields.text("network", &self.network);
        fields.text("security", &self.security);
        match kind {
            Kind::Foreign => {}
            Kind::Tcp => fields.put_if(!self.header.is_empty(), "tcpSettings", || {
                object([("header", object([("type", word(&self.header))]))])
            }),
            Kind::WebSocket => fields.put("wsSettings", self.web()),
            Kind::HttpUpgrade => fields.put("httpupgradeSettings", self.web()),
            Kind::Grpc => fields.put("grpcSettings", self.grpc()),
        }
        let is_tls = self.security.eq_ignore_ascii_case("tls");
        fields.put_if(is_tls, "tlsSettings", || self.tls());
        fields.into()
    }

    /// Does what clients do with links: a name for TLS that is not there is the `Host` header, and what
    /// is offered in TLS is what the transport can speak.
    fn fit(&mut self, kind: Kind, server: &str) {
        let has_host = matches!(kind, Kind::WebSocket | Kind::HttpUpgrade) && !self.host.is_empty();
        if self.server_name.is_empty() && has_host {
            self.server_name = without_port(&self.host).to_owned();
        }
        match kind {
            Kind::WebSocket | Kind::HttpUpgrade => self.alpn.retain(|name| name == "http/1.1"),
            Kind::Grpc if !self.alpn.iter().any(|name| name == "h2") => self.alpn.clear(),
            Kind::Grpc | Kind::Tcp | Kind::Foreign => {}
        }
        if kind == Kind::Grpc {
            let named = if self.server_name.is_empty() { server } else { &self.server_name };
            if self.host.eq_ignore_ascii_case(named) {
                self.host.clear();
            }
        }
    }

    fn web(&self) -> Value {
        let mut fields = Members::default();
        fields.text("path", &text::escape_path(&self.path));
        fields.text("host", &self.host);
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), word(value)));
        fields.put_if(!self.headers.is_empty(), "headers", || object(headers));
        let (bytes, header) = &self.early_data;
        let is_in_path = split_early_data(&self.path).1.is_some();
        if !bytes.is_empty() && !is_in_path && kind(&self.network) == Kind::WebSocket {
            fields.count("maxEarlyData", bytes);
            fields.text("earlyDataHeaderName", header);
        }
        fields.into()
    }

    fn grpc(&self) -> Value {
        let mut fields = Members::default();
        fields.text("serviceName", &self.service_name);
        fields.text("authority", &self.host);
        fields.put_if(self.mode.eq_ignore_ascii_case("multi"), "multiMode", || true.into());
        fields.into()
    }

    fn tls(&self) -> Value {
        let mut fields = Members::default();
        fields.text("serverName", self.server_name.trim_matches(['[', ']']));
        fields.put_if(!self.alpn.is_empty(), "alpn", || list(self.alpn.iter().map(|name| word(name))));
        fields.put_if(self.insecure, "allowInsecure", || true.into());
        fields.text("echConfigList", &self.ech);
        fields.text("pinnedPeerCertSha256", &self.pins);
        fields.text("verifyPeerCertByName", &self.names);
        fields.into()
    }
}

fn kind(network: &str) -> Kind {
    match network.to_ascii_lowercase().as_str() {
        "" | "tcp" | "raw" => Kind::Tcp,
        "ws" | "websocket" => Kind::WebSocket,
        "httpupgrade" => Kind::HttpUpgrade,
        "grpc" | "gun" => Kind::Grpc,
        _ => Kind::Foreign,
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
        }
        Some(_) | None => host,
    }
}

/// Words between commas.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
