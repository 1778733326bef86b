//! Who may ask for what: the name that the interface is called by, the page that asks, and the secret.

mod hosts;
mod origins;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use subtle::ConstantTimeEq as _;
use waypost_net::Secret;

use self::{
    hosts::Hosts,
    origins::{Granted, Origins},
};
use crate::{
    ApiSettings,
    app::Shared,
    respond::{Arguments, Refusal},
    serve::Peer,
};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("Content-Type, Authorization");
/// How many seconds a browser may remember what it was allowed.
const MAX_AGE: HeaderValue = HeaderValue::from_static("300");
const FORBIDDEN_HOST: Refusal =
    Refusal::of(StatusCode::FORBIDDEN, "this is not called by a name of the control interface");
const FORBIDDEN_ORIGIN: Refusal =
    Refusal::of(StatusCode::FORBIDDEN, "pages of this origin may not use the control interface");

/// What requests are held to.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Hosts,
    origins: Origins,
    secret: Option<Secret>,
    allow_private_network: bool,
}

impl Guard {
    pub(crate) fn new(settings: &ApiSettings) -> Self {
        Self {
            hosts: Hosts::new(&settings.listen, &settings.allowed_hosts),
            origins: Origins::new(&settings.allowed_origins),
            secret: settings.secret.clone(),
            allow_private_network: settings.allow_private_network,
        }
    }

    /// Says why a request is refused, and what an answer tells the browser of it.
    fn examine(&self, request: &Parts) -> (Result<(), Refusal>, Grant) {
        let local = request.extensions.get::<Peer>().and_then(|peer| peer.local);
        let is_unix = local.is_none();
        let host = self.hosts.called(request, local);
        if host.is_none() && !is_unix {
            return (Err(FORBIDDEN_HOST), Grant::default());
        }
        let mut origins = request.headers.get_all(header::ORIGIN).iter();
        let grant = match (origins.next(), origins.next()) {
            (None, _) => Grant::default(),
            (Some(origin), None) => match self.origins.grant(origin, host.as_deref()) {
                Some(Granted::Told(origin)) => {
                    Grant { origin: Some(origin), is_private: self.asks_privately(request) }
                }
                Some(Granted::Own) => Grant::default(),
                None => return (Err(FORBIDDEN_ORIGIN), Grant::default()),
            },
            (Some(_), Some(_)) => return (Err(FORBIDDEN_ORIGIN), Grant::default()),
        };
        let is_allowed = is_preflight(request) || is_public(request) || self.knows_secret(request);
        (if is_allowed { Ok(()) } else { Err(Refusal::UNAUTHORIZED) }, grant)
    }

    fn asks_privately(&self, request: &Parts) -> bool {
        self.allow_private_network && request.headers.contains_key("access-control-request-private-network")
    }

    fn knows_secret(&self, request: &Parts) -> bool {
        let Some(secret) = &self.secret else { return true };
        let is_right = |shown: &str| bool::from(shown.as_bytes().ct_eq(secret.expose().as_bytes()));
        if wants_websocket(&request.headers) && request.method == Method::GET {
            // Pages cannot set headers of a WebSocket.
            let arguments = Arguments::of(request);
            if let Some(token) = arguments.given("token") {
                return is_right(token);
            }
        }
        let mut shown = request.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else { return false };
        shown.to_str().ok().and_then(bearer).is_some_and(is_right)
    }
}

/// What an answer tells the browser about the page that asked.
#[derive(Debug, Default)]
struct Grant {
    origin: Option<HeaderValue>,
    is_private: bool,
}

impl Grant {
    fn enter(self, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        if self.is_private {
            headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
        }
    }
}

/// Lets a request through to what answers it, or not.
pub(crate) async fn guard(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (verdict, grant) = app.guard.examine(&parts);
    let mut response = match verdict {
        Err(refusal) => refusal.into_response(),
        Ok(()) if is_preflight(&parts) => preflight(),
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
    };
    let headers = response.headers_mut();
    grant.enter(headers);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|upgrade| upgrade.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

/// Whether a person's browser asks for a page.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

/// Whether a browser asks what it may ask for.
fn is_preflight(request: &Parts) -> bool {
    request.method == Method::OPTIONS
        && request.headers.contains_key(header::ORIGIN)
        && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether a request is for what everybody may see: the files of the page, and the way there.
fn is_public(request: &Parts) -> bool {
    let path = request.uri.path();
    let is_page = path == "/ui" || path.starts_with("/ui/") || (path == "/" && wants_page(&request.headers));
    is_page && (request.method == Method::GET || request.method == Method::HEAD)
}

fn bearer(shown: &str) -> Option<&str> {
    let (scheme, secret) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
