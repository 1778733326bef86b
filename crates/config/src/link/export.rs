//! Links of an outbound.

use waypost_net::{Host, Secret};

use super::{ss, text};
use crate::{
    model::{
        Account, ClientTls, EarlyData, Grpc, Layer, Outbound, OutboundProtocol, ProxyServer, TlsVersions,
        UserId, VmessAccount,
    },
    transport::EARLY_HEADER,
    user_id,
};

/// Why an outbound has no link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoLink {
    /// It leads to no server.
    #[error("it has no server")]
    NoServer,
    /// Links know no other outbounds.
    #[error("a link cannot say that connections take another outbound")]
    Detour,
    /// What it lays over TCP has no place in links of its protocol.
    #[error("a link of this protocol has no TLS and no transport")]
    Transport,
    /// It trusts certificates in a way that links do not have.
    #[error("a link cannot say which certificates are trusted or shown")]
    Certificates,
    /// It limits the versions of TLS, or does not send the name.
    #[error("a link cannot say how TLS is spoken")]
    Tls,
    /// It has headers of its own.
    #[error("a link cannot have further headers")]
    Headers,
    /// Its early data goes another way.
    #[error("a link only has early data in the header `{EARLY_HEADER}`")]
    EarlyData,
}

/// The links of an outbound, one for each of its servers, with its tag as the name. They have its secrets.
///
/// # Errors
///
/// If there is something in it that a link cannot say, and that the connection depends on.
pub fn to_links(outbound: &Outbound) -> Result<Vec<String>, NoLink> {
    if outbound.detour.is_some() {
        return Err(NoLink::Detour);
    }
    let name = outbound.tag.as_ref().map_or("", |tag| tag.value.as_str());
    let is_plain = outbound.transport.is_plain();
    let bare = |link: String| if is_plain { Ok(with_name(link, name)) } else { Err(NoLink::Transport) };
    match &outbound.protocol {
        OutboundProtocol::Shadowsocks(servers) => servers.iter().map(|one| bare(ss::write(one))).collect(),
        OutboundProtocol::Socks(servers) => servers.iter().map(|one| bare(socks(one))).collect(),
        OutboundProtocol::Http(servers) => {
            if outbound.transport.layer != Layer::Raw {
                return Err(NoLink::Transport);
            }
            servers.iter().map(|one| Ok(with_name(http(one, outbound)?, name))).collect()
        }
        OutboundProtocol::Vmess(servers) => servers.iter().map(|one| vmess(one, outbound, name)).collect(),
        OutboundProtocol::Vless(servers) => {
            servers.iter().map(|one| Ok(with_name(vless(one, outbound)?, name))).collect()
        }
        OutboundProtocol::Trojan(servers) => {
            servers.iter().map(|one| Ok(with_name(trojan(one, outbound)?, name))).collect()
        }
        OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Blackhole { .. }
        | OutboundProtocol::Dns(_)
        | OutboundProtocol::Api
        | OutboundProtocol::Loopback { .. }
        | OutboundProtocol::LoadBalance(_)
        | OutboundProtocol::Selector(_)
        | OutboundProtocol::UrlTest(_) => Err(NoLink::NoServer),
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn authority(host: &Host, port: u16) -> String {
    waypost_net::Target::new(host.clone(), port).to_string()
}

fn with_name(link: String, name: &str) -> String {
    if name.is_empty() { link } else { format!("{link}#{}", text::escape(name)) }
}

fn socks(server: &ProxyServer) -> String {
    let login = |account: &Account| match account.user.contains(':') {
        // In base64 nobody could tell where it ends.
        true => login(account),
        false => text::to_base64(&format!("{}:{}", account.user, account.password.expose())) + "@",
    };
    let login = server.account.as_ref().map(login).unwrap_or_default();
    format!("socks://{login}{}", authority(&server.host, server.port))
}

fn login(account: &Account) -> String {
    format!("{}:{}@", text::escape(&account.user), text::escape(account.password.expose()))
}

fn http(server: &ProxyServer, outbound: &Outbound) -> Result<String, NoLink> {
    let login = server.account.as_ref().map(login).unwrap_or_default();
    let place = authority(&server.host, server.port);
    let Some(tls) = &outbound.transport.tls else { return Ok(format!("http://{login}{place}")) };
    let mut query = Query::default();
    query.tls(tls, &server.host, false)?;
    Ok(format!("https://{login}{place}{}", query.text()))
}

fn vless(server: &ProxyServer<UserId>, outbound: &Outbound) -> Result<String, NoLink> {
    let mut query = Query::default();
    query.put("encryption", "none");
    query.transport(outbound, &server.host)?;
    let id = user_id::format(&server.account);
    Ok(format!("vless://{id}@{}{}", authority(&server.host, server.port), query.text()))
}

fn trojan(server: &ProxyServer<Secret>, outbound: &Outbound) -> Result<String, NoLink> {
    let mut query = Query::default();
    query.transport(outbound, &server.host)?;
    let password = text::escape(server.account.expose());
    Ok(format!("trojan://{password}@{}{}", authority(&server.host, server.port), query.text()))
}

/// The JSON of v2rayN, which every program reads.
fn vmess(server: &ProxyServer<VmessAccount>, outbound: &Outbound, name: &str) -> Result<String, NoLink> {
    let mut query = Query::default();
    query.transport(outbound, &server.host)?;
    let get = |key: &str| query.get(key);
    let is_grpc = get("type") == "grpc";
    let fields = [
        ("v", "2".to_owned()),
        ("ps", name.to_owned()),
        ("add", server.host.to_string()),
        ("port", server.port.to_string()),
        ("id", user_id::format(&server.account.id)),
        ("aid", "0".to_owned()),
        ("scy", server.account.security.name().to_owned()),
        ("net", get("type").to_owned()),
        ("type", if is_grpc { "gun" } else { "none" }.to_owned()),
        ("host", if is_grpc { get("authority") } else { get("host") }.to_owned()),
        ("path", if is_grpc { get("serviceName") } else { get("path") }.to_owned()),
        ("tls", if get("security") == "tls" { "tls" } else { "" }.to_owned()),
        ("sni", get("sni").to_owned()),
        ("alpn", get("alpn").to_owned()),
        ("fp", String::new()),
        ("allowInsecure", if get("allowInsecure") == "1" { "1" } else { "0" }.to_owned()),
    ];
    let members: Vec<String> =
        fields.iter().map(|(key, text)| format!("\"{key}\":{}", quoted(text))).collect();
    Ok(format!("vmess://{}", base64_json(&format!("{{{}}}", members.join(",")))))
}

/// With the alphabet and the padding that all programs take.
fn base64_json(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// A string of JSON (RFC 8259 §7).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// The parameters of a link, in their order.
#[derive(Default)]
struct Query(Vec<(&'static str, String)>);

impl Query {
    fn put(&mut self, key: &'static str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((key, value));
        }
    }

    fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == key).map_or("", |(_, value)| value)
    }

    fn text(&self) -> String {
        let pairs: Vec<String> =
            self.0.iter().map(|(key, value)| format!("{key}={}", text::escape(value))).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    fn transport(&mut self, outbound: &Outbound, server: &Host) -> Result<(), NoLink> {
        let has_host = match &outbound.transport.layer {
            Layer::Raw => {
                self.put("type", "tcp");
                false
            }
            Layer::WebSocket(layer) => {
                self.put("type", "ws");
                let path = match &layer.early_data {
                    None => layer.path.to_string(),
                    Some(early) => with_early_data(&layer.path, early)?,
                };
                self.web(&path, layer.host.as_deref(), &layer.headers)?
            }
            Layer::HttpUpgrade(layer) => {
                self.put("type", "httpupgrade");
                self.web(&layer.path, layer.host.as_deref(), &layer.headers)?
            }
            Layer::Grpc(grpc) => {
                // What is left out changes nothing for the server.
                let Grpc { service_name, authority, .. } = grpc;
                self.put("type", "grpc");
                self.put("serviceName", &**service_name);
                self.put("mode", "gun");
                self.put("authority", authority.as_deref().unwrap_or_default());
                false
            }
        };
        match &outbound.transport.tls {
            Some(tls) => {
                self.put("security", "tls");
                self.tls(tls, server, has_host)
            }
            None => {
                self.put("security", "none");
                Ok(())
            }
        }
    }

    /// Adds what requests of HTTP have; returns whether they have a host of their own.
    fn web(
        &mut self,
        path: &str,
        host: Option<&str>,
        headers: &[(Box<str>, Box<str>)],
    ) -> Result<bool, NoLink> {
        if !headers.is_empty() {
            return Err(NoLink::Headers);
        }
        self.put("path", path);
        self.put("host", host.unwrap_or_default());
        Ok(host.is_some())
    }

    /// Adds what is said of TLS. Who reads a link takes the `Host` header as the name if there is none.
    fn tls(&mut self, tls: &ClientTls, server: &Host, has_host: bool) -> Result<(), NoLink> {
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
        if !authorities.is_empty() || *only_own_authorities || !pins.is_empty() || identity.is_some() {
            return Err(NoLink::Certificates);
        }
        if *disable_sni || *versions != TlsVersions::default() {
            return Err(NoLink::Tls);
        }
        let name = server_name.as_ref().or_else(|| has_host.then_some(server));
        self.put("sni", name.map(ToString::to_string).unwrap_or_default());
        self.put("alpn", alpn.join(","));
        self.put("allowInsecure", if *allow_insecure { "1" } else { "" });
        Ok(())
    }
}

fn with_early_data(path: &str, early: &EarlyData) -> Result<String, NoLink> {
    match &early.header {
        Some(header) if header.eq_ignore_ascii_case(EARLY_HEADER) => {
            let mark = if path.contains('?') { '&' } else { '?' };
            Ok(format!("{path}{mark}ed={}", early.max_bytes))
        }
        Some(_) | None => Err(NoLink::EarlyData),
    }
}
