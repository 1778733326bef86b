use std::time::Duration;

use waypost_balance::{Plan, Standing};
use waypost_health::MemberId;
use waypost_net::Flow;

use crate::LossReason;

/// Watches a simulation from outside, event by event.
pub trait Observer {
    /// A connection has its plan.
    fn planned(&mut self, planned: &Planned<'_>) {
        let _unused = planned;
    }

    /// A connection has its first answer, or is lost.
    fn ended(&mut self, ended: &Ended<'_>) {
        let _unused = ended;
    }
}

/// Nobody watches.
impl Observer for () {}

/// A plan, and what it was made of.
#[derive(Debug)]
pub struct Planned<'a> {
    /// When.
    pub at: Duration,
    /// The number of the connection, from 0.
    pub connection: u64,
    /// What the group was asked for.
    pub flow: &'a Flow,
    /// What it said.
    pub plan: &'a Plan,
    /// Who served then.
    pub standing: &'a Standing,
}

/// What became of a connection.
#[derive(Debug)]
pub struct Ended<'a> {
    /// The number of the connection, from 0.
    pub connection: u64,
    /// When it came.
    pub arrived: Duration,
    /// When it stood, if it did.
    pub stood: Option<Duration>,
    /// When it had its first answer or was lost.
    pub at: Duration,
    /// Who brought the answer, or why it was lost.
    pub outcome: Result<MemberId, LossReason>,
    /// Whether its first flight could be sent twice.
    pub is_repeatable: bool,
    /// The dials, in order: whom, and when.
    pub dials: &'a [(MemberId, Duration)],
}
