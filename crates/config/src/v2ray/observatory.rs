use std::{num::NonZeroU16, time::Duration};

use waypost_net::Tag;

use super::names::Names;
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{Burst, Observatory, ProbeMethod, ProbeUrl},
    object::{Object, choose},
    probe_url,
    report::{Report, quote},
};

pub(super) static OBSERVATORY: KeyTable = KeyTable {
    name: "Observatory",
    path: "observatory",
    doc: "Probes outbounds in the background, each on its own: one answer means that an outbound works, one failure that it does not. Only outbounds of balancers that ask the observatory are probed.",
    keys: &[
        SUBJECTS,
        Key::new(
            "probeURL",
            Form::Text,
            "What is asked for through an outbound, by `GET`; the default is `https://www.google.com/generate_204`. Any status is good.",
        ),
        Key::new(
            "probeInterval",
            Form::Duration,
            "The time between two probes of an outbound, a duration; the default is `10s`, also for `0s`.",
        ),
        Key::new(
            "enableConcurrency",
            Form::Flag,
            "Whether outbounds are probed side by side, which they always are.",
        ),
    ],
};

pub(super) static BURST: KeyTable = KeyTable {
    name: "BurstObservatory",
    path: "burstObservatory",
    doc: "Probes outbounds at random moments, and knows how much the times differ.",
    keys: &[SUBJECTS, Key::new("pingConfig", Form::Object("PingConfig"), "How outbounds are probed.")],
};

const SUBJECTS: Key =
    Key::new("subjectSelector", Form::Strings, "How the tags of the outbounds that are probed begin.");

pub(super) static PING_CONFIG: KeyTable = KeyTable {
    name: "PingConfig",
    path: "burstObservatory.pingConfig",
    doc: "How outbounds are probed in bursts.",
    keys: &[
        Key::new(
            "destination",
            Form::Text,
            "What is asked for through an outbound; the default is `https://connectivitycheck.gstatic.com/generate_204`. Any status is good.",
        ),
        Key::new(
            "connectivity",
            Form::Text,
            "What is asked for directly when a probe failed; if that fails as well, the probe does not count.",
        ),
        Key::new(
            "interval",
            Form::Duration,
            "The mean time between two probes of an outbound, a duration of at least `10s`; the default is `1m`.",
        ),
        Key::new(
            "sampling",
            Form::up_to(1000),
            "How many probes a period has, which is as many intervals long, and how many count, from 1 to 1000; the default is 10.",
        ),
        Key::new("timeout", Form::Duration, "When a probe has failed, a duration; the default is `5s`."),
        Key::new("httpMethod", Form::Word(&["HEAD", "GET"]), "The method; the default is `HEAD`."),
    ],
};

pub(super) static MULTI: KeyTable = KeyTable {
    name: "MultiObservatory",
    path: "multiObservatory",
    doc: "Several observatories, of which a balancer names one by `observerTag`.",
    keys: &[Key::new("observers", Form::Objects("Observer"), "The observatories.")],
};

pub(super) static OBSERVER: KeyTable = KeyTable {
    name: "Observer",
    path: "multiObservatory.observers[]",
    doc: "One of several observatories.",
    keys: &[
        Key::new(
            "type",
            Form::Word(&["default", "burst"]),
            "Like `observatory`, or like `burstObservatory`.",
        ),
        Key::new("tag", Form::Text, "The name for `observerTag`."),
        Key::new(
            "settings",
            Form::ByNeighbour {
                key: "type",
                tables: &[("default", "Observatory"), ("burst", "BurstObservatory")],
            },
            "The keys of [`observatory`](#observatory), or those of [`burstObservatory`](#burstobservatory).",
        ),
    ],
};

const URL: &str = "https://www.google.com/generate_204";
const BURST_URL: &str = "https://connectivitycheck.gstatic.com/generate_204";
const INTERVAL: Duration = Duration::from_secs(10);
const BURST_INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(5);
const SAMPLING: NonZeroU16 = NonZeroU16::MIN.saturating_add(9);
/// Each is remembered for each outbound.
const MAX_SAMPLING: u16 = 1000;
/// More probes than that would be a load of their own.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);
/// Xray raises what is less.
const LEAST_BURST_INTERVAL: Duration = Duration::from_secs(10);

