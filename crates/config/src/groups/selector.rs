//! `selector`: a group whose member somebody chooses.

use waypost_net::Tag;

use super::members;
use crate::{
    Spanned,
    keys::{Form, Key, KeyTable},
    model::Selector,
    names::{Group, GroupKind, Names},
    nearest,
    object::Object,
    report::{Report, all_of, quote},
};

/// With more members than this, a list of them is no help.
const MAX_LISTED_MEMBERS: usize = 8;

pub(crate) static SETTINGS: KeyTable = KeyTable {
    name: "SelectorSettings",
    path: "the settings of a `selector` outbound",
    doc: "Settings of an outbound with the protocol `selector`: a group whose member somebody chooses while it runs.",
    keys: &KEYS,
};

/// The keys of a `selector` outbound.
pub(crate) const KEYS: [Key; 4] = [
    Key::new("outbounds", Form::Strings, "The tags of the members; at least one."),
    Key::new(
        "default",
        Form::Text,
        "The tag of the member that serves until one is chosen; without it the first. A choice that was kept from an earlier run comes before it.",
    ),
    Key::new(
        "interrupt_exist_connections",
        Form::Flag,
        "Whether connections of clients end when another member is chosen; the default is `false`.",
    ),
    Key::new(
        "fallback",
        Form::Flag,
        "Whether the other members are tried when the choice fails; the default is `false`, because who chose a way out by hand does not want to leave by another.",
    ),
];

/// Reads a `selector` outbound from the object that has its keys.
pub(crate) fn read(
    settings: &Object<'_>,
    tag: Option<&Spanned<Tag>>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<Selector> {
    let members = members::read_required(settings, "selector", "outbounds", report);
    let initial = read_default(settings, &members, report);
    let group =
        Group { tag: tag.map(|tag| tag.value.clone()), kind: GroupKind::Selector, members: members.clone() };
    names.groups.push(group);
    let mut flag = |name| settings.flag(name, report).is_some_and(|flag| flag.value);
    let selector = Selector {
        members,
        initial,
        interrupt_exist_connections: flag("interrupt_exist_connections"),
        fallback: flag("fallback"),
    };
    (!selector.members.is_empty()).then_some(selector)
}

/// The place of the member that is named as default.
fn read_default(settings: &Object<'_>, members: &[Spanned<Tag>], report: &mut Report<'_>) -> usize {
    let Some(written) = settings.text("default", report).filter(|written| !written.value.is_empty()) else {
        return 0;
    };
    if let Some(place) = members.iter().position(|member| member.value.as_str() == written.value) {
        return place;
    }
    if members.is_empty() {
        return 0;
    }
    let message = format!("the default {} is no member of this group", quote(written.value));
    report.error(written.span, message);
    if !report.is_full() {
        let tags = || members.iter().map(|member| member.value.as_str());
        match nearest(written.value, tags()) {
            Some(tag) => report.help(format!("did you mean `{tag}`?")),
            None if members.len() <= MAX_LISTED_MEMBERS => {
                report.help(format!("the members are {}", all_of(tags())));
            }
            None => report.help("remove it, or add it to `outbounds`"),
        };
    }
    0
}
