use std::sync::Mutex;

use tokio::time::sleep;

use self::Act::{Expire, Fail, Forbid, Hang, Reach};
use super::*;

/// What an attempt does: after so many milliseconds it succeeds, fails, or fails for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Reach(u64),
    Fail(u64),
    /// Has no answer until its own deadline.
    Expire(u64),
    Forbid(u64),
    Hang,
}

/// What is told of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Reached,
    Failed,
    Overtaken,
    GivenUp,
    Dropped,
}

/// A plan that acts on a virtual clock, and remembers what happened in milliseconds.
struct Script {
    /// What each attempt does the first time, the second time and so on; the last one repeats.
    acts: Vec<Vec<Act>>,
    delay: u64,
    /// The attempts with a patience that was measured.
    measured: fn(usize) -> bool,
    choose: fn(&[usize]) -> usize,
    begin: Instant,
    started: Mutex<Vec<(usize, u64)>>,
    told: Mutex<Vec<(usize, Told, u64)>>,
}

impl Script {
    fn new(acts: &[Act]) -> Self {
        Self {
            acts: acts.iter().map(|&act| vec![act]).collect(),
            delay: 100,
            measured: |_| true,
            choose: |_| 0,
            begin: Instant::now(),
            started: Mutex::default(),
            told: Mutex::default(),
        }
    }

    fn pace(&self) -> Pace {
        Pace { abreast: 3, deadline: self.begin + Duration::from_millis(10_000) }
    }

    fn at(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap()
    }

    fn started(&self) -> Vec<(usize, u64)> {
        self.started.lock().unwrap().clone()
    }

    fn told(&self) -> Vec<(usize, Told, u64)> {
        self.told.lock().unwrap().clone()
    }
}

impl Attempts for Script {
    type Reached = ();
    type Error = &'static str;

    fn count(&self) -> usize {
        self.acts.len()
    }

    fn choose(&self, left: &[usize]) -> usize {
        (self.choose)(left)
    }

    fn patience(&self, number: usize) -> Patience {
        Patience { delay: Duration::from_millis(self.delay), measured: (self.measured)(number) }
    }

    async fn attempt(&self, number: usize) -> Result<(), &'static str> {
        let before = self.started().iter().filter(|started| started.0 == number).count();
        self.started.lock().unwrap().push((number, self.at()));
        let acts = &self.acts[number];
        let (after, result) = match acts[before.min(acts.len() - 1)] {
            Reach(after) => (after, Ok(())),
            Fail(after) => (after, Err("failed")),
            Expire(after) => (after, Err("expired")),
            Forbid(after) => (after, Err("forbidden")),
            Hang => std::future::pending().await,
        };
        sleep(Duration::from_millis(after)).await;
        result
    }

    fn is_final(&self, number: usize, error: &&'static str) -> bool {
        number == 0 && *error == "forbidden"
    }

    fn may_succeed_later(&self, error: &&'static str) -> bool {
        *error == "expired"
    }

    fn ended(&self, number: usize, ending: Ending<'_, &'static str>, took: Duration) {
        let told = match ending {
            Ending::Reached => Told::Reached,
            Ending::Failed(_) => Told::Failed,
            Ending::Overtaken => Told::Overtaken,
            Ending::GivenUp => Told::GivenUp,
            Ending::Dropped => Told::Dropped,
        };
        self.told.lock().unwrap().push((number, told, u64::try_from(took.as_millis()).unwrap()));
    }
}

/// Walks once; checks the end, when it came, and when each attempt started, and that each one that
/// started is told of once.
#[track_caller]
fn check(
    script: &Script,
    end: &WalkEnd<(), &'static str>,
    expected: &(WalkEnd<(), &str>, u64),
    starts: &[(usize, u64)],
) {
    assert_eq!((end, script.at()), (&expected.0, expected.1));
    assert_eq!(script.started(), starts);
    let sorted = |mut numbers: Vec<usize>| {
        numbers.sort_unstable();
        numbers
    };
    let started = sorted(script.started().iter().map(|started| started.0).collect());
    assert_eq!(sorted(script.told().iter().map(|told| told.0).collect()), started);
}

