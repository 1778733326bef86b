//! `socks://` and `http://`: a server, and a login in plain text or in base64.

use super::{
    LinkError,
    server::{Login, Server},
    share_url::ShareUrl,
    stream::Stream,
    text,
};

pub(super) fn read_socks(url: &ShareUrl<'_>) -> Result<Server, LinkError> {
    let (host, port, account) = read(url)?;
    Ok(Server { host, port, login: Login::Socks(account), stream: Stream::default(), udp: true })
}

/// Reads `http://` and `https://`, which name a proxy only with a port and without a path.
pub(super) fn read_http(url: &ShareUrl<'_>) -> Result<Server, LinkError> {
    let place = url.body.rsplit_once('@').map_or(url.body, |(_, place)| place);
    if place.trim_end_matches('/').contains('/') {
        return Err(LinkError::Refused {
            message: "this is an address of the web, and no proxy".into(),
            help: Some("a subscription is an argument of its own".into()),
        });
    }
    let (host, port, account) = read(url)?;
    let security = if url.scheme == "https" { "tls" } else { "" }.to_owned();
    let stream = Stream { security, ..Stream::of_url(url) };
    Ok(Server { host, port, login: Login::Http(account), stream, udp: true })
}

type Place = (String, u16, Option<(String, String)>);

fn read(url: &ShareUrl<'_>) -> Result<Place, LinkError> {
    let authority = url.authority(None)?;
    let (name, password) = match authority.user.split_once(':') {
        Some((name, password)) => (text::unescape(name)?, text::unescape(password)?),
        None => {
            let user = text::unescape(&authority.user)?;
            let decoded = if user.contains(':') { None } else { text::base64_text(&user) };
            let user = decoded.filter(|decoded| decoded.contains(':')).unwrap_or(user);
            let (name, password) = user.split_once(':').unwrap_or((&user, ""));
            (name.to_owned(), password.to_owned())
        }
    };
    let is_there = !name.is_empty() || !password.is_empty();
    Ok((authority.host, authority.port, is_there.then_some((name, password))))
}
