//! Connections to a server that take another outbound.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock, Weak},
};

use waypost_net::{Detour as Way, Flow, Network, Tag, Target};

use super::DialError;
use crate::{
    Stream, Terms,
    dispatch::internal::{self, InternalError},
    shared::{Core, Shared},
};

/// The outbound that connections to a server take.
#[derive(Debug)]
pub(crate) struct Detour {
    outbound: Tag,
    core: OnceLock<Weak<Core>>,
}

impl Detour {
    pub(crate) fn new(outbound: Tag) -> Self {
        Self { outbound, core: OnceLock::new() }
    }

    /// Has its connections go through this proxy from now on.
    pub(super) fn open(&self, core: &Arc<Core>) {
        // A snapshot serves one proxy only.
        let _first_wins = self.core.set(Arc::downgrade(core));
    }

    /// Connects to `target` as a client of this proxy, so that a group chooses and steps in for its
    /// members here as well.
    pub(super) fn connect(
        &self,
        target: Target,
    ) -> Pin<Box<dyn Future<Output = Result<Stream, DialError>> + Send + '_>> {
        Box::pin(async move {
            let failed = |problem: String| DialError::Detour {
                outbound: self.outbound.clone(),
                problem: problem.into(),
            };
            let core = self.core.get().and_then(Weak::upgrade);
            let core = core.ok_or_else(|| failed("this proxy does not run".to_owned()))?;
            let snapshot = core.snapshot.load_full();
            let shared = Shared { core: &core, snapshot: &snapshot };
            let detour = Some(Way::Outbound(self.outbound.clone()));
            let flow = Flow { detour, is_own_query: true, ..Flow::new(Network::Tcp, target) };
            match internal::connect(shared, flow, Arc::new(Terms::default())).await {
                Ok(stream) => Ok(Stream::Unix(stream)),
                Err(InternalError::Refused(failure)) => Err(failed(failure.to_string())),
                Err(error @ InternalError::Socket(_)) => Err(failed(error.to_string())),
            }
        })
    }
}
