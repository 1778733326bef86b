use std::{future::pending, sync::Arc, time::Duration};

use h2::{Ping, PingPong};
use tokio::time::{Instant, timeout};

use super::inbound::Inbound;
use crate::TransportError;

/// When a peer is asked whether it is still there (RFC 9113 §6.7).
#[derive(Debug, Clone, Copy)]
pub(super) struct Keepalive {
    /// After so long without a byte from it; `None`: only when somebody doubts it.
    pub(super) idle: Option<Duration>,
    /// How long the answer may take.
    pub(super) answer: Duration,
    /// Also while there are no streams.
    pub(super) without_stream: bool,
}

/// Ends when the peer does not answer.
pub(super) async fn watch(
    inbound: Arc<Inbound>,
    pings: Option<PingPong>,
    keepalive: Keepalive,
    has_streams: impl Fn() -> bool,
) -> TransportError {
    let Some(mut pings) = pings else { return pending().await };
    loop {
        wait_for_doubt(&inbound, keepalive, &has_streams).await;
        let mut asked = Instant::now();
        let ponged = pings.ping(Ping::opaque());
        tokio::pin!(ponged);
        loop {
            match timeout(keepalive.answer, ponged.as_mut()).await {
                Ok(Ok(_pong)) => break,
                // The connection is over anyway, and says why.
                Ok(Err(_error)) => return pending().await,
                // The answer stands behind much else that comes.
                Err(_elapsed) if inbound.last() > asked => asked = Instant::now(),
                Err(_elapsed) => return TransportError::NoPong { waited: keepalive.answer },
            }
        }
    }
}

async fn wait_for_doubt(inbound: &Inbound, keepalive: Keepalive, has_streams: impl Fn() -> bool) {
    let Some(idle) = keepalive.idle else { return inbound.doubted().await };
    loop {
        let rest = idle.saturating_sub(inbound.silence());
        if rest.is_zero() && (keepalive.without_stream || has_streams()) {
            return;
        }
        let rest = if rest.is_zero() { idle } else { rest };
        if timeout(rest, inbound.doubted()).await.is_ok() {
            return;
        }
    }
}
