//! Running a configuration until a signal, with all that follows it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use waypost_api::{LevelControl, LogFeed};
use waypost_config::model::LogLevel;
use waypost_proxy::{
    Control, Proxy, Reading, ReloadError, ReloadFrom, ReloadReport, StartError, Workers, build::Ready,
    raise_descriptor_limit,
};

use crate::{arguments::LogFormat, clash::ClashServer, load::write_stderr, log, systemd, watch::Watched};

/// How a configuration is run.
#[derive(Debug, Clone)]
pub(crate) struct RunOptions {
    /// How the configuration was read, and is read again.
    pub(crate) reading: Reading,
    /// How much is logged, whatever the configuration says.
    pub(crate) log_level: Option<LogLevel>,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// How long connections may go on after the first signal to stop.
    pub(crate) grace: Duration,
    /// Whether files are read again when they change.
    pub(crate) watch: bool,
}

/// Why nothing runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The system has no room for a thread, or a signal cannot be waited for.
    #[error("the system refuses what every program needs")]
    System(#[from] std::io::Error),
    /// The proxy cannot start.
    #[error("cannot start")]
    Start(#[from] StartError),
    /// Remote control cannot be served.
    #[error("cannot start: {0}")]
    Remote(String),
    /// Files cannot be watched.
    #[error("the configuration cannot be watched; run without `--watch` and use SIGHUP or `waypost reload`")]
    Watch(#[from] notify::Error),
}

/// Runs until a signal. Nothing listens before the whole configuration is known to be good.
///
/// # Errors
///
/// See [`RunError`].
pub(crate) fn run(ready: Ready, options: &RunOptions) -> Result<(), RunError> {
    let level = options.log_level.or(ready.config.log.level);
    let (feed, level) = log::start(level, options.log_format);
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(ready, options, feed, level))?;
    // A look-up that the system still works on must not hold the process back.
    runtime.shutdown_background();
    Ok(())
}

async fn serve(
    ready: Ready,
    options: &RunOptions,
    feed: LogFeed,
    level: LevelControl,
) -> Result<(), RunError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let workers = Workers::per_core()?;
    let mut told = async || tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
    let config = ready.config.clone();
    let watched = if options.watch { Some(Watched::new(&options.reading.paths)?) } else { None };
    let proxy = tokio::select! {
        proxy = Proxy::launch_with(workers, ready, systemd::inherited()) => proxy?,
        () = told() => return Ok(()),
    };
    let (control, stop) = (proxy.control(), CancellationToken::new());
    let clash = ClashServer::start(&config, &control, (options, feed, level), &stop).await;
    let clash = clash.map_err(RunError::Remote)?;
    #[cfg(feature = "grpc-api")]
    crate::grpc::start(&config, &control, &options.reading, &stop).await.map_err(RunError::Remote)?;
    control.add_companion(Arc::new(clash));
    for listen in proxy.addresses() {
        info!(inbound = listen.inbound.as_deref(), address = %listen.address, "listening");
    }
    systemd::ready("taking connections");
    let watchdog = tokio::spawn(systemd::watchdog(stop.clone()));
    let follow = follow(&control, &options.reading, &mut hangup, watched);
    tokio::select! { () = told() => {}, () = follow => {} }
    systemd::stopping();
    info!(connections = proxy.connections().len(), "stopping; a second signal stops at once");
    let connections = proxy.connections().clone();
    stop.cancel();
    tokio::select! { () = proxy.stop(options.grace) => {}, () = told() => {} }
    watchdog.abort();
    for (place, amount) in connections.traffic() {
        info!(%place, up = amount.up, down = amount.down, "traffic");
    }
    Ok(())
}

/// Reads the configuration again whenever somebody wants that, or it changed. Never ends.
async fn follow(
    control: &Control,
    reading: &Reading,
    hangup: &mut tokio::signal::unix::Signal,
    mut watched: Option<Watched>,
) {
    loop {
        let changed = async {
            match &mut watched {
                Some(watched) => watched.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = hangup.recv() => info!("SIGHUP: the configuration is read again"),
            () = changed => info!("the configuration changed and is read again"),
        }
        systemd::reloading();
        let reloaded = control.reload(reading, ReloadFrom::Files).await;
        // As at the start; the log is nothing for what stands in a file.
        if let Ok(ReloadReport { warnings: rendered, .. }) | Err(ReloadError::Invalid { rendered, .. }) =
            reloaded
        {
            let _closed = write_stderr(&rendered);
        }
        systemd::ready("taking connections");
    }
}

/// The folder that files named over the network must lie in: that of the first configuration file.
pub(crate) fn data_folder(reading: &Reading) -> PathBuf {
    let first = reading.paths.first();
    let folder = first.map(|path| if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(path) });
    match folder {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}
