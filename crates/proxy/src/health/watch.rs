//! The task that watches members: all that changes is here, and in nobody else's hands.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use waypost_balance::GroupStates;
use waypost_health::{CheckId, MemberId, Monitor, PoolId, Round, RoundStep};

use super::{DelaySample, Health, Knowledge, MAX_WAITING, Report};
use crate::{
    Connections, Dialer,
    chain::Chain,
    probe::{ProbeError, probe},
    snapshot::Snapshot,
    system::{monotonic as now, wall_clock},
};

/// How often a task that has retired looks whether anybody still needs it.
const ABANDONED_AFTER: Duration = Duration::from_millis(100);
/// How long it stays at most. Connections that are on their way longer than that have given up.
const RETIREMENT: Duration = Duration::from_secs(60);

/// The task.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) health: Health,
    tls: Arc<rustls::ClientConfig>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) connections: Connections,
    pub(super) monitor: Monitor,
    pub(super) states: GroupStates,
    /// For pools that nobody stands in.
    rounds: Vec<(PoolId, Round<oneshot::Sender<()>>)>,
    /// When another task took over.
    pub(super) retired: Option<std::time::Instant>,
    stop: CancellationToken,
}

impl Watch {
    pub(super) fn new(
        health: Health,
        tls: Arc<rustls::ClientConfig>,
        snapshot: Arc<Snapshot>,
        connections: Connections,
        (monitor, states): (Monitor, GroupStates),
        stop: CancellationToken,
    ) -> Self {
        let (rounds, retired) = (Vec::new(), None);
        Self { health, tls, snapshot, connections, monitor, states, rounds, retired, stop }
    }

    pub(super) async fn run(mut self, mut reports: mpsc::Receiver<Report>) {
        loop {
            let wake = match self.retired {
                None => {
                    for check in self.monitor.due(now()) {
                        self.spawn_probe(check);
                    }
                    let changes = self.states.next_change();
                    self.monitor.next_wake(now()).into_iter().chain(changes).min()
                }
                // Whoever came before still finds out who stands; nobody else is probed.
                Some(since) => {
                    if Snapshot::is_sole(&self.snapshot) || now() >= since + RETIREMENT {
                        return;
                    }
                    for check in self.monitor.due(now()).into_iter().filter(|_| !self.rounds.is_empty()) {
                        self.spawn_probe(check);
                    }
                    Some(now() + ABANDONED_AFTER)
                }
            };
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
                () = sleep(wake) => self.retired.is_none(),
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
                self.monitor.probe_ended(check, delay, now(), &mut crate::system::thread_rng());
                self.publish();
                self.answer(check, delay.is_some());
                false
            }
            Report::ProbeDiscarded(check) => {
                self.monitor.probe_discarded(check, now(), &mut crate::system::thread_rng());
                self.answer(check, false);
                false
            }
            Report::Ask(pool, answer) => {
                self.ask(pool, answer);
                false
            }
            Report::Select(group, member, answer) => {
                // Who asked may be gone, the choice holds.
                let _gone = answer.send(self.select(group, member.as_ref()));
                false
            }
            Report::Retire => {
                self.retired = Some(now());
                false
            }
            Report::Tell(answer) => {
                let knowledge = Knowledge { monitor: self.monitor.clone(), states: self.states.clone() };
                let _gone = answer.send(knowledge);
                false
            }
        }
    }

    fn note_usual(&self, member: MemberId) {
        let Some(figures) = self.health.member(member) else { return };
        let micros = |usual: Option<waypost_health::Estimate>| {
            usual.map_or(0, |usual| u64::try_from(usual.mean().as_micros()).unwrap_or(u64::MAX).max(1))
        };
        figures.usual_dial.store(micros(self.monitor.usual_dial(member)), Relaxed);
        figures.usual_first_byte.store(micros(self.monitor.usual_first_byte(member)), Relaxed);
    }

    fn spawn_probe(&self, check: CheckId) {
        let (snapshot, tls, stop) = (self.snapshot.clone(), self.tls.clone(), self.stop.clone());
        let reports = self.health.0.reports.clone();
        let Some(member) = self.monitor.probed_member(check) else { return };
        let figures = self.health.member(member).cloned();
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
            let sample = DelaySample { at: wall_clock(), delay: result.as_ref().ok().copied() };
            let mut report = Report::ProbeEnded(check, sample.delay);
            match &result {
                Ok(delay) => debug!(outbound = outbound.tag.as_deref(), ?delay, "probe"),
                Err(error) => {
                    debug!(outbound = outbound.tag.as_deref(), error = %Chain(error), "probe failed");
                }
            }
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
            if let (Report::ProbeEnded(..), Some(figures)) = (&report, figures) {
                figures.file(sample);
                if let Some(reason) = result.as_ref().err().map(ProbeError::reason)
                    && figures.blame(&reason, wall_clock())
                {
                    warn!(outbound = outbound.tag.as_deref(), reason, "a probe failed");
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

/// Plans the first round of probes.
pub(super) fn plan(monitor: &mut Monitor, now: std::time::Instant) {
    monitor.start(now, &mut crate::system::thread_rng());
}