async fn walk_once(script: &Script) -> WalkEnd<(), &'static str> {
    Walk::new(script, script.pace()).next().await
}

#[tokio::test(start_paused = true)]
async fn the_first_that_succeeds_at_once_is_the_only_one_tried() {
    let script = Script::new(&[Reach(50), Reach(1)]);
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(0, ()), 50), &[(0, 0)]);
    assert_eq!(script.told(), [(0, Told::Reached, 50)]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_followed_by_the_next_at_once() {
    let script = Script::new(&[Fail(5), Fail(6), Reach(7)]);
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(2, ()), 18), &[(0, 0), (1, 5), (2, 11)]);
    assert_eq!(script.told(), [(0, Told::Failed, 5), (1, Told::Failed, 6), (2, Told::Reached, 7)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_one_stays_in_the_race() {
    let script = Script::new(&[Reach(150), Reach(90)]);
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(0, ()), 150), &[(0, 0), (1, 100)]);
    assert_eq!(script.told(), [(0, Told::Reached, 150), (1, Told::Dropped, 50)]);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_one_costs_the_patience_and_is_overtaken() {
    let script = Script::new(&[Hang, Reach(10), Reach(1)]);
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(1, ()), 110), &[(0, 0), (1, 100)]);
    assert_eq!(script.told(), [(1, Told::Reached, 10), (0, Told::Overtaken, 110)]);
}

#[tokio::test(start_paused = true)]
async fn an_older_one_within_its_patience_is_dropped_without_a_verdict() {
    let script = Script::new(&[Fail(150), Hang, Reach(10)]);
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(2, ()), 160), &[(0, 0), (1, 100), (2, 150)]);
    assert_eq!(script.told(), [(0, Told::Failed, 150), (2, Told::Reached, 10), (1, Told::Dropped, 60)]);
}

#[tokio::test(start_paused = true)]
async fn a_younger_one_is_not_overtaken_however_slow_it_is() {
    let script = Script::new(&[Reach(250), Hang]);
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(0, ()), 250), &[(0, 0), (1, 100)]);
    assert_eq!(script.told(), [(0, Told::Reached, 250), (1, Told::Dropped, 150)]);
}

#[tokio::test(start_paused = true)]
async fn the_patience_of_the_youngest_counts_from_its_start() {
    let script = Script::new(&[Hang, Fail(70), Hang, Reach(1)]);
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(3, ()), 271), &[(0, 0), (1, 100), (2, 170), (3, 270)]);
}

#[tokio::test(start_paused = true)]
async fn three_frozen_ones_make_room_for_a_good_fourth() {
    let script = Script { delay: 200, ..Script::new(&[Hang, Hang, Hang, Reach(30)]) };
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(3, ()), 630), &[(0, 0), (1, 200), (2, 400), (3, 600)]);
    let expected = [
        (0, Told::GivenUp, 600),
        (3, Told::Reached, 30),
        (1, Told::Overtaken, 430),
        (2, Told::Overtaken, 230),
    ];
    assert_eq!(script.told(), expected);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_not_given_up_before_twice_its_patience() {
    let script = Script {
        acts: vec![vec![Hang], vec![Fail(0)], vec![Fail(0)], vec![Hang], vec![Reach(1)]],
        ..Script::new(&[])
    };
    let mut pace = script.pace();
    pace.abreast = 2;
    let end = Walk::new(&script, pace).next().await;
    // The fourth starts at 100; at 200 the first is just old enough.
    check(&script, &end, &(WalkEnd::Reached(4, ()), 201), &[(0, 0), (1, 100), (2, 100), (3, 100), (4, 200)]);

    let script = Script::new(&[Reach(199), Reach(1)]);
    let mut pace = script.pace();
    pace.abreast = 1;
    let end = Walk::new(&script, pace).next().await;
    check(&script, &end, &(WalkEnd::Reached(0, ()), 199), &[(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn slow_ones_that_were_never_measured_are_waited_for() {
    let script =
        Script { measured: |_| false, ..Script::new(&[Reach(800), Reach(800), Reach(800), Reach(1)]) };
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(0, ()), 800), &[(0, 0), (1, 100), (2, 200)]);
}

#[tokio::test(start_paused = true)]
async fn a_measured_one_makes_room_where_the_oldest_was_not_measured() {
    let script = Script { measured: |number| number != 0, ..Script::new(&[Hang, Hang, Hang, Reach(1)]) };
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(3, ()), 301), &[(0, 0), (1, 100), (2, 200), (3, 300)]);
    assert_eq!(script.told()[0], (1, Told::GivenUp, 200));
}

