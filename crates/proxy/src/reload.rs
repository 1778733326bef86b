//! Another configuration in the place of the one in force, while connections go on.
//!
//! All that can fail is done first: read, check, build, listen, fetch what is critical. Then everything
//! is swapped at once. Whoever is the same in both keeps what is known of it: listeners, health, choices,
//! counts. Connections finish with what they began with.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use tokio::task::spawn_blocking;
use tracing::{info, warn};
use waypost_config::{
    Options, Severity, Source, Style, UnknownKeys,
    model::{Config, RuleSetSource},
    render,
};
use waypost_net::{Network, Tag};

use crate::{
    Inherited,
    build::{Assets, Loaded, Ready, load, read_files},
    cache::Cache,
    chain::Chain,
    companion::{Companion, prepare_all},
    control::{Control, rule_action},
    engine::Running,
    health::{Health, Legacy, Surroundings},
    installed::{Held, Installed},
    rule_sets,
    snapshot::Snapshot,
};

/// How a configuration is read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The files, or folders of them.
    pub paths: Vec<PathBuf>,
    /// What unknown keys are.
    pub unknown_keys: UnknownKeys,
    /// Where geo files are.
    pub assets: Assets,
    /// Environment variables that a file may name.
    pub env: fn(&str) -> Option<String>,
    /// The folder that files named by a text must lie in: who gives a text over the network is not to reach
    /// further. `None` for texts of somebody who is trusted with all files.
    pub confined_to: Option<PathBuf>,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadFrom {
    /// The files that the program was started with.
    Files,
    /// Another file, or a folder.
    Path(PathBuf),
    /// A text.
    Text(String),
}

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReloadReport {
    /// Whether anything is other than before; nothing was touched if not.
    pub changed: bool,
    /// The number of the configuration in force.
    pub generation: u64,
    /// What was warned of, as people read it.
    pub warnings: String,
    /// Outbounds and groups that are new, by their tags.
    pub added: Vec<Tag>,
    /// Outbounds and groups that are gone.
    pub removed: Vec<Tag>,
    /// Connections that were closed because their outbound is gone, as `interrupt_exist_connections` wants.
    pub interrupted: usize,
}

/// Why the configuration stays as it is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// It cannot be read.
    #[error("{reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// There are errors in it.
    #[error("{rendered}")]
    Invalid {
        /// All that was found, with places, as people read it.
        rendered: String,
        /// The same for programs.
        diagnostics: Value,
    },
    /// It cannot come into force: an address is taken, or a critical rule set missing.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

impl Reading {
    fn source(&self, from: &ReloadFrom) -> Result<Source, ReloadError> {
        let unreadable =
            |error: &dyn std::error::Error| ReloadError::Unreadable { reason: Chain(error).to_string() };
        match from {
            ReloadFrom::Files if self.paths.is_empty() => Err(ReloadError::Unreadable {
                reason: "the program runs without a configuration file, so that there is none to read again"
                    .to_owned(),
            }),
            ReloadFrom::Files => read_files(&self.paths).map_err(|error| unreadable(&error)),
            ReloadFrom::Path(path) => {
                read_files(std::slice::from_ref(path)).map_err(|error| unreadable(&error))
            }
            ReloadFrom::Text(text) => {
                Source::new("(text)", text.as_str()).map_err(|error| unreadable(&error))
            }
        }
    }

    /// Reads and compiles a configuration, which takes its time.
    fn load(&self, from: &ReloadFrom) -> Result<(Ready, String), ReloadError> {
        let source = self.source(from)?;
        let options = Options { unknown_keys: self.unknown_keys, env: &self.env };
        let loaded = load(&source, &options, &self.assets);
        let rendered = render(&source, &loaded.diagnostics, Style::Plain);
        let diagnostics = loaded.to_json(&source);
        let Loaded { ready, diagnostics: found } = loaded;
        let failed = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        match ready.filter(|_| !failed) {
            Some(ready) => {
                if let (ReloadFrom::Text(_), Some(folder)) = (from, &self.confined_to) {
                    confine(&ready.config, folder)?;
                }
                Ok((ready, rendered))
            }
            None => Err(ReloadError::Invalid { rendered, diagnostics }),
        }
    }
}

/// Whether all files that a configuration names lie in a folder, with links followed.
fn confine(config: &Config, folder: &Path) -> Result<(), ReloadError> {
    let sets = config.routing.rule_sets.iter().filter_map(|set| match &set.source {
        RuleSetSource::Local { path, .. } => Some(&*path.value),
        RuleSetSource::Inline(_) | RuleSetSource::Remote { .. } => None,
    });
    let experimental = &config.experimental;
    let page = experimental.clash_api.iter().filter_map(|api| Some(&*api.external_ui.as_ref()?.value));
    let cache = experimental.cache_file.iter().map(|cache| cache.path.as_deref().unwrap_or("."));
    let root = folder.canonicalize().ok();
    for path in sets.chain(page).chain(cache) {
        let path = Path::new(path);
        // A cache file need not be there yet, its folder has to.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let found = path.canonicalize().or_else(|_| parent.unwrap_or_else(|| Path::new(".")).canonicalize());
        let inside = root.as_ref().zip(found.ok()).is_some_and(|(root, found)| found.starts_with(root));
        if !inside {
            let reason = "a configuration that is given as a text may name files in the data folder only";
            return Err(ReloadError::Refused { reason: reason.to_owned() });
        }
    }
    Ok(())
}

