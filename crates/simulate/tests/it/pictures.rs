use waypost_balance::Strategy;
use waypost_simulate::{Trace, plot, run};

use crate::models::{Shape, start};

#[test]
fn a_picture_names_members_events_and_units_and_marks_what_was_lost() {
    let text = r#"{"duration": "60s", "arrivals": {"repeatable": 0.5}, "events": [
        {"at": "10s", "members": ["a", "b"], "action": "kill", "for": "10s"},
        {"at": "50s", "member": "a", "action": "silence", "for": "5s"}]}"#;
    let shape = Shape::new(2, 2, Strategy::Random);
    let report = run(shape.model(), &Trace::parse(text).unwrap(), 1, start()).unwrap();
    assert!(report.connections.lost > 0 && report.n_tier_switches > 0, "{report}");
    let svg = plot(&report).unwrap();
    for expected in [
        "<svg",
        "silence a for 5 s",
        "kill a, b for 10 s",
        "carried [connections/s]",
        "time [s]",
        "lost",
        "backups",
    ] {
        assert!(svg.contains(expected), "{expected}");
    }
    // Lanes and shares of four members, and a cross of two lines for each slice with a loss.
    assert_eq!(svg.matches("<polygon").count(), 5);
    let n_slices = report.timeline.slices.iter().filter(|slice| slice.lost > 0).count();
    let n_red = svg.matches(r##"stroke="#C8001E""##).count();
    assert_eq!(n_red, 2 * (n_slices + 1));
    assert_eq!(svg, plot(&report).unwrap());
}

#[test]
fn a_week_and_a_moment_can_be_drawn() {
    for (duration, unit) in [("7d", "time [h]"), ("1h", "time [min]"), ("1ms", "time [s]")] {
        let text = format!(r#"{{"duration": "{duration}", "arrivals": {{"per_second": 0.01}}}}"#);
        let report =
            run(Shape::new(3, 0, Strategy::Failover).model(), &Trace::parse(&text).unwrap(), 1, start())
                .unwrap();
        assert!(plot(&report).unwrap().contains(unit), "{duration}");
        assert!(report.timeline.slices.len() <= 600);
    }
}
