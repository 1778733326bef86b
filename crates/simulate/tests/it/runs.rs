use std::time::Duration;

use waypost_balance::{EmptyPoolAction, Strategy, Tier};
use waypost_simulate::{LossReason, Pace, Report, RunError, Trace, run};

use crate::models::{Shape, start};

const MS: fn(u64) -> Duration = Duration::from_millis;
const SECS: fn(u64) -> Duration = Duration::from_secs;

#[track_caller]
fn play(shape: &Shape, events: &str) -> Report {
    let text = format!(r#"{{"duration": "60s", "events": [{events}]}}"#);
    run(shape.model(), &Trace::parse(&text).unwrap(), 1, start()).unwrap()
}

#[test]
fn in_quiet_times_a_connection_takes_a_round_trip_and_its_answer_another() {
    let report = play(&Shape::new(4, 0, Strategy::Random), "");
    let (setup, answer) = (report.setup.unwrap(), report.answer.unwrap());
    assert!((MS(38)..MS(42)).contains(&setup.p50) && setup.max < MS(75), "{setup:?}");
    assert!((MS(77)..MS(83)).contains(&answer.p50), "{answer:?}");
    assert_eq!((report.connections.lost, report.attempts.hedges, report.attempts.retries), (0, 0, 0));
    assert!((2_800..3_200).contains(&report.connections.total), "{:?}", report.connections);
    assert!(report.imbalance.unwrap() < 1.1);
    assert!(report.members.iter().all(|member| member.up_share > 0.95), "{report}");
}

#[test]
fn who_is_killed_costs_a_round_trip_and_nothing_is_lost() {
    let report =
        play(&Shape::new(4, 0, Strategy::Random), r#"{"at": "20s", "member": "a", "action": "kill"}"#);
    assert_eq!(report.connections.lost, 0, "{report}");
    assert!(report.connections.broken > 10, "{report}");
    let event = &report.events[0];
    assert!(event.first_second.unwrap().p99 < MS(200), "{report}");
    assert!(event.recovered_after.unwrap() <= SECS(1), "{report}");
    assert!(
        report.attempts.retries + report.attempts.replays > 0 && report.members[0].up_share < 0.4,
        "{report}"
    );
}

#[test]
fn frozen_members_are_hedged() {
    let three = r#"{"at": "20s", "members": ["a", "b", "c"], "action": "freeze"}"#;
    let report = play(&Shape::new(4, 0, Strategy::Random), three);
    assert_eq!(report.connections.lost, 0, "{report}");
    assert!(report.attempts.hedges > 5, "{report}");
    let p99 = report.phases[1].setup.unwrap().max;
    assert!(p99 > MS(200) && p99 < MS(900), "{report}");
    assert!(report.events[0].recovered_after.unwrap() <= SECS(3), "{report}");
}

#[test]
fn silent_members_cost_repeatable_flights_a_replay_and_others_the_connection() {
    let silent = r#"{"at": "20s", "member": "a", "action": "silence", "for": "20s"}"#;
    let shape = Shape::new(4, 0, Strategy::Random);
    let report = play(&shape, silent);
    assert!(report.attempts.replays > 0 && report.connections.lost > 0, "{report}");
    assert!(report.losses.iter().all(|loss| loss.reason == LossReason::NoAnswer && loss.somebody_worked));
    let mut trace = Trace::parse(&format!(r#"{{"duration": "60s", "events": [{silent}]}}"#)).unwrap();
    trace.arrivals.repeatable = 1.0;
    let report = run(shape.model(), &trace, 1, start()).unwrap();
    assert_eq!(report.connections.lost, 0, "{report}");
    assert!(report.events[0].first_second.unwrap().max < MS(1_500), "{report}");
}

#[test]
fn the_backups_take_over_and_give_back() {
    let kill = r#"{"at": "20s", "members": ["a", "b"], "action": "kill", "for": "10s"}"#;
    let report = play(&Shape::new(2, 2, Strategy::Random), kill);
    assert_eq!(report.connections.lost, 0, "{report}");
    let switches: Vec<(Tier, u64)> =
        report.tier_switches.iter().map(|switch| (switch.to, switch.at.as_secs())).collect();
    let [(Tier::Backup, first), (Tier::Primary, second)] = switches[..] else { panic!("{report}") };
    assert!((20..30).contains(&first) && second >= first + 29, "{report}");
    assert!(report.attempts.spills > 0, "{report}");
    assert_eq!(report.members[2].tier, Some(Tier::Backup));
}

#[test]
fn only_keys_of_a_member_that_left_move_and_they_come_back() {
    let kill = r#"{"at": "20s", "member": "a", "action": "kill", "for": "10s"}"#;
    let report = play(&Shape::new(4, 0, Strategy::ConsistentHash), kill);
    let remaps = report.remaps.unwrap();
    assert_eq!((remaps.left, remaps.tier, remaps.other), (remaps.returned, 0, 0), "{report}");
    assert!((15..=40).contains(&remaps.left), "{report}");
    assert!(play(&Shape::new(4, 0, Strategy::Random), kill).remaps.is_none());
}

#[test]
fn with_nobody_alive_connections_are_lost_in_time_and_with_a_reason() {
    let kill = r#"{"at": "20s", "members": "all", "action": "kill"}"#;
    for action in [EmptyPoolAction::Error, EmptyPoolAction::FallbackAll] {
        let report = play(&Shape { empty_pool: action, ..Shape::new(3, 0, Strategy::Random) }, kill);
        assert!(report.connections.lost > 1_500 && report.connections.lost_needlessly == 0, "{report}");
        assert!(report.losses.iter().all(|loss| loss.at - loss.arrived <= SECS(10)), "{report}");
        assert_eq!(report.events[0].recovered_after, None);
    }
}

#[test]
fn an_outage_of_the_own_uplink_takes_nobody_down() {
    let outage = r#"{"at": "20s", "action": "outage", "for": "12s"}"#;
    let report = play(&Shape::new(4, 2, Strategy::Random), outage);
    assert!(report.members.iter().all(|member| member.up_share > 0.5), "{report}");
    let last = report.phases.last().unwrap();
    assert!(last.lost == 0 && report.n_tier_switches == 0, "{report}");
}

#[test]
fn an_outage_that_ends_before_the_deadline_is_waited_out() {
    let outage = r#"{"duration": "60s", "arrivals": {"repeatable": 1}, "events": [
        {"at": "20s", "action": "outage", "for": "6s"}]}"#;
    let shape = Shape::new(3, 0, Strategy::Random);
    let report = run(shape.model(), &Trace::parse(outage).unwrap(), 1, start()).unwrap();
    assert_eq!(report.connections.lost, 0, "{report}");
    let worst = report.events[0].first_second.unwrap().max;
    assert!(worst > SECS(5) && worst < SECS(10), "{report}");
    let hasty = Shape { pace: Pace { total_timeout: SECS(4), ..shape.pace }, ..shape };
    let report = run(hasty.model(), &Trace::parse(outage).unwrap(), 1, start()).unwrap();
    assert!(report.losses.iter().any(|loss| loss.reason == LossReason::TooLate), "{report}");
    assert!(report.losses.iter().all(|loss| loss.at - loss.arrived <= SECS(4)), "{report}");
}

#[test]
fn who_comes_when_a_member_works_again_is_not_refused_for_probes_that_began_before() {
    let shape = Shape::new(2, 0, Strategy::Random);
    let mut n_refused = 0;
    for (quarter, per_second) in (0..120).flat_map(|quarter| [(quarter, 10.0), (quarter, 0.4)]) {
        let back = MS(32_000 + 250 * quarter);
        let text = format!(
            r#"{{"duration": "80s", "arrivals": {{"per_second": {per_second}}}, "events": [
                {{"at": "5s", "member": "a", "action": "freeze"}},
                {{"at": "20s", "member": "b", "action": "freeze", "for": "{}ms"}}]}}"#,
            (back - SECS(20)).as_millis()
        );
        let report = run(shape.model(), &Trace::parse(&text).unwrap(), quarter, start()).unwrap();
        let is_refused = |arrived: Duration| arrived > SECS(30) && arrived < back;
        n_refused += report.losses.iter().filter(|loss| is_refused(loss.arrived)).count();
        let late = report.losses.iter().find(|loss| loss.arrived >= back);
        assert_eq!(late, None, "b works again at {back:?}: {report}");
    }
    assert!(n_refused > 100, "nobody was ever asked for: {n_refused}");
}

