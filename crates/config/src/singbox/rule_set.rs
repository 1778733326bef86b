use std::time::Duration;

use waypost_geodata::rule_set::{NEWEST_VERSION, RuleSet as Rules};

use super::{http_client::HttpClients, names::Names};
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{RuleSet, RuleSetFormat, RuleSetSource},
    object::{Object, choose},
    probe_url,
    report::{Report, one_of},
    rule_set::read_rules,
};

/// An element of `route.rule_set`.
pub(super) const FORM: Form = Form::ByType {
    key: "type",
    default: Some("inline"),
    tables: &[("inline", "InlineRuleSet"), ("local", "LocalRuleSet"), ("remote", "RemoteRuleSet")],
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A server that is asked more often is asked for nothing new.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(60);

const TAG: Key = Key::new("tag", Form::Text, "The name for `rule_set` conditions.");
const FORMAT: Key = Key::new(
    "format",
    Form::Word(&["", "source", "binary"]),
    "`source` is JSON, `binary` is compiled; the ending `.json` or `.srs` says it too.",
);

pub(super) static INLINE: KeyTable = KeyTable {
    name: "InlineRuleSet",
    path: "rule_set[] with the type `inline`",
    doc: "A set whose rules stand here.",
    keys: &[
        Key::new("type", Form::Word(&["", "inline"]), "Where the rules come from; `inline` without it."),
        TAG,
        Key::new("rules", Form::Objects("HeadlessRule"), "The rules, of which one has to match."),
    ],
};

pub(super) static LOCAL: KeyTable = KeyTable {
    name: "LocalRuleSet",
    path: "rule_set[] with the type `local`",
    doc: "A set in a file, which is read again when it changes.",
    keys: &[
        Key::new("type", Form::Word(&["local"]), "Where the rules come from."),
        TAG,
        FORMAT,
        Key::new("path", Form::Text, "The file, from the folder of the configuration file."),
    ],
};

pub(super) static REMOTE: KeyTable = KeyTable {
    name: "RemoteRuleSet",
    path: "rule_set[] with the type `remote`",
    doc: "A set that is fetched, kept on disk, and asked for again.",
    keys: &[
        Key::new("type", Form::Word(&["remote"]), "Where the rules come from."),
        TAG,
        FORMAT,
        Key::new("url", Form::Text, "Where it is fetched from, by `http` or `https`."),
        Key::new(
            "http_client",
            Form::OneOf(&[Form::Text, Form::Object("HttpClient")]),
            "What it is fetched with, by its tag; the rules decide without it.",
        ),
        Key::new("download_detour", Form::Text, "Old form: the outbound that it is fetched through."),
        Key::new("update_interval", Form::Duration, "How often it is asked for; `1d` without it."),
        Key::new(
            "critical",
            Form::Flag,
            "Whether nothing starts without the set or a copy of it; otherwise it is empty until it is there.",
        ),
    ],
};

#[derive(Clone, Copy)]
enum Kind {
    Inline,
    Local,
    Remote,
}

pub(super) fn read(
    value: &Value,
    clients: &HttpClients,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<RuleSet> {
    let kind = read_kind(value, report);
    let Some((kind, table)) = kind else {
        names.rule_sets.declare_unread(value);
        return None;
    };
    let object = Object::read(value, "rule_set[]", table, report)?;
    let tag = names.rule_sets.declare(&object, "rule set", report);
    if tag.is_none() {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report.error(brace, "a rule set needs a `tag`").help("rules refer to it by its tag");
    }
    let source = match kind {
        Kind::Inline => Some(read_inline(&object, report)),
        Kind::Local => read_local(&object, report),
        Kind::Remote => read_remote(&object, clients, names, report),
    };
    Some(RuleSet { tag: tag?, source: source?, span: object.span })
}

fn read_kind(value: &Value, report: &mut Report<'_>) -> Option<(Kind, &'static KeyTable)> {
    let choices = [
        ("inline", (Kind::Inline, &INLINE)),
        ("local", (Kind::Local, &LOCAL)),
        ("remote", (Kind::Remote, &REMOTE)),
    ];
    if value.members().is_none() {
        report.error(value.span, format!("expected an object for `rule_set[]`, found {}", value.found()));
        return None;
    }
    let Some(member) = value.member("type") else { return Some((Kind::Inline, &INLINE)) };
    match member.value.text() {
        Some("") => Some((Kind::Inline, &INLINE)),
        Some(text) => choose("type", Spanned::new(text, member.value.span), &choices, report),
        None => {
            let message = format!("expected a string for `type`, found {}", member.value.found());
            report.error(member.value.span, message);
            None
        }
    }
}

fn read_inline(object: &Object<'_>, report: &mut Report<'_>) -> RuleSetSource {
    let n_errors = report.n_errors();
    let rules = read_rules(object.items("rules", report), report);
    if rules.is_empty() && report.n_errors() == n_errors {
        report
            .warning(object.span, "this rule set has no rules, so that it matches nothing")
            .help("add `rules`, or remove it");
    }
    RuleSetSource::Inline(Rules { version: NEWEST_VERSION, rules })
}

fn read_local(object: &Object<'_>, report: &mut Report<'_>) -> Option<RuleSetSource> {
    let path = require(object, "path", report)?;
    let format = read_format(object, path, report)?;
    Some(RuleSetSource::Local { path: Spanned::new(path.value.into(), path.span), format })
}

fn read_remote(
    object: &Object<'_>,
    clients: &HttpClients,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<RuleSetSource> {
    let url = require(object, "url", report);
    let detour = object.text("download_detour", report).filter(|tag| !tag.value.is_empty());
    let detour = match detour {
        Some(tag) => names.outbounds.find(tag, "outbound", report),
        None => clients.detour_of(object, names, report),
    };
    let interval = object.duration("update_interval", report).unwrap_or(DAY);
    if let Some(field) = object.get("update_interval").filter(|_| interval < SHORTEST_INTERVAL) {
        report
            .error(
                field.value.span,
                format!("`update_interval` is shorter than {} seconds", SHORTEST_INTERVAL.as_secs()),
            )
            .help("the server would be asked again and again for the same");
    }
    let critical = object.flag("critical", report).is_some_and(|flag| flag.value);
    let url = url?;
    let parsed = probe_url::read(url.value, url.span, report)?;
    let path = parsed.path.split(['?', '#']).next().unwrap_or_default();
    let format = read_format(object, Spanned::new(path, url.span), report)?;
    let url = Spanned::new(parsed, url.span);
    Some(RuleSetSource::Remote { url, format, detour, update_interval: interval, critical })
}

fn require<'a>(object: &Object<'a>, name: &str, report: &mut Report<'_>) -> Option<Spanned<&'a str>> {
    if !object.has(name) {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report.error(brace, format!("this rule set needs `{name}`"));
        return None;
    }
    let text = object.text(name, report)?;
    if text.value.is_empty() {
        report.error(text.span, format!("`{name}` is empty"));
        return None;
    }
    Some(text)
}

fn read_format(object: &Object<'_>, path: Spanned<&str>, report: &mut Report<'_>) -> Option<RuleSetFormat> {
    let choices = [("source", RuleSetFormat::Source), ("binary", RuleSetFormat::Binary)];
    if let Some(written) = object.text("format", report).filter(|written| !written.value.is_empty()) {
        return choose("format", written, &choices, report);
    }
    let ending = path.value.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("json") => Some(RuleSetFormat::Source),
        Some("srs") => Some(RuleSetFormat::Binary),
        Some(_) | None => {
            report.error(path.span, "nothing says what format this rule set has");
            report.help(format!("add `format`: {}", one_of(choices.map(|(name, _)| name))));
            None
        }
    }
}
