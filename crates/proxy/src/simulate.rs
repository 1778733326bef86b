//! A configured group against a scripted network, on a virtual clock.

use waypost_net::Tag;
use waypost_simulate::{Model, Pace, PlotError, Report, RunError, Trace, TraceError};

use crate::snapshot::Snapshot;

pub use waypost_simulate::plot;

/// Why a group cannot be simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// No group has this tag.
    #[error("no group is called `{tag}`, {}", there_are(groups))]
    NoGroup {
        /// The tag.
        tag: Box<str>,
        /// The groups that there are.
        groups: Vec<Tag>,
    },
    /// The trace cannot be read.
    #[error("the trace cannot be used")]
    Trace(#[from] TraceError),
    /// The trace does not fit the group.
    #[error("the trace does not fit the group")]
    Run(#[from] RunError),
    /// The timeline cannot be drawn.
    #[error("the timeline cannot be drawn")]
    Plot(#[from] PlotError),
}

/// Runs the group called `tag` against the trace in `text`. The same seed yields the same report.
///
/// # Errors
///
/// See [`SimulateError`].
pub fn simulate(snapshot: Snapshot, tag: &str, text: &str, seed: u64) -> Result<Report, SimulateError> {
    let trace = Trace::parse(text)?;
    let model = model(snapshot, tag)?;
    // Where virtual time begins makes no difference to the outcome.
    Ok(waypost_simulate::run(model, &trace, seed, tokio::time::Instant::now().into_std())?)
}

fn model(snapshot: Snapshot, tag: &str) -> Result<Model, SimulateError> {
    let Some((outbounds, pools)) = snapshot.into_outbounds_and_pools() else {
        return Err(SimulateError::NoGroup { tag: tag.into(), groups: Vec::new() });
    };
    let found = pools.iter().find(|(_, group, _)| group.tag().as_str() == tag);
    let Some((id, _, settings)) = found else {
        let groups = pools.iter().map(|(_, group, _)| group.tag().clone()).collect();
        return Err(SimulateError::NoGroup { tag: tag.into(), groups });
    };
    let pace = settings.pace.unwrap_or_default();
    let pool = settings.pool;
    let mut leaves: Vec<_> = pools.groups.leaves(id).into_iter().map(|(member, _)| member).collect();
    leaves.sort_unstable();
    leaves.dedup();
    let name = |member: &waypost_health::MemberId| {
        let tag = outbounds.get(member.index()).and_then(|outbound| outbound.tag.clone());
        (*member, tag.unwrap_or_else(|| Tag::from("")))
    };
    Ok(Model {
        group: id,
        members: leaves.iter().map(name).collect(),
        pool,
        probe_timeouts: pools.probe_timeouts(),
        pace: Pace {
            attempt_timeout: pace.attempt_timeout,
            total_timeout: pace.total_timeout,
            hedge_delay: pace.hedge_delay,
            max_in_flight: pace.max_in_flight,
            first_flight_replay: pace.first_flight_replay,
            replay_delay: pace.replay_delay,
        },
        monitor: pools.monitor(),
        groups: pools.groups,
    })
}

fn there_are(groups: &[Tag]) -> String {
    if groups.is_empty() {
        return "the configuration has none".to_owned();
    }
    let names: Vec<String> = groups.iter().map(|tag| format!("`{tag}`")).collect();
    format!("there are {}", names.join(", "))
}