#[test]
fn a_slow_phase_does_not_put_repetitions_off() {
    let text = r#"{"duration": "60s", "arrivals": {"repeatable": 1}, "default_member": {"latency": "300ms"},
        "events": [{"at": "10s", "members": "all", "action": "slow", "factor": 6, "for": "20s"},
                   {"at": "30s", "member": "a", "action": "silence"}]}"#;
    let shape = Shape::new(2, 0, Strategy::Failover);
    let report = run(shape.model(), &Trace::parse(text).unwrap(), 1, start()).unwrap();
    assert_eq!(report.connections.lost, 0, "{report}");
    let worst = report.events[1].first_second.unwrap().max;
    assert!(worst > SECS(3) && worst < SECS(5), "{report}");
}

#[test]
fn blocked_members_answer_probes_and_are_found_out_by_connections() {
    let block = r#"{"at": "20s", "member": "a", "action": "block"}"#;
    let mut shape = Shape::new(4, 0, Strategy::Random);
    shape.check.interval = SECS(10);
    let report = play(&shape, block);
    assert_eq!(report.members[0].probes_failed, 0, "{report}");
    let late = report.timeline.slices.iter().filter(|slice| slice.at > SECS(25) && slice.at < SECS(45));
    let carried: u32 = late.map(|slice| slice.carried[0]).sum();
    assert_eq!(carried, 0, "{report}");
}

