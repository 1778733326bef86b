//! Connections that this proxy opens through itself: they take rules, groups and fail-over like those
//! of any client.

use std::{io, sync::Arc};

use tokio::net::UnixStream;
use waypost_net::Flow;
use waypost_wire::DialFailure;

use super::carry_flow;
use crate::{ClientStream, Stream, Terms, shared::Shared};

/// Why a connection through the proxy itself did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InternalError {
    /// There is no descriptor left.
    #[error("no socket pair can be made")]
    Socket(#[from] io::Error),
    /// No way out took it, or a rule forbids it.
    #[error("no connection: {0}")]
    Refused(DialFailure),
}

/// Opens a connection for `flow` and waits until it stands. What is written to the stream goes to the
/// target; the connection ends with the stream.
///
/// # Errors
///
/// If there is no way out that takes it.
pub(crate) async fn connect(
    shared: Shared<'_>,
    flow: Flow,
    terms: Arc<Terms>,
) -> Result<UnixStream, InternalError> {
    let (near, far) = UnixStream::pair()?;
    let (client, told) = ClientStream::inside(Stream::Unix(far));
    let (core, snapshot) = (shared.core.clone(), shared.snapshot.clone());
    tokio::spawn(async move {
        carry_flow(Shared { core: &core, snapshot: &snapshot }, client, flow, terms).await;
    });
    match told.await {
        Ok(Ok(())) => Ok(near),
        Ok(Err(failure)) => Err(InternalError::Refused(failure)),
        // The task was dropped: the proxy is stopping.
        Err(_dropped) => Err(InternalError::Refused(DialFailure::Unavailable)),
    }
}
