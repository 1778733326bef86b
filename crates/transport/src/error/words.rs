//! What errors say, in words.

use std::{fmt, time::Duration};

use crate::Pin;

/// Names, as a list in words.
pub(super) struct Names<'a>(pub(super) &'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A certificate of a large site has hundreds.
        const MAX_NAMES: usize = 5;
        let Self(names) = self;
        if names.is_empty() {
            return f.write_str("no name at all");
        }
        for (index, name) in names.iter().take(MAX_NAMES).enumerate() {
            let name = plain_name(name);
            write!(f, "{}`{name}`", if index == 0 { "" } else { ", " })?;
        }
        match names.len().saturating_sub(MAX_NAMES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// rustls writes the names of a certificate as `DnsName("a.example")`.
fn plain_name(name: &str) -> &str {
    name.split_once("(\"").and_then(|(_kind, rest)| rest.strip_suffix("\")")).unwrap_or(name)
}

pub(super) struct Pins<'a>(pub(super) &'a [Pin]);

impl fmt::Display for Pins<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pin) in self.0.iter().enumerate() {
            write!(f, "{}{pin}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// What a peer says, if it says something.
pub(super) struct Reason<'a>(pub(super) &'a str);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0.escape_debug()) }
    }
}

pub(super) fn ago(since: Option<Duration>) -> String {
    since.map_or_else(String::new, |since| format!(" {} ago", Span(since)))
}

pub(super) fn before(until: Option<Duration>) -> String {
    until.map_or_else(String::new, |until| format!(", but in {}", Span(until)))
}

/// A time in its largest unit.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (amount, unit) = match seconds {
            0..120 => (seconds, "seconds"),
            120..7_200 => (seconds / 60, "minutes"),
            7_200..172_800 => (seconds / 3_600, "hours"),
            172_800.. => (seconds / 86_400, "days"),
        };
        write!(f, "{amount} {unit}")
    }
}

pub(super) fn status_hint(status: u16) -> &'static str {
    match status {
        400 => " (are path and host right?)",
        401 | 403 => " (is the host right?)",
        404 => " (is the path right?)",
        502..=504 => " (the server behind it does not answer)",
        _ => "",
    }
}

pub(super) fn grpc_hint(status: u16) -> &'static str {
    match status {
        404 => " (is the service name right?)",
        502..=504 => " (the server behind it does not answer)",
        _ => "",
    }
}

/// The names of `google.rpc.Code` that a proxy sees.
pub(super) fn grpc_status_name(code: u32) -> &'static str {
    match code {
        1 => " (cancelled)",
        4 => " (deadline exceeded)",
        7 => " (permission denied)",
        8 => " (resource exhausted)",
        12 => " (unimplemented: is the service name right?)",
        13 => " (internal)",
        14 => " (unavailable)",
        16 => " (unauthenticated)",
        _ => "",
    }
}
