//! The configuration in force, and one that is about to be.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use waypost_config::model::{Config, ProbeUrl};
use waypost_router::Router;

use crate::{
    build::Fingerprint,
    rule_sets::{Content, Found, Meta, Reports},
    shared::Core,
    snapshot::Snapshot,
};

/// What runs besides connections as long as a configuration is in force.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) config: Arc<Config>,
    /// 1 at the start, and one more with each that followed.
    pub(crate) generation: u64,
    /// What it was made from; `None` if that is not known.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// What is known of the rule sets.
    pub(crate) rule_sets: Reports,
    /// Ends what keeps rule sets as they should be.
    pub(crate) stop: CancellationToken,
    /// Rule sets that were fetched, by their URL, for a configuration that follows: a copy on disk may not
    /// be there.
    pub(crate) fetched: Mutex<BTreeMap<Box<str>, Found>>,
    /// What connections will be decided with, until it is in force.
    pending: Mutex<Option<Arc<Snapshot>>>,
}

impl Installed {
    /// A configuration that is not in force yet.
    pub(crate) fn pending(
        config: Arc<Config>,
        snapshot: Arc<Snapshot>,
        (generation, fingerprint): (u64, Option<Fingerprint>),
        stop: CancellationToken,
    ) -> Self {
        let rule_sets = snapshot.recipe().map(|recipe| Reports::new(recipe.sets(), &recipe.found()));
        Self {
            config,
            generation,
            fingerprint,
            rule_sets: rule_sets.unwrap_or_default(),
            stop,
            fetched: Mutex::default(),
            pending: Mutex::new(Some(snapshot)),
        }
    }

    /// What connections are decided with by this configuration.
    pub(crate) fn snapshot(&self, core: &Core) -> Arc<Snapshot> {
        self.pending.lock().clone().unwrap_or_else(|| core.snapshot.load_full())
    }

    /// Has connections decided by other rules, unless another configuration is in force by now. Yields
    /// what is no longer used, whose end may take its time.
    pub(crate) fn replace_router(&self, core: &Core, router: Router) -> Option<Arc<Snapshot>> {
        let mut pending = self.pending.lock();
        if let Some(snapshot) = &mut *pending {
            let next = Arc::new(snapshot.with_router(router));
            return Some(std::mem::replace(snapshot, next));
        }
        // Whoever takes over cancels this under the same lock.
        if self.stop.is_cancelled() {
            return None;
        }
        let next = Arc::new(core.snapshot.load().with_router(router));
        Some(core.snapshot.swap(next))
    }

    /// Puts a configuration in force, in the place of the one that is.
    pub(crate) fn take_over(self: &Arc<Self>, core: &Core) {
        let old = core.installed.load_full();
        if !Arc::ptr_eq(&old, self) {
            let _nobody_replaces_rules = old.pending.lock();
            old.stop.cancel();
        }
        let mut pending = self.pending.lock();
        if let Some(snapshot) = pending.take() {
            core.snapshot.store(snapshot);
            core.installed.store(self.clone());
        }
    }
}

/// A configuration with the proxy that it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) core: Arc<Core>,
    pub(crate) installed: Arc<Installed>,
}

impl Held {
    /// What connections are decided with by this configuration.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.installed.snapshot(&self.core)
    }

    /// Keeps a set that was fetched for a configuration that follows.
    pub(crate) fn remember(&self, url: &ProbeUrl, content: Option<&Content>, meta: Option<&Meta>) {
        if let Some(content) = content {
            let found = Found { content: Some(content.clone()), stamp: None, meta: meta.cloned() };
            self.installed.fetched.lock().insert(url.text.clone(), found);
        }
    }

    /// What is known of its rule sets.
    pub(crate) fn rule_sets(&self) -> &Reports {
        &self.installed.rule_sets
    }
}
