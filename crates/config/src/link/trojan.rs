//! `trojan://`: the password, and the parameters of other links; TLS without any of them.

use super::{
    LinkError, Part,
    server::{Login, Server},
    share_url::ShareUrl,
    stream::Stream,
    text,
};

/// Where Trojan listens if nothing is said.
const PORT: u16 = 443;

pub(super) fn read(url: &ShareUrl<'_>) -> Result<Server, LinkError> {
    let plugin = url.get("plugin");
    if !plugin.is_empty() {
        let name = plugin.split(';').next().unwrap_or_default();
        return Err(LinkError::Plugin(text::clean_name(name)));
    }
    let authority = url.authority(Some(PORT))?;
    let password = text::unescape(&authority.user)?;
    if password.is_empty() {
        return Err(LinkError::Missing(Part::Password));
    }
    let mut stream = Stream::of_url(url);
    if stream.security.is_empty() {
        stream.security = "tls".to_owned();
    }
    // The form of Shadowrocket.
    if url.get("obfs").eq_ignore_ascii_case("websocket") || url.get("ws") == "1" {
        stream.network = "ws".to_owned();
        stream.host = url.first(&["obfsParam", "host"]).to_owned();
        stream.path = url.first(&["path", "wspath"]).to_owned();
    }
    let flow = url.get("flow").to_owned();
    Ok(Server {
        host: authority.host,
        port: authority.port,
        login: Login::Trojan { password, flow },
        stream,
        udp: true,
    })
}
