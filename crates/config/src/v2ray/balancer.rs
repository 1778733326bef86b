use waypost_net::Tag;

use super::{names::Names, strategy};
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::Balancer,
    object::Object,
    report::{Report, quote},
};

pub(super) static BALANCER: KeyTable = KeyTable {
    name: "Balancer",
    path: "balancers[]",
    doc: "A group of outbounds of which one is picked for each connection.",
    keys: &[
        Key::new("tag", Form::Text, "The name for `balancerTag`."),
        Key::new("selector", Form::Strings, "How the tags of its outbounds begin."),
        Key::new("strategy", Form::Object("Strategy"), "How an outbound is picked; random without it."),
        Key::new(
            "fallbackTag",
            Form::Text,
            "The outbound that is used if the selector finds none, or if probes leave nobody to pick; the others follow it then.",
        ),
        Key::new("remarks", Form::Text, "A note; not read."),
        Key::new("ps", Form::Text, "A note; not read."),
        Key::new("id", Form::Any, "The number that a graphical front end gave; not read."),
    ],
};

pub(super) fn read_all(values: &[Value], names: &mut Names, report: &mut Report<'_>) -> Vec<Balancer> {
    values.iter().filter_map(|value| read(value, names, report)).collect()
}

fn read(value: &Value, names: &mut Names, report: &mut Report<'_>) -> Option<Balancer> {
    let balancer = Object::read(value, "balancers[]", &BALANCER, report)?;
    let brace = Span { start: balancer.span.start, end: balancer.span.start + 1 };
    let tag = names.balancers.declare(&balancer, "balancer", report);
    if tag.is_none() && balancer.get("tag").is_none_or(|field| field.value.is_off()) {
        report.error(brace, "a balancer needs a `tag`");
    }
    let fallback = read_fallback(&balancer, names, report);
    let selector = balancer.strings("selector", report);
    if selector.is_none() && balancer.get("selector").is_none_or(|field| field.value.is_off()) {
        report
            .error(brace, "a balancer needs a `selector`")
            .help("write how the tags of its outbounds begin");
    }
    let members =
        selector.as_ref().map(|selector| select(selector, balancer.has("fallbackTag"), names, report));
    let choice = strategy::read(&balancer, &members.unwrap_or_default(), names, report);
    let (selector, choice) = (selector?, choice?);
    Some(Balancer {
        tag: tag?,
        selector: selector.into_iter().map(|prefix| Spanned::new(prefix.value.into(), prefix.span)).collect(),
        strategy: choice.strategy,
        observer: choice.observer,
        fallback,
        span: balancer.span,
    })
}

fn read_fallback(balancer: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Option<Spanned<Tag>> {
    let written = balancer.text("fallbackTag", report).filter(|tag| !tag.value.is_empty())?;
    let tag = Spanned::new(Tag::from(written.value), written.span);
    if !names.outbounds.contains(written.value) {
        report.error(written.span, format!("there is no outbound with the tag {}", quote(written.value)));
        names.outbounds.suggest(written.value, "outbound", report);
        return None;
    }
    names.outbounds.mark_used(&tag.value);
    Some(tag)
}

/// Notes which outbounds the balancer may pick, and warns of prefixes that find nothing.
fn select(
    selector: &[Spanned<&str>],
    has_fallback: bool,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Vec<Tag> {
    let (mut finds_nothing, mut members) = (Vec::new(), Vec::new());
    for prefix in selector {
        let selected: Vec<Tag> = names.outbounds.with_prefix(prefix.value).cloned().collect();
        if selected.is_empty() {
            finds_nothing.push(*prefix);
        }
        selected.iter().for_each(|tag| names.outbounds.mark_used(tag));
        members.extend(selected);
    }
    let all = finds_nothing.len() == selector.len();
    for prefix in finds_nothing {
        let message = format!("no outbound has a tag that begins with {}", quote(prefix.value));
        if all && !has_fallback {
            report.error(prefix.span, format!("{message}, so this balancer is empty"));
        } else {
            report.warning(prefix.span, message);
        }
        names.outbounds.suggest(prefix.value, "outbound", report);
    }
    members.sort();
    members.dedup();
    members
}
