//! Connections that carry those of several clients.

use std::{pin::Pin, sync::Arc};

use tokio::task::JoinSet;
use tracing::debug;
use waypost_transport::GrpcStreams;

use super::serve_stream;
use crate::{
    Ends,
    inbound::Admission,
    setup,
    shared::{Core, Shared},
    stream::{Abort, Layered},
};

/// A connection by which clients open streams.
#[derive(Debug)]
pub(crate) struct Multiplexed {
    pub(super) streams: Box<GrpcStreams>,
    pub(super) admission: Arc<Admission>,
    pub(super) ends: Ends,
    pub(super) core: Arc<Core>,
}

impl Multiplexed {
    /// Serves streams until the connection ends, and they have.
    ///
    /// The type is written out because such a stream may carry what this is a part of.
    pub(super) fn run(self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.serve())
    }

    async fn serve(self) {
        let Self { mut streams, admission, ends, core } = self;
        let (mut tasks, mut is_open) = (JoinSet::new(), true);
        loop {
            let next = tokio::select! {
                next = streams.next() => next,
                Some(_ended) = tasks.join_next() => continue,
                () = admission.stop.cancelled(), if is_open => {
                    is_open = false;
                    streams.close();
                    continue;
                }
            };
            // Each is of the inbound as it is now, whose users may be others than when the connection came.
            let inbound = admission.inbound.load_full();
            let stream = match next {
                Some(Ok(stream)) => stream,
                Some(Err(error)) => {
                    debug!(inbound = inbound.tag.as_deref(), source = ?ends.source, %error, "a stream failed");
                    continue;
                }
                None => break,
            };
            // Each is a connection like any other; without room the client finds its stream reset.
            let Some(permit) = core.limit.try_acquire() else { continue };
            let core = core.clone();
            let stream = Layered::new(stream, Abort::default()).into();
            let setup = setup::run(async move {
                let snapshot = core.snapshot.load_full();
                serve_stream(&inbound, stream, ends, Shared { core: &core, snapshot: &snapshot }).await
            });
            tasks.spawn(async move {
                if let Some(lasting) = setup.await {
                    lasting.carry().await;
                }
                drop(permit);
            });
        }
        while tasks.join_next().await.is_some() {}
    }
}
