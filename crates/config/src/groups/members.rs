use std::collections::{BTreeMap, BTreeSet};

use waypost_net::Tag;

use crate::{
    Span, Spanned,
    model::{Outbound, OutboundProtocol},
    names::{Group, GroupKind, Names},
    object::Object,
    report::{Report, quote},
};

/// A circle of more groups than this is not written out whole.
const MAX_SHOWN_GROUPS: usize = 8;

/// Reads a list of tags. One empty string is an empty list, as front ends write it.
pub(super) fn read_tier(
    settings: &Object<'_>,
    name: &'static str,
    report: &mut Report<'_>,
) -> Vec<Spanned<Tag>> {
    let empty = settings.get(name).is_some_and(|field| field.is_empty_list());
    let tags = if empty { None } else { settings.strings(name, report) };
    tags.into_iter().flatten().map(|tag| Spanned::new(Tag::from(tag.value), tag.span)).collect()
}

/// Reads the list of tags without which a group is none.
pub(super) fn read_required(
    settings: &Object<'_>,
    kind: &str,
    name: &'static str,
    report: &mut Report<'_>,
) -> Vec<Spanned<Tag>> {
    let members = read_tier(settings, name, report);
    match settings.get(name) {
        None => report_none(settings.span, kind, name, report),
        Some(field) if field.is_empty_list() => {
            report_none_at(field.value.span, kind, name, report);
        }
        Some(_) => {}
    }
    members
}

/// Reports that an object does not name the members of its group.
pub(super) fn report_none(object: Span, kind: &str, name: &str, report: &mut Report<'_>) {
    report_none_at(brace(object), kind, name, report);
}

fn report_none_at(span: Span, kind: &str, name: &str, report: &mut Report<'_>) {
    report
        .error(span, format!("a `{kind}` outbound needs `{name}`"))
        .help(format!("add `\"{name}\": [\"…\", \"…\"]` with the tags of its members"));
}

pub(super) fn brace(span: Span) -> Span {
    Span { start: span.start, end: span.start + 1 }
}

/// Checks what can only be known at the end of the file: that the members of all groups exist,
/// that none is there twice, and that no group is a member of itself.
pub(crate) fn check_members(outbounds: &[Outbound], names: &mut Names, report: &mut Report<'_>) {
    let groups = std::mem::take(&mut names.groups);
    let tags_of = |is_wanted: fn(&OutboundProtocol) -> bool| -> BTreeSet<&Tag> {
        let wanted = outbounds.iter().filter(|outbound| is_wanted(&outbound.protocol));
        wanted.filter_map(|outbound| Some(&outbound.tag.as_ref()?.value)).collect()
    };
    let blackholes = tags_of(|protocol| matches!(protocol, OutboundProtocol::Blackhole { .. }));
    let resolvers = tags_of(|protocol| matches!(protocol, OutboundProtocol::Dns(_)));
    for group in &groups {
        let taken: BTreeSet<&Tag> =
            group.members.iter().map(|member| &member.value).chain(&group.tag).collect();
        let mut places: BTreeMap<&Tag, Span> = BTreeMap::new();
        for member in &group.members {
            if let Some(&first) = places.get(&member.value) {
                let message =
                    format!("the member {} is already on line {}", quote(&member.value), report.line(first));
                report.error(member.span, message).help(match group.kind {
                    GroupKind::LoadBalance => "name it once; `weights` gives a member a larger share",
                    GroupKind::Selector | GroupKind::UrlTest => "name it once",
                });
                continue;
            }
            places.insert(&member.value, member.span);
            check_member(member, group, &taken, names, report);
            if resolvers.contains(&member.value) {
                let message =
                    format!("{} answers DNS questions, it cannot carry a connection", quote(&member.value));
                report.error(member.span, message).help("remove it from this group");
            }
            // Who selects one wants it.
            if group.kind != GroupKind::Selector && blackholes.contains(&member.value) {
                let message =
                    format!("{} is a blackhole, it never carries a connection", quote(&member.value));
                report.warning(member.span, message).help("remove it from this group");
            }
        }
    }
    find_circles(&groups, report);
}

fn check_member(
    member: &Spanned<Tag>,
    group: &Group,
    taken: &BTreeSet<&Tag>,
    names: &mut Names,
    report: &mut Report<'_>,
) {
    let tag = &member.value;
    if group.tag.as_ref() == Some(tag) {
        report
            .error(member.span, format!("the group {} cannot be a member of itself", quote(tag)))
            .help("remove it from the list");
    } else if names.outbounds.contains(tag) {
        names.outbounds.mark_used(tag);
    } else if names.balancers.contains(tag) {
        // The balancer is not to be reported as unused on top.
        names.balancers.mark_used(tag);
        report
            .error(member.span, format!("{} is a balancer, and balancers cannot be members", quote(tag)))
            .help("name its outbounds, or another group of outbounds");
    } else if tag.is_empty() {
        report.error(member.span, "a member needs a tag, this one is empty").help("remove it");
    } else {
        report.error(member.span, format!("there is no outbound with the tag {}", quote(tag)));
        names.outbounds.suggest_if(|tag| !taken.contains(tag), tag, "outbound", report);
    }
}

/// A group on the way from the first one down, and which of its members comes next.
struct Step<'a> {
    tag: &'a Tag,
    group: &'a Group,
    next: usize,
}

/// Reports groups that are members of themselves by way of others. A group that is directly one
/// has been reported.
fn find_circles(groups: &[Group], report: &mut Report<'_>) {
    let by_tag: BTreeMap<&Tag, &Group> =
        groups.iter().rev().filter_map(|group| Some((group.tag.as_ref()?, group))).collect();
    let mut seen: BTreeSet<&Tag> = BTreeSet::new();
    for start in groups.iter().filter_map(|group| group.tag.as_ref()) {
        let mut path: Vec<Step<'_>> = Vec::new();
        // What is on the path, and where.
        let mut open: BTreeMap<&Tag, usize> = BTreeMap::new();
        enter(start, &by_tag, &mut seen, &mut open, &mut path);
        while let Some(step) = path.last_mut() {
            let Some(member) = step.group.members.get(step.next) else {
                open.remove(step.tag);
                path.pop();
                continue;
            };
            step.next += 1;
            if *step.tag == member.value {
                continue;
            }
            match open.get(&member.value) {
                Some(&from) => report_circle(path.get(from..).unwrap_or(&path), member, report),
                None => enter(&member.value, &by_tag, &mut seen, &mut open, &mut path),
            }
        }
    }
}

/// Goes on to a group, if the tag is that of one where nobody has been.
fn enter<'a>(
    tag: &'a Tag,
    by_tag: &BTreeMap<&'a Tag, &'a Group>,
    seen: &mut BTreeSet<&'a Tag>,
    open: &mut BTreeMap<&'a Tag, usize>,
    path: &mut Vec<Step<'a>>,
) {
    if let Some(&group) = by_tag.get(tag)
        && seen.insert(tag)
    {
        open.insert(tag, path.len());
        path.push(Step { tag, group, next: 0 });
    }
}

fn report_circle(circle: &[Step<'_>], closing: &Spanned<Tag>, report: &mut Report<'_>) {
    let shown = circle.iter().take(MAX_SHOWN_GROUPS).map(|step| quote(step.tag)).collect::<Vec<_>>();
    let more = if circle.len() > MAX_SHOWN_GROUPS { " -> …" } else { "" };
    let message = format!(
        "these groups go round in a circle: {}{more} -> {}",
        shown.join(" -> "),
        quote(&closing.value)
    );
    report.error(closing.span, message).help("take one of them out of the group before it");
}
