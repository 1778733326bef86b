//! `ss://`: the URL of Shadowsocks (SIP002), and the form before it, base64 of everything.

use super::{
    LinkError, Part,
    export::authority,
    server::{Login, Server},
    share_url::{ShareUrl, split_authority},
    stream::Stream,
    text,
};
use crate::model::{ProxyServer, ShadowsocksKey};

/// Parameters that stand for a plugin (SIP003), in the link of one program or another.
const PLUGINS: [&str; 5] = ["plugin", "v2ray-plugin", "shadow-tls", "obfs", "gost-plugin"];

pub(super) fn read(url: &ShareUrl<'_>) -> Result<Server, LinkError> {
    refuse_unavailable(url)?;
    let whole = text::base64_text(&text::unescape_lossy(url.body.trim_end_matches('/')));
    let (authority, user) = match whole.filter(|_| !url.body.contains('@')) {
        // The password is as it is there.
        Some(whole) => {
            let behind = whole.rsplit_once('@').and_then(|(_, place)| place.split_once('/'));
            if let Some(inside) = behind.map(|(_, behind)| format!("ss://{behind}")) {
                ShareUrl::split(&inside).map_or(Ok(()), |url| refuse_unavailable(&url))?;
            }
            let authority = split_authority(&whole, None)?;
            let user = authority.user.clone();
            (authority, user)
        }
        None => {
            let authority = url.authority(None)?;
            let user = text::unescape(&authority.user)?;
            let decoded = if user.contains(':') { None } else { text::base64_text(&user) };
            (authority, decoded.unwrap_or(user))
        }
    };
    if user.is_empty() {
        return Err(LinkError::Missing(Part::Password));
    }
    let (method, password) = user.split_once(':').ok_or(LinkError::Unreadable(Part::Base64))?;
    Ok(Server {
        host: authority.host,
        port: authority.port,
        login: Login::Shadowsocks { method: method.to_owned(), password: password.to_owned() },
        stream: Stream::of_url(url),
        udp: true,
    })
}

fn refuse_unavailable(url: &ShareUrl<'_>) -> Result<(), LinkError> {
    for name in PLUGINS {
        let value = url.get(name);
        let plugin = value.split(';').next().unwrap_or_default();
        if !value.is_empty() && plugin != "none" {
            let is_plain = plugin.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            return Err(LinkError::Plugin(if name == "plugin" && is_plain { plugin } else { name }.into()));
        }
    }
    if url.is_on(&["uot"]) { Err(LinkError::no_udp_over_tcp()) } else { Ok(()) }
}

/// The link of a server, which has no name yet.
pub(super) fn write(server: &ProxyServer<ShadowsocksKey>) -> String {
    let ProxyServer { host, port, account } = server;
    let (method, password) = (account.method.name(), account.password.expose());
    // SIP002: keys of the methods of 2022 are not in base64 once more.
    let user = match account.method.key_bytes() {
        Some(_) => format!("{method}:{}", text::escape(password)),
        None => text::to_base64(&format!("{method}:{password}")),
    };
    format!("ss://{user}@{}", authority(host, *port))
}
