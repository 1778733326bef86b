//! Choices that are made from outside, and whose connections end when a choice changes.

use tokio::sync::oneshot;
use tracing::info;
use waypost_balance::{Group, GroupId, GroupStates, SelectError, Standing, Strategy};
use waypost_net::{Network, Tag};

use super::{Health, Report, watch::Watch};
use crate::{cache::Cache, pools::Pools};

const NETWORKS: [Network; 2] = [Network::Tcp, Network::Udp];

impl Health {
    /// Has a selector take a member, or the one that it begins with, and waits until connections do.
    pub(crate) async fn select(&self, group: GroupId, member: Option<Tag>) -> Result<(), SelectError> {
        let (answer, answered) = oneshot::channel();
        if self.0.reports.send(Report::Select(group, member, answer)).await.is_err() {
            // Without a task there is no group; one that is over has none any more.
            return Err(SelectError::UnknownGroup);
        }
        answered.await.unwrap_or(Err(SelectError::UnknownGroup))
    }
}

/// What groups begin with: the choices of the last run, as far as their members are still there.
pub(super) fn kept_states(pools: &Pools, cache: &Cache) -> GroupStates {
    let mut states = pools.groups.start();
    for (id, group, _) in pools.iter().filter(|(_, group, _)| group.spec().strategy == Strategy::Selector) {
        let Some(member) = cache.selected(group.tag()) else { continue };
        if let Err(error) = pools.groups.select(&mut states, id, &member) {
            info!(group = %group.tag(), %error, "an earlier choice is gone, the default serves");
        }
    }
    states
}

impl Watch {
    pub(super) fn select(&mut self, group: GroupId, member: Option<&Tag>) -> Result<(), SelectError> {
        let snapshot = self.snapshot.clone();
        let groups = &snapshot.pools().groups;
        match member {
            Some(member) => groups.select(&mut self.states, group, member)?,
            None => groups.unselect(&mut self.states, group)?,
        }
        self.publish();
        Ok(())
    }

    /// Closes the connections of a group whose member no longer serves.
    pub(super) fn interrupt(&self, group: &Group, before: &Standing, after: &Standing) {
        for network in NETWORKS {
            let (before, after) = (before.serving(network), after.serving(network));
            if before == after {
                continue;
            }
            // Whoever chooses a member means all connections, also those that others had to carry.
            let is_choice = group.spec().strategy == Strategy::Selector;
            let is_gone = |place: &usize| !after.contains(place) && (is_choice || before.contains(place));
            let gone: Vec<Tag> = group
                .members()
                .enumerate()
                .filter(|(place, _)| is_gone(place))
                .map(|(_, member)| member.tag.clone())
                .collect();
            let closed = self.connections.close_through(group.tag(), network, &gone);
            if closed > 0 {
                info!(group = %group.tag(), %network, connections = closed, "closed, their member no longer serves");
            }
        }
    }
}
