//! `proxies` of a file of Clash (mihomo, Stash and others), and `servers` of SIP008.

use super::{
    LinkError, Part, Subscription, SubscriptionError,
    server::{Login, Server},
    share_url,
    stream::Stream,
    subscription::MAX_NODES,
    text,
    yaml::Yaml,
};

/// Types of Clash that do not exist here.
const FOREIGN: [&str; 14] = [
    "ssr",
    "snell",
    "hysteria",
    "hysteria2",
    "tuic",
    "wireguard",
    "ssh",
    "anytls",
    "mieru",
    "masque",
    "sudoku",
    "trusttunnel",
    "tailscale",
    "openvpn",
];

/// Types that have no server.
const SERVERLESS: [&str; 5] = ["direct", "reject", "reject-drop", "dns", "pass"];

/// Reads the entries of `proxies`.
pub(super) fn read(proxies: &Yaml) -> Result<Subscription, SubscriptionError> {
    bounded(proxies)?;
    let mut list = Subscription::default();
    for entry in proxies.items() {
        if !SERVERLESS.contains(&entry.text("type")) {
            list.push(entry.text("name"), entry.line, server(entry));
        }
    }
    Ok(list)
}

/// Reads the entries of `servers` of SIP008.
pub(super) fn read_sip008(servers: &Yaml) -> Result<Subscription, SubscriptionError> {
    bounded(servers)?;
    let mut list = Subscription::default();
    for entry in servers.items() {
        list.push(entry.text("remarks"), entry.line, sip008(entry));
    }
    Ok(list)
}

fn bounded(list: &Yaml) -> Result<(), SubscriptionError> {
    let n_entries = list.items().len();
    if n_entries > MAX_NODES { Err(SubscriptionError::TooMany { most: MAX_NODES }) } else { Ok(()) }
}

fn sip008(entry: &Yaml) -> Result<Server, LinkError> {
    refuse_plugin(entry)?;
    Ok(Server {
        host: host(entry)?,
        port: port(entry, "server_port")?,
        login: Login::Shadowsocks {
            method: required(entry, "method", Part::Method)?,
            password: required(entry, "password", Part::Password)?,
        },
        stream: Stream::default(),
        udp: true,
    })
}

fn server(entry: &Yaml) -> Result<Server, LinkError> {
    let kind = required(entry, "type", Part::Type)?;
    let text = |key: &str| entry.text(key).to_owned();
    let login = match kind.as_str() {
        "ss" => {
            refuse_plugin(entry)?;
            Login::Shadowsocks {
                method: required(entry, "cipher", Part::Method)?,
                password: required(entry, "password", Part::Password)?,
            }
        }
        "vmess" => Login::Vmess {
            id: required(entry, "uuid", Part::Id)?,
            alter_id: text("alterId"),
            security: text("cipher"),
        },
        "vless" => Login::Vless {
            id: required(entry, "uuid", Part::Id)?,
            encryption: text("encryption"),
            flow: text("flow"),
        },
        "trojan" => {
            Login::Trojan { password: required(entry, "password", Part::Password)?, flow: text("flow") }
        }
        "socks5" => Login::Socks(account(entry)),
        "http" if entry.get("headers").is_some_and(|headers| !headers.members().is_empty()) => {
            return Err(refused("further headers are not available in this version"));
        }
        "http" => Login::Http(account(entry)),
        foreign if FOREIGN.contains(&foreign) => return Err(LinkError::Unavailable(foreign.into())),
        unknown => return Err(LinkError::Unknown(text::clean_name(unknown))),
    };
    if let Some(detour) = entry.get("dialer-proxy").and_then(Yaml::as_text).filter(|tag| !tag.is_empty()) {
        return Err(LinkError::Detour(text::clean_name(detour)));
    }
    for (key, what) in [("smux", "`smux`"), ("ss-opts", "`ss-opts`: Shadowsocks inside of Trojan")] {
        if entry.get(key).is_some_and(|options| text::is_on(options.text("enabled"))) {
            return Err(refused(format!("{what} is not available in this version")));
        }
    }
    if ["certificate", "private-key"].iter().any(|key| !entry.text(key).is_empty()) {
        return Err(refused("a certificate of this end is not read from files of Clash"));
    }
    if text::is_on(entry.text("udp-over-tcp")) {
        return Err(LinkError::no_udp_over_tcp());
    }
    let udp = entry.get("udp").and_then(Yaml::as_text).is_none_or(text::is_on);
    Ok(Server { host: host(entry)?, port: port(entry, "port")?, stream: stream(entry, &login), login, udp })
}

