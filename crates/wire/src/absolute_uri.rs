//! The URI of a request that is to be forwarded (RFC 9112 §3.2.2).

use std::net::IpAddr;

use waypost_net::{Host, Target};

use crate::ServerError;

/// What the absolute URI of a request to a proxy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsoluteUri {
    /// Host and port; 80 where there is no port.
    pub target: Target,
    /// Path and query as the origin server is to get them.
    pub path: String,
}

impl AbsoluteUri {
    /// Reads the target of a request.
    ///
    /// # Errors
    ///
    /// If it is in origin form, of another scheme than `http`, has a fragment, or names no valid host.
    pub fn parse(uri: &str) -> Result<Self, ServerError> {
        let syntax = |problem| ServerError::HttpSyntax { problem };
        if uri.starts_with('/') || uri == "*" {
            return Err(ServerError::OriginForm);
        }
        let (scheme, rest) = uri.split_once("://").ok_or_else(|| syntax("no absolute uri"))?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(syntax("only http uris are forwarded, use connect for others"));
        }
        if uri.contains('#') {
            return Err(syntax("fragment in the uri"));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // `host:` with an empty port means the default one (RFC 3986 §3.2.3).
        let authority = authority.strip_suffix(':').unwrap_or(authority);
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let target = if has_port { authority.parse()? } else { Target::new(Host::parse(authority)?, 80) };
        let path = match path.as_bytes().first() {
            Some(b'/') => path.to_owned(),
            Some(_) | None => format!("/{path}"),
        };
        Ok(Self { target, path })
    }

    /// The value of the `Host` header for the origin server.
    #[must_use]
    pub fn host(&self) -> String {
        match (&self.target.host, self.target.port) {
            (Host::Ip(IpAddr::V6(address)), 80) => format!("[{address}]"),
            (host, 80) => host.to_string(),
            _ => self.target.to_string(),
        }
    }

    /// The path without the query and with its escapes decoded, as V2Ray's attribute `:path` has it.
    #[must_use]
    pub fn decoded_path(&self) -> String {
        let path = self.path.split_once('?').map_or(&*self.path, |(path, _query)| path);
        let mut decoded = Vec::with_capacity(path.len());
        let mut rest = path.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            let escape = if first == b'%' { tail.split_at_checked(2) } else { None };
            let value = escape.and_then(|(digits, after)| {
                // `from_str_radix` takes a sign, too.
                let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
                Some((u8::from_str_radix(digits, 16).ok()?, after))
            });
            let (byte, after) = value.unwrap_or((first, tail));
            decoded.push(byte);
            rest = after;
        }
        String::from_utf8_lossy(&decoded).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, target: &str, host: &str, path: &str, decoded: &str) {
        let uri = AbsoluteUri::parse(uri).unwrap();
        assert_eq!((&*uri.target.to_string(), &*uri.host()), (target, host));
        assert_eq!((&*uri.path, &*uri.decoded_path()), (path, decoded));
    }

    #[test]
    fn a_uri_has_a_target_and_a_path() {
        check("http://Example.com/a/b?c=d", "example.com:80", "example.com", "/a/b?c=d", "/a/b");
        check("HTTP://[2001:db8::1]:8080?q", "[2001:db8::1]:8080", "[2001:db8::1]:8080", "/?q", "/");
        check("http://[2001:db8::1]:", "[2001:db8::1]:80", "[2001:db8::1]", "/", "/");
        check("http://a", "a:80", "a", "/", "/");
        check("http://a:81/x%20y/%zz%+1?z=1", "a:81", "a:81", "/x%20y/%zz%+1?z=1", "/x y/%zz%+1");
    }
}