/// Reads all observatories of a file. They are there even if something in them is wrong, so that a
/// mistake is not reported again where a balancer asks one.
pub(super) fn read_all(file: &Object<'_>, names: &mut Names, report: &mut Report<'_>) {
    for (key, table) in [("observatory", &OBSERVATORY), ("burstObservatory", &BURST)] {
        let Some(object) = file.object(key, table, report) else { continue };
        add(read(&object, None, names, report), names, report);
    }
    let Some(multi) = file.object("multiObservatory", &MULTI, report) else { return };
    let observers = multi.items("observers", report);
    if observers.is_empty() {
        report.warning(brace(&multi), "there is no observatory in `observers`");
    }
    for value in observers {
        if let Some(observatory) = read_observer(value, names, report) {
            add(observatory, names, report);
        }
    }
}

fn read_observer(value: &Value, names: &mut Names, report: &mut Report<'_>) -> Option<Observatory> {
    let observer = Object::read(value, "observers[]", &OBSERVER, report)?;
    let tag = observer.text("tag", report).filter(|tag| !tag.value.is_empty());
    let tag = tag.map(|tag| Spanned::new(Tag::from(tag.value), tag.span));
    let Some(kind) = observer.text("type", report) else {
        if !observer.has("type") {
            report
                .error(brace(&observer), "an observer needs a `type`")
                .help("there are `default` and `burst`");
        }
        return None;
    };
    let table = choose("type", kind, &[("default", &OBSERVATORY), ("burst", &BURST)], report)?;
    let Some(settings) = observer.object("settings", table, report) else {
        if !observer.has("settings") {
            report.error(brace(&observer), "an observer needs `settings`").help("with a `subjectSelector`");
        }
        return None;
    };
    let observatory = read(&settings, tag, names, report);
    Some(Observatory { span: observer.span, ..observatory })
}

fn add(observatory: Observatory, names: &mut Names, report: &mut Report<'_>) {
    let tag = |observatory: &Observatory| observatory.tag.as_ref().map(|tag| tag.value.clone());
    let same = names.observatories.iter().find(|earlier| tag(earlier) == tag(&observatory));
    if let Some(earlier) = same {
        let line = report.line(earlier.span);
        let (span, message, help) = match &observatory.tag {
            Some(tag) => {
                let message =
                    format!("the observatory on line {line} has the tag {} already", quote(&tag.value));
                (tag.span, message, "give each its own tag")
            }
            None => {
                let message = format!(
                    "this observatory has no tag, and neither has that on line {line}, so balancers cannot tell them apart"
                );
                (
                    first(observatory.span),
                    message,
                    "remove one, or move it to `multiObservatory` and give it a `tag`",
                )
            }
        };
        report.error(span, message).help(help);
        return;
    }
    names.observatories.push(observatory);
}

/// Reads an `observatory` or a `burstObservatory`, which its table tells.
fn read(
    object: &Object<'_>,
    tag: Option<Spanned<Tag>>,
    names: &Names,
    report: &mut Report<'_>,
) -> Observatory {
    let subjects = read_subjects(object, names, report);
    let common = Observatory {
        tag,
        subjects,
        url: default_url(),
        method: ProbeMethod::Get,
        timeout: TIMEOUT,
        interval: INTERVAL,
        burst: None,
        span: object.span,
    };
    if object.is_of(&BURST) { read_burst(object, common, report) } else { read_plain(object, common, report) }
}

fn read_plain(object: &Object<'_>, common: Observatory, report: &mut Report<'_>) -> Observatory {
    object.flag("enableConcurrency", report);
    let url = read_url(object, "probeURL", Some(URL), report);
    let interval = object.duration("probeInterval", report).filter(|interval| !interval.is_zero());
    let interval = interval.unwrap_or(INTERVAL);
    if let Some(field) = object.get("probeInterval")
        && interval < LEAST_INTERVAL
    {
        let message = format!("an interval of {interval:?} is too short, probes would flood the outbounds");
        report.error(field.value.span, message).help("the shortest is `100ms`, the default `10s`");
    }
    Observatory { url: url.unwrap_or(common.url), interval, ..common }
}

