use std::{fmt, time::Instant};

use crate::{Estimate, SampleStats};

/// What is known of a member at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Whether it can be used.
    pub state: State,
    /// How long probes through it take.
    pub delay: Option<Estimate>,
    /// What its last probes come to, if it is probed in bursts and some of them still count.
    pub samples: Option<SampleStats>,
    /// How many probes of it have ended.
    pub n_probes: u64,
    /// When it last worked: the end of a good probe, or the first byte of a connection.
    pub last_success: Option<Instant>,
}

impl Status {
    /// A member of which nothing is known yet.
    pub const UNKNOWN: Self =
        Self { state: State::Unknown, delay: None, samples: None, n_probes: 0, last_success: None };
}

/// Whether a member can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No probe has ended, and nothing speaks against it.
    Unknown,
    /// It works.
    Up,
    /// Something speaks against it that is being looked into; others come first meanwhile.
    Suspect(Cause),
    /// Connections through it failed in a row; it rests until then.
    Ejected {
        /// When it gets another chance.
        until: Instant,
        /// What failed.
        cause: Cause,
    },
    /// Probes through it fail.
    Down,
}

/// What speaks against a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A dial failed.
    Dial,
    /// A dial took much longer than usual, and another member was faster.
    Slow,
    /// It said yes, and then nothing came back where another member brought an answer.
    Silent,
}

impl State {
    /// Whether nothing speaks against the member.
    #[must_use]
    pub fn is_usable(self) -> bool {
        match self {
            Self::Unknown | Self::Up => true,
            Self::Suspect(_) | Self::Ejected { .. } | Self::Down => false,
        }
    }

    /// Whether there is no verdict against the member; a suspect stands.
    #[must_use]
    pub fn stands(self) -> bool {
        match self {
            Self::Unknown | Self::Up | Self::Suspect(_) => true,
            Self::Ejected { .. } | Self::Down => false,
        }
    }

    /// All that [`word`](Self::word) may be.
    pub const WORDS: [&'static str; 5] = ["unknown", "up", "suspect", "ejected", "down"];

    /// One word, without the cause.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Suspect(_) => "suspect",
            Self::Ejected { .. } => "ejected",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown: not probed yet"),
            Self::Up => f.write_str("up"),
            Self::Suspect(cause) => write!(f, "suspect: {cause}"),
            Self::Ejected { cause, .. } => write!(f, "ejected: {cause}"),
            Self::Down => f.write_str("down: probes fail"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dial => "dials fail",
            Self::Slow => "a dial was overtaken",
            Self::Silent => "connections bring no answer",
        })
    }
}
