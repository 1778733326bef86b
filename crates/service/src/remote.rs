//! `waypost reload` and `waypost explain --live`: what a program that runs is asked for.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use waypost_config::model::{ApiListen, Config};
use waypost_net::Secret;

use crate::client::{ClientError, RemoteAddress, ask};

/// A program that runs, by its control interface.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where it is.
    pub address: RemoteAddress,
    /// What it wants to know.
    pub secret: Option<Secret>,
}

/// What a program said.
#[derive(Debug, Clone, PartialEq)]
pub enum RemoteAnswer {
    /// It did it.
    Done(Value),
    /// It did not, and says why.
    Refused(String),
}

impl Remote {
    /// The control interface that a configuration has; `None` if it has none.
    #[must_use]
    pub fn of(config: &Config) -> Option<Self> {
        let api = config.experimental.clash_api.as_ref()?;
        let address = match &api.listen.as_ref()?.value {
            ApiListen::Tcp(address) if address.ip().is_unspecified() => {
                RemoteAddress::Tcp(format!("localhost:{}", address.port()))
            }
            ApiListen::Tcp(address) => RemoteAddress::Tcp(address.to_string()),
            ApiListen::Unix(path) => RemoteAddress::Unix(path.to_string().into()),
        };
        Some(Self { address, secret: api.secret.clone() })
    }

    /// What would become of a connection now, and why.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub fn explain(&self, question: &Value) -> Result<RemoteAnswer, ClientError> {
        self.ask((Method::POST, "/waypost/explain"), question)
    }

    fn ask(&self, request: (Method, &str), body: &Value) -> Result<RemoteAnswer, ClientError> {
        let connect = |source| ClientError::Connect { address: self.address.clone(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(connect)?;
        let asking = ask(&self.address, self.secret.as_ref(), request, body.to_string());
        let (status, answer) = runtime.block_on(asking)?;
        let value: Value = serde_json::from_slice(&answer).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(RemoteAnswer::Done(value));
        }
        let message = value.get("message").and_then(Value::as_str).map(str::to_owned);
        let bare = || match status {
            StatusCode::NOT_FOUND => "it is another program, or too old for that".to_owned(),
            status => format!("it answers {status}"),
        };
        Ok(RemoteAnswer::Refused(message.unwrap_or_else(bare)))
    }
}

/// Has a program read its files again.
///
/// # Errors
///
/// See [`ClientError`].
pub(crate) fn reload_remote(remote: &Remote) -> Result<RemoteAnswer, ClientError> {
    remote.ask((Method::PUT, "/configs"), &json!({}))
}
