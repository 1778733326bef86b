//! What a simulation comes to.

mod figures;
mod table;

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};
use waypost_balance::Tier;

pub(crate) use figures::Summary;

/// What a simulation comes to. [`Display`](fmt::Display) is a table for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The group.
    pub group: String,
    /// How it chooses.
    pub strategy: String,
    /// The seed.
    pub seed: u64,
    /// How long connections came.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
    /// How the connections ended.
    pub connections: Connections,
    /// The first 1,000 that were lost, in the order in which that was settled.
    pub losses: Vec<Loss>,
    /// What was tried for the connections.
    pub attempts: Attempts,
    /// From arrival until the connection stood.
    pub setup: Option<Quantiles>,
    /// From arrival to the first answer.
    pub answer: Option<Quantiles>,
    /// In what time nine of ten had their first answer in quiet times: before the first event, or always
    /// if fewer than 20 came then.
    #[serde(rename = "normal_answer_ms", serialize_with = "optional_millis")]
    pub normal_answer: Option<Duration>,
    /// How often the serving tier changed.
    pub n_tier_switches: usize,
    /// The first 1,000 of those.
    pub tier_switches: Vec<TierSwitch>,
    /// Why keys moved; `None` if the group has no keys.
    pub remaps: Option<Remaps>,
    /// How many connections the busiest member carried, relative to the mean of those that carried any.
    pub imbalance: Option<f64>,
    /// What each event did.
    pub events: Vec<Disturbance>,
    /// The times between events.
    pub phases: Vec<Phase>,
    /// The members, in the order of the file.
    pub members: Vec<MemberReport>,
    /// What happened when.
    pub timeline: Timeline,
}

/// How connections ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Connections {
    /// All that came.
    pub total: u64,
    /// Those that got an answer.
    pub answered: u64,
    /// Those that got an error or none.
    pub lost: u64,
    /// Those of the lost for which some member worked all the time.
    pub lost_needlessly: u64,
    /// Those that broke after their first answer, because the member that carried them ended.
    pub broken: u64,
}

/// A connection that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// When it came.
    #[serde(rename = "arrived_ms", serialize_with = "millis")]
    pub arrived: Duration,
    /// When it was lost.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// Why.
    pub reason: LossReason,
    /// Whether some member worked all the time between the two.
    pub somebody_worked: bool,
}

/// Why a connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LossReason {
    /// There was a verdict against every member.
    Refused,
    /// Every member was dialled and refused.
    AllFailed,
    /// The time for dialling was up.
    TooLate,
    /// It stood, and was closed without an answer.
    Closed,
    /// It stood, and the client gave up before an answer came.
    NoAnswer,
}

/// What was tried for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Attempts {
    /// Dials that were begun.
    pub dials: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that were begun because another one had failed.
    pub retries: u64,
    /// Those that were begun beside a slow one.
    pub hedges: u64,
    /// How often a first flight went to another member, too.
    pub replays: u64,
    /// Connections that a backup carried while the primaries served.
    pub spills: u64,
}

/// How waiting times are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Of how many.
    pub count: usize,
    /// The middle one.
    #[serde(rename = "p50_ms", serialize_with = "millis")]
    pub p50: Duration,
    /// Nine of ten are at most this.
    #[serde(rename = "p90_ms", serialize_with = "millis")]
    pub p90: Duration,
    /// Ninety-nine of a hundred are at most this.
    #[serde(rename = "p99_ms", serialize_with = "millis")]
    pub p99: Duration,
    /// The longest.
    #[serde(rename = "max_ms", serialize_with = "millis")]
    pub max: Duration,
}

/// The serving tier changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TierSwitch {
    /// When.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// To which one.
    #[serde(serialize_with = "tier")]
    pub to: Tier,
}

/// How many keys had another first choice than a second before, by the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Remaps {
    /// How many keys were looked at.
    pub keys: u32,
    /// Their member could no longer be used.
    pub left: u64,
    /// They went to a member that could not be used before, as a rule back.
    pub returned: u64,
    /// The serving tier changed.
    pub tier: u64,
    /// Their old and their new member both could be used all the time. With `top_n`, members may be
    /// exchanged for faster ones.
    pub other: u64,
}

