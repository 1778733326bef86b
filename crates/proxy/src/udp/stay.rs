use std::time::Duration;

use tokio::time::Instant;

/// How long an answer may take before a member that is ejected is held to be silent.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a session has seen of its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tie {
    /// When the last datagram came back.
    pub(super) last_reply: Option<Instant>,
    /// When the first datagram was sent after there was a verdict against the member.
    condemned: Option<Instant>,
}

impl Tie {
    /// Says whether the session leaves its member, now that it has a datagram to send. It does when the
    /// member no longer `stands`, being ejected or down, and of what was sent since nothing has been answered.
    pub(super) fn breaks(&mut self, stands: bool, now: Instant) -> bool {
        if stands {
            self.condemned = None;
            return false;
        }
        let since = *self.condemned.get_or_insert(now);
        if self.last_reply.is_some_and(|reply| reply >= since) {
            // It answers, whatever else is said of it. The next silence counts from here.
            self.condemned = Some(now);
            return false;
        }
        now >= since + PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use waypost_health::{Cause, State};

    use super::*;

    const EJECTED: State = State::Down;

    /// A session at the times of what happens to it, in milliseconds.
    struct Session {
        start: Instant,
        tie: Tie,
    }

    impl Session {
        fn new() -> Self {
            Self { start: Instant::now(), tie: Tie::default() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn sends(&mut self, millis: u64, state: State) -> bool {
            let now = self.at(millis);
            self.tie.breaks(state.stands(), now)
        }

        fn is_answered(&mut self, millis: u64) {
            self.tie.last_reply = Some(self.at(millis));
        }
    }

    #[test]
    fn a_session_stays_while_there_is_no_verdict() {
        let mut session = Session::new();
        for (millis, state) in [
            (0, State::Unknown),
            (5_000, State::Up),
            (60_000, State::Suspect(Cause::Silent)),
            (90_000, State::Up),
        ] {
            assert!(!session.sends(millis, state));
        }
    }

    #[test]
    fn a_session_without_an_answer_leaves_a_member_that_is_ejected() {
        let mut session = Session::new();
        session.is_answered(0);
        let ejected = State::Ejected { until: session.at(30_000).into_std(), cause: Cause::Dial };
        assert!(!session.sends(1_000, ejected));
        assert!(!session.sends(1_900, ejected));
        assert!(session.sends(2_000, ejected));
    }

    #[test]
    fn a_session_that_is_answered_stays_whatever_is_said_of_the_member() {
        let mut session = Session::new();
        for second in 0..100 {
            assert!(!session.sends(second * 1_000, EJECTED), "{second}");
            session.is_answered(second * 1_000 + 20);
        }
        assert!(!session.sends(100_000, EJECTED));
        assert!(session.sends(101_000, EJECTED));
    }

    #[test]
    fn a_member_that_returned_is_given_time_again() {
        let mut session = Session::new();
        assert!(!session.sends(0, EJECTED));
        assert!(!session.sends(500, State::Up));
        assert!(!session.sends(1_500, EJECTED));
        assert!(session.sends(2_500, EJECTED));
    }
}
