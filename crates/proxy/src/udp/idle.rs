use std::time::Duration;

/// How long a session to a port may be idle, where the inbound gives `longest`: five minutes unless its
/// policy says otherwise, which is what RFC 4787 §4.3 recommends. It allows less for well-known ports,
/// and the figures are those of sing-box: a question that has no answer after ten seconds gets none, and
/// browsers give up a QUIC connection that is idle for thirty.
pub(super) fn idle_limit(port: u16, longest: Duration) -> Duration {
    let limit = Duration::from_secs(match port {
        // DNS, NTP, STUN.
        53 | 123 | 3478 => 10,
        // QUIC, STUN over DTLS, STUN as Google and many others serve it.
        443 | 5349 | 19302 => 30,
        _ => return longest,
    });
    limit.min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_quic_end_sooner_than_what_nobody_knows() {
        let seconds = |port| idle_limit(port, Duration::from_secs(300)).as_secs();
        assert_eq!([53, 123, 3478, 443, 5349, 19302].map(seconds), [10, 10, 10, 30, 30, 30]);
        assert_eq!([51820, 1194, 0].map(seconds), [300, 300, 300]);
        let short = Duration::from_secs(15);
        assert_eq!([53, 443, 51820].map(|port| idle_limit(port, short).as_secs()), [10, 15, 15]);
    }
}
