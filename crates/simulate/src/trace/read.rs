//! JSON text → trace. What is wrong with a value is found where the value stands, so that the reader
//! knows line and column.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use waypost_net::Tag;

use super::{Action, Arrivals, Event, Link, Pattern, Trace, TraceError, Whom};
use crate::duration;

const MAX_BYTES: usize = 4 << 20;
const MAX_EVENTS: usize = 1_000;
const MAX_CONNECTIONS: f64 = 10_000_000.0;
const MAX_PER_SECOND: f64 = 100_000.0;
const MAX_POPULATION: u32 = 100_000;
const MAX_LATENCY: Duration = Duration::from_secs(60);
/// Shorter round trips would make more work than anybody looks at.
const MIN_LATENCY: Duration = Duration::from_micros(10);
const MIN_PERIOD: Duration = Duration::from_millis(10);

pub(super) fn parse(text: &str) -> Result<Trace, TraceError> {
    if text.len() > MAX_BYTES {
        return Err(TraceError::TooLong { bytes: text.len(), limit: MAX_BYTES });
    }
    let raw: RawTrace = serde_json::from_str(text).map_err(|error| text_error(&error))?;
    raw.check()
}

fn text_error(error: &serde_json::Error) -> TraceError {
    let message = error.to_string();
    // The position is told apart from the text.
    let message =
        message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned();
    TraceError::Text { line: error.line(), column: error.column(), message }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrace {
    duration: Time,
    #[serde(default)]
    arrivals: RawArrivals,
    #[serde(default)]
    members: BTreeMap<String, RawLink>,
    #[serde(default)]
    default_member: RawLink,
    #[serde(default)]
    events: Vec<RawEvent>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawArrivals {
    per_second: Option<Rate>,
    pattern: Option<RawPattern>,
    clients: Option<Population>,
    targets: Option<Population>,
    repeatable: Option<Share>,
    lasting: Option<Time>,
    patience: Option<Time>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum RawPattern {
    Poisson,
    Steady,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(deny_unknown_fields)]
struct RawLink {
    latency: Option<Latency>,
    jitter: Option<Latency>,
    loss: Option<Loss>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventKeys {
    at: Time,
    action: RawAction,
    member: Option<String>,
    members: Option<RawWhom>,
    #[serde(rename = "for")]
    lasts: Option<Time>,
    factor: Option<f64>,
    period: Option<Time>,
    down_share: Option<f64>,
}

#[derive(Deserialize)]
#[serde(try_from = "EventKeys")]
struct RawEvent(Event);

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum RawAction {
    Kill,
    Freeze,
    Silence,
    Block,
    Slow,
    Flap,
    Outage,
    Restore,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of tags, or `\"all\"`")]
enum RawWhom {
    All(All),
    Tags(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum All {
    All,
}

#[derive(Clone, Copy)]
struct Time(Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        duration::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

#[derive(Clone, Copy)]
struct Latency(Duration);

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Time(time) = Time::deserialize(deserializer)?;
        if time > MAX_LATENCY {
            return Err(D::Error::custom(format!("at most `60s` is a delay, found `{time:?}`")));
        }
        Ok(Self(time))
    }
}

/// Declares a number with bounds.
macro_rules! bounded {
    ($name:ident, $type:ty, $range:expr, $text:literal) => {
        #[derive(Clone, Copy)]
        struct $name($type);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = <$type>::deserialize(deserializer)?;
                if $range.contains(&value) {
                    return Ok(Self(value));
                }
                Err(D::Error::custom(format!(concat!("expected ", $text, ", found `{}`"), value)))
            }
        }
    };
}

bounded!(Rate, f64, 0.001..=MAX_PER_SECOND, "connections per second from 0.001 to 100000");
bounded!(Population, u32, 1..=MAX_POPULATION, "a number from 1 to 100000");
bounded!(Share, f64, 0.0..=1.0, "a share from 0 to 1");
bounded!(Loss, f64, 0.0..=0.9, "a share from 0 to 0.9");

impl RawTrace {
    fn check(self) -> Result<Trace, TraceError> {
        let Time(duration) = self.duration;
        if duration.is_zero() {
            return Err(unfit("duration", "nothing can happen in no time; write for example `\"60s\"`"));
        }
        let arrivals = self.arrivals.lower();
        let n_connections = arrivals.per_second * duration.as_secs_f64();
        if n_connections > MAX_CONNECTIONS {
            let message = format!(
                "with this duration about {n_connections:.0} connections come, and at most {MAX_CONNECTIONS:.0} \
                 are simulated: lower one of the two"
            );
            return Err(unfit("arrivals.per_second", message));
        }
        if self.events.len() > MAX_EVENTS {
            let message = format!("at most {MAX_EVENTS} events are played, found {}", self.events.len());
            return Err(unfit("events", message));
        }
        let events: Vec<Event> = self.events.into_iter().map(|RawEvent(event)| event).collect();
        if let Some((index, event)) = events.iter().enumerate().find(|(_, event)| event.at >= duration) {
            let message = format!("{:?} is past the end of the trace, {duration:?}", event.at);
            return Err(unfit(format!("events[{index}].at"), message));
        }
        let default_member = self.default_member.lower(Link::default());
        let members = self.members.into_iter();
        let members = members.map(|(tag, link)| (Tag::from(tag), link.lower(default_member))).collect();
        Ok(Trace { duration, arrivals, members, default_member, events })
    }
}

impl RawArrivals {
    fn lower(self) -> Arrivals {
        let default = Arrivals::default();
        Arrivals {
            per_second: self.per_second.map_or(default.per_second, |Rate(rate)| rate),
            pattern: match self.pattern {
                Some(RawPattern::Steady) => Pattern::Steady,
                Some(RawPattern::Poisson) | None => Pattern::Poisson,
            },
            clients: self.clients.map_or(default.clients, |Population(number)| number),
            targets: self.targets.map_or(default.targets, |Population(number)| number),
            repeatable: self.repeatable.map_or(default.repeatable, |Share(share)| share),
            lasting: self.lasting.map_or(default.lasting, |Time(time)| time),
            patience: self.patience.map_or(default.patience, |Time(time)| time),
        }
    }
}

impl RawLink {
    fn lower(self, default: Link) -> Link {
        Link {
            latency: self.latency.map_or(default.latency, |Latency(time)| time.max(MIN_LATENCY)),
            jitter: self.jitter.map_or(default.jitter, |Latency(time)| time),
            loss: self.loss.map_or(default.loss, |Loss(share)| share),
        }
    }
}

impl TryFrom<EventKeys> for RawEvent {
    type Error = String;

    fn try_from(keys: EventKeys) -> Result<Self, String> {
        let (Time(at), lasts) = (keys.at, keys.lasts.map(|Time(time)| time));
        if lasts.is_some_and(|lasts| lasts.is_zero()) {
            return Err("nothing can happen in no time: `for` has to be longer than 0".to_owned());
        }
        if keys.action == RawAction::Restore && lasts.is_some() {
            return Err("`restore` lasts until something else happens: leave `for` out".to_owned());
        }
        let action = action(&keys)?;
        let whom = match (keys.member, keys.members, keys.action) {
            (None, None | Some(RawWhom::All(All::All)), RawAction::Outage) => Whom::All,
            (_, _, RawAction::Outage) => {
                return Err("an `outage` is everybody's: leave the members out, or `freeze` some".to_owned());
            }
            (Some(tag), None, _) => Whom::Members(vec![Tag::from(tag)]),
            (None, Some(RawWhom::All(All::All)), _) => Whom::All,
            (None, Some(RawWhom::Tags(tags)), _) if !tags.is_empty() => {
                Whom::Members(tags.into_iter().map(Tag::from).collect())
            }
            (_, _, _) => {
                let text = "expected whom it happens to: `member` with a tag, or `members` with a list of tags or \
                            `\"all\"`, not both";
                return Err(text.to_owned());
            }
        };
        Ok(Self(Event { at, whom, action, lasts }))
    }
}

fn action(keys: &EventKeys) -> Result<Action, String> {
    let stray = [
        (keys.factor.is_some() && keys.action != RawAction::Slow, "factor", "slow"),
        (keys.period.is_some() && keys.action != RawAction::Flap, "period", "flap"),
        (keys.down_share.is_some() && keys.action != RawAction::Flap, "down_share", "flap"),
    ];
    if let Some((_, key, action)) = stray.into_iter().find(|(is_stray, ..)| *is_stray) {
        return Err(format!("`{key}` belongs to `{action}` only: leave it out"));
    }
    Ok(match keys.action {
        RawAction::Kill => Action::Kill,
        RawAction::Freeze => Action::Freeze,
        RawAction::Silence => Action::Silence,
        RawAction::Block => Action::Block,
        RawAction::Outage => Action::Outage,
        RawAction::Restore => Action::Restore,
        RawAction::Slow => {
            let factor = keys.factor.filter(|factor| (1.0..=1000.0).contains(factor));
            Action::Slow { factor: factor.ok_or("`slow` needs a `factor` from 1 to 1000")? }
        }
        RawAction::Flap => {
            let period = keys.period.map(|Time(period)| period).filter(|&period| period >= MIN_PERIOD);
            let down_share = keys.down_share.unwrap_or(0.5);
            if !(0.01..=0.99).contains(&down_share) {
                return Err(format!("`down_share` is a share from 0.01 to 0.99, found `{down_share}`"));
            }
            Action::Flap { period: period.ok_or("`flap` needs a `period` of at least `10ms`")?, down_share }
        }
    })
}

fn unfit(place: impl Into<String>, message: impl Into<String>) -> TraceError {
    TraceError::Unfit { place: place.into(), message: message.into() }
}
