//! HTTPUpgrade: a request as for a WebSocket, and then the bytes of the stream without frames.

use tokio::io::AsyncWriteExt;

use crate::{
    Io, IoStream, Moment, SetupError, TransportError,
    http1::{Head, Request, RequestTemplate, Status, check_headers, normalized_path, refuse},
    io::Prefixed,
};

/// How a client asks for an upgrade.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpUpgradeClient {
    /// The path to ask for, with a query if it has one.
    pub path: String,
    /// The `Host` header; else the name of the server in TLS, else its address.
    pub host: Option<String>,
    /// More headers. `Host` among them is used if `host` is not given.
    pub headers: Vec<(String, String)>,
}

/// Which requests for an upgrade a server takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpUpgradeServer {
    /// The path that is served. A query in a request does not count, unless the path has one as well.
    pub path: String,
    /// The host that requests must be for; without it any is served.
    pub host: Option<String>,
    /// More headers for the answer.
    pub headers: Vec<(String, String)>,
}

/// Opens upgraded streams.
#[derive(Debug)]
pub(crate) struct HttpUpgradeConnector {
    template: RequestTemplate,
}

impl HttpUpgradeConnector {
    pub(crate) fn try_new(options: &HttpUpgradeClient) -> Result<Self, SetupError> {
        let template = RequestTemplate::try_new(&options.path, options.host.as_deref(), &options.headers)?;
        Ok(Self { template })
    }

    /// `authority` is the host if the options give none.
    pub(crate) async fn open<S: Io>(
        &self,
        mut stream: S,
        authority: &str,
    ) -> Result<IoStream, TransportError> {
        let added = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
        let request = self.template.render(authority, "", &added);
        stream.write_all(&request).await.map_err(|error| failed(&error))?;
        stream.flush().await.map_err(|error| failed(&error))?;
        let head = Head::read(&mut stream, b"HTTP/1.").await?;
        let response = head.response()?;
        if response.status != 101 {
            return Err(TransportError::UpgradeRefused { status: response.status });
        }
        if !response.upgrades {
            return Err(TransportError::BrokenHttp {
                problem: "the answer does not fit the request for an upgrade",
            });
        }
        Ok(Prefixed::boxed(head.into_rest(), stream))
    }
}

/// Takes upgraded streams.
#[derive(Debug)]
pub(crate) struct HttpUpgradeAcceptor {
    options: HttpUpgradeServer,
}

impl HttpUpgradeAcceptor {
    pub(crate) fn try_new(options: &HttpUpgradeServer) -> Result<Self, SetupError> {
        check_headers(&options.headers)?;
        let path = normalized_path(&options.path)?;
        let host = options.host.clone().filter(|host| !host.is_empty());
        Ok(Self { options: HttpUpgradeServer { path, host, headers: options.headers.clone() } })
    }

    pub(crate) async fn accept<S: Io>(&self, mut stream: S) -> Result<IoStream, TransportError> {
        let head = Head::read(&mut stream, b"").await?;
        let request = head.request()?;
        if let Err(error) = self.check(&request) {
            refuse(&mut stream, Status::of(&error)).await;
            return Err(error);
        }
        let mut answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n".to_owned();
        for (name, value) in &self.options.headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\n");
        stream.write_all(answer.as_bytes()).await.map_err(|error| failed(&error))?;
        stream.flush().await.map_err(|error| failed(&error))?;
        Ok(Prefixed::boxed(head.into_rest(), stream))
    }

    fn check(&self, request: &Request) -> Result<(), TransportError> {
        let wrong = |problem| TransportError::WrongRequest { problem };
        request.check_host(self.options.host.as_deref())?;
        request.check_path(&self.options.path)?;
        if !request.is_get || !request.upgrades {
            return Err(wrong("a request that asks for no upgrade"));
        }
        if request.header("sec-websocket-key").is_some() {
            return Err(wrong("a request for a WebSocket, HTTPUpgrade is served here"));
        }
        Ok(())
    }
}

fn failed(error: &std::io::Error) -> TransportError {
    TransportError::during(Moment::HttpHandshake, error)
}
