//! What takes the clients of one listening socket.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::{
    Ends, Listener, Stream, Workers,
    inbound::{Admission, Inbound},
    serve::{Lasting, serve},
    setup,
    shared::{Core, Shared},
};

/// How often a client that waits for room looks whether the limit is another one.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What takes the clients of one listening socket.
pub(crate) struct Acceptor {
    pub(crate) core: Arc<Core>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) listener: Listener,
    pub(crate) workers: Arc<Workers>,
    /// The worker that this runs on.
    pub(crate) index: usize,
    pub(crate) tasks: TaskTracker,
}

impl Acceptor {
    /// Takes clients until nobody is admitted any more. Those who had come before are taken as well.
    pub(crate) async fn run(self) {
        loop {
            let next = async { (self.core.limit.acquire().await, self.listener.accept().await) };
            let (permit, (stream, ends)) = tokio::select! {
                () = self.admission.stop.cancelled() => break,
                next = next => next,
            };
            // Room of the inbound is for clients that are there: one that only listens holds none.
            let room = tokio::select! {
                () = self.core.stopping.cancelled() => break,
                room = self.room() => room,
            };
            self.admit(stream, ends, (permit, room));
        }
        if self.core.stopping.is_cancelled() {
            return;
        }
        // Closing the socket would reset whoever waits in its queue.
        while let Some(permit) = self.core.limit.try_acquire()
            && let Some((stream, ends)) = self.listener.accept_waiting()
        {
            self.admit(stream, ends, permit);
        }
    }

    /// Waits for room in the inbound, which may be another one meanwhile.
    async fn room(&self) -> impl Send + use<> {
        loop {
            let inbound = self.admission.inbound.load_full();
            if let Ok(room) = timeout(LOOK_AGAIN, inbound.limits.acquire()).await {
                return room;
            }
        }
    }

    fn admit(&self, stream: Stream, ends: Ends, permits: impl Send + 'static) {
        let inbound = self.admission.inbound.load_full();
        let source = ends.source.map(|source| source.ip());
        let Some(admitted) = inbound.limits.admit(source) else {
            debug!(inbound = inbound.tag.as_deref(), ?source, "too many connections of one address");
            stream.reset_on_close();
            return;
        };
        self.spawn(inbound, stream, ends, (permits, admitted));
    }

    fn spawn(&self, inbound: Arc<Inbound>, stream: Stream, ends: Ends, permits: impl Send + 'static) {
        let (core, admission) = (self.core.clone(), self.admission.clone());
        let placed = self.workers.place(self.index);
        let served = move |stream: Stream| {
            // Outside of the task, which would hold all that this takes to its end.
            setup::run(async move {
                let snapshot = core.snapshot.load_full();
                serve(&inbound, &admission, (stream, ends), Shared { core: &core, snapshot: &snapshot }).await
            })
        };
        if placed.index() == self.index {
            self.tasks.spawn(last(served(stream), (permits, placed)));
            return;
        }
        let (Some(runtime), Ok(detached)) = (self.workers.runtime(placed.index()), stream.detach()) else {
            return;
        };
        self.tasks.spawn_on(
            async move {
                // A descriptor that the other runtime has no room for is closed.
                if let Ok(stream) = detached.attach() {
                    last(served(stream), (permits, placed)).await;
                }
            },
            runtime,
        );
    }
}

/// Carries what came of a client to its end, and holds its place as long.
async fn last(setup: impl Future<Output = Option<Lasting>>, place: impl Send) {
    if let Some(lasting) = setup.await {
        lasting.carry().await;
    }
    drop(place);
}
