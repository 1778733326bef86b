use std::{io, sync::Arc};

use waypost_net::{Host, Target};

use crate::{
    ClientTls, GrpcClient, HttpUpgradeClient, Io, IoStream, OpenError, SetupError, TransportError,
    WebSocketClient,
    grpc::GrpcConnector,
    http_upgrade::HttpUpgradeConnector,
    http1::host_of,
    tls::{HTTP1, HTTP2, TlsClient},
    websocket::WebSocketConnector,
};

/// What a client puts on top of a connection.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// TLS, if any.
    pub tls: Option<ClientTls>,
    /// What goes on top of it.
    pub layer: ClientLayer,
}

/// What carries the stream on top of a connection, with TLS or without.
#[derive(Debug, Clone)]
pub enum ClientLayer {
    /// The connection itself.
    Raw,
    /// A WebSocket.
    WebSocket(WebSocketClient),
    /// An upgraded HTTP connection.
    HttpUpgrade(HttpUpgradeClient),
    /// A call of gRPC, of which one connection carries many.
    Grpc(GrpcClient),
}

/// Opens streams to one server. Cheap to clone; clones share their gRPC connections.
#[derive(Debug, Clone)]
pub struct ClientTransport {
    tls: Option<Arc<TlsClient>>,
    /// The name of the server, if TLS knows one.
    tls_name: Option<Arc<str>>,
    layer: Layer,
}

#[derive(Debug, Clone)]
enum Layer {
    Raw,
    WebSocket(Arc<WebSocketConnector>),
    HttpUpgrade(Arc<HttpUpgradeConnector>),
    Grpc(Arc<GrpcConnector>),
}

impl ClientTransport {
    /// Prepares all that does not differ from stream to stream.
    ///
    /// # Errors
    ///
    /// If the options cannot be used.
    pub fn try_new(options: &ClientOptions) -> Result<Self, SetupError> {
        let (layer, wanted): (_, &[&str]) = match &options.layer {
            ClientLayer::Raw => (Layer::Raw, &[]),
            ClientLayer::WebSocket(layer) => {
                (Layer::WebSocket(Arc::new(WebSocketConnector::try_new(layer)?)), &[HTTP1])
            }
            ClientLayer::HttpUpgrade(layer) => {
                (Layer::HttpUpgrade(Arc::new(HttpUpgradeConnector::try_new(layer)?)), &[HTTP1])
            }
            ClientLayer::Grpc(layer) => {
                let is_secure = options.tls.is_some();
                (Layer::Grpc(Arc::new(GrpcConnector::try_new(layer, is_secure)?)), &[HTTP2])
            }
        };
        let tls_name = options.tls.as_ref().and_then(|tls| match &tls.server_name {
            Host::Domain(name) => Some(Arc::from(name.as_str())),
            Host::Ip(_) => None,
        });
        let tls = options.tls.as_ref().map(|tls| TlsClient::try_new(tls, wanted)).transpose()?;
        Ok(Self { tls: tls.map(Arc::new), tls_name, layer })
    }

    /// Whether several streams may share a connection.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.layer, Layer::Grpc(_))
    }

    /// Opens a stream.
    ///
    /// `connect` opens the bare connection; it is not polled if a gRPC connection that stands carries
    /// the stream. `authority` is the server, for requests that name it where options and TLS do not.
    /// There is no deadline: whoever waits drops the future.
    ///
    /// A server may still refuse afterwards: a gRPC server tells with its first message, a WebSocket with
    /// early data answers after the first write, and in TLS 1.3 a server looks at the certificate of a
    /// client at its leisure. The first read or write then fails, with a [`TransportError`]
    /// inside of the [`io::Error`].
    ///
    /// # Errors
    ///
    /// If `connect` fails, or a layer cannot be agreed on with the server.
    pub async fn open<S, E, F>(&self, authority: &Target, connect: F) -> Result<IoStream, OpenError<E>>
    where
        S: Io,
        F: Future<Output = Result<S, E>> + Send,
    {
        match (&self.layer, &self.tls) {
            (Layer::Grpc(grpc), None) => {
                let connect = async { connect.await.map_err(OpenError::Connect) };
                grpc.open(self.host(authority, None), connect).await
            }
            (Layer::Grpc(grpc), Some(tls)) => {
                let connect = async {
                    let stream = connect.await.map_err(OpenError::Connect)?;
                    Ok(tls.connect(stream, Some(HTTP2)).await?)
                };
                grpc.open(self.host(authority, None), connect).await
            }
            (_, None) => {
                let stream = connect.await.map_err(OpenError::Connect)?;
                Ok(self.enter(stream, authority).await?)
            }
            (layer, Some(tls)) => {
                let stream = connect.await.map_err(OpenError::Connect)?;
                let wanted = if matches!(layer, Layer::Raw) { None } else { Some(HTTP1) };
                Ok(self.enter(tls.connect(stream, wanted).await?, authority).await?)
            }
        }
    }

    /// The layer of one stream per connection.
    async fn enter<S: Io>(&self, stream: S, authority: &Target) -> Result<IoStream, TransportError> {
        let usual_port = if self.tls.is_some() { 443 } else { 80 };
        match &self.layer {
            Layer::Raw => Ok(Box::new(stream)),
            Layer::WebSocket(layer) => layer.open(stream, self.host(authority, Some(usual_port))).await,
            Layer::HttpUpgrade(layer) => layer.open(stream, &self.host(authority, Some(usual_port))).await,
            Layer::Grpc(_) => Err(TransportError::Io(io::ErrorKind::Unsupported)),
        }
    }

    /// How a request names the server if the options do not say it.
    fn host(&self, authority: &Target, usual_port: Option<u16>) -> String {
        match (&self.tls_name, usual_port) {
            (Some(name), _) => name.as_ref().to_owned(),
            (None, Some(port)) => host_of(authority, port),
            (None, None) => authority.to_string(),
        }
    }
}
