//! `urltest`: a group that uses the fastest of its members.

use std::time::Duration;

use waypost_net::Tag;

use super::{
    load_balance::{dial, probe},
    members,
};
use crate::{
    Spanned,
    json::Kind,
    keys::{Form, Key, KeyTable},
    model::UrlTest,
    names::{Group, GroupKind, Names},
    object::Object,
    report::Report,
};

const TOLERANCE: Duration = Duration::from_millis(50);

pub(crate) static SETTINGS: KeyTable = KeyTable {
    name: "UrlTestSettings",
    path: "the settings of a `urltest` outbound",
    doc: "Settings of an outbound with the protocol `urltest`: a group that uses the fastest of its members, and the others when that fails.",
    keys: &KEYS,
};

/// The keys of a `urltest` outbound.
pub(crate) const KEYS: [Key; 9] = [
    Key::new("outbounds", Form::Strings, "The tags of the members; at least one."),
    Key::new(
        "url",
        Form::Text,
        "What probes ask for through a member; the default is `https://www.gstatic.com/generate_204`.",
    ),
    Key::new(
        "interval",
        Form::Duration,
        "The time between two probes of a member, a duration; the default is `3m`.",
    ),
    Key::new(
        "tolerance",
        Form::OneOf(&[Form::Count { least: 0, most: 65_535 }, Form::Duration]),
        "How much faster a member has to be to replace the one that is used: milliseconds as a number, or a duration; the default is 50, also for 0.",
    ),
    Key::new(
        "idle_timeout",
        Form::Duration,
        "How long probes go on after the last connection of the group, a duration; the default is `30m`.",
    ),
    Key::new(
        "interrupt_exist_connections",
        Form::Flag,
        "Whether connections of clients end when another member is used; the default is `false`.",
    ),
    Key::new(
        "timeout",
        Form::Duration,
        "The time after which a probe has failed, a duration; the default is `5s`.",
    ),
    Key::new("probe", Form::Object("Probe"), "How members are probed."),
    Key::new("dial", Form::Object("Dial"), "How members are tried for one connection."),
];

/// Reads a `urltest` outbound from the object that has its keys.
pub(crate) fn read(
    settings: &Object<'_>,
    tag: Option<&Spanned<Tag>>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<UrlTest> {
    let members = members::read_required(settings, "urltest", "outbounds", report);
    names.groups.push(Group {
        tag: tag.map(|tag| tag.value.clone()),
        kind: GroupKind::UrlTest,
        members: members.clone(),
    });
    let probe = probe::read(settings, report);
    let tolerance = read_tolerance(settings, report).filter(|tolerance| !tolerance.is_zero());
    let interrupt = settings.flag("interrupt_exist_connections", report);
    let dial = dial::read(settings, report);
    let group = UrlTest {
        members,
        probe: probe?,
        tolerance: tolerance.unwrap_or(TOLERANCE),
        interrupt_exist_connections: interrupt.is_some_and(|interrupt| interrupt.value),
        dial,
    };
    (!group.members.is_empty()).then_some(group)
}

fn read_tolerance(settings: &Object<'_>, report: &mut Report<'_>) -> Option<Duration> {
    let field = settings.get("tolerance")?;
    if let Kind::Number(_) = field.value.kind {
        return field.count(0..=u16::MAX, report).map(|millis| Duration::from_millis(millis.into()));
    }
    field.duration(report)
}
