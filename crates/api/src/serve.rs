//! The listening socket, and the connections that come in by it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};
use waypost_proxy::Control;

use crate::{ApiSettings, Bounds, ListenOn, LogFeed, app::App, patient::Patient, routes::routes};

/// Enough for every head that a browser sends; hyper reads no more of one.
const MAX_HEAD: usize = 64 << 10;
/// How long requests that are being answered may go on when the interface stops.
const GRACE: Duration = Duration::from_secs(5);
/// The pause after the system refuses to hand out a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How long nothing may be heard of a client's machine before it is asked for.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// The interface; see [`Api::bind`].
#[derive(Debug, Clone, Copy)]
pub struct Api;

/// An interface that listens and answers nobody yet.
#[derive(Debug)]
pub struct BoundApi {
    settings: ApiSettings,
    socket: Socket,
    address: ListenOn,
}

/// Why the interface cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The system refuses.
    #[error("the control interface cannot listen on `{address}`")]
    Bind {
        /// The address or path.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// Everybody who reaches the address could control the proxy.
    #[error("the control interface needs a secret to listen on `{0}`")]
    NoSecret(SocketAddr),
    /// The folder of an external page is not there.
    #[error("`{path}`, the folder of the web page, cannot be read")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// The file of a Unix socket, removed with this unless another one took its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Whom a request comes from. A stream holds it for as long as it lasts, and with it its place among the
/// connections.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// The address that the client reached; none on a Unix socket.
    pub(crate) local: Option<IpAddr>,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Api {
    /// Listens. Clients that come wait until [`BoundApi::run`]. Must be called in a runtime.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on, has no secret, or the folder of the page is not there.
    #[expect(clippy::unused_async, reason = "what is bound belongs to a runtime")]
    pub async fn bind(settings: ApiSettings) -> Result<BoundApi, ApiError> {
        let mut settings = settings;
        settings.secret = settings.secret.filter(|secret| !secret.expose().is_empty());
        settings.check()?;
        let bound = match &settings.listen {
            ListenOn::Tcp(address) => {
                bind_tcp(*address).map(|(socket, address)| (socket, ListenOn::Tcp(address)))
            }
            ListenOn::Unix(path) => bind_unix(path).map(|socket| (socket, settings.listen.clone())),
        };
        match bound {
            Ok((socket, address)) => Ok(BoundApi { settings, socket, address }),
            Err(source) => Err(ApiError::Bind { address: settings.listen.to_string(), source }),
        }
    }
}

impl ApiSettings {
    /// Whether all but the address can be had.
    ///
    /// # Errors
    ///
    /// If a TCP address has no secret, or the folder of the page is not there.
    pub fn check(&self) -> Result<(), ApiError> {
        let has_secret = self.secret.as_ref().is_some_and(|secret| !secret.expose().is_empty());
        if let ListenOn::Tcp(address) = self.listen
            && !has_secret
        {
            return Err(ApiError::NoSecret(address));
        }
        if let Some(path) = &self.external_ui
            && let Err(source) = std::fs::read_dir(path)
        {
            return Err(ApiError::Folder { path: path.clone(), source });
        }
        Ok(())
    }
}

impl BoundApi {
    /// Where it listens, with the port that the system chose for port 0.
    #[must_use]
    pub fn address(&self) -> &ListenOn {
        &self.address
    }

    /// Answers clients until `stop`; then streams end, and what is being answered gets a few seconds.
    pub async fn run(self, control: Control, logs: LogFeed, stop: CancellationToken) {
        let Self { settings, socket, address } = self;
        info!(address = %address, "the control interface listens");
        let bounds = settings.bounds;
        let places = Arc::new(Semaphore::new(bounds.connections));
        let app = Arc::new(App::new(settings, control, logs, stop.clone()));
        let (router, tasks) = (routes(app), TaskTracker::new());
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await;
                place.map(|place| async { (place, socket.accept().await) })
            };
            let Some(Ok(accepting)) = stop.run_until_cancelled(next).await else { break };
            let Some((place, accepted)) = stop.run_until_cancelled(accepting).await else { break };
            let place = Arc::new(place);
            let (router, stop) = (router.clone(), stop.clone());
            match accepted {
                Ok(Accepted::Tcp(stream, local)) => {
                    let peer = Peer { local: Some(local), _place: place };
                    tasks.spawn(serve(stream, peer, router, bounds, stop));
                }
                Ok(Accepted::Unix(stream)) => {
                    let peer = Peer { local: None, _place: place };
                    tasks.spawn(serve(stream, peer, router, bounds, stop));
                }
                Err(error) => {
                    warn!(%error, "the control interface cannot take a client");
                    sleep(PAUSE).await;
                }
            }
        }
        drop(socket);
        tasks.close();
        let _left = timeout(GRACE, tasks.wait()).await;
    }
}

enum Accepted {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Socket {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
                SockRef::from(&stream).set_tcp_keepalive(&keep_alive)?;
                stream.set_nodelay(true)?;
                let local = stream.local_addr()?.ip().to_canonical();
                Ok(Accepted::Tcp(stream, local))
            }
            Self::Unix { listener, .. } => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    Ok((Socket::Tcp(listener), address))
}

fn bind_unix(path: &Path) -> io::Result<Socket> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    if let Ok(found) = std::fs::symlink_metadata(path) {
        use std::os::unix::fs::FileTypeExt as _;
        if !found.file_type().is_socket() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
    }
    // Nobody may connect before the mode is set; so it gets its name last.
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(format!(".{}", std::process::id()));
    let hidden = PathBuf::from(hidden);
    if let Err(error) = std::fs::remove_file(&hidden)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(&hidden)?;
    let named = std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&hidden, path))
        .and_then(|()| std::fs::symlink_metadata(path));
    match named {
        Ok(file) => {
            let identity = (file.dev(), file.ino());
            Ok(Socket::Unix { listener, _file: SocketFile { path: path.to_owned(), identity } })
        }
        Err(error) => {
            let _gone = std::fs::remove_file(&hidden);
            Err(error)
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = std::fs::symlink_metadata(&self.path).map(|file| (file.dev(), file.ino()));
        if found.is_ok_and(|found| found == self.identity) {
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

/// Answers the requests of one connection; told to stop, it finishes the one that it is at.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: Peer,
    router: Router,
    Bounds { head, stall, .. }: Bounds,
    stop: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(MAX_HEAD);
    let connection =
        http.serve_connection(TokioIo::new(Patient::new(stream, stall)), service).with_upgrades();
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(%error, "a client of the control interface was left");
    }
}

impl std::fmt::Display for ListenOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}
