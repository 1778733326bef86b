use std::{fmt, sync::Arc};

/// What the peers' clocks may differ by in seconds (SIP022 §3.1.3).
const MAX_DIFFERENCE: u64 = 30;

/// Tells the time of the day in seconds since 1970.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    #[must_use]
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> u64 {
        (self.0)()
    }

    /// Says how many seconds `time` is ahead if that is too much, before or after.
    pub(crate) fn check(&self, time: u64) -> Result<(), i64> {
        let now = self.now();
        if now.abs_diff(time) <= MAX_DIFFERENCE {
            return Ok(());
        }
        let seconds = i64::try_from(now.abs_diff(time)).unwrap_or(i64::MAX);
        Err(if time > now { seconds } else { -seconds })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[clock]")
    }
}
