//! What connections see of the health of members, and how they report. One task owns what is known.

mod choices;
mod figures;
mod news;
mod watch;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use waypost_balance::{GroupId, GroupStates, SelectError};
use waypost_health::{CheckId, Correspondence, MemberId, Monitor, Outcome, PoolId};
use waypost_net::Tag;

pub use self::figures::{DELAY_BOUNDS, DelayClasses, DelaySample, GroupChange, MemberFault};
pub(crate) use self::figures::{GroupFigures, MemberFigures};
use self::watch::Watch;
use crate::{
    Connections,
    cache::Cache,
    pools::{Pools, View},
    probe::default_tls,
    snapshot::Snapshot,
    system::{monotonic, wall_clock},
    totals::MemberTotals,
};

/// How many reports may wait. One that finds no room is dropped: the next connection tells the same.
const MAX_WAITING: usize = 4096;
/// A pool in use says so at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(1);

/// What connections see of the health of members, and how they report. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Health(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    view: ArcSwap<View>,
    /// By the number of the outbound.
    members: Box<[Arc<MemberFigures>]>,
    /// By the number of the group.
    groups: Box<[Arc<GroupFigures>]>,
    /// When a pool last said that it is in use, in milliseconds since the start.
    touched: Box<[AtomicU64]>,
    start: Instant,
    reports: mpsc::Sender<Report>,
    /// Until somebody watches.
    waiting: Mutex<Option<mpsc::Receiver<Report>>>,
}

#[derive(Debug)]
enum Report {
    Outcome(MemberId, Outcome),
    Used(PoolId),
    ProbeEnded(CheckId, Option<Duration>),
    /// It failed, and so did the connection of this machine.
    ProbeDiscarded(CheckId),
    Ask(PoolId, oneshot::Sender<()>),
    Select(GroupId, Option<Tag>, oneshot::Sender<Result<(), SelectError>>),
    /// Somebody wants to know what is known.
    Tell(oneshot::Sender<Knowledge>),
    /// Another task watches from now on.
    Retire,
}

/// What a task that watches knows.
#[derive(Debug)]
pub(crate) struct Knowledge {
    monitor: Monitor,
    states: GroupStates,
}

/// What a task begins with that goes on with what another one knows.
#[derive(Debug)]
pub(crate) struct Legacy {
    /// What connections were decided with.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) knowledge: Option<Knowledge>,
}

/// What a task that watches works with besides the members.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) connections: Connections,
    pub(crate) cache: &'a Cache,
    pub(crate) stop: CancellationToken,
}

/// Those of all members, and of all groups, by their numbers.
type AllFigures = (Box<[Arc<MemberFigures>]>, Box<[Arc<GroupFigures>]>);

/// A watch that has not begun.
#[derive(Debug)]
pub(crate) struct Standby {
    watch: Watch,
    waiting: Option<mpsc::Receiver<Report>>,
    /// What it knows by itself.
    first: (Monitor, GroupStates),
}

/// Counts a live connection of a member until it is dropped.
#[derive(Debug)]
pub(crate) struct LiveGuard(Option<Arc<MemberFigures>>);

impl Health {
    /// What is known while nobody watches.
    pub(crate) fn unwatched(pools: &Pools) -> Self {
        let members = (0..pools.n_outbounds()).map(|_| Arc::default()).collect();
        let groups = pools.iter().map(|_| Arc::default()).collect();
        Self::new(pools.first_view(monotonic()), (members, groups), pools.n_pools())
    }

    fn new(view: View, (members, groups): AllFigures, n_pools: usize) -> Self {
        let (reports, waiting) = mpsc::channel(MAX_WAITING);
        Self(Arc::new(Shared {
            view: ArcSwap::from_pointee(view),
            members,
            groups,
            touched: (0..n_pools).map(|_| AtomicU64::new(0)).collect(),
            start: Instant::now(),
            reports,
            waiting: Mutex::new(Some(waiting)),
        }))
    }

