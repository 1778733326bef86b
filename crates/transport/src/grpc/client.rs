use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri,
    header::{CONTENT_TYPE, TE, USER_AGENT},
    uri::{Authority, PathAndQuery, Scheme},
};
use parking_lot::Mutex;

use super::{
    connection::{Connection, Seat},
    keepalive::Keepalive,
    path::Paths,
    stream::GrpcStream,
};
use crate::{Io, IoStream, Moment, OpenError, SetupError, TransportError};

/// What a client says of itself unless told otherwise: what the other clients of this kind say.
const DEFAULT_USER_AGENT: &str = "grpc-go/1.48.0";
/// How long the answer to a ping may take unless told otherwise (sing-box's default).
const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(15);

/// How a client opens streams as calls of gRPC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrpcClient {
    /// The service, whose call `Tun` is made; with a slash in front the whole path (as with Xray).
    pub service_name: String,
    /// The `:authority` of requests; else the name of the server in TLS, else its address and port.
    pub authority: Option<String>,
    /// The `user-agent` of requests.
    pub user_agent: Option<String>,
    /// After so long without a byte from the server it is asked whether it is still there. Without it,
    /// only a connection that was silent for 10 s is, and when it gets a new stream.
    pub idle_timeout: Option<Duration>,
    /// How long it may take to answer; then the connection is dead. 15 s if not given.
    pub ping_timeout: Option<Duration>,
    /// Asks also while no stream is open.
    pub permit_without_stream: bool,
}

/// Opens streams, many in one connection.
#[derive(Debug)]
pub(crate) struct GrpcConnector {
    path: PathAndQuery,
    scheme: Scheme,
    authority: Option<Authority>,
    user_agent: HeaderValue,
    keepalive: Keepalive,
    connections: Mutex<Vec<Connection>>,
    /// Held by whoever opens a connection, so that others wait for it instead of opening more.
    opening: tokio::sync::Mutex<()>,
}

impl GrpcConnector {
    pub(crate) fn try_new(options: &GrpcClient, is_secure: bool) -> Result<Self, SetupError> {
        let paths = Paths::try_new(&options.service_name)?;
        let path = PathAndQuery::try_from(paths.tun)
            .map_err(|_invalid| SetupError::ServiceName { name: options.service_name.as_str().into() })?;
        let authority = options.authority.as_deref().filter(|authority| !authority.is_empty());
        let authority = authority
            .map(|text| text.parse().map_err(|_invalid| SetupError::RequestHost { host: text.into() }));
        let user_agent = options.user_agent.as_deref().filter(|name| !name.is_empty());
        let user_agent = HeaderValue::from_str(user_agent.unwrap_or(DEFAULT_USER_AGENT))
            .map_err(|_invalid| SetupError::Header { name: "user-agent".into() })?;
        let keepalive = Keepalive {
            idle: options.idle_timeout.filter(|idle| !idle.is_zero()),
            answer: options.ping_timeout.filter(|answer| !answer.is_zero()).unwrap_or(DEFAULT_PING_TIMEOUT),
            without_stream: options.permit_without_stream,
        };
        Ok(Self {
            path,
            scheme: if is_secure { Scheme::HTTPS } else { Scheme::HTTP },
            authority: authority.transpose()?,
            user_agent,
            keepalive,
            connections: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        })
    }

    /// Opens a stream in a connection that stands, or in the one that `connect` opens.
    pub(crate) async fn open<S: Io, E>(
        &self,
        authority: String,
        connect: impl Future<Output = Result<S, OpenError<E>>> + Send,
    ) -> Result<IoStream, OpenError<E>> {
        let request = self.request(&authority)?;
        if let Some(stream) = self.open_in_standing(&request).await {
            return Ok(stream);
        }
        let _turn = self.opening.lock().await;
        // Another one may have opened a connection meanwhile.
        if let Some(stream) = self.open_in_standing(&request).await {
            return Ok(stream);
        }
        let connection = Connection::open(connect.await?, self.keepalive).await?;
        let seat =
            connection.seat().ok_or(TransportError::Http2 { reason: h2::Reason::REFUSED_STREAM.into() })?;
        let stream = call(&connection, seat, request).await?;
        self.connections.lock().push(connection);
        Ok(stream)
    }

    async fn open_in_standing(&self, request: &Request<()>) -> Option<IoStream> {
        let connections = {
            let mut connections = self.connections.lock();
            connections.retain(|connection| !connection.is_over());
            connections.clone()
        };
        for connection in connections {
            let Some(seat) = connection.seat() else { continue };
            match call(&connection, seat, request.clone()).await {
                Ok(stream) => return Some(stream),
                // It takes no more streams; those that it has go on.
                Err(_refused) => self.forget(&connection),
            }
        }
        None
    }

    fn forget(&self, gone: &Connection) {
        let is_another = |connection: &Connection| !std::sync::Arc::ptr_eq(&connection.shared, &gone.shared);
        self.connections.lock().retain(is_another);
    }

    fn request(&self, authority: &str) -> Result<Request<()>, TransportError> {
        let broken = |_error| TransportError::BrokenHttp { problem: "the server has no name for a request" };
        let authority = match &self.authority {
            Some(authority) => authority.clone(),
            None => authority.parse().map_err(|_invalid| broken(()))?,
        };
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(authority)
            .path_and_query(self.path.clone())
            .build()
            .map_err(|_invalid| broken(()))?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(super::CONTENT_TYPE));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(USER_AGENT, self.user_agent.clone());
        Ok(request)
    }
}

/// Begins a call. Its answer comes with the first message of the server, or later.
async fn call(connection: &Connection, seat: Seat, request: Request<()>) -> Result<IoStream, TransportError> {
    let inbound = &connection.shared.inbound;
    let mut requests: h2::client::SendRequest<Bytes> = connection.requests.clone();
    let explain = |error: h2::Error| inbound.explain(&error, Moment::Stream);
    poll_fn(|context| requests.poll_ready(context)).await.map_err(explain)?;
    let (response, sender) = requests.send_request(request, false).map_err(explain)?;
    Ok(Box::new(GrpcStream::of_client(response, sender, inbound.clone(), seat)))
}
