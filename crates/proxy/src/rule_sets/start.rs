//! The tasks that keep sets as they should be.

use std::sync::{Arc, atomic::AtomicBool};

use tokio::sync::{Semaphore, mpsc, oneshot};
use waypost_config::model::RuleSetSource;
use waypost_net::Tag;

use super::{
    Found,
    compiler::{Applied, Compiler, MAX_WAITING, Update},
    fetch::Fetcher,
    local::{LocalSet, watch},
    remote::{Fetching, RemoteSet, shown},
};
use crate::{
    installed::{Held, Installed},
    probe::default_tls,
};

/// Who may wait for one set to be fetched.
const MAX_WISHES: usize = 8;
/// How many sets are fetched at a time.
const MAX_FETCHES: usize = 8;

/// A set without which nothing is to start, and of which there is no copy, cannot be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the rule set `{tag}` is critical, there is no copy of it, and `{url}` cannot be fetched: {reason}; make \
     the server reachable, or remove `critical`"
)]
pub struct CriticalSetError {
    /// The set.
    pub tag: Tag,
    /// Where it is.
    pub url: Box<str>,
    /// Why it cannot be fetched.
    pub reason: Box<str>,
}

/// The sets without which nothing is to start, and of which there is no copy.
#[derive(Debug, Default)]
pub(crate) struct CriticalSets(Vec<(CriticalSetError, oneshot::Receiver<Applied>)>);

impl CriticalSets {
    /// Waits until all of them are in use.
    ///
    /// # Errors
    ///
    /// If one of them cannot be fetched.
    pub(crate) async fn wait(self) -> Result<(), CriticalSetError> {
        for (error, first) in self.0 {
            let failed = match first.await {
                Ok(Ok(())) => continue,
                Ok(Err(reason)) => reason,
                Err(_dropped) => "the proxy is stopping".into(),
            };
            return Err(CriticalSetError { reason: failed, ..error });
        }
        Ok(())
    }
}

/// Watches files and fetches sets until `stop`. Must be called in a runtime. Sets of which there is no copy
/// go on with what the configuration `before` had of them.
///
/// # Errors
///
/// If TLS cannot be set up.
pub(crate) fn start(held: &Held, before: Option<&Installed>) -> Result<CriticalSets, rustls::Error> {
    let (snapshot, stop) = (held.snapshot(), &held.installed.stop);
    let Some(recipe) = snapshot.recipe() else { return Ok(CriticalSets::default()) };
    let found = recipe.take_found();
    let contents = found.iter().map(|found| found.content.clone()).collect();
    let (updates, waiting) = mpsc::channel(MAX_WAITING);
    let compiler = Compiler { held: held.clone(), recipe: recipe.clone(), contents };
    tokio::spawn(compiler.run(waiting, stop.clone()));

    let fetching = Arc::new(Fetching {
        store: recipe.store(),
        room: Semaphore::new(MAX_FETCHES),
        said_not_kept: AtomicBool::new(false),
    });
    let tls = default_tls()?;
    let (mut files, mut critical_sets) = (Vec::new(), CriticalSets::default());
    for (number, (set, Found { content, stamp, meta })) in recipe.sets().iter().zip(found).enumerate() {
        let tag = set.tag.value.clone();
        match &set.source {
            RuleSetSource::Inline(_) => {}
            RuleSetSource::Local { path, format } => {
                let path = recipe.path(path);
                files.push(LocalSet { set: number, tag, path, format: *format, stamp });
            }
            RuleSetSource::Remote { url, format, detour, update_interval, critical } => {
                let (mut first, mut content, mut meta) = (None, content, meta);
                let error = || {
                    let url = shown(&url.value).into();
                    CriticalSetError { tag: tag.clone(), url, reason: Box::default() }
                };
                let known = before.and_then(|before| before.fetched.lock().get(&url.value.text).cloned());
                if let (None, Some(Found { content: Some(known), meta: known_meta, .. })) = (&content, known)
                {
                    let (tell, told) = oneshot::channel();
                    let update = Update { set: number, content: known.clone(), done: tell };
                    let updates = updates.clone();
                    // Whoever compiles takes it before anything is in force.
                    tokio::spawn(async move { updates.send(update).await.is_ok() });
                    critical_sets.0.push((error(), told));
                    (content, meta) = (Some(known), known_meta);
                } else if *critical && content.is_none() {
                    let (tell, told) = oneshot::channel();
                    critical_sets.0.push((error(), told));
                    first = Some(tell);
                }
                held.remember(&url.value, content.as_ref(), meta.as_ref());
                let (wish, wishes) = mpsc::channel(MAX_WISHES);
                held.rule_sets().take_wishes(number, wish);
                let set = RemoteSet {
                    set: number,
                    tag,
                    url: url.value.clone(),
                    format: *format,
                    interval: *update_interval,
                    content,
                    meta,
                    fetcher: Fetcher {
                        held: held.clone(),
                        detour: detour.as_ref().map(|tag| tag.value.clone()),
                        tls: tls.clone(),
                    },
                    shared: fetching.clone(),
                    updates: updates.clone(),
                    first,
                    wishes,
                };
                tokio::spawn(set.run(stop.clone()));
            }
        }
    }
    if !files.is_empty() {
        tokio::spawn(watch(held.clone(), files, updates, stop.clone()));
    }
    Ok(critical_sets)
}
