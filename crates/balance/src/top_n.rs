//! The fastest members of a tier, without moving keys for a jitter.

use std::time::Duration;

use waypost_health::Estimate;

/// By how much a newcomer has to be faster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Margin {
    /// By more than this.
    pub(crate) tolerance: Duration,
    /// And by more than twice the jitter, unless the tolerance is zero.
    pub(crate) allows_jitter: bool,
}

/// Chooses `n` of `ranked`, and keeps those of `incumbents` that are among them unless a newcomer is
/// clearly faster.
///
/// `ranked` are members with their delays in the order of the configuration, which breaks ties. Members
/// that were not measured come last.
pub(crate) fn choose(
    ranked: &[(u32, Option<Estimate>)],
    n: usize,
    margin: Margin,
    incumbents: &[u32],
) -> Vec<u32> {
    let mut fastest: Vec<(u32, Option<Estimate>)> = ranked.to_vec();
    // A stable sort keeps the order of the configuration among equals.
    fastest.sort_by_key(|(_, delay)| speed(*delay));
    let (mut chosen, mut newcomers): (Vec<_>, Vec<_>) =
        fastest.into_iter().partition(|(member, _)| incumbents.contains(member));
    if chosen.len() > n {
        chosen.truncate(n);
    }
    let free = n.saturating_sub(chosen.len()).min(newcomers.len());
    let mut rivals = newcomers.split_off(free);
    chosen.extend(newcomers);
    chosen.sort_by_key(|(_, delay)| speed(*delay));
    rivals.reverse();
    while let (Some(slowest), Some(rival)) = (chosen.last_mut(), rivals.pop()) {
        if !is_clearly_faster(rival.1, slowest.1, margin) {
            break;
        }
        *slowest = rival;
        chosen.sort_by_key(|(_, delay)| speed(*delay));
    }
    chosen.into_iter().map(|(member, _)| member).collect()
}

/// Sorts the measured by delay, and the others behind them.
pub(crate) fn speed(delay: Option<Estimate>) -> (bool, Duration) {
    (delay.is_none(), delay.map_or(Duration::ZERO, |delay| delay.mean()))
}

fn is_clearly_faster(rival: Option<Estimate>, incumbent: Option<Estimate>, margin: Margin) -> bool {
    match (rival, incumbent) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(rival), Some(incumbent)) => {
            let jitter = 2 * incumbent.deviation().max(rival.deviation());
            let Margin { tolerance, allows_jitter } = margin;
            let margin =
                if allows_jitter && !tolerance.is_zero() { tolerance.max(jitter) } else { tolerance };
            incumbent.mean() > rival.mean() + margin
        }
    }
}

/// Orders members by delay, the fastest first.
pub(crate) fn by_delay(members: &mut [u32], delay: impl Fn(u32) -> Option<Estimate>) {
    members.sort_by_key(|&member| speed(delay(member)));
}