fn read_burst(object: &Object<'_>, common: Observatory, report: &mut Report<'_>) -> Observatory {
    let burst = Burst { sampling: SAMPLING, connectivity: None };
    let common =
        Observatory { method: ProbeMethod::Head, interval: BURST_INTERVAL, burst: Some(burst), ..common };
    // Without it all defaults hold, as if it were empty.
    let empty = Value { kind: crate::json::Kind::Object(Vec::new()), span: object.span };
    let value = object.get("pingConfig").map_or(&empty, |field| field.value);
    let Some(ping) = Object::read(value, "pingConfig", &PING_CONFIG, report) else { return common };
    let url = read_url(&ping, "destination", Some(BURST_URL), report);
    let connectivity = read_url(&ping, "connectivity", None, report);
    let methods = [("head", ProbeMethod::Head), ("get", ProbeMethod::Get)];
    let method = ping.text("httpMethod", report).filter(|method| !method.value.is_empty());
    let method = method.and_then(|method| choose("httpMethod", method, &methods, report));
    let sampling = ping.get("sampling").filter(|field| !field.value.is_off());
    let sampling = sampling.and_then(|field| field.count(1..=MAX_SAMPLING, report));
    let mut positive = |name| ping.duration(name, report).filter(|duration: &Duration| !duration.is_zero());
    let (interval, timeout) = (positive("interval"), positive("timeout"));
    let interval = interval.unwrap_or(BURST_INTERVAL);
    if let Some(field) = ping.get("interval")
        && interval < LEAST_BURST_INTERVAL
    {
        let message = format!("an interval of {interval:?} is raised to 10s, as in Xray");
        report
            .warning(field.value.span, message)
            .help("write `10s`, or use `observatory` for more frequent probes");
    }
    Observatory {
        url: url.unwrap_or(common.url),
        method: method.unwrap_or(common.method),
        timeout: timeout.unwrap_or(TIMEOUT),
        interval: interval.max(LEAST_BURST_INTERVAL),
        burst: Some(Burst { sampling: sampling.and_then(NonZeroU16::new).unwrap_or(SAMPLING), connectivity }),
        ..common
    }
}

fn read_subjects(object: &Object<'_>, names: &Names, report: &mut Report<'_>) -> Vec<Spanned<Box<str>>> {
    let subjects = object.strings("subjectSelector", report);
    if subjects.is_none() && object.get("subjectSelector").is_none_or(|field| field.value.is_off()) {
        report
            .error(brace(object), "an observatory needs a `subjectSelector`")
            .help("write how the tags of the outbounds begin that are to be probed");
    }
    for prefix in subjects.iter().flatten() {
        if names.outbounds.with_prefix(prefix.value).next().is_none() {
            let message = format!("no outbound has a tag that begins with {}", quote(prefix.value));
            report.warning(prefix.span, message);
            names.outbounds.suggest(prefix.value, "outbound", report);
        }
    }
    let boxed = |prefix: Spanned<&str>| Spanned::new(prefix.value.into(), prefix.span);
    subjects.into_iter().flatten().map(boxed).collect()
}

fn read_url(
    object: &Object<'_>,
    name: &str,
    default: Option<&str>,
    report: &mut Report<'_>,
) -> Option<ProbeUrl> {
    let written = object.text(name, report).filter(|url| !url.value.is_empty());
    let (text, span) = match (written, default) {
        (Some(url), _) => (url.value, url.span),
        (None, Some(default)) => (default, object.span),
        (None, None) => return None,
    };
    probe_url::read(text, span, report)
}

/// What stands for a URL that cannot be read; the file is refused then.
fn default_url() -> ProbeUrl {
    let target = waypost_net::Target::new(waypost_net::Host::Ip(std::net::Ipv4Addr::LOCALHOST.into()), 80);
    ProbeUrl { https: false, target, path: "/".into(), text: "".into() }
}

fn brace(object: &Object<'_>) -> Span {
    first(object.span)
}

fn first(span: Span) -> Span {
    Span { start: span.start, end: span.start + 1 }
}
