//! The gRPC API of V2Ray, where the configuration wants it.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, UnixStream},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};
use waypost_config::model::Config;
use waypost_grpc::{Exposure, GrpcApi, GrpcServices, RestartLogger};
use waypost_proxy::{Commit, Companion, Control, Preparing, Reading, preparing};

use crate::free::when_free;

/// The server, which follows the configuration.
#[derive(Debug, Clone)]
struct GrpcServer {
    control: Control,
    reading: Reading,
    /// With the services that are offered now; `None` until a configuration wants it.
    api: Arc<Mutex<Option<GrpcApi>>>,
    listening: Arc<Mutex<Option<Listening>>>,
    stop: CancellationToken,
}

/// An address that is listened on.
#[derive(Debug)]
struct Listening {
    wanted: SocketAddr,
    services: GrpcServices,
    stop: CancellationToken,
}

/// Serves what the configuration wants, and what later ones will want.
///
/// # Errors
///
/// If it cannot listen.
pub(crate) async fn start(
    config: &Config,
    control: &Control,
    reading: &Reading,
    stop: &CancellationToken,
) -> Result<(), String> {
    let server = GrpcServer {
        control: control.clone(),
        reading: reading.clone(),
        api: Arc::default(),
        listening: Arc::default(),
        stop: stop.clone(),
    };
    server.prepare(config).await?();
    control.add_companion(Arc::new(server));
    Ok(())
}

impl GrpcServer {
    /// What serves these services; made when it is wanted first, with what serves connections that come by
    /// a rule.
    fn offering(&self, services: GrpcServices) -> GrpcApi {
        let mut current = self.api.lock();
        let offering = match &*current {
            Some(api) => api.offering(services),
            None => {
                let logger = RestartLogger::default();
                let api = GrpcApi::new(&self.control, self.reading.clone(), services, logger);
                if let Some(streams) = self.control.take_api_streams() {
                    tokio::spawn(serve_streams(streams, self.api.clone(), self.stop.clone()));
                }
                api
            }
        };
        *current = Some(offering.clone());
        offering
    }
}

/// Serves connections that come by a rule, with what is offered when they come.
async fn serve_streams(
    mut streams: mpsc::Receiver<std::os::unix::net::UnixStream>,
    api: Arc<Mutex<Option<GrpcApi>>>,
    stop: CancellationToken,
) {
    while let Some(Some(stream)) = stop.run_until_cancelled(streams.recv()).await {
        let Some(api) = api.lock().clone() else { continue };
        let stop = stop.clone();
        match UnixStream::from_std(stream) {
            Ok(stream) => drop(tokio::spawn(async move { api.serve_stream(stream, stop).await })),
            Err(error) => debug!(%error, "a client of the gRPC API is lost"),
        }
    }
}

fn services(config: &Config) -> GrpcServices {
    config.api.iter().flat_map(|api| api.services.iter().copied()).collect()
}

impl Companion for GrpcServer {
    fn prepare<'a>(&'a self, config: &'a Config) -> Preparing<'a> {
        preparing(async move {
            let wanted = config.api.as_ref().and_then(|api| Some(api.listen.as_ref()?.value));
            let services = services(config);
            let is_same = self
                .listening
                .lock()
                .as_ref()
                .is_some_and(|known| Some(known.wanted) == wanted && known.services == services);
            let has_address =
                self.listening.lock().as_ref().is_some_and(|known| Some(known.wanted) == wanted);
            let bound = match wanted {
                Some(address) if !has_address => {
                    let bound = TcpListener::bind(address).await;
                    let bound = bound
                        .map_err(|error| format!("the gRPC API cannot listen on `{address}`: {error}"))?;
                    Some(bound)
                }
                Some(_) | None => None,
            };
            let is_wanted = config.api.is_some();
            let (server, listening, parent) = (self.clone(), self.listening.clone(), self.stop.clone());
            let commit: Commit = Box::new(move || {
                if !is_wanted && server.api.lock().is_none() {
                    return;
                }
                let offering = server.offering(services);
                if is_same {
                    return;
                }
                let old = listening.lock().take();
                if let Some(old) = &old {
                    old.stop.cancel();
                }
                let Some(wanted) = wanted else { return };
                let stop = parent.child_token();
                *listening.lock() = Some(Listening { wanted, services, stop: stop.clone() });
                tokio::spawn(async move {
                    let bound = match bound {
                        Some(bound) => Ok(bound),
                        // The same address with other services: the old one is closing.
                        None => when_free(|| TcpListener::bind(wanted)).await,
                    };
                    let served = match bound {
                        Ok(bound) => {
                            info!(address = %wanted, "the gRPC API listens");
                            offering
                                .serve(bound, Exposure::Loopback, stop)
                                .await
                                .map_err(|error| error.to_string())
                        }
                        Err(error) => Err(error.to_string()),
                    };
                    if let Err(error) = served {
                        error!(address = %wanted, error, "the gRPC API is not served");
                    }
                });
            });
            Ok(commit)
        })
    }
}
