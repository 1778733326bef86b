//! The web pages that may use the interface.

use axum::http::HeaderValue;

#[derive(Debug)]
pub(super) struct Origins {
    allowed: Box<[Pattern]>,
}

/// Why pages of an origin may use the interface.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Granted {
    /// It is allowed, and the browser wants to be told so.
    Told(HeaderValue),
    /// It is the page that the interface serves itself.
    Own,
}

#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    /// `*`: every page.
    Any,
    /// One origin.
    Exact(String),
    /// What begins and ends so.
    Around(String, String),
}

impl Origins {
    pub(super) fn new(allowed: &[String]) -> Self {
        Self { allowed: allowed.iter().map(|text| Pattern::new(text)).collect() }
    }

    /// Whether pages of this origin may use the interface. `host` is what the interface is called, if it
    /// may be called so.
    pub(super) fn grant(&self, origin: &HeaderValue, host: Option<&str>) -> Option<Granted> {
        let text = plain(origin.to_str().ok()?);
        if self.allowed.contains(&Pattern::Any) {
            return Some(Granted::Told(HeaderValue::from_static("*")));
        }
        if self.allowed.iter().any(|pattern| pattern.admits(&text)) {
            return Some(Granted::Told(origin.clone()));
        }
        let caller = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        (caller.is_some() && caller == host).then_some(Granted::Own)
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        let text = plain(text);
        match text.split_once('*') {
            Some(("", "")) => Self::Any,
            Some((begin, end)) => Self::Around(begin.to_owned(), end.to_owned()),
            None => Self::Exact(text),
        }
    }

    fn admits(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(allowed) => allowed == origin,
            Self::Around(begin, end) => {
                origin.len() >= begin.len() + end.len()
                    && origin.starts_with(&**begin)
                    && origin.ends_with(&**end)
            }
        }
    }
}

/// An origin as it is compared: in small letters, without the slash that people write behind it.
fn plain(origin: &str) -> String {
    origin.trim_end_matches('/').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        allowed: &[&str],
        origin: &'static str,
        host: Option<&str>,
        expected: impl Into<Option<Granted>>,
    ) {
        let origins = Origins::new(&allowed.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        let granted = origins.grant(&HeaderValue::from_static(origin), host);
        assert_eq!(granted, expected.into(), "{origin}");
    }

    fn told(text: &'static str) -> Granted {
        Granted::Told(HeaderValue::from_static(text))
    }

    #[test]
    fn pages_that_are_allowed_are_told_so() {
        let board = ["https://Board.example/", "http://*.lan:8080"];
        check(&board, "https://board.example", None, told("https://board.example"));
        check(&board, "http://a.lan:8080", None, told("http://a.lan:8080"));
        for other in [
            "https://board.example.evil",
            "http://board.example",
            "https://board.example:444",
            "null",
            "http://.lan",
        ] {
            check(&board, other, Some("127.0.0.1:9090"), None);
        }
        check(&["*"], "https://any.example", None, told("*"));
        check(&["null"], "null", None, told("null"));
    }

    #[test]
    fn the_own_page_needs_no_permission() {
        let host = Some("127.0.0.1:9090");
        check(&[], "http://127.0.0.1:9090", host, Granted::Own);
        check(&[], "https://127.0.0.1:9090", host, Granted::Own);
        for other in ["http://127.0.0.1:9091", "http://localhost:9090", "127.0.0.1:9090", "null", "file://"] {
            check(&[], other, host, None);
        }
        check(&[], "http://board.example", None, None);
    }
}