    /// Prepares to watch the members of `snapshot`. With a `legacy`, whoever is the same goes on where it
    /// was. Nothing happens before [`Standby::begin`].
    ///
    /// # Errors
    ///
    /// If TLS for probes cannot be set up.
    pub(crate) fn prepare(
        snapshot: &Arc<Snapshot>,
        surroundings: Surroundings<'_>,
        legacy: Option<&Legacy>,
    ) -> Result<Standby, rustls::Error> {
        let pools = snapshot.pools();
        let mut figures: AllFigures = (
            (0..pools.n_outbounds()).map(|_| Arc::default()).collect(),
            pools.iter().map(|_| Arc::default()).collect(),
        );
        if let Some(Legacy { snapshot: before, .. }) = legacy {
            inherit_figures(snapshot, before, &mut figures);
        }
        snapshot.set_health(Self::new(pools.first_view(monotonic()), figures, pools.n_pools()));
        let health = snapshot.health().clone();
        let waiting = health.0.waiting.lock().take();
        let first = (pools.monitor(), choices::kept_states(pools, surroundings.cache));
        let Surroundings { connections, stop, .. } = surroundings;
        let watch = Watch::new(health, default_tls()?, snapshot.clone(), connections, first.clone(), stop);
        let mut standby = Standby { watch, waiting, first };
        standby.learn(legacy);
        Ok(standby)
    }

    /// What is known; `None` if nobody watches, as there is nothing to watch.
    pub(crate) async fn ask_knowledge(&self) -> Option<Knowledge> {
        let (answer, answered) = oneshot::channel();
        self.0.reports.send(Report::Tell(answer)).await.ok()?;
        answered.await.ok()
    }

    /// Ends the watch, but for connections that are on their way.
    pub(crate) async fn retire(&self) {
        // Nobody watches where there is nothing to watch.
        let _nobody = self.0.reports.send(Report::Retire).await;
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.0.view.load_full()
    }

    /// Reports what became of a connection.
    pub(crate) fn report(&self, member: MemberId, outcome: Outcome) {
        if let Some(figures) = self.0.members.get(member.index()) {
            figures.count(outcome);
        }
        // A full channel means thousands of reports under way; this one is not missed.
        let _full = self.0.reports.try_send(Report::Outcome(member, outcome));
    }

    /// Reports how a probe went that somebody asked for.
    pub(crate) async fn report_probe(&self, check: CheckId, delay: Option<Duration>) {
        // Nobody to tell: the proxy is stopping.
        let _stopping = self.0.reports.send(Report::ProbeEnded(check, delay)).await;
    }

    /// Says that a connection uses a pool.
    pub(crate) fn touch(&self, pool: PoolId) {
        let Some(touched) = self.0.touched.get(pool.index()) else { return };
        let elapsed = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = touched.load(Ordering::Relaxed);
        if elapsed < last.saturating_add(millis(TOUCH_EVERY)) && last > 0 {
            return;
        }
        touched.store(elapsed.max(1), Ordering::Relaxed);
        let _full = self.0.reports.try_send(Report::Used(pool));
    }

    /// Has every member of a pool probed and waits for the first that works, or for the last that does
    /// not, at most for `limit`.
    pub(crate) async fn ask(&self, pool: PoolId, limit: Duration) {
        let (answer, answered) = oneshot::channel();
        if self.0.reports.send(Report::Ask(pool, answer)).await.is_ok() {
            // Whatever comes of it, the plan is made again.
            let _answered = timeout(limit, answered).await;
        }
    }

    /// How long a dial of a member usually takes.
    pub(crate) fn usual_dial(&self, member: MemberId) -> Option<Duration> {
        self.figure(member, |figures| &figures.usual_dial)
    }

    /// How long a member usually takes to bring a first byte.
    pub(crate) fn usual_first_byte(&self, member: MemberId) -> Option<Duration> {
        self.figure(member, |figures| &figures.usual_first_byte)
    }

    /// How many connections a member carries.
    pub(crate) fn live(&self, member: MemberId) -> usize {
        self.member(member).map_or(0, |figures| figures.live())
    }

    /// What a member has done since the start.
    pub(crate) fn totals(&self, member: MemberId) -> MemberTotals {
        self.member(member).map(|figures| figures.totals()).unwrap_or_default()
    }

    /// What is counted of a member.
    pub(crate) fn member(&self, member: MemberId) -> Option<&Arc<MemberFigures>> {
        self.0.members.get(member.index())
    }

    /// What is counted of a group.
    pub(crate) fn group(&self, group: GroupId) -> Option<&Arc<GroupFigures>> {
        self.0.groups.get(group.index())
    }

