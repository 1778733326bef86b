use std::{num::NonZeroU8, time::Duration};

use super::keys;
use crate::{model::DialPace, object::Object, report::Report};

pub(in crate::groups) fn read(settings: &Object<'_>, report: &mut Report<'_>) -> DialPace {
    let default = DialPace::default();
    let Some(object) = settings.object("dial", &keys::DIAL, report) else { return default };
    let errors = report.n_errors();
    let in_flight = object.count("max_in_flight", 1..=u8::MAX, report);
    let replay = object.flag("first_flight_replay", report);
    let mut duration = |name, default| object.duration(name, report).unwrap_or(default);
    let pace = DialPace {
        attempt_timeout: duration("attempt_timeout", default.attempt_timeout),
        total_timeout: duration("total_timeout", default.total_timeout),
        hedge_delay: duration("hedge_delay", default.hedge_delay),
        max_in_flight: in_flight.and_then(NonZeroU8::new).unwrap_or(default.max_in_flight),
        first_flight_replay: replay.map_or(default.first_flight_replay, |replay| replay.value),
        replay_delay: duration("replay_delay", default.replay_delay),
    };
    if report.n_errors() == errors {
        check_timeouts(&object, pace, report);
    }
    pace
}

fn check_timeouts(object: &Object<'_>, pace: DialPace, report: &mut Report<'_>) {
    for (name, timeout) in [("attempt_timeout", pace.attempt_timeout), ("total_timeout", pace.total_timeout)]
    {
        if let Some(field) = object.get(name)
            && timeout == Duration::ZERO
        {
            report
                .error(field.value.span, format!("no connection succeeds with `{name}` of zero"))
                .help("remove it for the default");
            return;
        }
    }
    if pace.attempt_timeout <= pace.total_timeout {
        return;
    }
    let place = object.get("attempt_timeout").or_else(|| object.get("total_timeout"));
    let span = place.map_or(object.span, |field| field.value.span);
    let defaulted = |name| if object.has(name) { "" } else { " (the default)" };
    let message = format!(
        "`attempt_timeout` is {:?}{}, which is longer than `total_timeout`, {:?}{}",
        pace.attempt_timeout,
        defaulted("attempt_timeout"),
        pace.total_timeout,
        defaulted("total_timeout"),
    );
    report.error(span, message).help("one attempt cannot take longer than all together");
}
