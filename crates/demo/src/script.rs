//! What is done to the members, and when.

use std::time::Duration;

/// A member before the demo begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cast {
    pub(crate) name: &'static str,
    pub(crate) is_primary: bool,
    /// How far away it pretends to be, in milliseconds.
    pub(crate) delay: u16,
}

pub(crate) const CAST: [Cast; 6] = [
    Cast { name: "a", is_primary: true, delay: 12 },
    Cast { name: "b", is_primary: true, delay: 18 },
    Cast { name: "c", is_primary: true, delay: 9 },
    Cast { name: "d", is_primary: true, delay: 24 },
    Cast { name: "x", is_primary: false, delay: 35 },
    Cast { name: "y", is_primary: false, delay: 42 },
];

/// What is done to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Kill,
    Freeze,
    Thaw,
    Restart,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    /// From the begin of the traffic.
    pub(crate) at: Duration,
    pub(crate) act: Act,
    /// Whom it is done to, as places in the [`CAST`].
    pub(crate) members: &'static [usize],
    /// A few words for tables.
    pub(crate) title: &'static str,
    /// What it means.
    pub(crate) meaning: &'static str,
}

/// Before anything happens.
pub(crate) const OPENING: (&str, &str) =
    ("all members run", "connections go to the four primaries by chance");

/// How many seconds the script is written for.
const WRITTEN_FOR: u32 = 40;

type Scene = (u32, Act, &'static [usize], &'static str, &'static str);

const SCENES: [Scene; 8] = [
    (5, Act::Kill, &[1], "b is killed", "its port refuses: every dial moves on at once"),
    (10, Act::Restart, &[1], "b is back", "a probe that succeeds brings it back"),
    (13, Act::Freeze, &[2], "c is frozen", "the kernel still accepts for it, and nobody ever answers"),
    (19, Act::Thaw, &[2], "c is thawed", "a probe that succeeds brings it back"),
    (22, Act::Freeze, &[0, 1, 2], "a, b and c are frozen", "three of four hang at the same time"),
    (28, Act::Thaw, &[0, 1, 2], "a, b and c are thawed", "probes bring them back"),
    (30, Act::Kill, &[0, 1, 2, 3], "all primaries are killed", "the backups x and y carry everything"),
    (36, Act::Restart, &[0, 1, 2, 3], "the primaries are back", "they serve again after the hold time"),
];

/// The events of a demo that takes so long.
pub(crate) fn events(span: Duration) -> Vec<Event> {
    let event = |&(second, act, members, title, meaning): &Scene| Event {
        at: span * second / WRITTEN_FOR,
        act,
        members,
        title,
        meaning,
    };
    SCENES.iter().map(event).collect()
}

impl Act {
    /// How it is done.
    pub(crate) fn signal(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Freeze => "SIGSTOP",
            Self::Thaw => "SIGCONT",
            Self::Restart => "started again",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_fits_every_span_and_leaves_everybody_running() {
        for seconds in [10, 12, 40, 600] {
            let span = Duration::from_secs(seconds);
            let events = events(span);
            assert!(events.windows(2).all(|pair| pair[0].at < pair[1].at));
            assert!(events.iter().all(|event| event.at > Duration::ZERO && event.at < span));
            let mut states = [Act::Restart; CAST.len()];
            for event in events {
                for &member in event.members {
                    let before = std::mem::replace(&mut states[member], event.act);
                    let makes_sense = match event.act {
                        Act::Kill | Act::Freeze => matches!(before, Act::Restart | Act::Thaw),
                        Act::Thaw => before == Act::Freeze,
                        Act::Restart => before == Act::Kill,
                    };
                    assert!(makes_sense, "{event:?} after {before:?}");
                }
            }
            assert!(states.iter().all(|state| matches!(state, Act::Restart | Act::Thaw)));
        }
    }
}
