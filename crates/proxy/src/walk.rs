//! Walking a plan: one attempt after the other, and the next beside one that is slow.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

/// How long one attempt is given, and all together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// When the next attempt starts beside one that has not ended.
    pub(crate) patience: Duration,
    /// How many attempts run at a time.
    pub(crate) abreast: usize,
    /// When the walk is given up.
    pub(crate) deadline: Instant,
}

/// How a walk ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WalkEnd<T, E> {
    /// This attempt reached its end first.
    Reached(usize, T),
    /// Every attempt failed, or one failed for good: what this one says.
    Failed(usize, E),
    /// The deadline came while attempts were under way; the oldest of them.
    TooLate(usize),
}

/// Makes attempt 0 and then the others up to `last` in their order, until one succeeds.
///
/// An attempt that fails is followed by the next at once. One that takes longer than the patience
/// stays in the race, and the next starts beside it; the first to succeed wins and the rest are
/// dropped. `is_final` tells, of an attempt's number and error, whether nothing else is to be tried.
pub(crate) async fn walk<T, E, F>(
    last: usize,
    pace: Pace,
    attempt: impl Fn(usize) -> F,
    is_final: impl Fn(usize, &E) -> bool,
) -> WalkEnd<T, E>
where
    F: Future<Output = Result<T, E>> + Send,
{
    let mut others = 1..=last;
    let mut running = vec![Running { number: 0, future: Box::pin(attempt(0)) }];
    loop {
        let may_start = !others.is_empty() && running.len() < pace.abreast;
        let wake = if may_start { pace.deadline.min(Instant::now() + pace.patience) } else { pace.deadline };
        let Ok((number, result)) = timeout_at(wake, next_ended(&mut running)).await else {
            if Instant::now() >= pace.deadline {
                return WalkEnd::TooLate(running.first().map_or(0, |oldest| oldest.number));
            }
            running.extend(others.next().map(|number| Running { number, future: Box::pin(attempt(number)) }));
            continue;
        };
        let error = match result {
            Ok(reached) => return WalkEnd::Reached(number, reached),
            Err(error) => error,
        };
        if is_final(number, &error) {
            return WalkEnd::Failed(number, error);
        }
        match others.next() {
            Some(number) => running.push(Running { number, future: Box::pin(attempt(number)) }),
            None if running.is_empty() => return WalkEnd::Failed(number, error),
            None => {}
        }
    }
}

/// An attempt under way.
struct Running<F> {
    number: usize,
    future: Pin<Box<F>>,
}

/// Waits for the first of `running` that ends, and takes it out.
async fn next_ended<F: Future>(running: &mut Vec<Running<F>>) -> (usize, F::Output) {
    poll_fn(|context| {
        let ended = running.iter_mut().enumerate().find_map(|(index, running)| {
            match running.future.as_mut().poll(context) {
                Poll::Ready(output) => Some((index, output)),
                Poll::Pending => None,
            }
        });
        match ended {
            Some((index, output)) => Poll::Ready((running.remove(index).number, output)),
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::sleep;

    use super::*;

    /// What an attempt does: after so many milliseconds it succeeds, fails, or fails for good.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Act {
        Reach(u64),
        Fail(u64),
        Forbid(u64),
        Hang,
    }

    /// Walks over acts on a virtual clock; yields the end, when it came, and when each one started.
    #[track_caller]
    fn run(acts: &[Act]) -> (WalkEnd<(), &'static str>, u128, Vec<(usize, u128)>) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let begin = Instant::now();
            let started = Mutex::new(Vec::new());
            let attempt = |index: usize| {
                started.lock().unwrap().push((index, begin.elapsed().as_millis()));
                async move {
                    match acts[index] {
                        Act::Reach(after) => {
                            sleep(Duration::from_millis(after)).await;
                            Ok(())
                        }
                        Act::Fail(after) => {
                            sleep(Duration::from_millis(after)).await;
                            Err("failed")
                        }
                        Act::Forbid(after) => {
                            sleep(Duration::from_millis(after)).await;
                            Err("forbidden")
                        }
                        Act::Hang => std::future::pending().await,
                    }
                }
            };
            let pace = Pace {
                patience: Duration::from_millis(100),
                abreast: 3,
                deadline: begin + Duration::from_millis(1000),
            };
            let is_final = |number: usize, error: &&str| number == 0 && *error == "forbidden";
            let end = walk(acts.len() - 1, pace, attempt, is_final).await;
            let at = begin.elapsed().as_millis();
            (end, at, started.into_inner().unwrap())
        })
    }

    #[test]
    fn the_first_that_succeeds_at_once_is_the_only_one_tried() {
        assert_eq!(run(&[Act::Reach(50), Act::Reach(1)]), (WalkEnd::Reached(0, ()), 50, vec![(0, 0)]));
    }

    #[test]
    fn a_failure_is_followed_by_the_next_at_once() {
        let expected = (WalkEnd::Reached(2, ()), 17, vec![(0, 0), (1, 5), (2, 10)]);
        assert_eq!(run(&[Act::Fail(5), Act::Fail(5), Act::Reach(7)]), expected);
    }

    #[test]
    fn a_slow_one_stays_in_the_race() {
        let expected = (WalkEnd::Reached(0, ()), 150, vec![(0, 0), (1, 100)]);
        assert_eq!(run(&[Act::Reach(150), Act::Reach(90)]), expected);
    }

    #[test]
    fn a_frozen_one_costs_the_patience_and_no_more() {
        let expected = (WalkEnd::Reached(1, ()), 110, vec![(0, 0), (1, 100)]);
        assert_eq!(run(&[Act::Hang, Act::Reach(10), Act::Reach(1)]), expected);
    }

    #[test]
    fn only_so_many_run_abreast_until_one_fails() {
        let acts = [Act::Hang, Act::Hang, Act::Fail(400), Act::Reach(10)];
        let expected = (WalkEnd::Reached(3, ()), 610, vec![(0, 0), (1, 100), (2, 200), (3, 600)]);
        assert_eq!(run(&acts), expected);
    }

    #[test]
    fn the_deadline_ends_a_walk_among_the_frozen() {
        let (end, at, _) = run(&[Act::Hang, Act::Hang]);
        assert_eq!((end, at), (WalkEnd::TooLate(0), 1000));
    }

    #[test]
    fn the_last_failure_is_told_when_nobody_is_left() {
        let expected = (WalkEnd::Failed(0, "failed"), 130, vec![(0, 0), (1, 100)]);
        assert_eq!(run(&[Act::Fail(130), Act::Fail(5)]), expected);
    }

    #[test]
    fn a_final_error_ends_the_walk() {
        let (end, at, started) = run(&[Act::Forbid(5), Act::Reach(1)]);
        assert_eq!((end, at, started), (WalkEnd::Failed(0, "forbidden"), 5, vec![(0, 0)]));
    }

    #[test]
    fn what_is_final_for_the_first_does_not_end_the_others() {
        let expected = (WalkEnd::Reached(0, ()), 300, vec![(0, 0), (1, 100), (2, 105)]);
        assert_eq!(run(&[Act::Reach(300), Act::Forbid(5), Act::Hang]), expected);
    }
}