impl Control {
    /// Has somebody follow the configuration from the next one on.
    pub fn add_companion(&self, companion: Arc<dyn Companion>) {
        self.0.companions.lock().push(companion);
    }

    /// Reads a configuration and puts it in force. What is wrong with it changes nothing.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is wrong, or cannot come into force.
    pub async fn reload(&self, reading: &Reading, from: ReloadFrom) -> Result<ReloadReport, ReloadError> {
        let always = |_: &Config| Ok::<_, std::convert::Infallible>(Some(from));
        match self.reload_by(reading, always).await {
            Ok(Some(reloaded)) => reloaded,
            Ok(None) => Ok(ReloadReport { generation: self.generation(), ..ReloadReport::default() }),
            Err(never) => match never {},
        }
    }

    /// As [`reload`](Self::reload), with what `make` makes of the configuration in force: nobody else changes
    /// that meanwhile. `None` leaves it as it is.
    ///
    /// # Errors
    ///
    /// What `make` says; inside, as `reload`.
    pub async fn reload_by<E>(
        &self,
        reading: &Reading,
        make: impl FnOnce(&Config) -> Result<Option<ReloadFrom>, E>,
    ) -> Result<Option<Result<ReloadReport, ReloadError>>, E> {
        let _turn = self.0.reloading.lock().await;
        match make(&self.config())? {
            Some(from) => Ok(Some(self.read_and_install(reading, from).await)),
            None => Ok(None),
        }
    }

    async fn read_and_install(
        &self,
        reading: &Reading,
        from: ReloadFrom,
    ) -> Result<ReloadReport, ReloadError> {
        let reading = reading.clone();
        let loading = spawn_blocking(move || reading.load(&from)).await;
        let loaded =
            loading.unwrap_or_else(|stopping| Err(ReloadError::Refused { reason: stopping.to_string() }));
        let result = match loaded {
            Ok((ready, warnings)) => {
                let installed = self.install(ready).await;
                installed.map(|report| ReloadReport { warnings, ..report })
            }
            Err(error) => Err(error),
        };
        match &result {
            Ok(report) if report.changed => {
                self.0.core.counts.reloads.add_one();
                info!(generation = report.generation, added = ?report.added, removed = ?report.removed, "configuration taken");
            }
            Ok(_) => info!("the configuration is the one in force"),
            Err(error) => {
                self.0.core.counts.failed_reloads.add_one();
                // What is shown of a file may be a password, which is nothing for a log.
                let reason = match error {
                    ReloadError::Invalid { diagnostics, .. } => format!("errors: {}", diagnostics["errors"]),
                    ReloadError::Unreadable { reason } | ReloadError::Refused { reason } => reason.clone(),
                };
                warn!(reason, "the configuration stays as it is");
            }
        }
        result
    }

