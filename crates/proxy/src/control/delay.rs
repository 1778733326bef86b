//! Asking a URL through outbounds because somebody wants to know.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet};
use waypost_balance::{GroupId, MemberTarget};
use waypost_config::model::ProbeUrl;
use waypost_health::{CheckId, MemberId};
use waypost_net::{Network, Tag};

use super::Control;
use crate::{
    chain::Chain,
    health::DelaySample,
    probe::{ProbeError, ProbeMethod, ProbeTarget, default_tls, host_header, probe},
    snapshot::{Snapshot, WayOut},
    system::wall_clock,
};

/// How many members of a group are asked at a time, as with mihomo and sing-box.
const ABREAST: usize = 10;
/// What a group without probes of its own is tested with.
const DEFAULT_URL: &str = "https://www.gstatic.com/generate_204";

/// Why there is no delay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DelayError {
    /// Nothing is called so.
    #[error("nothing is called so")]
    Unknown,
    /// It carries no connection that could be timed.
    #[error("it carries no connections")]
    NotTestable,
    /// There was no answer in time.
    #[error("no answer in time")]
    Timeout,
    /// It failed before.
    #[error("{reason}")]
    Failed {
        /// Why.
        reason: Box<str>,
    },
}

/// What the test of a group brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupTest {
    /// The members that answered, and how long that took; a member that is a group by its best.
    pub delays: BTreeMap<Tag, Duration>,
    /// The outbound that serves a connection that comes now, and its delay.
    pub serving: Option<(Tag, Duration)>,
}

/// An outbound to ask, and what to ask.
struct Question {
    member: MemberId,
    check: Option<CheckId>,
    target: ProbeTarget,
    limit: Duration,
}

impl Control {
    /// Makes one request through an outbound, and files how it went under it. `expected` are the status
    /// codes that will do, as closed ranges; none for any.
    ///
    /// # Errors
    ///
    /// If there is no such outbound, or the request fails.
    pub async fn test_outbound(
        &self,
        tag: &str,
        url: &ProbeUrl,
        expected: &[(u16, u16)],
        limit: Duration,
    ) -> Result<Duration, DelayError> {
        let snapshot = self.snapshot();
        let WayOut::Outbound(index) =
            snapshot.named(&Tag::from(tag)).map_err(|_unknown| DelayError::Unknown)?.0
        else {
            return Err(DelayError::Unknown);
        };
        let member = snapshot.pools().member(index).ok_or(DelayError::Unknown)?;
        let target = probe_target(url, expected);
        ask(&snapshot, Question { member, check: None, target, limit }).await
    }

    /// Has the members of a group tested, at most ten at a time, each for at most `limit`, and files what came under each of them. Without
    /// a `url`, or with the group's own, that is the test of the group itself, and the group chooses by
    /// it; with another one the group is told to make its own as well.
    ///
    /// # Errors
    ///
    /// If there is no such group.
    pub async fn test_group(
        &self,
        tag: &str,
        url: Option<&ProbeUrl>,
        limit: Duration,
    ) -> Result<GroupTest, DelayError> {
        let snapshot = self.snapshot();
        let (id, _) = snapshot.group_called(tag).ok_or(DelayError::Unknown)?;
        let leaves = leaves_of(&snapshot, id);
        let own = url.is_none_or(|url| is_own_url(&snapshot, &leaves, url));
        let room = Arc::new(Semaphore::new(ABREAST));
        let mut tests = JoinSet::new();
        for (member, check) in leaves {
            let question = match (own, url) {
                (false, Some(url)) => Question { member, check: None, target: probe_target(url, &[]), limit },
                (_, _) => own_question(&snapshot, (member, check), (url, limit))?,
            };
            let (snapshot, room) = (snapshot.clone(), room.clone());
            tests.spawn(async move {
                // Nothing closes it.
                let _place = room.acquire_owned().await.ok();
                (member, ask(&snapshot, question).await)
            });
        }
        let mut delays: BTreeMap<MemberId, Duration> = BTreeMap::new();
        while let Some(tested) = tests.join_next().await {
            if let Ok((member, Ok(delay))) = tested {
                let best = delays.entry(member).or_insert(delay);
                *best = (*best).min(delay);
            }
        }
        if !own && let Some((_, settings)) = snapshot.pools().group(id) {
            snapshot.health().ask(settings.pool, Duration::ZERO).await;
        }
        Ok(group_test(&snapshot, id, &delays))
    }
}