    /// Keeps what is wrong with a member, and has the log tell it if that is news.
    pub(crate) fn blame(&self, member: MemberId, tag: Option<&str>, reason: &str) {
        if self.0.members.get(member.index()).is_some_and(|figures| figures.blame(reason, wall_clock())) {
            warn!(outbound = tag, reason, "an outbound fails");
        }
    }

    /// Counts a connection.
    pub(crate) fn carry(&self, member: MemberId) -> LiveGuard {
        let figures = self.0.members.get(member.index()).cloned();
        if let Some(figures) = &figures {
            figures.begin();
        }
        LiveGuard(figures)
    }

    fn figure(&self, member: MemberId, of: fn(&MemberFigures) -> &AtomicU64) -> Option<Duration> {
        let micros = of(self.0.members.get(member.index())?).load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }
}

impl Standby {
    /// Knows what another one knew; called again when that may have learnt something.
    pub(crate) fn learn(&mut self, legacy: Option<&Legacy>) {
        let (mut monitor, mut states) = self.first.clone();
        let (snapshot, now) = (self.watch.snapshot.clone(), monotonic());
        watch::plan(&mut monitor, now);
        if let Some(Legacy { snapshot: before, knowledge: Some(knowledge) }) = legacy {
            monitor.inherit(&knowledge.monitor, &correspondence(&snapshot, before), now);
            snapshot.pools().groups.inherit(&mut states, &before.pools().groups, &knowledge.states);
        }
        let view = snapshot.pools().view(&monitor, &mut states, now);
        self.watch.health.0.view.store(Arc::new(view));
        (self.watch.monitor, self.watch.states) = (monitor, states);
    }

    /// Watches from now on, in the current runtime.
    pub(crate) fn begin(self) {
        let Self { watch, waiting, .. } = self;
        if let Some(waiting) = waiting.filter(|_| watch.snapshot.pools().n_pools() > 0) {
            tokio::spawn(watch.run(waiting));
        }
    }
}

impl LiveGuard {
    /// Whether there is no verdict against the member.
    pub(crate) fn stands(&self) -> bool {
        self.0.as_ref().is_none_or(|figures| figures.stands())
    }

    /// As [`Health::blame`].
    pub(crate) fn blame(&self, tag: Option<&str>, reason: &str) {
        if self.0.as_ref().is_some_and(|figures| figures.blame(reason, wall_clock())) {
            warn!(outbound = tag, reason, "an outbound fails");
        }
    }
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        if let Some(figures) = &self.0 {
            figures.end();
        }
    }
}

/// Has whoever is the same go on with its figures.
fn inherit_figures(snapshot: &Snapshot, before: &Snapshot, figures: &mut AllFigures) {
    let old = &before.health().0;
    for (new_id, old_id) in &correspondence(snapshot, before).members {
        if let (Some(new), Some(known)) = (figures.0.get_mut(new_id.index()), old.members.get(old_id.index()))
        {
            *new = known.clone();
        }
    }
    let old_groups: HashMap<&Tag, &Arc<GroupFigures>> =
        before.pools().iter().map(|(_, group, _)| group.tag()).zip(&old.groups).collect();
    for ((_, group, _), new) in snapshot.pools().iter().zip(&mut figures.1) {
        if let Some(known) = old_groups.get(group.tag()) {
            *new = (*known).clone();
        }
    }
}

/// Who is who in two snapshots. Outbounds are the same if they are the same in all but their name; of
/// several like that the first is the first.
fn correspondence(new: &Snapshot, old: &Snapshot) -> Correspondence {
    let mut known: HashMap<&[u8], Vec<MemberId>> = HashMap::new();
    for (index, outbound) in old.outbounds().iter().enumerate().rev() {
        let same = known.entry(&outbound.identity).or_default();
        same.extend(old.pools().member(index));
    }
    let members = new.outbounds().iter().enumerate().filter_map(|(index, outbound)| {
        Some((new.pools().member(index)?, known.get_mut(&*outbound.identity)?.pop()?))
    });
    let members = members.collect();
    let pools: HashMap<(&Tag, bool), PoolId> = old
        .pools()
        .iter()
        .map(|(_, group, settings)| ((group.tag(), settings.is_balancer), settings.pool))
        .collect();
    let pools = new.pools().iter().filter_map(|(_, group, settings)| {
        Some((settings.pool, *pools.get(&(group.tag(), settings.is_balancer))?))
    });
    Correspondence { members, pools: pools.collect() }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
