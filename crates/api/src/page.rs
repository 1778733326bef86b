//! The page that is built in.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::respond::Refusal;

/// What the page may load: its own files, and the interface.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Pages are asked for again, and answered by a word if they are still the same.
pub(crate) const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

const FILES: [File; 4] = [
    File::new("index.html", "text/html; charset=utf-8", include_bytes!("../ui/dist/index.html")),
    File::new("app.js", "text/javascript; charset=utf-8", include_bytes!("../ui/dist/app.js")),
    File::new("app.css", "text/css; charset=utf-8", include_bytes!("../ui/dist/app.css")),
    File::new("icon.svg", "image/svg+xml", include_bytes!("../ui/dist/icon.svg")),
];

struct File {
    name: &'static str,
    content_type: &'static str,
    content: &'static [u8],
    digest: u64,
}

impl File {
    const fn new(name: &'static str, content_type: &'static str, content: &'static [u8]) -> Self {
        Self { name, content_type, content, digest: fnv1a(content) }
    }
}

/// A file of the page; the empty name is its front.
pub(crate) fn answer(name: &str, asked: &HeaderMap) -> Response {
    let name = if name.is_empty() { "index.html" } else { name };
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return Refusal::NOT_FOUND.into_response();
    };
    let tag = format!("\"{:016x}\"", file.digest);
    let mut response = if is_known(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, file.content_type)], file.content).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    enter_validator(headers, &tag);
    response
}

/// Lets a browser ask whether its copy is still good.
pub(crate) fn enter_validator(headers: &mut HeaderMap, tag: &str) {
    headers.insert(header::CACHE_CONTROL, ASK_AGAIN);
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
}

/// Whether a browser has the version with this tag (RFC 9110 section 13.1.2).
pub(crate) fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|known| known.to_str().ok());
    known.flat_map(|known| known.split(',')).any(|known| known.trim() == "*" || strong(known) == strong(tag))
}

/// Tells versions of a file apart; it keeps nothing secret.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut rest = bytes;
    while let [first, others @ ..] = rest {
        hash = (hash ^ *first as u64).wrapping_mul(0x0000_0100_0000_01b3);
        rest = others;
    }
    hash
}
