use std::{num::NonZeroU8, time::Duration};

use super::keys;
use crate::{
    Span, Spanned,
    json::{Kind, Number, part_of},
    model::{Probe, ProbeMethod, ProbeUrl},
    object::{Field, Object, choose},
    probe_url,
    report::{Report, quote},
};

const URL: &str = "https://www.gstatic.com/generate_204";
const INTERVAL: Duration = Duration::from_secs(180);
const TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(1800);
const RISE: NonZeroU8 = NonZeroU8::MIN;
const FALL: NonZeroU8 = NonZeroU8::MIN.saturating_add(1);

/// More probes than that would be a load of their own.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

/// As many as mihomo takes.
const MAX_STATUS_RANGES: usize = 28;

/// The codes that an HTTP response can have (RFC 9110 §15).
const FIRST_STATUS: u16 = 100;
const LAST_STATUS: u16 = 599;

pub(in crate::groups) fn read(settings: &Object<'_>, report: &mut Report<'_>) -> Option<Probe> {
    let (interval, idle_timeout) = read_intervals(settings, report);
    let timeout = settings.duration("timeout", report);
    if let Some(field) = settings.get("timeout")
        && timeout == Some(Duration::ZERO)
    {
        report
            .error(field.value.span, "no probe succeeds with a `timeout` of zero")
            .help("the default is `5s`");
    }
    let url = read_url(settings, report);
    let object = settings.object("probe", &keys::PROBE, report);
    let methods = [("head", ProbeMethod::Head), ("get", ProbeMethod::Get)];
    let method = object.as_ref().and_then(|object| object.text("method", report));
    let method = method.filter(|method| !method.value.is_empty());
    let method = method.and_then(|method| choose("method", method, &methods, report));
    let status = object.as_ref().and_then(|object| object.get("expected_status"));
    let expected_status = status.map(|field| read_status(field, report)).unwrap_or_default();
    let mut count = |name, default| {
        let count = object.as_ref().and_then(|object| object.count(name, 1..=u8::MAX, report));
        count.and_then(NonZeroU8::new).unwrap_or(default)
    };
    let (rise, fall) = (count("rise", RISE), count("fall", FALL));
    Some(Probe {
        url: url?,
        interval,
        timeout: timeout.unwrap_or(TIMEOUT),
        idle_timeout,
        method: method.unwrap_or_default(),
        expected_status,
        rise,
        fall,
    })
}

fn read_intervals(settings: &Object<'_>, report: &mut Report<'_>) -> (Duration, Duration) {
    let errors = report.n_errors();
    let written = settings.duration("interval", report);
    let written_idle = settings.duration("idle_timeout", report);
    let (interval, idle) = (written.unwrap_or(INTERVAL), written_idle.unwrap_or(IDLE_TIMEOUT));
    let span = |name| settings.get(name).map_or(settings.span, |field| field.value.span);
    if report.n_errors() > errors {
        return (interval, idle);
    }
    if interval < LEAST_INTERVAL {
        report
            .error(
                span("interval"),
                format!("an interval of {interval:?} is too short, probes would flood the members"),
            )
            .help("the shortest is `100ms`, the default `3m`");
    } else if interval > idle {
        let defaulted = |written: Option<Duration>| if written.is_none() { " (the default)" } else { "" };
        let message = format!(
            "`interval` is {interval:?}{}, which is longer than `idle_timeout`, {idle:?}{}",
            defaulted(written),
            defaulted(written_idle),
        );
        let place = if written.is_some() { "interval" } else { "idle_timeout" };
        report.error(span(place), message).help("a group that is used has to be probed before it is idle");
    }
    (interval, idle)
}

fn read_url(settings: &Object<'_>, report: &mut Report<'_>) -> Option<ProbeUrl> {
    let written = settings.text("url", report).filter(|url| !url.value.is_empty());
    let (text, span) = written.map_or((URL, settings.span), |url| (url.value, url.span));
    probe_url::read(text, span, report)
}

/// Reads status codes and ranges between `/` or commas; none means that any code is good.
fn read_status(field: Field<'_>, report: &mut Report<'_>) -> Vec<(u16, u16)> {
    if let Kind::Number(Number::Unsigned(_)) = field.value.kind {
        let code = field.count(FIRST_STATUS..=LAST_STATUS, report);
        return code.map(|code| (code, code)).into_iter().collect();
    }
    let Some(written) = field.text(report) else { return Vec::new() };
    if matches!(written.value.trim(), "" | "*") {
        return Vec::new();
    }
    let parts = parts(written);
    if parts.len() > MAX_STATUS_RANGES {
        let message = format!("{} ranges of status codes, at most {MAX_STATUS_RANGES} are read", parts.len());
        report.error(field.value.span, message).help("write them as fewer, longer ranges");
        return Vec::new();
    }
    parts.into_iter().filter_map(|part| read_range(part, report)).collect()
}

fn parts(written: Spanned<&str>) -> Vec<Spanned<&str>> {
    let mut start = 0;
    let mut parts = Vec::new();
    for part in written.value.split(['/', ',']) {
        let end = start + part.len();
        let span: Span = part_of(written.value, written.span, start..end);
        parts.push(Spanned::new(part, span));
        start = end + 1;
    }
    parts
}

fn read_range(part: Spanned<&str>, report: &mut Report<'_>) -> Option<(u16, u16)> {
    let code = |text: &str| {
        let text = text.trim();
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|code| digits && (FIRST_STATUS..=LAST_STATUS).contains(code))
    };
    let (first, last) = part.value.split_once('-').unwrap_or((part.value, part.value));
    let (message, help) = match (code(first), code(last)) {
        (Some(first), Some(last)) if first <= last => return Some((first, last)),
        (Some(first), Some(last)) => ("this range ends before it begins", format!("write `{last}-{first}`")),
        _ => (
            "not a status code or a range of them",
            format!("expected codes from {FIRST_STATUS} to {LAST_STATUS}, such as `204` or `200-299/304`"),
        ),
    };
    report.error(part.span, format!("{message}: {}", quote(part.value))).help(help);
    None
}
