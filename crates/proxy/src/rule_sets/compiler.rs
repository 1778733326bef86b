//! Changed sets → new rules.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Content;
use crate::{build::Recipe, installed::Held};

/// Changes that come within this time after the first are compiled together.
const JOIN_TIME: Duration = Duration::from_millis(200);
/// How many changes may wait; who brings another waits too.
pub(super) const MAX_WAITING: usize = 16;

/// Whether a set is in use, or why not.
pub(super) type Applied = Result<(), Box<str>>;

/// A set that has changed.
#[derive(Debug)]
pub(super) struct Update {
    /// Its number.
    pub(super) set: usize,
    /// What it is now.
    pub(super) content: Content,
    /// Told when connections are decided by it, or why they are not.
    pub(super) done: oneshot::Sender<Applied>,
}

/// Sends an update, and waits until it is in use.
///
/// # Errors
///
/// If the rules cannot be compiled with it, or the proxy is stopping.
pub(super) async fn apply(updates: &mpsc::Sender<Update>, set: usize, content: Content) -> Applied {
    let (done, told) = oneshot::channel();
    let stopping = || Box::<str>::from("the proxy is stopping");
    updates.send(Update { set, content, done }).await.map_err(|_stopping| stopping())?;
    told.await.map_err(|_stopping| stopping())?
}

/// What makes new rules. It has the content of every set, so that a change of one needs no other.
pub(super) struct Compiler {
    pub(super) held: Held,
    pub(super) recipe: Arc<Recipe>,
    /// By the number of the set.
    pub(super) contents: Vec<Option<Content>>,
}

impl Compiler {
    /// Takes updates until the proxy stops.
    pub(super) async fn run(mut self, mut updates: mpsc::Receiver<Update>, stop: CancellationToken) {
        loop {
            let first = tokio::select! {
                () = stop.cancelled() => return,
                update = updates.recv() => update,
            };
            let Some(first) = first else { return };
            let mut together = vec![first];
            let until = Instant::now() + JOIN_TIME;
            while let Ok(Some(next)) = timeout_at(until, updates.recv()).await {
                together.push(next);
            }
            self.take(together).await;
        }
    }

    async fn take(&mut self, updates: Vec<Update>) {
        if self.compile(&updates).await.is_ok() {
            updates.into_iter().for_each(|update| self.settle(update, Ok(())));
            return;
        }
        // One of them is to blame, and the others are good.
        for update in updates {
            let compiled = self.compile(std::slice::from_ref(&update)).await;
            self.settle(update, compiled);
        }
    }

    /// Compiles the rules with these updates, and has new connections decided by them.
    async fn compile(&self, updates: &[Update]) -> Applied {
        let mut contents = self.contents.clone();
        for update in updates {
            if let Some(content) = contents.get_mut(update.set) {
                *content = Some(update.content.clone());
            }
        }
        let (recipe, held) = (self.recipe.clone(), self.held.clone());
        let compiling = spawn_blocking(move || {
            let router = recipe.compile(&contents)?;
            // The old rules may be dropped here, which takes its time as well.
            drop(held.installed.replace_router(&held.core, router));
            Ok(())
        });
        compiling.await.unwrap_or_else(|error| Err(error.to_string().into()))
    }

    fn settle(&mut self, update: Update, compiled: Applied) {
        let Update { set, content, done } = update;
        if compiled.is_ok() {
            let before = self.held.rule_sets().replace(set, content.size);
            let tag = self.recipe.sets().get(set).map(|set| &*set.tag.value);
            info!(
                tag,
                before,
                entries = content.size.n_entries,
                rules = content.size.n_rules,
                "rule set changed"
            );
            if let Some(kept) = self.contents.get_mut(set) {
                *kept = Some(content);
            }
        }
        // Who brought it may have stopped.
        let _gone = done.send(compiled);
    }
}
