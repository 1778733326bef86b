//! Observatories and the strategies of V2Ray that ask them → checks and limits.

use waypost_balance::LeastLoadSpec;
use waypost_config::{
    Diagnostic, Spanned,
    model::{Cost, LeastLoad, Observatory},
};
use waypost_geosite::go_regexp;
use waypost_health::{CheckId, CheckSettings, MemberId, Monitor, SamplingSettings};
use waypost_net::Tag;

use super::{failure, groups::probe_target};
use crate::pools::ProbeSettings;

/// Upper bound of one compiled expression of `costs`.
const COST_REGEXP_LIMIT_BYTES: usize = 1 << 20;

/// The check by which an observatory knows an outbound. It is shared by all balancers that ask the same.
pub(super) fn check(
    observatory: &Observatory,
    index: usize,
    member: MemberId,
    monitor: &mut Monitor,
    probes: &mut Vec<ProbeSettings>,
) -> CheckId {
    let name = format!("observatory {index}");
    let check = match &observatory.burst {
        Some(burst) => {
            let settings = SamplingSettings { interval: observatory.interval, samples: burst.sampling };
            monitor.add_sampled_check(member, &name, settings)
        }
        // One answer, or one failure, is enough.
        None => {
            let one = std::num::NonZeroU8::MIN;
            let settings = CheckSettings { interval: observatory.interval, rise: one, fall: one };
            monitor.add_check(member, &name, settings)
        }
    };
    if probes.len() <= check.index() {
        let target = |url| probe_target(url, observatory.method, &[]);
        let connectivity = observatory.burst.as_ref().and_then(|burst| burst.connectivity.as_ref());
        probes.push(ProbeSettings {
            target: target(&observatory.url),
            timeout: observatory.timeout,
            connectivity: connectivity.map(target),
        });
    }
    check
}

/// The limits of `leastLoad` for members with these tags.
pub(super) fn least_load(
    settings: &LeastLoad,
    members: &[Tag],
    problems: &mut Vec<Diagnostic>,
) -> LeastLoadSpec {
    let LeastLoad { expected, max_rtt, tolerance, baselines, costs } = settings;
    let costs: Vec<(&Cost, Option<regex::Regex>)> =
        costs.iter().filter_map(|cost| compile(cost, problems)).collect();
    LeastLoadSpec {
        expected: *expected,
        max_rtt: *max_rtt,
        tolerance: *tolerance,
        baselines: baselines.clone(),
        costs: members.iter().map(|tag| cost_of(tag, &costs)).collect(),
    }
}

fn compile<'a>(
    cost: &'a Spanned<Cost>,
    problems: &mut Vec<Diagnostic>,
) -> Option<(&'a Cost, Option<regex::Regex>)> {
    if !cost.value.regexp {
        return Some((&cost.value, None));
    }
    match go_regexp::compile(&cost.value.pattern, COST_REGEXP_LIMIT_BYTES) {
        Ok(regex) => Some((&cost.value, Some(regex))),
        Err(error) => {
            problems.push(failure(cost.span, &error));
            None
        }
    }
}

/// What the first entry that matches says: its value, or the number in what matched, or 1.
fn cost_of(tag: &Tag, costs: &[(&Cost, Option<regex::Regex>)]) -> f64 {
    let matched = costs.iter().find_map(|(cost, regex)| match regex {
        Some(regex) => regex.find(tag).map(|found| (*cost, found.as_str())),
        None => tag.contains(&*cost.pattern).then_some((*cost, &*cost.pattern)),
    });
    let Some((cost, text)) = matched else { return 1.0 };
    cost.value.or_else(|| first_number(text)).filter(|&value| value > 0.0).unwrap_or(1.0)
}

/// The first number in a text: digits, perhaps with a point and more digits.
fn first_number(text: &str) -> Option<f64> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let from = text.get(text.find(|c: char| c.is_ascii_digit())?..)?;
    let whole = digits(from);
    let end = match from.get(whole..).and_then(|rest| rest.strip_prefix('.')).map(digits) {
        Some(fraction @ 1..) => whole + 1 + fraction,
        Some(0) | None => whole,
    };
    from.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_number_of_a_text() {
        for (text, number) in [
            ("x8", Some(8.0)),
            ("x00.1", Some(0.1)),
            ("a 10.5.7", Some(10.5)),
            ("3.", Some(3.0)),
            (".25", Some(25.0)),
            ("", None),
            ("fast", None),
        ] {
            assert_eq!(first_number(text), number, "{text}");
        }
    }

    #[test]
    fn a_value_beats_the_number_in_the_text_and_one_is_the_default() {
        let cost = |pattern: &str, value| Cost { regexp: false, pattern: pattern.into(), value };
        let costs = [cost("x5", Some(0.5)), cost("x", None), cost("x9", Some(9.0))];
        let costs: Vec<_> = costs.iter().map(|cost| (cost, None)).collect();
        for (tag, expected) in [("ax5", 0.5), ("x9", 1.0), ("y", 1.0)] {
            let found = cost_of(&Tag::from(tag), &costs);
            assert!((found - expected).abs() < f64::EPSILON, "{tag}: {found}");
        }
    }
}
