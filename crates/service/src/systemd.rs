//! What systemd wants to know, and what it hands over (sd_notify(3), sd_listen_fds(3)).

use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use waypost_proxy::Inherited;

/// Tells whoever started the program; nobody, without `NOTIFY_SOCKET`.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager cannot be told");
    }
}

/// Connections are taken.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Another configuration is being read.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "the service manager cannot be told"),
    }
}

/// No more connections are taken.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says twice in each period that the program is alive, if the service manager wants to hear that.
pub(crate) async fn watchdog(stop: CancellationToken) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = interval((period / 2).max(Duration::from_millis(100)));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _tick = ticks.tick() => tell(&[NotifyState::Watchdog]),
        }
    }
}

/// The listening sockets that the service manager opened (`LISTEN_FDS`).
pub(crate) fn inherited() -> Inherited {
    let mut handed = ListenFd::from_env();
    let mut inherited = Inherited::default();
    for index in 0..handed.len() {
        if let Ok(Some(listener)) = handed.take_tcp_listener(index) {
            inherited.add_tcp(listener);
        } else if let Ok(Some(listener)) = handed.take_unix_listener(index) {
            inherited.add_unix(listener);
        }
    }
    if !inherited.is_empty() {
        info!(sockets = inherited.len(), "the service manager hands listening sockets over");
    }
    inherited
}