    /// Puts a configuration in force.
    ///
    /// # Errors
    ///
    /// If it cannot come into force; nothing has changed then.
    pub async fn install(&self, ready: Ready) -> Result<ReloadReport, ReloadError> {
        let refused =
            |error: &dyn std::error::Error| ReloadError::Refused { reason: Chain(error).to_string() };
        let running = &self.0;
        let mut entrances = running.entrances.lock().await;
        let core = &running.core;
        let old = core.installed.load_full();
        if ready.fingerprint.is_some() && ready.fingerprint == old.fingerprint {
            return Ok(ReloadReport { generation: old.generation, ..ReloadReport::default() });
        }
        if core.stopping.is_cancelled() {
            return Err(ReloadError::Refused { reason: "the program is stopping".to_owned() });
        }
        let Ready { config, snapshot, fingerprint } = ready;
        let (config, snapshot, before) = (Arc::new(config), Arc::new(snapshot), core.snapshot.load_full());

        let plan = entrances.plan(
            &config,
            &snapshot,
            Some(&old.config),
            (&running.workers, &mut Inherited::default()),
        );
        let plan = plan.map_err(|error| refused(&error))?;
        let cache = new_cache(&old.config, &config);
        core.attach(&snapshot);
        let kept = cache.clone().unwrap_or_else(|| core.cache());
        let surroundings =
            Surroundings { connections: core.connections.clone(), cache: &kept, stop: core.stopping.clone() };
        let legacy = Legacy { snapshot: before.clone(), knowledge: before.health().ask_knowledge().await };
        let standby = Health::prepare(&snapshot, surroundings, Some(&legacy));
        let mut standby = standby.map_err(|error| refused(&error))?;
        let stop = core.stopping.child_token();
        let generation = old.generation + 1;
        let installed = Installed::pending(config.clone(), snapshot.clone(), (generation, fingerprint), stop);
        let held = Held { core: core.clone(), installed: Arc::new(installed) };
        let prepared = prepare(running, &held, &old, &config).await;
        let commits = match prepared {
            Ok(commits) => commits,
            Err(reason) => {
                held.installed.stop.cancel();
                return Err(ReloadError::Refused { reason });
            }
        };

        // Nothing can fail from here on. What was learnt meanwhile, and chosen, is not lost.
        standby.learn(Some(&Legacy {
            snapshot: before.clone(),
            knowledge: before.health().ask_knowledge().await,
        }));
        go_on_counting(&snapshot, &old.config, &before, &config);
        if let (Some(modes), Some(known)) = (snapshot.modes(), before.modes()) {
            // A mode that is gone leaves the default.
            let _gone = modes.set(&known.current());
        }
        core.connections.set_stats(config.stats);
        let counted = before.resolver().figures();
        core.dns_before.rcu(|known| known.plus(counted));
        if let Some(cache) = cache {
            core.cache.store(Arc::new(cache));
        }
        let addresses = plan.addresses.clone();
        held.installed.take_over(core);
        running.begin(entrances.put(plan, &core.stopping));
        *running.addresses.lock() = addresses;
        commits.into_iter().for_each(|commit| commit());
        before.health().retire().await;
        {
            let _inside = running.runtime.enter();
            standby.begin();
        }
        let (added, removed) = difference(&old.config, &config);
        let interrupted = interrupt(running, &before, &snapshot);
        Ok(ReloadReport { changed: true, generation, warnings: String::new(), added, removed, interrupted })
    }
}

/// Fetches rule sets that are critical, and has others follow.
async fn prepare(
    running: &Running,
    held: &Held,
    before: &Installed,
    config: &Config,
) -> Result<Vec<crate::companion::Commit>, String> {
    let critical = {
        let _inside = running.runtime.enter();
        rule_sets::start(held, Some(before)).map_err(|error| error.to_string())?
    };
    critical.wait().await.map_err(|error| error.to_string())?;
    let companions = running.companions.lock().clone();
    prepare_all(&companions, config).await
}

/// What is kept for the next start, if that is elsewhere now.
fn new_cache(old: &Config, new: &Config) -> Option<Cache> {
    let settings = new.experimental.cache_file.as_ref();
    (old.experimental.cache_file.as_ref() != settings).then(|| Cache::open(settings))
}

/// Has rules that say the same go on counting.
fn go_on_counting(new: &Snapshot, old_config: &Config, old: &Snapshot, config: &Config) {
    let name = |rule: &waypost_config::model::Rule| {
        format!("{} {}", waypost_config::rule_text(rule), rule_action(rule).0)
    };
    let mut known: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, rule) in old_config.routing.rules.iter().enumerate().rev() {
        known.entry(name(rule)).or_default().push(index);
    }
    for (index, rule) in config.routing.rules.iter().enumerate() {
        if let Some(before) = known.get_mut(&name(rule)).and_then(Vec::pop) {
            new.hits().go_on_from(index, old.hits().of(before));
        }
    }
    new.hits().go_on_unmatched(old.hits().unmatched());
}

/// The tags that only the second configuration has, and those that only the first has.
fn difference(old: &Config, new: &Config) -> (Vec<Tag>, Vec<Tag>) {
    let tags = |config: &Config| -> Vec<Tag> {
        let outbounds = config.outbounds.iter().filter_map(|outbound| outbound.tag.as_ref());
        let balancers = config.routing.balancers.iter().map(|balancer| &balancer.tag);
        outbounds.chain(balancers).map(|tag| tag.value.clone()).collect()
    };
    let (old, new) = (tags(old), tags(new));
    let added = new.iter().filter(|tag| !old.contains(tag)).cloned().collect();
    (added, old.into_iter().filter(|tag| !new.contains(tag)).collect())
}

/// Closes connections through members that are no longer in their group, if that group wants it. A member is
/// what it is, whatever it is called.
fn interrupt(running: &Running, old: &Snapshot, new: &Snapshot) -> usize {
    let mut closed = 0;
    for (_, group, settings) in old.pools().iter().filter(|(_, _, settings)| settings.interrupts) {
        let stays = new.pools().iter().find(|(_, other, other_settings)| {
            other.tag() == group.tag() && other_settings.is_balancer == settings.is_balancer
        });
        let is_member = |identity: &[u8]| {
            stays.is_some_and(|(_, other, _)| other.members().any(|member| *member.identity == *identity))
        };
        let gone = group.members().filter(|member| !is_member(&member.identity));
        let gone: Vec<Tag> = gone.map(|member| member.tag.clone()).collect();
        for network in [Network::Tcp, Network::Udp] {
            closed += running.core.connections.close_through(group.tag(), network, &gone);
        }
    }
    closed
}
