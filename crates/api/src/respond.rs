//! What is said to clients: values as JSON, and refusals.

use std::borrow::Cow;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::timeout;

use crate::app::Shared;

/// The largest body that is read.
pub(crate) const MAX_BODY: usize = 1 << 20;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why nothing was done: a status and `{"message": …}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    message: Cow<'static, str>,
    /// More about it, for programs.
    diagnostics: Option<Value>,
}

#[derive(Serialize)]
struct Message<'m> {
    message: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<&'m Value>,
}

impl Refusal {
    pub(crate) const BODY_INVALID: Self = Self::of(StatusCode::BAD_REQUEST, "Body invalid");
    pub(crate) const NOT_FOUND: Self = Self::of(StatusCode::NOT_FOUND, "Resource not found");
    pub(crate) const NO_SUCH_METHOD: Self = Self::of(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    pub(crate) const UNAUTHORIZED: Self = Self::of(StatusCode::UNAUTHORIZED, "Unauthorized");
    pub(crate) const TIMEOUT: Self = Self::of(StatusCode::GATEWAY_TIMEOUT, "Timeout");

    pub(crate) const fn of(status: StatusCode, message: &'static str) -> Self {
        Self { status, message: Cow::Borrowed(message), diagnostics: None }
    }

    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: Cow::Owned(message.into()), diagnostics: None }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn with(self, diagnostics: Value) -> Self {
        Self { diagnostics: Some(diagnostics), ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, message, diagnostics } = self;
        let body = Message { message: &message, diagnostics: diagnostics.as_ref() };
        (status, json(&body)).into_response()
    }
}

/// A value as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => json_text(text),
        // A map with keys that are no text; nothing that is sent has one.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Text that is JSON already.
pub(crate) fn json_text(text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// The body of a request, bounded in size and time.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) Bytes);

impl FromRequest<Shared> for Raw {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Refusal> {
        const TOO_LARGE: Refusal =
            Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB");
        let announced = request.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > MAX_BODY as u64) {
            return Err(TOO_LARGE);
        }
        let reading = Limited::new(request.into_body(), MAX_BODY).collect();
        match timeout(app.settings.bounds.body, reading).await {
            Ok(Ok(body)) => Ok(Self(body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(TOO_LARGE),
            Ok(Err(_)) => Err(Refusal::BODY_INVALID),
            Err(_) => Err(Refusal::of(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
        }
    }
}

/// A JSON body of a form. Its type is not asked for, as clients of Clash name none.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Refusal> {
        let Raw(body) = Raw::from_request(request, app).await?;
        object(&body).map(Self)
    }
}

/// Reads an object. Fields in a list, which a form would also be read from, are none.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Refusal::BODY_INVALID);
    }
    serde_json::from_slice(body).map_err(|_| Refusal::BODY_INVALID)
}

/// What stands between two slashes of the path, decoded.
#[derive(Debug)]
pub(crate) struct Name<T = String>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Name<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Refusal> {
        let name = Path::from_request_parts(parts, app).await;
        name.map(|Path(name)| Self(name)).map_err(|_| Refusal::of(StatusCode::BAD_REQUEST, "Path invalid"))
    }
}

/// What stands behind the `?`; of a key that is given twice the first value counts. The secret may be
/// among it, so that this does not print.
#[derive(Default)]
pub(crate) struct Arguments(Vec<(String, String)>);

impl Arguments {
    pub(crate) fn of(parts: &Parts) -> Self {
        Query::try_from_uri(&parts.uri).map(|Query(pairs)| Self(pairs)).unwrap_or_default()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// A value that is not empty.
    pub(crate) fn given(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }
}

impl FromRequestParts<Shared> for Arguments {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Refusal> {
        Ok(Self::of(parts))
    }
}
