use waypost_net::{Host, Target};

use crate::{
    Span,
    model::ProbeUrl,
    report::{Report, quote},
};

/// A longer URL does not fit into the requests that servers usually take.
const MAX_BYTES: usize = 2048;

/// Why a text is not the URL of a probe: what is wrong, and what to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) message: &'static str,
    pub(crate) help: String,
}

/// Why a text is not a URL that can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UrlError {
    message: &'static str,
}

impl std::str::FromStr for ProbeUrl {
    type Err = UrlError;

    /// Takes a URL with `http` or `https` apart, which has no login.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        parse(text).map_err(|Flaw { message, .. }| UrlError { message })
    }
}

/// Reads the URL of a probe that stands at `span`.
pub(crate) fn read(text: &str, span: Span, report: &mut Report<'_>) -> Option<ProbeUrl> {
    match parse(text) {
        Ok(url) => Some(url),
        Err(flaw) => {
            // A login is a secret.
            let shown = if text.contains('@') { String::new() } else { format!(": {}", quote(text)) };
            report.error(span, format!("{}{shown}", flaw.message)).help(flaw.help);
            None
        }
    }
}

/// Takes the URL of a probe apart.
pub(crate) fn parse(text: &str) -> Result<ProbeUrl, Flaw> {
    if text.len() > MAX_BYTES {
        return Err(flaw("this URL is too long", format!("at most {MAX_BYTES} bytes")));
    }
    // A control character or a space would end the line of the request.
    if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
        let help =
            "write spaces and other special characters in the form `%20`, and names in the form `xn--…`";
        return Err(flaw("this URL has a character that cannot be sent", help));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(flaw("this URL has no scheme", "begin with `http://` or `https://`"));
    };
    let https = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(flaw("this scheme is not supported", "begin with `http://` or `https://`")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(flaw("this URL has a login, which is not sent", "remove what is before the `@`"));
    }
    let target = read_authority(authority, if https { 443 } else { 80 })?;
    let path = path.split_once('#').map_or(path, |(path, _)| path);
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(ProbeUrl { https, target, path: format!("{slash}{path}").into(), text: text.into() })
}

fn read_authority(authority: &str, default_port: u16) -> Result<Target, Flaw> {
    // The colons of an IPv6 address are in brackets.
    let colon =
        authority.rfind(':').filter(|&colon| !authority.get(colon..).is_some_and(|end| end.contains(']')));
    let (host, port) = match colon.and_then(|colon| authority.split_at_checked(colon)) {
        Some((host, port)) => (host, port.trim_start_matches(':')),
        None => (authority, ""),
    };
    if host.is_empty() {
        return Err(flaw("this URL has no host", "write `https://NAME/PATH`"));
    }
    if host.contains(':') && !host.starts_with('[') {
        return Err(flaw("this URL has more than one port", "write an IPv6 address in brackets"));
    }
    let port = match port {
        "" => default_port,
        port => read_port(port).ok_or_else(|| {
            flaw("the port of this URL is not a port", "write a number from 1 to 65535 behind the colon")
        })?,
    };
    const NO_HOST: &str = "the host of this URL is not a host";
    // Rules may meet such names, but no server has one.
    if host.starts_with('.') || host.contains("..") {
        return Err(flaw(NO_HOST, "a part of the name is empty"));
    }
    let host = Host::parse(host).map_err(|error| flaw(NO_HOST, error.to_string()))?;
    Ok(Target::new(host, port))
}

fn read_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| digits && port > 0)
}

fn flaw(message: &'static str, help: impl Into<String>) -> Flaw {
    Flaw { message, help: help.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_urls_apart() {
        for (text, https, target, path) in [
            ("https://www.gstatic.com/generate_204", true, "www.gstatic.com:443", "/generate_204"),
            ("http://example.com", false, "example.com:80", "/"),
            ("HTTP://EXAMPLE.com:8080/a/b?c=d#e", false, "example.com:8080", "/a/b?c=d"),
            ("https://example.com?x=/", true, "example.com:443", "/?x=/"),
            ("https://example.com#x", true, "example.com:443", "/"),
            ("http://[2001:db8::1]/", false, "[2001:db8::1]:80", "/"),
            ("http://[2001:db8::1]:81/a:b]", false, "[2001:db8::1]:81", "/a:b]"),
            ("http://192.0.2.1:8080/", false, "192.0.2.1:8080", "/"),
            ("http://localhost:/", false, "localhost:80", "/"),
        ] {
            let url = parse(text).unwrap_or_else(|flaw| panic!("{text}: {flaw:?}"));
            assert_eq!(
                (url.https, &*url.target.to_string(), &*url.path, &*url.text),
                (https, target, path, text)
            );
        }
    }

    #[test]
    fn refuses_what_is_no_url_of_a_probe() {
        let long = format!("http://a/{}", "x".repeat(MAX_BYTES));
        for (text, message) in [
            ("www.gstatic.com/generate_204", "this URL has no scheme"),
            ("ftp://example.com/", "this scheme is not supported"),
            ("https:///generate_204", "this URL has no host"),
            ("https://:443/", "this URL has no host"),
            ("https://me:secret@example.com/", "this URL has a login, which is not sent"),
            ("https://example.com:0/", "the port of this URL is not a port"),
            ("https://example.com:+443/", "the port of this URL is not a port"),
            ("https://example.com:65536/", "the port of this URL is not a port"),
            ("https://2001:db8::1/", "this URL has more than one port"),
            ("https://[::1/", "the host of this URL is not a host"),
            ("https://a..b/", "the host of this URL is not a host"),
            ("http://a/\r\nX: y", "this URL has a character that cannot be sent"),
            ("http://a/b c", "this URL has a character that cannot be sent"),
            ("http://é/", "this URL has a character that cannot be sent"),
            (&long, "this URL is too long"),
        ] {
            assert_eq!(parse(text).map_err(|flaw| flaw.message), Err(message), "{text}");
        }
    }
}