async fn ask(snapshot: &Arc<Snapshot>, question: Question) -> Result<Duration, DelayError> {
    let Question { member, check, target, limit } = question;
    let outbound = snapshot.outbounds().get(member.index()).ok_or(DelayError::Unknown)?;
    if !outbound.dialer.is_testable() {
        return Err(DelayError::NotTestable);
    }
    let tls = default_tls().map_err(|error| DelayError::Failed { reason: error.to_string().into() })?;
    let resolver = outbound.resolver.as_ref().unwrap_or_else(|| snapshot.resolver());
    let result = probe(&outbound.dialer, &target, &tls, resolver, limit).await;
    let delay = result.as_ref().ok().copied();
    if let Some(figures) = snapshot.health().member(member) {
        figures.file(DelaySample { at: wall_clock(), delay });
    }
    if let Some(check) = check {
        snapshot.health().report_probe(check, delay).await;
    }
    result.map_err(|error| {
        if matches!(error, ProbeError::Timeout { .. }) {
            DelayError::Timeout
        } else {
            DelayError::Failed { reason: Chain(&error).to_string().into() }
        }
    })
}

/// The outbounds below a group, each with the checks by which it is known there.
fn leaves_of(snapshot: &Snapshot, id: GroupId) -> Vec<(MemberId, Option<CheckId>)> {
    snapshot.pools().groups.leaves(id)
}

fn is_own_url(snapshot: &Snapshot, leaves: &[(MemberId, Option<CheckId>)], url: &ProbeUrl) -> bool {
    let mut probes =
        leaves.iter().filter_map(|(_, check)| Some(&snapshot.pools().probe((*check)?)?.target)).peekable();
    let is_same = |target: &ProbeTarget| {
        target.https == url.https && target.target == url.target && target.path == url.path
    };
    probes.peek().is_some() && probes.all(is_same)
}

/// What the group itself asks an outbound; one that it does not have probed, `url`.
fn own_question(
    snapshot: &Snapshot,
    (member, check): (MemberId, Option<CheckId>),
    (url, limit): (Option<&ProbeUrl>, Duration),
) -> Result<Question, DelayError> {
    if let Some(settings) = check.and_then(|check| snapshot.pools().probe(check)) {
        let limit = limit.min(settings.timeout);
        return Ok(Question { member, check, target: settings.target.clone(), limit });
    }
    let target = match url {
        Some(url) => probe_target(url, &[]),
        None => {
            let url: ProbeUrl = DEFAULT_URL.parse().map_err(|_never| DelayError::NotTestable)?;
            probe_target(&url, &[])
        }
    };
    Ok(Question { member, check: None, target, limit })
}

fn probe_target(url: &ProbeUrl, expected: &[(u16, u16)]) -> ProbeTarget {
    ProbeTarget {
        https: url.https,
        target: url.target.clone(),
        path: url.path.clone(),
        host_header: host_header(url),
        method: ProbeMethod::Head,
        expected: expected.into(),
    }
}

fn group_test(snapshot: &Snapshot, id: GroupId, delays: &BTreeMap<MemberId, Duration>) -> GroupTest {
    let pools = snapshot.pools();
    let Some((group, _)) = pools.group(id) else { return GroupTest::default() };
    let members = group.members().filter_map(|member| {
        let delay = match member.target {
            MemberTarget::Leaf { member, .. } => delays.get(&member).copied(),
            MemberTarget::Group(nested) => {
                pools.groups.leaves(nested).iter().filter_map(|(leaf, _)| delays.get(leaf)).min().copied()
            }
        };
        Some((member.tag.clone(), delay?))
    });
    let serving = serving_leaf(snapshot, id).and_then(|member| {
        let outbound = snapshot.outbounds().get(member.index())?;
        Some((outbound.tag.clone()?, *delays.get(&member)?))
    });
    // A strategy that spreads connections serves by whoever is fastest of those that answered.
    let fastest = || {
        let (member, delay) = delays.iter().min_by_key(|(_, delay)| **delay)?;
        Some((snapshot.outbounds().get(member.index())?.tag.clone()?, *delay))
    };
    GroupTest { delays: members.collect(), serving: serving.or_else(fastest) }
}

/// The outbound that every connection is given to first, if that is one.
pub(super) fn serving_leaf(snapshot: &Snapshot, id: GroupId) -> Option<MemberId> {
    let view = snapshot.health().view();
    let mut id = id;
    // Groups are no members of each other in a circle, so that this ends.
    loop {
        let place = view.standings.get(id)?.favourite(Network::Tcp)?;
        match snapshot.pools().group(id)?.0.member(place)?.target {
            MemberTarget::Leaf { member, .. } => return Some(member),
            MemberTarget::Group(nested) => id = nested,
        }
    }
}
