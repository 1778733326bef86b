use crate::{
    GrpcServer, GrpcStreams, HttpUpgradeServer, Io, IoStream, ServerTls, SetupError, TransportError,
    WebSocketServer,
    grpc::GrpcAcceptor,
    http_upgrade::HttpUpgradeAcceptor,
    tls::{HTTP1, HTTP2, TlsServer},
    websocket::WebSocketAcceptor,
};

/// What a server expects on top of a connection.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// TLS, if any.
    pub tls: Option<ServerTls>,
    /// What goes on top of it.
    pub layer: ServerLayer,
}

/// What carries streams on top of a connection, with TLS or without.
#[derive(Debug, Clone)]
pub enum ServerLayer {
    /// The connection itself.
    Raw,
    /// A WebSocket.
    WebSocket(WebSocketServer),
    /// An upgraded HTTP connection.
    HttpUpgrade(HttpUpgradeServer),
    /// Calls of gRPC, many in one connection.
    Grpc(GrpcServer),
}

/// Takes streams out of connections that were accepted.
#[derive(Debug)]
pub struct ServerTransport {
    tls: Option<TlsServer>,
    layer: Layer,
}

#[derive(Debug)]
enum Layer {
    Raw,
    WebSocket(WebSocketAcceptor),
    HttpUpgrade(HttpUpgradeAcceptor),
    Grpc(GrpcAcceptor),
}

/// What a connection turned out to carry.
#[derive(Debug)]
pub enum Entered {
    /// One stream.
    One(IoStream),
    /// Streams that come one after the other.
    Many(Box<GrpcStreams>),
}

impl ServerTransport {
    /// Prepares all that does not differ from connection to connection; reads the files of certificates.
    ///
    /// # Errors
    ///
    /// If the options cannot be used, or a file.
    pub fn try_new(options: &ServerOptions) -> Result<Self, SetupError> {
        let (layer, wanted): (_, &[&str]) = match &options.layer {
            ServerLayer::Raw => (Layer::Raw, &[]),
            ServerLayer::WebSocket(layer) => (Layer::WebSocket(WebSocketAcceptor::try_new(layer)?), &[HTTP1]),
            ServerLayer::HttpUpgrade(layer) => {
                (Layer::HttpUpgrade(HttpUpgradeAcceptor::try_new(layer)?), &[HTTP1])
            }
            ServerLayer::Grpc(layer) => (Layer::Grpc(GrpcAcceptor::try_new(layer)?), &[HTTP2]),
        };
        let tls = options.tls.as_ref().map(|tls| TlsServer::try_new(tls, wanted)).transpose()?;
        Ok(Self { tls, layer })
    }

    /// Takes the layers off a connection. There is no deadline: whoever waits drops the future.
    ///
    /// A request that is not for this server has got its answer when this returns its error.
    /// Certificates are read again if their files have changed.
    ///
    /// # Errors
    ///
    /// If the layers cannot be agreed on with the client.
    pub async fn accept<S: Io>(&self, stream: S) -> Result<Entered, TransportError> {
        match &self.tls {
            None => self.enter(stream).await,
            Some(tls) => self.enter(tls.accept(stream).await?).await,
        }
    }

    async fn enter<S: Io>(&self, stream: S) -> Result<Entered, TransportError> {
        Ok(match &self.layer {
            Layer::Raw => Entered::One(Box::new(stream)),
            Layer::WebSocket(layer) => Entered::One(layer.accept(stream).await?),
            Layer::HttpUpgrade(layer) => Entered::One(layer.accept(stream).await?),
            Layer::Grpc(layer) => Entered::Many(Box::new(layer.accept(stream).await?)),
        })
    }
}
