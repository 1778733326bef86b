//! The task that owns the health of all members, and what connections see of it.

mod choices;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use waypost_balance::{GroupId, GroupStates, SelectError, Tier};
use waypost_health::{CheckId, Event, MemberId, Monitor, Outcome, PoolId, Round, RoundStep};
use waypost_net::Tag;

use crate::{
    Connections, Dialer,
    cache::Cache,
    pools::View,
    probe::{default_tls, probe},
    snapshot::Snapshot,
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
    members: Box<[MemberFigures]>,
    /// When a pool last said that it is in use, in milliseconds since the start.
    touched: Box<[AtomicU64]>,
    start: Instant,
    reports: mpsc::Sender<Report>,
}

/// What is read without waiting for a new view.
#[derive(Debug, Default)]
struct MemberFigures {
    live: AtomicUsize,
    carried: AtomicU64,
    failed: AtomicU64,
    overtaken: AtomicU64,
    silent: AtomicU64,
    /// In microseconds; 0 is not known.
    usual_dial: AtomicU64,
    usual_first_byte: AtomicU64,
}

#[derive(Debug)]
enum Report {
    Outcome(MemberId, Outcome),
    Used(PoolId),
    ProbeEnded(CheckId, Option<Duration>),
    /// It failed, and so did the connection of this machine.
    ProbeDiscarded(CheckId),
    Ask(PoolId, oneshot::Sender<()>),
    Select(GroupId, Tag, oneshot::Sender<Result<(), SelectError>>),
}

/// Counts a live connection of a member until it is dropped.
#[derive(Debug)]
pub(crate) struct LiveGuard {
    health: Health,
    member: MemberId,
}

impl Health {
    /// Starts watching the members of `snapshot`, until `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// If TLS for probes cannot be set up.
    pub(crate) fn start(
        snapshot: Arc<Snapshot>,
        connections: Connections,
        cache: &Cache,
        stop: CancellationToken,
    ) -> Result<Self, rustls::Error> {
        let pools = snapshot.pools();
        let (reports, waiting) = mpsc::channel(MAX_WAITING);
        let states = choices::kept_states(pools, cache);
        let health = Self(Arc::new(Shared {
            view: ArcSwap::from_pointee(pools.view(&pools.monitor(), &mut states.clone(), now())),
            members: (0..pools.n_outbounds()).map(|_| MemberFigures::default()).collect(),
            touched: (0..pools.n_pools()).map(|_| AtomicU64::new(0)).collect(),
            start: Instant::now(),
            reports,
        }));
        if pools.n_pools() > 0 {
            let monitor = pools.monitor();
            let watch = Watch {
                health: health.clone(),
                tls: default_tls()?,
                snapshot,
                connections,
                monitor,
                states,
                rounds: Vec::new(),
                stop,
            };
            tokio::spawn(watch.run(waiting));
        }
        Ok(health)
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
        self.0.members.get(member.index()).map_or(0, |figures| figures.live.load(Ordering::Relaxed))
    }

    /// What a member has done since the start.
    pub(crate) fn totals(&self, member: MemberId) -> MemberTotals {
        self.0.members.get(member.index()).map(MemberFigures::totals).unwrap_or_default()
    }

    /// Counts a connection.
    pub(crate) fn carry(&self, member: MemberId) -> LiveGuard {
        if let Some(figures) = self.0.members.get(member.index()) {
            figures.live.fetch_add(1, Ordering::Relaxed);
            figures.carried.fetch_add(1, Ordering::Relaxed);
        }
        LiveGuard { health: self.clone(), member }
    }

    fn figure(&self, member: MemberId, of: fn(&MemberFigures) -> &AtomicU64) -> Option<Duration> {
        let micros = of(self.0.members.get(member.index())?).load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }
}

