//! Walking a plan: one attempt after the other, and the next beside one that is slow.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

/// How many attempts run at a time, and until when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How many attempts run at a time.
    pub(crate) abreast: usize,
    /// When the walk is given up.
    pub(crate) deadline: Instant,
}

/// When an attempt that has not ended is joined by the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// How long it runs alone.
    pub(crate) delay: Duration,
    /// Whether that was learned from this member, so that it tells a frozen one from a slow one.
    pub(crate) measured: bool,
}

/// What is walked over: the attempts of a plan, numbered from 0.
pub(crate) trait Attempts: Sync {
    /// What an attempt yields.
    type Reached: Send;
    /// Why one fails.
    type Error: Send;

    /// How many there are.
    fn count(&self) -> usize;

    /// Which of `left` starts next, as an index into it. `left` is in plan order and not empty.
    fn choose(&self, left: &[usize]) -> usize;

    /// How long an attempt runs before the next starts beside it.
    fn patience(&self, number: usize) -> Patience;

    /// Makes an attempt. It keeps a deadline of its own; dropping it gives it up.
    fn attempt(&self, number: usize) -> impl Future<Output = Result<Self::Reached, Self::Error>> + Send;

    /// Whether nothing else is to be tried after this error.
    fn is_final(&self, number: usize, error: &Self::Error) -> bool;

    /// Whether the same attempt may end otherwise a while later: nobody answered, but nobody said no.
    fn may_succeed_later(&self, error: &Self::Error) -> bool;

    /// Is told once of each attempt that was started.
    fn ended(&self, number: usize, ending: Ending<'_, Self::Error>, took: Duration);
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending<'e, E> {
    /// It succeeded.
    Reached,
    /// It failed.
    Failed(&'e E),
    /// It was past its patience when another one succeeded that had started later.
    Overtaken,
    /// It was given up to make room for the next.
    GivenUp,
    /// It was dropped, which says nothing about it.
    Dropped,
}

/// How a walk ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WalkEnd<T, E> {
    /// This attempt succeeded first.
    Reached(usize, T),
    /// Every attempt failed, or one failed for good: what this one says.
    Failed(usize, E),
    /// The deadline came while attempts were under way; the oldest of them.
    TooLate(usize),
    /// No attempt was left to make.
    NoneLeft,
}

/// A walk over the attempts of a plan, until one succeeds.
///
/// An attempt that fails is followed by the next at once. One that is older than its patience is
/// joined by the next; the first to succeed wins and the others are dropped. When as many run as may,
/// the oldest that is older than twice a *measured* patience makes room for one that was not tried
/// yet. Those that ended without a verdict are tried again when there is room and nothing else left.
pub(crate) struct Walk<'a, A: Attempts> {
    attempts: &'a A,
    pace: Pace,
    /// In plan order.
    left: Vec<usize>,
    /// Those that were given up or overtaken, or had no answer in time.
    again: VecDeque<usize>,
    /// Oldest first.
    running: Vec<Running<'a, A>>,
}

/// An attempt under way.
struct Running<'a, A: Attempts> {
    number: usize,
    start: Instant,
    patience: Patience,
    future: AttemptFuture<'a, A>,
}

type AttemptResult<A> = Result<<A as Attempts>::Reached, <A as Attempts>::Error>;
type AttemptFuture<'a, A> = Pin<Box<dyn Future<Output = AttemptResult<A>> + Send + 'a>>;

impl<'a, A: Attempts> Walk<'a, A> {
    pub(crate) fn new(attempts: &'a A, pace: Pace) -> Self {
        let left = (0..attempts.count()).collect();
        Self { attempts, pace, left, again: VecDeque::new(), running: Vec::new() }
    }

