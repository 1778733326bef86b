//! What was tried for a connection.

use std::{fmt, time::Duration};

use waypost_net::Tag;

/// One attempt to carry a connection, for logs and for the table of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The outbound.
    pub outbound: Option<Tag>,
    /// When it began, after the client's request.
    pub began: Duration,
    /// How long it took to what `end` says.
    pub took: Duration,
    /// What came of it.
    pub end: AttemptEnd,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The outbound connected.
    Connected,
    /// It did not.
    Failed(Box<str>),
    /// Another one that began later was faster.
    Overtaken,
    /// It took so much longer than usual that it made room for another one.
    GivenUp,
    /// It was no longer needed.
    Dropped,
    /// It connected, and another one that was sent the same first bytes answered.
    Silent,
    /// It connected, and closed without an answer.
    ClosedEarly,
    /// It connected and brought the first answer.
    Answered,
}

impl fmt::Display for AttemptEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Failed(error) => f.write_str(error),
            Self::Overtaken => f.write_str("overtaken"),
            Self::GivenUp => f.write_str("given up"),
            Self::Dropped => f.write_str("not needed"),
            Self::Silent => f.write_str("silent"),
            Self::ClosedEarly => f.write_str("closed without an answer"),
            Self::Answered => f.write_str("answered"),
        }
    }
}

impl fmt::Display for AttemptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outbound = self.outbound.as_deref().unwrap_or("-");
        let Self { began, took, end, .. } = self;
        write!(f, "{outbound} at {} ms: {end} after {} ms", began.as_millis(), took.as_millis())
    }
}
