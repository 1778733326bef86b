use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Request, Response, body::Incoming, http::uri::PathAndQuery, server::conn::http2, service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, body::Body, codegen::Service, service::Routes};
use tracing::debug;
use waypost_proxy::{Control, Reading};

use crate::{
    GrpcServices, RestartLogger,
    change::Changes,
    family::path_of_v2ray,
    handler::Handler,
    limits::{
        GRACE, HANDSHAKE_TIMEOUT, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, MAX_CONNECTIONS, MAX_HEADER_BYTES,
        MAX_MESSAGE_BYTES, MAX_SEND_BUFFER_BYTES, MAX_STREAMS, REQUEST_TIMEOUT,
    },
    messages::{
        log::logger_service_server::LoggerServiceServer,
        observatory::observatory_service_server::ObservatoryServiceServer,
        proxyman::handler_service_server::HandlerServiceServer,
        router::routing_service_server::RoutingServiceServer,
        stats::stats_service_server::StatsServiceServer,
    },
    observatory::Observer,
    routing::Routing,
    stats::Counters,
};

/// What every connection of HTTP/2 begins with (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// After a failure of `accept`, such as no descriptors left: these do not go away at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// All messages and services, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");

/// Who may reach a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exposure {
    /// Programs of this machine.
    #[default]
    Loopback,
    /// Everybody who can reach its address: they control the proxy, because there is no login.
    Everybody,
}