/// What an event did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disturbance {
    /// When it began.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// When it ended, if it says so.
    #[serde(rename = "until_ms", serialize_with = "optional_millis")]
    pub until: Option<Duration>,
    /// What happened, and to whom.
    pub what: String,
    /// How long those waited for the first answer who came in the first second.
    pub first_second: Option<Quantiles>,
    /// After how long connections were answered as usual again. Of those that came in the three seconds
    /// from then on none is lost, and nine of ten have their first answer within twice the
    /// [normal time](Report::normal_answer). `None` if that did not come before the end, or within an hour.
    #[serde(rename = "recovered_after_ms", serialize_with = "optional_millis")]
    pub recovered_after: Option<Duration>,
}

/// The time from one event to the next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Phase {
    /// From when.
    #[serde(rename = "from_ms", serialize_with = "millis")]
    pub from: Duration,
    /// To when.
    #[serde(rename = "to_ms", serialize_with = "millis")]
    pub to: Duration,
    /// What holds meanwhile.
    pub what: String,
    /// How many connections came.
    pub connections: usize,
    /// How many of them were lost.
    pub lost: usize,
    /// From arrival until the connection stood.
    pub setup: Option<Quantiles>,
    /// From arrival to the first answer.
    pub answer: Option<Quantiles>,
}

/// What a member did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberReport {
    /// Its tag.
    pub tag: String,
    /// The tier of the group that it is in; `None` if a nested group leads to it.
    #[serde(serialize_with = "optional_tier")]
    pub tier: Option<Tier>,
    /// How many connections it carried.
    pub carried: u64,
    /// Its share of all that were answered.
    pub share: f64,
    /// How often it was dialled for connections.
    pub dials: u64,
    /// How often it was probed.
    pub probes: u64,
    /// How many of the probes failed.
    pub probes_failed: u64,
    /// For which share of the time it was known to work.
    pub up_share: f64,
}

/// What happened when, in slices of equal length.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// How long a slice is.
    #[serde(rename = "slice_ms", serialize_with = "millis")]
    pub length: Duration,
    /// One after the other.
    pub slices: Vec<Slice>,
}

/// A stretch of the timeline. Lists are in the order of [`Report::members`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slice {
    /// When it begins.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// The worst state of each member in it.
    pub states: Vec<Word>,
    /// The mean of each member's probes at its end.
    #[serde(rename = "delays_ms", serialize_with = "list_of_millis")]
    pub delays: Vec<Option<Duration>>,
    /// How many of the connections that came in it each member carried.
    pub carried: Vec<u32>,
    /// How many of them were lost.
    pub lost: u32,
    /// Whether the backups served.
    pub is_backup: bool,
}

/// A state without its cause; the worse one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It works.
    Up,
    /// It was not probed yet.
    Unknown,
    /// Something speaks against it.
    Suspect,
    /// It rests.
    Ejected,
    /// Probes fail.
    Down,
}

impl Report {
    /// The report as JSON, with times in milliseconds. The same report gives the same bytes.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers, texts and lists always have a form in JSON.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl LossReason {
    /// A few words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused, nobody stands",
            Self::AllFailed => "every dial failed",
            Self::TooLate => "not connected in time",
            Self::Closed => "closed without an answer",
            Self::NoAnswer => "no answer",
        }
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn in_millis(duration: Duration) -> f64 {
    // Whole microseconds have a short form.
    duration.as_micros() as f64 / 1000.0
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(in_millis(*duration))
}

fn optional_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(in_millis).serialize(serializer)
}

fn list_of_millis<S: Serializer>(list: &[Option<Duration>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|duration| duration.map(in_millis)))
}

fn tier<S: Serializer>(tier: &Tier, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(tier)
}

fn optional_tier<S: Serializer>(tier: &Option<Tier>, serializer: S) -> Result<S::Ok, S::Error> {
    tier.map(|tier| tier.to_string()).serialize(serializer)
}
