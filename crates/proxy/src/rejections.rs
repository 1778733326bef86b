//! Connections that a rule rejects, and how much is done for them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use waypost_router::{Reject, RejectMethod};
use waypost_wire::DialFailure;

use crate::ClientStream;

/// So many rejections by one rule within [`WINDOW`] are answered, as with sing-box; the others are dropped.
const MAX_ANSWERED: usize = 50;
const WINDOW: Duration = Duration::from_secs(30);
/// How long a client that is dropped is left waiting, if it does not go before.
const SILENCE: Duration = Duration::from_secs(30);
/// Clients that are left waiting at a time. What comes on top is closed at once.
const MAX_WAITING: usize = 256;
/// Rules whose rejections are counted. A file has fewer.
const MAX_RULES: usize = 4096;

/// What is remembered of rejections. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Rejections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// When each rule has rejected last, the newest last.
    recent: Mutex<BTreeMap<Arc<str>, VecDeque<Instant>>>,
    waiting: Semaphore,
}

impl Default for Rejections {
    fn default() -> Self {
        Self(Arc::new(Shared { recent: Mutex::default(), waiting: Semaphore::new(MAX_WAITING) }))
    }
}

impl Rejections {
    /// What a client gets to know that this rule rejects at this moment.
    pub(crate) fn method(&self, rule: &Arc<str>, reject: Reject, now: Instant) -> RejectMethod {
        match reject.method {
            RejectMethod::Drop => RejectMethod::Drop,
            RejectMethod::Default if reject.no_drop || !self.is_too_frequent(rule, now) => {
                RejectMethod::Default
            }
            RejectMethod::Default => RejectMethod::Drop,
        }
    }

    fn is_too_frequent(&self, rule: &Arc<str>, now: Instant) -> bool {
        let mut recent = self.0.recent.lock();
        if recent.len() >= MAX_RULES {
            recent.clear();
        }
        let times = recent.entry(rule.clone()).or_default();
        times.push_back(now);
        // One more than may be answered is enough to know.
        while times.len() > MAX_ANSWERED + 1 || times.front().is_some_and(|first| now >= *first + WINDOW) {
            times.pop_front();
        }
        times.len() > MAX_ANSWERED
    }

    /// Ends the connection of a client that was rejected.
    pub(crate) async fn end(&self, mut client: ClientStream, method: RejectMethod) {
        match method {
            RejectMethod::Default => client.answer_failure(DialFailure::NotAllowed).await,
            RejectMethod::Drop => {
                if let Ok(_permit) = self.0.waiting.try_acquire() {
                    // Whether it goes or not, it is told nothing.
                    let _gone = timeout(SILENCE, client.gone()).await;
                }
                client.close_silently();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERED: Reject = Reject { method: RejectMethod::Default, no_drop: false };

    fn methods(rejections: &Rejections, rule: &str, n: usize, now: Instant) -> Vec<RejectMethod> {
        let rule = Arc::from(rule);
        (0..n).map(|_| rejections.method(&rule, ANSWERED, now)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_fifty_in_half_a_minute_are_dropped() {
        let (rejections, begin) = (Rejections::default(), Instant::now());
        assert_eq!(methods(&rejections, "a", 50, begin), [RejectMethod::Default; 50]);
        assert_eq!(methods(&rejections, "a", 3, begin + WINDOW / 2), [RejectMethod::Drop; 3]);
        assert_eq!(methods(&rejections, "b", 1, begin), [RejectMethod::Default], "each rule for itself");
        assert_eq!(methods(&rejections, "a", 1, begin + WINDOW), [RejectMethod::Default]);
        let rule = Arc::from("a");
        let never = Reject { no_drop: true, ..ANSWERED };
        assert_eq!(rejections.method(&rule, never, begin + WINDOW), RejectMethod::Default);
        let always = Reject { method: RejectMethod::Drop, no_drop: false };
        assert_eq!(rejections.method(&Arc::from("c"), always, begin), RejectMethod::Drop);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let (rejections, begin) = (Rejections::default(), Instant::now());
        methods(&rejections, "a", 10_000, begin);
        assert!(rejections.0.recent.lock().values().all(|times| times.len() <= MAX_ANSWERED + 1));
        for number in 0..2 * MAX_RULES {
            methods(&rejections, &number.to_string(), 1, begin);
        }
        assert!(rejections.0.recent.lock().len() <= MAX_RULES);
    }
}