    pub(crate) fn attempts(&self) -> &'a A {
        self.attempts
    }

    /// Gives the walk time until `deadline`.
    pub(crate) fn extend(&mut self, deadline: Instant) {
        self.pace.deadline = deadline;
    }

    /// Whether another attempt could be made, if there is time.
    pub(crate) fn has_more(&self) -> bool {
        !self.left.is_empty() || !self.again.is_empty()
    }

    /// Walks on until an attempt succeeds or there is nothing more to do.
    ///
    /// Called again after a success, it goes on with the attempts that are left: those that were
    /// dropped in favour of the winner are among them. Dropping the future pauses the walk, dropping
    /// the walk ends it.
    pub(crate) async fn next(&mut self) -> WalkEnd<A::Reached, A::Error> {
        if self.running.is_empty() && !self.start_next() {
            return WalkEnd::NoneLeft;
        }
        loop {
            let wake = self.next_start().map_or(self.pace.deadline, |at| at.min(self.pace.deadline));
            let Ok((ended, result)) = timeout_at(wake, next_ended(&mut self.running)).await else {
                if Instant::now() >= self.pace.deadline {
                    return self.give_up_late();
                }
                if self.running.len() >= self.pace.abreast {
                    self.make_room();
                }
                self.start_next();
                continue;
            };
            let number = ended.number;
            let error = match result {
                Ok(reached) => {
                    self.tell(&ended, Ending::Reached);
                    self.drop_others(ended.start);
                    return WalkEnd::Reached(number, reached);
                }
                Err(error) => error,
            };
            self.tell(&ended, Ending::Failed(&error));
            if self.attempts.is_final(number, &error) {
                self.end();
                return WalkEnd::Failed(number, error);
            }
            if self.attempts.may_succeed_later(&error) {
                self.again.push_back(number);
            }
            if !self.start_next() && self.running.is_empty() {
                return WalkEnd::Failed(number, error);
            }
        }
    }

    /// When the next attempt starts beside those that run; none if it has to wait for one to end.
    fn next_start(&self) -> Option<Instant> {
        let youngest = self.running.last()?;
        let joined = youngest.start + youngest.patience.delay;
        if self.running.len() < self.pace.abreast {
            return self.has_more().then_some(joined);
        }
        if self.left.is_empty() {
            return None;
        }
        let room = self.running.iter().filter_map(Running::expendable_from).min()?;
        Some(joined.max(room))
    }

    /// Starts the best attempt that is left; if there is none, the first to be tried again.
    fn start_next(&mut self) -> bool {
        let number = if self.left.is_empty() {
            let Some(number) = self.again.pop_front() else { return false };
            number
        } else {
            let chosen = self.attempts.choose(&self.left);
            self.left.remove(chosen.min(self.left.len() - 1))
        };
        self.running.push(Running {
            number,
            start: Instant::now(),
            patience: self.attempts.patience(number),
            future: Box::pin(self.attempts.attempt(number)),
        });
        true
    }

    /// Gives up the oldest attempt that is expendable.
    fn make_room(&mut self) {
        let now = Instant::now();
        let expendable = |running: &Running<'_, A>| running.expendable_from().is_some_and(|from| from <= now);
        if let Some(oldest) = self.running.iter().position(expendable) {
            let given_up = self.running.remove(oldest);
            self.tell(&given_up, Ending::GivenUp);
            self.again.push_back(given_up.number);
        }
    }

    /// Ends what still runs when an attempt of this start has won.
    fn drop_others(&mut self, winner_start: Instant) {
        let now = Instant::now();
        for other in std::mem::take(&mut self.running) {
            if other.start < winner_start && now >= other.start + other.patience.delay {
                self.tell(&other, Ending::Overtaken);
                self.again.push_back(other.number);
            } else {
                self.tell(&other, Ending::Dropped);
                self.left.push(other.number);
            }
        }
        self.left.sort_unstable();
    }

    fn end(&mut self) {
        self.drop_running();
        self.left.clear();
        self.again.clear();
    }

    fn give_up_late(&mut self) -> WalkEnd<A::Reached, A::Error> {
        let oldest = self.running.first().map_or(0, |oldest| oldest.number);
        self.drop_running();
        WalkEnd::TooLate(oldest)
    }

    fn drop_running(&mut self) {
        for running in std::mem::take(&mut self.running) {
            self.tell(&running, Ending::Dropped);
        }
    }

    fn tell(&self, ended: &Running<'_, A>, ending: Ending<'_, A::Error>) {
        self.attempts.ended(ended.number, ending, ended.start.elapsed());
    }
}

impl<A: Attempts> Drop for Walk<'_, A> {
    fn drop(&mut self) {
        self.drop_running();
    }
}

impl<A: Attempts> Running<'_, A> {
    /// From when on the attempt may be given up for another one, if ever.
    fn expendable_from(&self) -> Option<Instant> {
        self.patience.measured.then(|| self.start + 2 * self.patience.delay)
    }
}

/// Waits for the first of `running` that ends, and takes it out.
async fn next_ended<'a, A: Attempts>(
    running: &mut Vec<Running<'a, A>>,
) -> (Running<'a, A>, AttemptResult<A>) {
    poll_fn(|context| {
        let ended = running.iter_mut().enumerate().find_map(|(index, running)| {
            match running.future.as_mut().poll(context) {
                Poll::Ready(result) => Some((index, result)),
                Poll::Pending => None,
            }
        });
        match ended {
            Some((index, result)) => Poll::Ready((running.remove(index), result)),
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests;