#[tokio::test(start_paused = true)]
async fn one_that_was_given_up_is_tried_again_when_another_fails() {
    let mut script = Script::new(&[Hang, Hang, Hang, Fail(20)]);
    script.acts[0].push(Reach(7));
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(0, ()), 327), &[(0, 0), (1, 100), (2, 200), (3, 300), (0, 320)]);
    assert_eq!(script.told()[0], (0, Told::GivenUp, 300));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_given_up_for_a_second_try() {
    let script = Script::new(&[Hang, Hang, Hang, Hang]);
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::TooLate(1), 10_000), &[(0, 0), (1, 100), (2, 200), (3, 300)]);
    assert_eq!(script.told().iter().filter(|told| told.1 == Told::GivenUp).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_try_that_fails_is_the_last() {
    let mut script = Script::new(&[Hang, Fail(250), Fail(250), Fail(20)]);
    script.acts[0].push(Fail(7));
    let end = walk_once(&script).await;
    let starts = [(0, 0), (1, 100), (2, 200), (3, 300), (0, 320)];
    check(&script, &end, &(WalkEnd::Failed(2, "failed"), 450), &starts);
}

#[tokio::test(start_paused = true)]
async fn the_plan_may_be_walked_in_another_order() {
    let script = Script { choose: |left| left.len() - 1, ..Script::new(&[Reach(1), Fail(1), Fail(1)]) };
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(0, ()), 3), &[(2, 0), (1, 1), (0, 2)]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_walk_among_the_frozen() {
    let script = Script::new(&[Hang, Hang]);
    let mut walk = Walk::new(&script, script.pace());
    let end = walk.next().await;
    check(&script, &end, &(WalkEnd::TooLate(0), 10_000), &[(0, 0), (1, 100)]);
    assert_eq!(script.told(), [(0, Told::Dropped, 10_000), (1, Told::Dropped, 9900)]);
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_is_told_when_nobody_is_left() {
    let script = Script::new(&[Fail(130), Fail(5)]);
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Failed(0, "failed"), 130), &[(0, 0), (1, 100)]);
}

#[tokio::test(start_paused = true)]
async fn a_final_error_ends_the_walk() {
    let script = Script::new(&[Forbid(105), Hang, Reach(1)]);
    let mut walk = Walk::new(&script, script.pace());
    let end = walk.next().await;
    check(&script, &end, &(WalkEnd::Failed(0, "forbidden"), 105), &[(0, 0), (1, 100)]);
    assert_eq!(script.told(), [(0, Told::Failed, 105), (1, Told::Dropped, 5)]);
    assert!(!walk.has_more());
    assert_eq!(walk.next().await, WalkEnd::NoneLeft);
}

#[tokio::test(start_paused = true)]
async fn what_is_final_for_the_first_does_not_end_the_others() {
    let script = Script::new(&[Reach(300), Forbid(5), Hang]);
    let end = walk_once(&script).await;
    check(&script, &end, &(WalkEnd::Reached(0, ()), 300), &[(0, 0), (1, 100), (2, 105)]);
}

#[tokio::test(start_paused = true)]
async fn a_walk_goes_on_after_a_success_with_those_that_were_dropped_too() {
    let mut script = Script::new(&[Hang, Reach(150), Reach(60), Reach(1)]);
    script.acts[0].push(Fail(3));
    let mut walk = Walk::new(&script, script.pace());
    assert_eq!(walk.next().await, WalkEnd::Reached(1, ()));
    // The third had no verdict and keeps its place in the plan; the first was overtaken.
    assert_eq!(walk.next().await, WalkEnd::Reached(2, ()));
    assert_eq!(walk.next().await, WalkEnd::Reached(3, ()));
    assert!(walk.has_more());
    let end = walk.next().await;
    let starts = [(0, 0), (1, 100), (2, 200), (2, 250), (3, 310), (0, 311)];
    check(&script, &end, &(WalkEnd::Failed(0, "failed"), 314), &starts);
    assert!(!walk.has_more());
}