/// Why the API does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Other machines would reach it.
    #[error("the gRPC API has no login, so it does not listen on `{address}`, which other machines reach")]
    Exposed {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The listener does not know its address.
    #[error("cannot tell where the gRPC API listens")]
    Address(#[source] io::Error),
}

/// V2Ray's gRPC API. Clones share counters and limits.
#[derive(Debug, Clone)]
pub struct GrpcApi {
    all: Arc<Services>,
    routes: Routes,
    connections: Arc<Semaphore>,
}

/// Every service, whether it is offered or not.
#[derive(Debug)]
struct Services {
    routing: Arc<Routing>,
    counters: Arc<Counters>,
    handler: Arc<Handler>,
    logger: Arc<RestartLogger>,
    observer: Arc<Observer>,
}

impl GrpcApi {
    /// Offers these services of a running proxy. `reading` is how its configuration was read: one that is
    /// changed over the API is read in the same way.
    #[must_use]
    pub fn new(control: &Control, reading: Reading, services: GrpcServices, logger: RestartLogger) -> Self {
        let changes = Changes::new(control.clone(), reading);
        let all = Arc::new(Services {
            routing: Arc::new(Routing::new(control.clone(), changes.clone())),
            counters: Arc::new(Counters::new(control.clone())),
            handler: Arc::new(Handler::new(control.clone(), changes)),
            logger: Arc::new(logger),
            observer: Arc::new(Observer::new(control.clone())),
        });
        let routes = all.routes(services);
        Self { all, routes, connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }

    /// The same with other services, for another configuration: counters that were set back stay so.
    #[must_use]
    pub fn offering(&self, services: GrpcServices) -> Self {
        Self { routes: self.all.routes(services), ..self.clone() }
    }

    /// Answers clients of a listener until `stop`; then requests that are under way have a second left.
    ///
    /// # Errors
    ///
    /// If other machines would reach the listener, and `exposure` does not say that they may.
    pub async fn serve(
        &self,
        listener: TcpListener,
        exposure: Exposure,
        stop: CancellationToken,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr().map_err(ServeError::Address)?;
        if exposure == Exposure::Loopback && !address.ip().to_canonical().is_loopback() {
            return Err(ServeError::Exposed { address });
        }
        let tasks = TaskTracker::new();
        loop {
            let next = async {
                let permit = self.connections.clone().acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                next = next => next,
            };
            match accepted {
                Ok((stream, _)) => {
                    // Answers are small: none should wait for the acknowledgement of the one before.
                    let _best_effort = stream.set_nodelay(true);
                    let (routes, stop) = (self.routes.clone(), stop.clone());
                    tasks.spawn(async move {
                        carry(routes, stream, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    debug!(%error, "cannot accept a client of the gRPC API");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Its address is free at once, for the listener of another configuration.
        drop(listener);
        tasks.close();
        tasks.wait().await;
        Ok(())
    }

    /// Answers one client, whom somebody else has accepted, until it goes or `stop`. One that comes
    /// when too many are there waits for its turn.
    pub async fn serve_stream(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        stop: CancellationToken,
    ) {
        tokio::select! {
            () = stop.cancelled() => {}
            Ok(_permit) = self.connections.acquire() => carry(self.routes.clone(), stream, stop.clone()).await,
        }
    }
}

impl Services {
    fn routes(&self, services: GrpcServices) -> Routes {
        let mut routes = Routes::builder();
        let mut names = Vec::new();
        if services.routing {
            let service = RoutingServiceServer::from_arc(self.routing.clone());
            routes.add_service(service.max_decoding_message_size(MAX_MESSAGE_BYTES));
            names.push("app.router.command.RoutingService");
        }
        if services.stats {
            let service = StatsServiceServer::from_arc(self.counters.clone());
            routes.add_service(service.max_decoding_message_size(MAX_MESSAGE_BYTES));
            names.push("app.stats.command.StatsService");
        }
        if services.handler {
            let service = HandlerServiceServer::from_arc(self.handler.clone());
            routes.add_service(service.max_decoding_message_size(MAX_MESSAGE_BYTES));
            names.push("app.proxyman.command.HandlerService");
        }
        if services.logger {
            let service = LoggerServiceServer::from_arc(self.logger.clone());
            routes.add_service(service.max_decoding_message_size(MAX_MESSAGE_BYTES));
            names.push("app.log.command.LoggerService");
        }
        if services.observatory {
            let service = ObservatoryServiceServer::from_arc(self.observer.clone());
            routes.add_service(service.max_decoding_message_size(MAX_MESSAGE_BYTES));
            names.push("app.observatory.command.ObservatoryService");
        }
        let routes = routes.routes();
        if services.reflection { reflect(routes, &names) } else { routes }
    }
}

/// Adds the services that tell what services there are, of the names without the program.
fn reflect(mut routes: Routes, names: &[&str]) -> Routes {
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure();
        let builder = builder.register_encoded_file_descriptor_set(DESCRIPTORS);
        names.iter().fold(builder, |builder, name| {
            let xray = if name.starts_with("app.observatory.") { "xray.core" } else { "xray" };
            builder
                .with_service_name(format!("v2ray.core.{name}"))
                .with_service_name(format!("{xray}.{name}"))
        })
    };
    // The descriptors are our own; a test has seen that they can be read.
    if let (Ok(v1), Ok(alpha)) = (builder().build_v1(), builder().build_v1alpha()) {
        routes = routes.add_service(v1).add_service(alpha);
    }
    routes
}

/// Answers one client.
async fn carry<S>(routes: Routes, stream: S, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut reader, writer) = tokio::io::split(stream);
    let preface = tokio::select! {
        () = stop.cancelled() => return,
        preface = timeout(HANDSHAKE_TIMEOUT, reads_preface(&mut reader)) => preface,
    };
    match preface {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return debug!("a client of the gRPC API does not speak HTTP/2"),
        Ok(Err(_)) | Err(_) => return debug!("a client of the gRPC API said too little"),
    }
    let stream = tokio::io::join(PREFACE.chain(reader), writer);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service_fn(move |request| answer(routes.clone(), request)));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match timeout(GRACE, connection).await {
                Ok(ended) => ended,
                Err(_elapsed) => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection of the gRPC API failed");
    }
}

/// Whether what a client begins with is the preface of HTTP/2; the first byte that is not ends it.
async fn reads_preface(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
    let mut expected = &PREFACE[..];
    let mut buffer = [0; PREFACE.len()];
    while let Some(room) = buffer.get_mut(..expected.len()).filter(|room| !room.is_empty()) {
        let n_read = reader.read(room).await?;
        let read = room.get(..n_read).unwrap_or_default();
        match expected.strip_prefix(read) {
            Some(rest) if n_read > 0 => expected = rest,
            Some(_) | None => return Ok(false),
        }
    }
    Ok(true)
}

/// Answers a request under either name of its service.
///
/// The messages of V2Ray and Xray have the same numbers, so that the name is all there is to change: each
/// service exists once, with the methods of both.
async fn answer(mut routes: Routes, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if let Some(Ok(path)) = path_of_v2ray(request.uri().path()).map(PathAndQuery::try_from) {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path);
        if let Ok(uri) = parts.try_into() {
            *request.uri_mut() = uri;
        }
    }
    match timeout(REQUEST_TIMEOUT, routes.call(request)).await {
        Ok(answer) => answer,
        Err(_elapsed) => Ok(Status::deadline_exceeded("the request took too long").into_http()),
    }
}
