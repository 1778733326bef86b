use std::{num::NonZeroU16, time::Duration};

use waypost_net::Tag;

use super::{ProbeMethod, ProbeUrl};
use crate::{Span, Spanned};

/// `observatory`, `burstObservatory`, or one of `multiObservatory.observers`: probes of outbounds in the
/// background, for the balancers that ask it.
#[derive(Debug, Clone)]
pub struct Observatory {
    /// `tag`, which only an observer of `multiObservatory` has.
    pub tag: Option<Spanned<Tag>>,
    /// `subjectSelector`: prefixes of outbound tags; never empty.
    pub subjects: Vec<Spanned<Box<str>>>,
    /// What is asked for through an outbound.
    pub url: ProbeUrl,
    /// The method of the request.
    pub method: ProbeMethod,
    /// When a probe without an answer has failed; never zero.
    pub timeout: Duration,
    /// The time between two probes of an outbound; at least 100 ms, of bursts at least 10 s and on the
    /// average.
    pub interval: Duration,
    /// What makes it a `burstObservatory`.
    pub burst: Option<Burst>,
    /// The whole object.
    pub span: Span,
}

/// What a `burstObservatory` has besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burst {
    /// `sampling`: how many probes fall into a period, which is as many intervals long.
    pub sampling: NonZeroU16,
    /// `connectivity`: what is asked for directly after a probe failed; if that fails too, the probe
    /// does not count.
    pub connectivity: Option<ProbeUrl>,
}

impl Observatory {
    /// Whether it probes an outbound.
    #[must_use]
    pub fn watches(&self, outbound: &str) -> bool {
        self.subjects.iter().any(|prefix| outbound.starts_with(&*prefix.value))
    }
}

/// `leastLoad` with its settings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeastLoad {
    /// `expected`: how many outbounds are wanted; 0 if the file does not say.
    pub expected: usize,
    /// `maxRTT`: the time that no probe may take on the average; `None` for no limit.
    pub max_rtt: Option<Duration>,
    /// `tolerance`: the share of probes that may fail, from 0 to 1; 0 for no limit.
    pub tolerance: f64,
    /// `baselines`: steps of the deviation of probe times; none of them is zero.
    pub baselines: Vec<Duration>,
    /// `costs`: the first whose text is in the tag of an outbound decides.
    pub costs: Vec<Spanned<Cost>>,
}

/// One of `costs`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Whether `pattern` is a regular expression in Go's syntax and not a substring.
    pub regexp: bool,
    /// `match`.
    pub pattern: Box<str>,
    /// `value`, above zero; `None` for the number in what matched.
    pub value: Option<f64>,
}
