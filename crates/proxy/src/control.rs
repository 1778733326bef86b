//! A running proxy in the hands of whoever controls it: what there is, what it does, and what may be changed.

mod delay;
mod dns;
mod reports;

use std::{os::unix::net::UnixStream, sync::Arc};

use tokio::sync::mpsc;
use waypost_balance::SelectError;
use waypost_config::model::Config;
use waypost_net::{Flow, Tag};

pub(crate) use self::reports::rule_action;
pub use self::{
    delay::{DelayError, GroupTest},
    reports::{Figures, OutboundKind, OutboundReport, RuleReport},
};
use crate::{
    Connections, ListenAddress,
    engine::Running,
    explain::{Explained, explain_running},
    mode::UnknownMode,
    reports::{GroupReport, group_reports},
    rule_sets::{RuleSetReport, UpdateError},
    snapshot::Snapshot,
    traffic::Volumes,
};

/// A handle on a running proxy. Clones share it, and it stays valid when the configuration is another
/// one.
#[derive(Debug, Clone)]
pub struct Control(pub(crate) Arc<Running>);

impl Control {
    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.0.core.installed.load().config.clone()
    }

    /// 1 at the start, and one more with each reload that changed something.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.core.installed.load().generation
    }

    /// The live connections.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.0.core.connections
    }

    /// Where the inbounds listen, in the order of the file.
    #[must_use]
    pub fn addresses(&self) -> Vec<ListenAddress> {
        self.0.addresses.lock().clone()
    }

    /// All bytes since the start, by where they went through.
    #[must_use]
    pub fn volumes(&self) -> Volumes {
        self.connections().volumes()
    }

    /// What the groups come to at this moment, in the order of the file.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupReport> {
        group_reports(&self.snapshot(), &self.volumes())
    }

    /// What takes what no rule matches.
    #[must_use]
    pub fn default_way(&self) -> Option<Tag> {
        self.snapshot().default_tag()
    }

    /// What is known of the rule sets at this moment, in the order of the file.
    #[must_use]
    pub fn rule_sets(&self) -> Vec<RuleSetReport> {
        self.0.core.installed.load().rule_sets.all()
    }

    /// Fetches a rule set now, or reads its file again.
    ///
    /// # Errors
    ///
    /// If there is no such set, it is in the configuration itself, or it cannot be had.
    pub async fn update_rule_set(&self, tag: &str) -> Result<(), UpdateError> {
        let installed = self.0.core.installed.load_full();
        installed.rule_sets.update(tag).await
    }

    /// The mode that `clash_mode` conditions see, and all that there are; `None` if the file has no modes.
    #[must_use]
    pub fn mode(&self) -> Option<(Arc<str>, Vec<Arc<str>>)> {
        self.snapshot().modes().map(|modes| (modes.current(), modes.names().to_vec()))
    }

    /// Changes the mode for connections that come, and keeps it for the next start.
    ///
    /// # Errors
    ///
    /// If there is no such mode.
    pub async fn set_mode(&self, mode: &str) -> Result<(), UnknownMode> {
        let snapshot = self.snapshot();
        let Some(modes) = snapshot.modes() else {
            return Err(UnknownMode { mode: mode.into(), names: Vec::new() });
        };
        let mode = modes.set(mode)?;
        self.0.core.cache().keep_mode(&mode).await;
        Ok(())
    }

    /// Has a selector use another of its members, or a group that chooses by itself prefer one. When this
    /// returns, new connections go there; the choice of a selector is kept if the configuration has a
    /// cache file.
    ///
    /// # Errors
    ///
    /// If there is no such group, it takes no choice, or it has no such member.
    pub async fn select(&self, group: &str, member: &str) -> Result<(), SelectError> {
        let snapshot = self.snapshot();
        let (id, known) = snapshot.group_called(group).ok_or(SelectError::UnknownGroup)?;
        let member = Tag::from(member);
        snapshot.health().select(id, Some(member.clone())).await?;
        self.0.core.cache().keep_selected(known, &member).await;
        Ok(())
    }

    /// Takes a choice back: a selector uses the member that it begins with, another group chooses by itself.
    ///
    /// # Errors
    ///
    /// If there is no such group, or it takes no choice.
    pub async fn unselect(&self, group: &str) -> Result<(), SelectError> {
        let snapshot = self.snapshot();
        let (id, known) = snapshot.group_called(group).ok_or(SelectError::UnknownGroup)?;
        snapshot.health().select(id, None).await?;
        self.0.core.cache().forget_selected(known).await;
        Ok(())
    }

    /// Decides about a flow as about a connection that came in now, with all that is known of members,
    /// and keeps the record. Names are looked up if a rule asks for that; nothing is dialled.
    pub async fn explain(&self, flow: Flow) -> Explained {
        explain_running(self.snapshot(), flow).await
    }

    /// Connections to the remote control that come by a rule (`api.tag` of V2Ray); `None` if somebody
    /// serves them already. They do not block.
    #[must_use]
    pub fn take_api_streams(&self) -> Option<mpsc::Receiver<UnixStream>> {
        self.0.core.api_streams.receiver.lock().take()
    }

    /// What connections are decided with at this moment.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.core.snapshot.load_full()
    }
}