fn stream(entry: &Yaml, login: &Login) -> Stream {
    let on = |key: &str| text::is_on(entry.text(key));
    let is_tls = matches!(login, Login::Trojan { .. }) || on("tls");
    let security = match entry.get("reality-opts") {
        Some(_) => "reality",
        None if is_tls => "tls",
        None => "",
    };
    let name = entry.get("servername").or_else(|| entry.get("sni")).and_then(Yaml::as_text);
    let mut stream = Stream {
        security: security.to_owned(),
        network: entry.text("network").to_owned(),
        server_name: name.unwrap_or_default().to_owned(),
        alpn: entry.texts("alpn"),
        insecure: on("skip-cert-verify"),
        pins: entry.text("fingerprint").to_owned(),
        ..Stream::default()
    };
    if entry.get("ech-opts").is_some_and(|ech| text::is_on(ech.text("enable"))) {
        stream.ech = "on".to_owned();
    }
    if stream.network == "ws" {
        // The old form has both keys in the entry itself.
        let options = entry.get("ws-opts");
        let path = options.unwrap_or(entry).text(if options.is_some() { "path" } else { "ws-path" });
        stream.path = path.to_owned();
        let headers = options.map_or_else(|| entry.get("ws-headers"), |options| options.get("headers"));
        for (name, value) in headers.map(Yaml::members).unwrap_or_default() {
            let value = value.as_text().unwrap_or_default().to_owned();
            if name.eq_ignore_ascii_case("host") {
                stream.host = value;
            } else {
                stream.headers.push((name.clone(), value));
            }
        }
        if let Some(options) = options {
            let text = |key: &str| options.text(key).to_owned();
            stream.early_data = (text("max-early-data"), text("early-data-header-name"));
            if text::is_on(options.text("v2ray-http-upgrade")) {
                stream.network = "httpupgrade".to_owned();
            }
        }
    }
    if let Some(options) = entry.get("grpc-opts") {
        stream.service_name = options.text("grpc-service-name").to_owned();
    }
    stream
}

fn account(entry: &Yaml) -> Option<(String, String)> {
    let (user, password) = (entry.text("username"), entry.text("password"));
    (!user.is_empty() || !password.is_empty()).then(|| (user.to_owned(), password.to_owned()))
}

fn refuse_plugin(entry: &Yaml) -> Result<(), LinkError> {
    match entry.text("plugin") {
        "" | "none" => Ok(()),
        plugin => Err(LinkError::Plugin(text::clean_name(plugin))),
    }
}

fn host(entry: &Yaml) -> Result<String, LinkError> {
    required(entry, "server", Part::Host).map(|host| host.trim_matches(['[', ']']).to_owned())
}

fn port(entry: &Yaml, key: &str) -> Result<u16, LinkError> {
    required(entry, key, Part::Port).and_then(|port| share_url::port(&port))
}

fn required(entry: &Yaml, key: &str, part: Part) -> Result<String, LinkError> {
    match entry.get(key).and_then(Yaml::as_text) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err(LinkError::Missing(part)),
    }
}

fn refused(message: impl Into<Box<str>>) -> LinkError {
    LinkError::Refused { message: message.into(), help: None }
}
