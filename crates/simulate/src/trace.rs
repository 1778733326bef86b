//! What happens to the members, and who comes meanwhile.

mod read;

use std::{collections::BTreeMap, time::Duration};

use waypost_net::Tag;

/// A script: a network that fails on purpose, and the connections that come meanwhile.
///
/// Usually read from JSON text by [`Trace::parse`].
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// How long connections come. Those that came are followed to their end.
    pub duration: Duration,
    /// The connections.
    pub arrivals: Arrivals,
    /// What the way through a member is like, by its tag.
    pub members: BTreeMap<Tag, Link>,
    /// What the way is like through members that are not named.
    pub default_member: Link,
    /// What happens to members, in any order.
    pub events: Vec<Event>,
}

/// The connections that come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrivals {
    /// How many come in a second, on average.
    pub per_second: f64,
    /// How they are spread.
    pub pattern: Pattern,
    /// How many clients there are; each has an address of its own.
    pub clients: u32,
    /// How many targets there are; each has a name and an address of its own.
    pub targets: u32,
    /// The share of connections whose first flight may be sent twice, from 0 to 1.
    pub repeatable: f64,
    /// How long a connection lasts after its first answer, on average.
    pub lasting: Duration,
    /// How long a client waits for the first answer before it gives up.
    pub patience: Duration,
}

/// How connections are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pattern {
    /// Independent of each other (a Poisson process).
    #[default]
    Poisson,
    /// With equal pauses.
    Steady,
}

/// What the way through a member is like while nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// What a round trip through the member takes on average. A dial with its handshake takes one, the
    /// first answer another.
    pub latency: Duration,
    /// The standard deviation of that.
    pub jitter: Duration,
    /// The share of round trips that are lost and made again, from 0 to 0.9.
    pub loss: f64,
}

/// Something that happens to members.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub at: Duration,
    /// To whom.
    pub whom: Whom,
    /// What.
    pub action: Action,
    /// For how long; without it, until the member is restored.
    pub lasts: Option<Duration>,
}

/// The members that something happens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// Every member.
    All,
    /// Those with these tags.
    Members(Vec<Tag>),
}

/// What happens to a member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// It ends: dials are refused, and its connections break.
    Kill,
    /// It stands still: nothing is accepted and nothing is answered.
    Freeze,
    /// It says yes to every dial and never answers.
    Silence,
    /// As [`Silence`](Self::Silence), but probes are answered.
    Block,
    /// Round trips take so many times as long.
    Slow {
        /// How many times, from 1 to 1,000.
        factor: f64,
    },
    /// It is killed and restored again and again.
    Flap {
        /// The time from one kill to the next.
        period: Duration,
        /// The share of the period that it is dead, between 0 and 1.
        down_share: f64,
    },
    /// The own way to the network is gone: nothing is answered, by anybody.
    Outage,
    /// Everything that happened to it is over.
    Restore,
}

/// Why a trace cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The text is too long.
    #[error("the trace has {bytes} bytes; at most {limit} are read, so use fewer events")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The text is not a trace.
    #[error("line {line}, column {column}: {message}")]
    Text {
        /// The line, from 1.
        line: usize,
        /// The column of that line, from 1.
        column: usize,
        /// What is wrong there and what was expected.
        message: String,
    },
    /// The parts do not fit together.
    #[error("`{place}`: {message}")]
    Unfit {
        /// The key.
        place: String,
        /// What is wrong with it, and what would do.
        message: String,
    },
}

impl Trace {
    /// A trace of some length with the default connections, in which nothing happens.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self {
            duration,
            arrivals: Arrivals::default(),
            members: BTreeMap::new(),
            default_member: Link::default(),
            events: Vec::new(),
        }
    }

    /// Reads a trace from JSON text.
    ///
    /// # Errors
    ///
    /// If it is no trace, or asks for more than is simulated: 4 MiB of text, 1,000 events, 10 million
    /// connections, 7 days.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        read::parse(text)
    }

    /// What the way through a member is like.
    #[must_use]
    pub fn link(&self, tag: &Tag) -> Link {
        self.members.get(tag).copied().unwrap_or(self.default_member)
    }
}

impl Default for Arrivals {
    /// 50 in a second from 100 clients to 100 targets; nine of ten may be sent twice; they last 5
    /// seconds, and a client waits for 30.
    fn default() -> Self {
        Self {
            per_second: 50.0,
            pattern: Pattern::Poisson,
            clients: 100,
            targets: 100,
            repeatable: 0.9,
            lasting: Duration::from_secs(5),
            patience: Duration::from_secs(30),
        }
    }
}

impl Default for Link {
    /// 40 ms with a jitter of 5 ms, without loss.
    fn default() -> Self {
        Self { latency: Duration::from_millis(40), jitter: Duration::from_millis(5), loss: 0.0 }
    }
}

impl Event {
    /// When it is over, if it says so.
    #[must_use]
    pub fn ends(&self) -> Option<Duration> {
        self.lasts.map(|lasts| self.at + lasts)
    }
}

impl Action {
    /// One word, as a trace writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Silence => "silence",
            Self::Block => "block",
            Self::Slow { .. } => "slow",
            Self::Flap { .. } => "flap",
            Self::Outage => "outage",
            Self::Restore => "restore",
        }
    }
}

impl std::fmt::Display for Event {
    /// What happens, without the time: `kill a, b`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.action.as_str())?;
        match self.action {
            Action::Slow { factor } => write!(f, " \u{d7}{factor}")?,
            Action::Outage => return Ok(()),
            Action::Kill
            | Action::Freeze
            | Action::Silence
            | Action::Block
            | Action::Flap { .. }
            | Action::Restore => {}
        }
        match &self.whom {
            Whom::All => f.write_str(" all"),
            Whom::Members(tags) => {
                let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
                write!(f, " {}", tags.join(", "))
            }
        }
    }
}
