//! What can be seen of groups while they run.

use std::time::Duration;

use waypost_balance::{Group, GroupId, MemberTarget, Role, Strategy, Tier};
use waypost_health::{MemberId, State};
use waypost_net::{Network, Networks, Tag};

use crate::{
    MemberFault,
    health::GroupChange,
    pools::{PoolSettings, View},
    snapshot::Snapshot,
    totals::MemberTotals,
    traffic::{Volume, Volumes},
};

/// What a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// Somebody chooses the member.
    Selector,
    /// The fastest member serves.
    UrlTest,
    /// Connections are spread over the members.
    LoadBalance,
    /// The first member that works serves.
    Fallback,
}

impl GroupKind {
    fn of(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Selector => Self::Selector,
            Strategy::UrlTest | Strategy::LeastPing => Self::UrlTest,
            Strategy::Failover => Self::Fallback,
            Strategy::Random
            | Strategy::RoundRobin
            | Strategy::ConsistentHash
            | Strategy::LeastConn
            | Strategy::LeastLoad => Self::LoadBalance,
        }
    }
}

/// What a group comes to at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupReport {
    /// Whether it is one of V2Ray's balancers, which may be called like an outbound.
    pub is_balancer: bool,
    /// The group.
    pub tag: Tag,
    /// What it is.
    pub kind: GroupKind,
    /// How it chooses.
    pub strategy: Strategy,
    /// What it can carry.
    pub networks: Networks,
    /// The URL that its members are probed with, if they are.
    pub test_url: Option<Box<str>>,
    /// Whether somebody may choose a member.
    pub takes_choice: bool,
    /// The member that somebody chose, or that a selector begins with.
    pub chosen: Option<Tag>,
    /// When and why another member began to serve; `None` if none did since the start.
    pub last_change: Option<GroupChange>,
    /// How often that happened.
    pub changes: u64,
    /// The member that every TCP connection is given to first: the choice of a selector, or the fastest
    /// of a `urltest` group. `None` if the strategy spreads connections.
    pub choice: Option<Tag>,
    /// The tier that serves.
    pub tier: Tier,
    /// Whether the first round of probes is not over, so that every primary serves.
    pub is_bootstrapping: bool,
    /// The members, primaries first, in the order of the file.
    pub members: Vec<MemberReport>,
}

/// What is known of a member of a group at a moment. A member that is a group itself is shown by its
/// best member, and with the sums of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberReport {
    /// The member.
    pub tag: Tag,
    /// Whether it is a group itself.
    pub is_group: bool,
    /// All bytes that it carried since the start, for all groups that it is in.
    pub volume: Volume,
    /// The tier that it belongs to.
    pub tier: Tier,
    /// Whether it can be used.
    pub state: State,
    /// What it is for TCP connections; `None` if it cannot carry them.
    pub role: Option<Role>,
    /// How long probes through it usually take; `None` before one succeeded.
    pub delay: Option<Duration>,
    /// How many connections it carries.
    pub live: usize,
    /// What it has done since the start, for all groups that it is in.
    pub totals: MemberTotals,
    /// What was wrong when it last failed, for whichever group that was.
    pub last_fault: Option<MemberFault>,
}

pub(crate) fn group_reports(snapshot: &Snapshot, volumes: &Volumes) -> Vec<GroupReport> {
    let view = snapshot.health().view();
    let pools = snapshot.pools();
    let reports = pools
        .iter()
        .filter_map(|(id, group, settings)| group_report(snapshot, &view, volumes, (id, group, settings)));
    reports.collect()
}

fn group_report(
    snapshot: &Snapshot,
    view: &View,
    volumes: &Volumes,
    (id, group, settings): (GroupId, &Group, &PoolSettings),
) -> Option<GroupReport> {
    let (pools, health) = (snapshot.pools(), snapshot.health());
    let volume = |leaf: &MemberId| {
        let tag = snapshot.outbounds().get(leaf.index())?.tag.as_ref()?;
        volumes.outbounds.get(tag).copied()
    };
    let url = |target: &MemberTarget| match target {
        MemberTarget::Leaf { check, .. } => Some(pools.probe((*check)?)?.target.url()),
        MemberTarget::Group(_) => None,
    };
    let figures = health.group(id);
    let standing = view.standings.get(id)?;
    let n_primary = group.spec().primary.len();
    let roles = standing.roles(Network::Tcp);
    let known = standing.statuses().iter().zip(roles);
    let members = group.members().zip(known).enumerate().map(|(index, (member, (status, role)))| {
        let leaves: Vec<MemberId> = match member.target {
            MemberTarget::Leaf { member, .. } => vec![member],
            MemberTarget::Group(nested) => {
                // A leaf may be known by several checks, and is one outbound all the same.
                let mut leaves: Vec<MemberId> =
                    pools.groups.leaves(nested).into_iter().map(|(member, _)| member).collect();
                leaves.sort_unstable();
                leaves.dedup();
                leaves
            }
        };
        // What a group does not have probed, another one may.
        let (state, known_delay) = match member.target {
            MemberTarget::Leaf { member, check: None } => {
                let history = health.member(member).map(|figures| figures.history()).unwrap_or_default();
                (view.leaf(member), history.iter().rev().find_map(|sample| sample.delay))
            }
            MemberTarget::Leaf { .. } | MemberTarget::Group(_) => (status.state, None),
        };
        MemberReport {
            tag: member.tag.clone(),
            is_group: matches!(member.target, MemberTarget::Group(_)),
            volume: leaves.iter().filter_map(volume).fold(Volume::default(), Volume::add),
            tier: if index < n_primary { Tier::Primary } else { Tier::Backup },
            state,
            role,
            delay: status.delay.map(|delay| delay.mean()).or(known_delay),
            live: leaves.iter().map(|&leaf| health.live(leaf)).sum(),
            last_fault: leaves
                .iter()
                .filter_map(|leaf| health.member(*leaf)?.last_fault())
                .max_by_key(|fault| fault.at),
            totals: leaves
                .iter()
                .map(|&leaf| health.totals(leaf))
                .fold(MemberTotals::default(), MemberTotals::add),
        }
    });
    let choice = standing.favourite(Network::Tcp);
    let place = |place: usize| Some(group.member(place)?.tag.clone());
    Some(GroupReport {
        is_balancer: settings.is_balancer,
        tag: group.tag().clone(),
        kind: GroupKind::of(group.spec().strategy),
        networks: group.networks(),
        test_url: group.members().find_map(|member| url(&member.target)),
        takes_choice: group.spec().takes_choice,
        chosen: standing.selected().and_then(place),
        last_change: figures.and_then(|figures| figures.last_change()),
        changes: figures.map_or(0, |figures| figures.changes()),
        strategy: group.spec().strategy,
        choice: choice.and_then(place),
        tier: standing.tier(),
        is_bootstrapping: standing.is_bootstrapping(),
        members: members.collect(),
    })
}