#[tokio::test(start_paused = true)]
async fn one_that_was_overtaken_joins_the_last_that_is_left() {
    let mut script = Script::new(&[Hang, Reach(1), Hang]);
    script.acts[0].push(Reach(7));
    let mut walk = Walk::new(&script, script.pace());
    assert_eq!(walk.next().await, WalkEnd::Reached(1, ()));
    assert_eq!(walk.next().await, WalkEnd::Reached(0, ()));
    assert_eq!(script.started(), [(0, 0), (1, 100), (2, 101), (0, 201)]);
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_is_dropped_drops_its_attempts_without_a_verdict() {
    let script = Script::new(&[Hang, Hang]);
    let mut walk = Walk::new(&script, script.pace());
    assert!(tokio::time::timeout(Duration::from_millis(150), walk.next()).await.is_err());
    assert_eq!(script.told(), []);
    drop(walk);
    assert_eq!(script.told(), [(0, Told::Dropped, 150), (1, Told::Dropped, 50)]);
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_was_paused_goes_on_with_its_attempts() {
    let script = Script::new(&[Reach(170), Hang]);
    let mut walk = Walk::new(&script, script.pace());
    assert!(tokio::time::timeout(Duration::from_millis(120), walk.next()).await.is_err());
    let end = walk.next().await;
    check(&script, &end, &(WalkEnd::Reached(0, ()), 170), &[(0, 0), (1, 100)]);
}

#[tokio::test(start_paused = true)]
async fn more_time_may_be_given() {
    let script = Script::new(&[Fail(1), Reach(50)]);
    let pace = Pace { abreast: 3, deadline: script.begin };
    let mut walk = Walk::new(&script, pace);
    assert_eq!(walk.next().await, WalkEnd::TooLate(0));
    walk.extend(script.begin + Duration::from_millis(60));
    assert_eq!(walk.next().await, WalkEnd::Reached(1, ()));
}

/// Members that fail, hang and come back at random: a walk reaches somebody whenever one of the plan
/// would have answered, and tells of each attempt once.
#[tokio::test(start_paused = true)]
async fn whoever_flaps_a_good_member_is_found() {
    use rand::{RngExt, SeedableRng};
    for seed in 0..300 {
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let count = rng.random_range(2..8);
        let mut acts: Vec<Vec<Act>> = (0..count)
            .map(|_| {
                let mut act = || match rng.random_range(0..3) {
                    0 => Fail(rng.random_range(0..50)),
                    1 => Fail(rng.random_range(500..3000)),
                    _ => Hang,
                };
                vec![act(), act()]
            })
            .collect();
        let good = rng.random_range(0..count);
        acts[good] = vec![Reach(rng.random_range(0..90))];
        let script = Script { acts, ..Script::new(&[]) };
        let end = walk_once(&script).await;
        let longest = count as u64 * 100 + 90;
        assert!(script.at() <= longest, "seed {seed}: {end:?} after {} ms", script.at());
        let at = script.at();
        check(&script, &end, &(WalkEnd::Reached(good, ()), at), &script.started());
    }
}

#[tokio::test(start_paused = true)]
async fn who_had_no_answer_in_time_is_tried_again_when_nobody_else_is_left() {
    let mut script = Script::new(&[Expire(3000), Expire(3000), Fail(5)]);
    script.acts[0].push(Reach(20));
    let end = walk_once(&script).await;
    let starts = [(0, 0), (1, 100), (2, 200), (0, 3000)];
    check(&script, &end, &(WalkEnd::Reached(0, ()), 3020), &starts);
}

#[tokio::test(start_paused = true)]
async fn trying_again_ends_at_the_deadline() {
    let script = Script::new(&[Expire(3000), Expire(3000)]);
    let end = walk_once(&script).await;
    assert!(matches!(end, WalkEnd::TooLate(_)), "{end:?}");
    assert_eq!(script.at(), 10_000);
}