#[test]
fn a_trace_that_names_a_stranger_is_refused_with_the_names_that_would_do() {
    let shape = Shape::new(2, 0, Strategy::Random);
    let check = |text: &str, expected: &str| {
        let error = run(shape.model(), &Trace::parse(text).unwrap(), 1, start()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        r#"{"duration": "9s", "events": [{"at": "1s", "member": "z", "action": "kill"}]}"#,
        "`events[0]`: the group has no member `z`; it has a, b",
    );
    check(
        r#"{"duration": "9s", "members": {"q": {}}}"#,
        "`members.q`: the group has no member `q`; it has a, b",
    );
    let flap = r#"{"duration": "7d", "arrivals": {"per_second": 0.01},
        "events": [{"at": "0s", "members": "all", "action": "flap", "period": "10ms"}]}"#;
    let error = run(shape.model(), &Trace::parse(flap).unwrap(), 1, start()).unwrap_err();
    assert!(matches!(error, RunError::TooManyTurns { .. }), "{error}");
}

#[test]
fn connections_and_slices_add_up() {
    let flap = r#"{"at": "20s", "member": "b", "action": "flap", "period": "1s"}"#;
    for strategy in Strategy::ALL {
        let report = play(&Shape::new(3, 1, strategy), flap);
        let carried: u64 = report.members.iter().map(|member| member.carried).sum();
        assert_eq!((carried, report.connections.lost), (report.connections.answered, 0), "{report}");
        let slices = &report.timeline.slices;
        let in_slices: u64 = slices.iter().flat_map(|slice| &slice.carried).map(|&n| u64::from(n)).sum();
        assert_eq!((in_slices, slices.len()), (carried, 240));
        let in_phases: usize = report.phases.iter().map(|phase| phase.connections).sum();
        assert_eq!(in_phases as u64, report.connections.total);
        let dials: u64 = report.members.iter().map(|member| member.dials).sum();
        assert_eq!(dials, report.attempts.dials);
        assert!(dials >= carried);
    }
}
