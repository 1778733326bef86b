use std::{collections::BTreeSet, time::Duration};

use waypost_net::Tag;
use waypost_simulate::{Action, Arrivals, Link, Pattern, Trace, TraceError, Whom};

#[test]
fn the_example_of_the_reference_is_a_trace() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/simulate");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let trace = Trace::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(!trace.events.is_empty(), "{}", path.display());
        names.insert(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    assert!(names.contains("four-faults.json") && names.contains("every-key.json"), "{names:?}");
}

#[test]
fn little_has_to_be_written() {
    let trace = Trace::parse(r#"{"duration": "1m"}"#).unwrap();
    assert_eq!(trace, Trace::new(Duration::from_secs(60)));
    assert_eq!((trace.arrivals, trace.default_member), (Arrivals::default(), Link::default()));
}

#[test]
fn every_key_is_read() {
    let text = include_str!("../../../../testdata/simulate/every-key.json");
    let trace = Trace::parse(text).unwrap();
    let secs = Duration::from_secs;
    let arrivals = Arrivals {
        per_second: 20.5,
        pattern: Pattern::Steady,
        clients: 10,
        targets: 1,
        repeatable: 0.5,
        lasting: secs(2),
        patience: secs(15),
    };
    assert_eq!((trace.duration, trace.arrivals), (secs(90), arrivals));
    let default = Link { latency: Duration::from_millis(30), jitter: Duration::from_millis(3), loss: 0.001 };
    assert_eq!(trace.default_member, default);
    let slow = Link { latency: Duration::from_millis(80), ..default };
    assert_eq!(trace.link(&Tag::from("proxy-a")), slow);
    let actions: Vec<&str> = trace.events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["kill", "freeze", "silence", "block", "slow", "flap", "restore", "outage"]);
    let flap = Action::Flap { period: secs(2), down_share: 0.25 };
    assert_eq!(trace.events[5].action, flap);
    assert_eq!(trace.events[4].action, Action::Slow { factor: 2.5 });
    assert_eq!(trace.events[6].whom, Whom::All);
    assert_eq!(trace.events[0].lasts, Some(secs(5)));
    assert_eq!(trace.events[1].to_string(), "freeze proxy-a, proxy-b");
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(Trace::parse(text).unwrap_err().to_string(), expected);
}

#[track_caller]
fn check_event(event: &str, expected: &str) {
    let error = Trace::parse(&format!("{{\"duration\": \"9s\", \"events\": [\n{event}]}}")).unwrap_err();
    let text = error.to_string();
    let (place, message) = text.split_once(": ").unwrap();
    assert!(matches!(error, TraceError::Text { line: 2, .. }) && place.starts_with("line 2, column "));
    assert_eq!(message, expected);
}

#[test]
fn what_is_no_trace_is_told_with_line_and_column() {
    check("{\n  \"duration\": 5\n}", "line 2, column 15: invalid type: integer `5`, expected a string");
    check(
        "{\"duration\": \"5\"}",
        "line 1, column 17: not a duration: `5`; write a number with a unit (`ms`, `s`, `m`, `h` or `d`), such as `30s` or `1m30s`",
    );
    check("{}", "line 1, column 2: missing field `duration`");
    check(
        "{\"duration\": \"5s\",\n\"arivals\": {}}",
        "line 2, column 9: unknown field `arivals`, expected one of `duration`, `arrivals`, `members`, `default_member`, `events`",
    );
    check(
        "{\"duration\": \"5s\", \"arrivals\": {\"repeatable\": 2}}",
        "line 1, column 48: expected a share from 0 to 1, found `2`",
    );
    check(
        "{\"duration\": \"5s\", \"arrivals\": {\"per_second\": 0}}",
        "line 1, column 48: expected connections per second from 0.001 to 100000, found `0`",
    );
    check("{\"duration\": \"5s\"", "line 1, column 17: EOF while parsing an object");
}

#[test]
fn events_that_say_too_little_or_too_much_are_refused() {
    let whom = "expected whom it happens to: `member` with a tag, or `members` with a list of tags or `\"all\"`, not both";
    check_event(r#"{"at": "1s", "action": "kill"}"#, whom);
    check_event(r#"{"at": "1s", "action": "kill", "members": []}"#, whom);
    check_event(r#"{"at": "1s", "action": "kill", "member": "a", "members": "all"}"#, whom);
    check_event(
        r#"{"at": "1s", "action": "kill", "members": "each"}"#,
        "expected a list of tags, or `\"all\"`",
    );
    check_event(
        r#"{"at": "1s", "action": "outage", "member": "a"}"#,
        "an `outage` is everybody's: leave the members out, or `freeze` some",
    );
    check_event(
        r#"{"at": "1s", "action": "kill", "member": "a", "factor": 2}"#,
        "`factor` belongs to `slow` only: leave it out",
    );
    check_event(r#"{"at": "1s", "action": "slow", "member": "a"}"#, "`slow` needs a `factor` from 1 to 1000");
    check_event(
        r#"{"at": "1s", "action": "flap", "member": "a", "period": "1ms"}"#,
        "`flap` needs a `period` of at least `10ms`",
    );
    check_event(
        r#"{"at": "1s", "action": "flap", "member": "a", "period": "1s", "down_share": 1}"#,
        "`down_share` is a share from 0.01 to 0.99, found `1`",
    );
    check_event(
        r#"{"at": "1s", "action": "kill", "member": "a", "for": "0s"}"#,
        "nothing can happen in no time: `for` has to be longer than 0",
    );
    check_event(
        r#"{"at": "1s", "action": "restore", "member": "a", "for": "1s"}"#,
        "`restore` lasts until something else happens: leave `for` out",
    );
    check_event(
        r#"{"at": "1s", "action": "die", "member": "a"}"#,
        "unknown variant `die`, expected one of `kill`, `freeze`, `silence`, `block`, `slow`, `flap`, `outage`, `restore`",
    );
}

#[test]
fn what_would_take_too_much_is_refused_before_it_is_made() {
    check(
        r#"{"duration": "7d", "arrivals": {"per_second": 1000}}"#,
        "`arrivals.per_second`: with this duration about 604800000 connections come, and at most 10000000 are simulated: lower one of the two",
    );
    check(r#"{"duration": "0s"}"#, "`duration`: nothing can happen in no time; write for example `\"60s\"`");
    check(
        r#"{"duration": "5s", "events": [{"at": "9s", "action": "outage"}]}"#,
        "`events[0].at`: 9s is past the end of the trace, 5s",
    );
    let event = r#"{"at": "1s", "action": "outage"}"#;
    let many = format!(r#"{{"duration": "5s", "events": [{}]}}"#, vec![event; 1_001].join(","));
    check(&many, "`events`: at most 1000 events are played, found 1001");
    let long = " ".repeat((4 << 20) + 1);
    assert_eq!(Trace::parse(&long).unwrap_err(), TraceError::TooLong { bytes: long.len(), limit: 4 << 20 });
}
