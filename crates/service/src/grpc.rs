//! The gRPC API of V2Ray, where the configuration wants it.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::net::{TcpListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};
use waypost_config::model::Config;
use waypost_grpc::{Exposure, GrpcApi, GrpcServices, RestartLogger};
use waypost_proxy::{Commit, Companion, Control, Preparing, Reading, preparing};

/// The server, which follows the configuration.
#[derive(Debug)]
struct GrpcServer {
    /// With the services that are offered now.
    api: Arc<Mutex<GrpcApi>>,
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
    let services = services(config);
    let api = GrpcApi::new(control, reading.clone(), services, RestartLogger::default());
    let server = GrpcServer { api: Arc::new(Mutex::new(api)), listening: Arc::default(), stop: stop.clone() };
    server.prepare(config).await?();
    if let Some(mut streams) = control.take_api_streams() {
        let (api, stop) = (server.api.clone(), stop.clone());
        tokio::spawn(async move {
            while let Some(Some(stream)) = stop.run_until_cancelled(streams.recv()).await {
                let (api, stop) = (api.lock().clone(), stop.clone());
                match UnixStream::from_std(stream) {
                    Ok(stream) => drop(tokio::spawn(async move { api.serve_stream(stream, stop).await })),
                    Err(error) => debug!(%error, "a client of the gRPC API is lost"),
                }
            }
        });
    }
    control.add_companion(Arc::new(server));
    Ok(())
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
            let (api, listening, parent) = (self.api.clone(), self.listening.clone(), self.stop.clone());
            let commit: Commit = Box::new(move || {
                let offering = api.lock().offering(services);
                *api.lock() = offering.clone();
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
                        None => rebind(wanted).await,
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

/// Listens where somebody is about to close.
async fn rebind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let mut tries = 0;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if tries < 50 => {
                debug!(%error, "the address is not free yet");
                tries += 1;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            bound => return bound,
        }
    }
}