impl MemberFigures {
    fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            // Counted when it is carried.
            Outcome::Connected { .. } | Outcome::FirstByte { .. } => return,
            Outcome::Failed => &self.failed,
            Outcome::Overtaken => &self.overtaken,
            Outcome::Silent => &self.silent,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn totals(&self) -> MemberTotals {
        MemberTotals {
            carried: self.carried.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            overtaken: self.overtaken.load(Ordering::Relaxed),
            silent: self.silent.load(Ordering::Relaxed),
        }
    }
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        if let Some(figures) = self.health.0.members.get(self.member.index()) {
            figures.live.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The task: all that changes is here, and in nobody else's hands.
struct Watch {
    health: Health,
    tls: Arc<rustls::ClientConfig>,
    snapshot: Arc<Snapshot>,
    connections: Connections,
    monitor: Monitor,
    states: GroupStates,
    /// For pools that nobody stands in.
    rounds: Vec<(PoolId, Round<oneshot::Sender<()>>)>,
    stop: CancellationToken,
}

impl Watch {
    async fn run(mut self, mut reports: mpsc::Receiver<Report>) {
        self.monitor.start(now(), &mut thread_rng());
        loop {
            for check in self.monitor.due(now()) {
                self.spawn_probe(check);
            }
            let changes = self.states.next_change();
            let wake = self.monitor.next_wake(now()).into_iter().chain(changes).min();
            let is_new = tokio::select! {
                () = self.stop.cancelled() => return,
                report = reports.recv() => match report {
                    None => return,
                    Some(report) => {
                        let mut is_new = self.take(report);
                        // Reports come in bursts, and one view does for all of a burst.
                        for _ in 0..MAX_WAITING {
                            let Ok(report) = reports.try_recv() else { break };
                            is_new |= self.take(report);
                        }
                        is_new
                    }
                },
                () = sleep(wake) => true,
            };
            if is_new {
                self.publish();
            }
        }
    }

    fn take(&mut self, report: Report) -> bool {
        match report {
            Report::Outcome(member, outcome) => {
                let is_new = self.monitor.outcome(member, outcome, now());
                self.note_usual(member);
                is_new
            }
            Report::Used(pool) => {
                let was_idle = self.monitor.is_idle(pool, now());
                self.monitor.touch(pool, now());
                was_idle
            }
            Report::ProbeEnded(check, delay) => {
                self.monitor.probe_ended(check, delay, now(), &mut thread_rng());
                self.publish();
                self.answer(check, delay.is_some());
                false
            }
            Report::ProbeDiscarded(check) => {
                self.monitor.probe_discarded(check, now(), &mut thread_rng());
                self.answer(check, false);
                false
            }
            Report::Ask(pool, answer) => {
                self.ask(pool, answer);
                false
            }
            Report::Select(group, member, answer) => {
                // Who asked may be gone, the choice holds.
                let _gone = answer.send(self.select(group, &member));
                false
            }
        }
    }

    fn note_usual(&self, member: MemberId) {
        let Some(figures) = self.health.0.members.get(member.index()) else { return };
        let micros = |usual: Option<waypost_health::Estimate>| {
            usual.map_or(0, |usual| u64::try_from(usual.mean().as_micros()).unwrap_or(u64::MAX).max(1))
        };
        figures.usual_dial.store(micros(self.monitor.usual_dial(member)), Ordering::Relaxed);
        figures.usual_first_byte.store(micros(self.monitor.usual_first_byte(member)), Ordering::Relaxed);
    }

    fn spawn_probe(&self, check: CheckId) {
        let (snapshot, tls, stop) = (self.snapshot.clone(), self.tls.clone(), self.stop.clone());
        let reports = self.health.0.reports.clone();
        let Some(member) = self.monitor.probed_member(check) else { return };
        tokio::spawn(async move {
            let (Some(settings), Some(outbound)) =
                (snapshot.pools().probe(check), snapshot.outbounds().get(member.index()))
            else {
                return;
            };
            let resolver = outbound.resolver.as_ref().unwrap_or_else(|| snapshot.resolver());
            let probing = probe(&outbound.dialer, &settings.target, &tls, resolver, settings.timeout);
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = probing => result,
            };
            match &result {
                Ok(delay) => debug!(outbound = outbound.tag.as_deref(), ?delay, "probe"),
                Err(error) => debug!(outbound = outbound.tag.as_deref(), %error, "probe failed"),
            }
            let mut report = Report::ProbeEnded(check, result.as_ref().ok().copied());
            if let (Err(_), Some(target)) = (&result, &settings.connectivity) {
                let direct = Dialer::direct();
                let asking = probe(&direct, target, &tls, snapshot.resolver(), settings.timeout);
                let answer = tokio::select! {
                    () = stop.cancelled() => return,
                    answer = asking => answer,
                };
                if let Err(error) = answer {
                    info!(%error, "a probe does not count, the network of this machine fails as well");
                    report = Report::ProbeDiscarded(check);
                }
            }
            // Nobody to tell: the proxy is stopping.
            let _stopping = reports.send(report).await;
        });
    }

    /// Has all members of a pool probed, once for all who wait. The monitor keeps a pause between two
    /// probes of a member.
    fn ask(&mut self, pool: PoolId, who: oneshot::Sender<()>) {
        match self.rounds.iter_mut().find(|(asked, _)| *asked == pool) {
            Some((_, round)) => round.join(who),
            None => self.begin_round(pool, vec![who]),
        }
    }

    fn begin_round(&mut self, pool: PoolId, waiting: Vec<oneshot::Sender<()>>) {
        match Round::begin(&mut self.monitor, pool, waiting, now()) {
            Ok(round) => self.rounds.push((pool, round)),
            Err(waiting) => tell(waiting),
        }
    }

    /// Tells those who wait for a pool when one of its members works, or none does.
    fn answer(&mut self, check: CheckId, succeeded: bool) {
        for (pool, round) in std::mem::take(&mut self.rounds) {
            match round.probe_ended(check, succeeded) {
                RoundStep::Open(round) => self.rounds.push((pool, round)),
                RoundStep::Over { told, late } => {
                    tell(told);
                    if !late.is_empty() {
                        self.begin_round(pool, late);
                    }
                }
            }
        }
    }

    fn publish(&mut self) {
        let pools = self.snapshot.pools();
        let view = pools.view(&self.monitor, &mut self.states, now());
        let old = self.health.0.view.swap(Arc::new(view));
        let new = self.health.view();
        for event in self.monitor.take_events() {
            self.log(event);
        }
        for (id, group, settings) in pools.iter() {
            let (Some(before), Some(after)) = (old.standings.get(id), new.standings.get(id)) else {
                continue;
            };
            if before.tier() != after.tier() {
                let tier = after.tier();
                match tier {
                    Tier::Primary => info!(group = %group.tag(), %tier, "the primaries serve again"),
                    Tier::Backup => warn!(group = %group.tag(), %tier, "no primary works, the backups serve"),
                }
            }
            if settings.interrupts {
                self.interrupt(group, before, after);
            }
        }
    }

    fn log(&self, event: Event) {
        let tag = |member: MemberId| {
            self.snapshot.outbounds().get(member.index()).and_then(|outbound| outbound.tag.clone())
        };
        match event {
            Event::WentDown(member) => warn!(outbound = tag(member).as_deref(), "down, probes fail"),
            Event::CameUp(member) => info!(outbound = tag(member).as_deref(), "up again"),
            Event::Ejected(member) => {
                warn!(outbound = tag(member).as_deref(), "rests for a while, connections through it fail");
            }
            Event::UplinkSuspected => {
                warn!("every outbound fails, so the fault is probably here; what is known of them is kept");
            }
            Event::UplinkReturned => info!("outbounds work again"),
        }
    }
}

fn tell(waiting: Vec<oneshot::Sender<()>>) {
    for waiting in waiting {
        // Who has gone away need not be told.
        let _gone = waiting.send(());
    }
}

async fn sleep(wake: Option<std::time::Instant>) {
    match wake {
        Some(wake) => sleep_until(Instant::from_std(wake)).await,
        None => std::future::pending().await,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[expect(clippy::disallowed_methods, reason = "the shell is where randomness comes from")]
fn thread_rng() -> impl rand::Rng {
    rand::rng()
}
