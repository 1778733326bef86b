//! What can be seen of groups while they run.

use std::time::Duration;

use waypost_balance::{Group, GroupId, MemberTarget, Role, Strategy, Tier};
use waypost_health::{MemberId, State};
use waypost_net::{Network, Tag};

use crate::{
    health::Health,
    pools::{Pools, View},
    totals::MemberTotals,
};

/// What a group comes to at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupReport {
    /// The group.
    pub tag: Tag,
    /// How it chooses.
    pub strategy: Strategy,
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
}

pub(crate) fn group_reports(pools: &Pools, health: &Health) -> Vec<GroupReport> {
    let view = health.view();
    pools.iter().filter_map(|(id, group, _)| group_report(pools, health, &view, (id, group))).collect()
}

fn group_report(
    pools: &Pools,
    health: &Health,
    view: &View,
    (id, group): (GroupId, &Group),
) -> Option<GroupReport> {
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
        MemberReport {
            tag: member.tag.clone(),
            tier: if index < n_primary { Tier::Primary } else { Tier::Backup },
            state: status.state,
            role,
            delay: status.delay.map(|delay| delay.mean()),
            live: leaves.iter().map(|&leaf| health.live(leaf)).sum(),
            totals: leaves
                .iter()
                .map(|&leaf| health.totals(leaf))
                .fold(MemberTotals::default(), MemberTotals::add),
        }
    });
    let choice = standing.favourite(Network::Tcp).and_then(|place| group.member(place));
    Some(GroupReport {
        tag: group.tag().clone(),
        strategy: group.spec().strategy,
        choice: choice.map(|member| member.tag.clone()),
        tier: standing.tier(),
        is_bootstrapping: standing.is_bootstrapping(),
        members: members.collect(),
    })
}
