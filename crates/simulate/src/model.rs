use std::{num::NonZeroU8, time::Duration};

use waypost_balance::{GroupId, Groups};
use waypost_health::{MemberId, Monitor, PoolId};
use waypost_net::Tag;

/// A group as a proxy runs it.
#[derive(Debug)]
pub struct Model {
    /// All groups of the configuration.
    pub groups: Groups,
    /// The one that gets the connections.
    pub group: GroupId,
    /// The monitor of all members, not started yet.
    pub monitor: Monitor,
    /// The outbounds that the group leads to, by way of other groups too, in the order of the file.
    pub members: Vec<(MemberId, Tag)>,
    /// The group's pool in the monitor.
    pub pool: PoolId,
    /// How long a probe may take, by the number of its check. One that is missing has 5 seconds.
    pub probe_timeouts: Vec<Duration>,
    /// How members are dialled.
    pub pace: Pace,
}

/// How members are dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long one dial may take, handshake included.
    pub attempt_timeout: Duration,
    /// How long all dials of a connection may take together.
    pub total_timeout: Duration,
    /// The least time before the next member is dialled beside a slow one.
    pub hedge_delay: Duration,
    /// How many dials of a connection may be under way at a time.
    pub max_in_flight: NonZeroU8,
    /// Whether a first flight that may be sent twice is sent again while no answer comes.
    pub first_flight_replay: bool,
    /// The least time without an answer before that.
    pub replay_delay: Duration,
}

impl Default for Pace {
    /// The defaults of a `loadbalance` group.
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(10),
            hedge_delay: Duration::from_millis(200),
            max_in_flight: NonZeroU8::MIN.saturating_add(2),
            first_flight_replay: true,
            replay_delay: Duration::from_secs(1),
        }
    }
}
