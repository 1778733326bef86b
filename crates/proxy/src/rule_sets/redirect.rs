//! Where a redirect leads (RFC 3986 §5.2, RFC 9110 §10.2.2).

use waypost_config::{UrlError, model::ProbeUrl};

/// Why a redirect is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// It leads nowhere.
    #[error("a redirect without a `Location`")]
    NoLocation,
    /// What was fetched with TLS must not come without it.
    #[error("a redirect from `https` to `http`")]
    Downgrade,
    /// It leads to no URL that can be asked.
    #[error("a redirect to a place that cannot be asked: {0}")]
    Url(#[from] UrlError),
}

/// The URL that `location` means in an answer of `base`.
///
/// # Errors
///
/// If it is none, or not to be followed.
pub(crate) fn follow(base: &ProbeUrl, location: &str) -> Result<ProbeUrl, RedirectError> {
    let scheme = if base.https { "https" } else { "http" };
    let (path, _query) = base.path.split_once('?').unwrap_or((&base.path, ""));
    let at = |path: String| format!("{scheme}://{}{path}", base.target);
    let location = location.split('#').next().unwrap_or_default();
    let text = if has_scheme(location) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        at(location.to_owned())
    } else if location.starts_with('?') {
        at(format!("{path}{location}"))
    } else if location.is_empty() {
        at(base.path.to_string())
    } else {
        let folder = path.rfind('/').and_then(|slash| path.get(..=slash)).unwrap_or("/");
        at(format!("{folder}{location}"))
    };
    let mut url: ProbeUrl = text.parse()?;
    url.path = without_dots(&url.path).into();
    if base.https && !url.https {
        return Err(RedirectError::Downgrade);
    }
    Ok(url)
}

/// Whether a reference begins with a scheme (RFC 3986 §4.2).
fn has_scheme(text: &str) -> bool {
    let scheme = text.split(['/', '?']).next().unwrap_or_default();
    scheme.split_once(':').is_some_and(|(scheme, _)| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(plain)
    })
}

/// The path without `.` and `..`; the query is left alone.
fn without_dots(path: &str) -> String {
    let (path, query) = match path.find('?').and_then(|at| path.split_at_checked(at)) {
        Some((path, query)) => (path, query),
        None => (path, ""),
    };
    let mut parts: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    parts.pop();
                }
                if is_last {
                    parts.push("");
                }
            }
            segment => parts.push(segment),
        }
    }
    format!("/{}{query}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, location: &str, expected: &str) {
        let url = follow(&base.parse().unwrap(), location).unwrap();
        let expected: ProbeUrl = expected.parse().unwrap();
        assert_eq!(
            (url.https, &url.target, &url.path),
            (expected.https, &expected.target, &expected.path),
            "{location}"
        );
    }

    #[test]
    fn references_are_resolved() {
        // RFC 3986 §5.4, as far as it is about places that can be asked.
        let base = "http://a/b/c/d;p?q";
        for (location, expected) in [
            ("http://g/x", "http://g/x"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("//g/x/../y", "http://g/y"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y/../z", "http://a/b/c/g?y/../z"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("./g/.", "http://a/b/c/g/"),
        ] {
            check(base, location, expected);
        }
        check("https://a:8443/x", "/y", "https://a:8443/y");
        check("https://[2001:db8::1]/x", "y", "https://[2001:db8::1]/y");
        check("http://a/x", "https://a/y", "https://a/y");
    }

    #[test]
    fn what_is_not_followed() {
        let base: ProbeUrl = "https://a/x".parse().unwrap();
        assert_eq!(follow(&base, "http://a/x"), Err(RedirectError::Downgrade));
        for location in
            ["ftp://a/", "file:///etc/passwd", "https://me:secret@a/", "https://", "//a:0/", "/a b", "a:b"]
        {
            assert!(matches!(follow(&base, location), Err(RedirectError::Url(_))), "{location}");
        }
    }
}
