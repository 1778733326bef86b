//! Links in the form of a URL, taken apart. They are not quite URLs: passwords and base64 are often
//! not escaped.

use std::net::Ipv6Addr;

use super::{LinkError, Part, text};

/// `scheme://body?query#name`.
pub(super) struct ShareUrl<'a> {
    /// In lower case.
    pub(super) scheme: String,
    /// As it is written.
    pub(super) body: &'a str,
    query: Vec<(String, String)>,
    /// What is behind `#`, decoded.
    pub(super) name: String,
}

/// `user@host:port`.
pub(super) struct Authority {
    /// As it is written; empty if there is none.
    pub(super) user: String,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl<'a> ShareUrl<'a> {
    /// Takes a link apart, unless it is none.
    pub(super) fn split(link: &'a str) -> Option<Self> {
        let (scheme, rest) = link.split_once("://")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if scheme.is_empty() || scheme.len() > 20 || !scheme.bytes().all(plain) {
            return None;
        }
        let (rest, name) = rest.split_once('#').unwrap_or((rest, ""));
        let (body, query) = rest.split_once('?').unwrap_or((rest, ""));
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            // Links are copied out of web pages, too.
            let pair = pair.strip_prefix("amp;").unwrap_or(pair);
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (text::unescape_lossy(key), text::unescape_lossy(value))
        });
        Some(Self {
            scheme: scheme.to_ascii_lowercase(),
            body,
            query: query.collect(),
            name: text::unescape_lossy(name),
        })
    }

    /// A parameter; empty if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        let mut named = self.query.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.find(|(_, value)| !value.is_empty()).map_or("", |(_, value)| value)
    }

    /// The first of these parameters that is there.
    pub(super) fn first(&self, names: &[&str]) -> &str {
        names.iter().map(|name| self.get(name)).find(|value| !value.is_empty()).unwrap_or_default()
    }

    /// Whether one of these parameters switches something on.
    pub(super) fn is_on(&self, names: &[&str]) -> bool {
        names.iter().any(|name| text::is_on(self.get(name)))
    }

    /// Takes the body apart.
    pub(super) fn authority(&self, default_port: Option<u16>) -> Result<Authority, LinkError> {
        split_authority(self.body, default_port)
    }
}

/// Takes `user@host:port` apart, with or without a path behind it.
pub(super) fn split_authority(body: &str, default_port: Option<u16>) -> Result<Authority, LinkError> {
    let (user, rest) = body.rsplit_once('@').unwrap_or(("", body));
    let place = rest.split('/').next().unwrap_or_default();
    let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or_default())),
        None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let host = text::unescape(host)?;
    if host.is_empty() {
        return Err(LinkError::Missing(Part::Host));
    }
    // A login without `@` is none, and no message may show it.
    if host.contains(':') && host.parse::<Ipv6Addr>().is_err() {
        return Err(LinkError::Unreadable(Part::Host));
    }
    let port = match (port, default_port) {
        (Some(port), _) => self::port(port)?,
        (None, Some(port)) => port,
        (None, None) => return Err(LinkError::Missing(Part::Port)),
    };
    Ok(Authority { user: user.to_owned(), host, port })
}

/// Reads a port.
pub(super) fn port(text: &str) -> Result<u16, LinkError> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|&port| is_number && port > 0);
    port.ok_or(LinkError::Unreadable(Part::Port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_taken_apart() {
        let url = ShareUrl::split("VLESS://u%40x@[2001:db8::1]:443/?a=1&amp;B=%2Fp&c#T%C5%8Dkyo #1").unwrap();
        assert_eq!((&*url.scheme, &*url.name), ("vless", "Tōkyo #1"));
        assert_eq!((url.get("a"), url.get("b"), url.get("c"), url.get("d")), ("1", "/p", "", ""));
        let authority = url.authority(None).unwrap();
        assert_eq!((&*authority.user, &*authority.host, authority.port), ("u%40x", "2001:db8::1", 443));
    }

    #[test]
    fn what_is_no_link() {
        for text in ["", "vmess", "a b://x", "://x", "vmess:/x"] {
            assert!(ShareUrl::split(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_server_has_a_port() {
        for (body, error) in [
            ("u@", LinkError::Missing(Part::Host)),
            ("u@:443", LinkError::Missing(Part::Host)),
            ("u@a", LinkError::Missing(Part::Port)),
            ("u@[::1]", LinkError::Missing(Part::Port)),
            ("u@[::1]x443", LinkError::Unreadable(Part::Port)),
            ("u@[::1]443", LinkError::Unreadable(Part::Port)),
            ("name:secret:a:443", LinkError::Unreadable(Part::Host)),
            ("u@a:", LinkError::Unreadable(Part::Port)),
            ("u@a:0", LinkError::Unreadable(Part::Port)),
            ("u@a:+1", LinkError::Unreadable(Part::Port)),
            ("u@a:65536", LinkError::Unreadable(Part::Port)),
        ] {
            assert_eq!(split_authority(body, None).map(|found| found.port), Err(error), "{body}");
        }
        assert_eq!(
            split_authority("p@ss@a", Some(443)).map(|found| (found.user, found.port)),
            Ok(("p@ss".into(), 443))
        );
    }
}
