use std::collections::{BTreeMap, BTreeSet};

use waypost_net::Tag;

use crate::{
    Span, Spanned,
    json::Value,
    model::Observatory,
    nearest,
    object::Object,
    report::{Report, all_of, quote},
};

/// With more tags than this, a list of them is no help.
const MAX_LISTED_TAGS: usize = 8;

/// The tags of a file and which of them something refers to.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) inbounds: Tags,
    pub(crate) outbounds: Tags,
    pub(crate) balancers: Tags,
    pub(crate) dns_servers: Tags,
    pub(crate) rule_sets: Tags,
    /// Whether the first bytes of the connections of some inbound are looked at.
    pub(crate) sniffs: bool,
    /// Outbounds without a tag that are not the default, so that nothing can name them.
    pub(crate) nameless: Vec<Span>,
    pub(crate) groups: Vec<Group>,
    /// No two of them have the same tag, nor none.
    pub(crate) observatories: Vec<Observatory>,
    /// Which of them balancers ask.
    pub(crate) asked: BTreeSet<usize>,
}

/// A group and the outbounds that it names, which may not exist.
pub(crate) struct Group {
    pub(crate) tag: Option<Tag>,
    pub(crate) kind: GroupKind,
    /// The members in the order of the file, of both tiers if there are two.
    pub(crate) members: Vec<Spanned<Tag>>,
}

/// What kind of group it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupKind {
    LoadBalance,
    Selector,
    UrlTest,
}

/// The tags of one kind of thing. A tag is here even if the thing itself has an error, so that
/// one mistake is not reported again wherever the tag is used.
#[derive(Default)]
pub(crate) struct Tags {
    list: Vec<Spanned<Tag>>,
    places: BTreeMap<Tag, Span>,
    used: BTreeSet<Tag>,
}

impl Tags {
    /// Reads `tag` of an object; an empty one counts as absent.
    pub(crate) fn declare(
        &mut self,
        object: &Object<'_>,
        what: &str,
        report: &mut Report<'_>,
    ) -> Option<Spanned<Tag>> {
        let text = object.text("tag", report).filter(|text| !text.value.is_empty())?;
        let tag = Spanned::new(Tag::from(text.value), text.span);
        if let Some(&first) = self.places.get(&tag.value) {
            let line = report.line(first);
            let message = format!("the {what} on line {line} has the tag {} already", quote(&tag.value));
            report.error(tag.span, message).help("give each its own tag");
        } else {
            self.places.insert(tag.value.clone(), tag.span);
            self.list.push(tag.clone());
        }
        Some(tag)
    }

    /// Adds the tag of something that is not understood, so that one mistake is not reported again
    /// wherever the tag is used.
    pub(crate) fn declare_unread(&mut self, value: &Value) {
        let Some(member) = value.member("tag") else { return };
        if let Some(text) = member.value.text().filter(|text| !text.is_empty()) {
            let tag = Spanned::new(Tag::from(text), member.value.span);
            self.mark_declared(&tag);
            self.used.insert(tag.value);
        }
    }

    /// The tag, if it names something; else what it may have been meant to name is reported.
    pub(crate) fn find(
        &mut self,
        written: Spanned<&str>,
        what: &str,
        report: &mut Report<'_>,
    ) -> Option<Spanned<Tag>> {
        let tag = Spanned::new(Tag::from(written.value), written.span);
        if self.contains(&tag.value) {
            self.mark_used(&tag.value);
            return Some(tag);
        }
        report.error(written.span, format!("there is no {what} with the tag {}", quote(written.value)));
        self.suggest(written.value, what, report);
        None
    }

    /// Adds a tag that is no object's own, such as that of DNS queries.
    pub(crate) fn declare_for_queries(&mut self, tag: &Spanned<Tag>) {
        self.mark_declared(tag);
    }

    fn mark_declared(&mut self, tag: &Spanned<Tag>) {
        if !self.contains(&tag.value) {
            self.places.insert(tag.value.clone(), tag.span);
            self.list.push(tag.clone());
        }
    }

    pub(crate) fn contains(&self, tag: &str) -> bool {
        self.places.contains_key(tag)
    }

    /// The tags that begin with a prefix.
    pub(crate) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Tag> {
        let from =
            self.places.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.map(|(tag, _)| tag).take_while(move |tag| tag.starts_with(prefix))
    }

    pub(crate) fn mark_used(&mut self, tag: &Tag) {
        if self.contains(tag) {
            self.used.insert(tag.clone());
        }
    }

    /// The tags that nothing refers to, in the order of the file.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &Spanned<Tag>> {
        self.list.iter().filter(|tag| !self.used.contains(&tag.value))
    }

    /// Says which tag was probably meant, or which there are.
    pub(crate) fn suggest(&self, tag: &str, what: &str, report: &mut Report<'_>) {
        self.suggest_if(|_| true, tag, what, report);
    }

    /// Like [`suggest`](Self::suggest), where only some tags make sense.
    pub(crate) fn suggest_if(
        &self,
        makes_sense: impl Fn(&Tag) -> bool,
        tag: &str,
        what: &str,
        report: &mut Report<'_>,
    ) {
        if report.is_full() {
            return;
        }
        let names = || self.list.iter().map(|tag| tag.value.as_str());
        let sensible = self.list.iter().map(|tag| &tag.value).filter(|tag| makes_sense(tag));
        report.help(match nearest(tag, sensible.map(Tag::as_str)) {
            Some(name) => format!("did you mean `{name}`?"),
            None if self.list.is_empty() => format!("no {what} has a tag"),
            None if self.list.len() <= MAX_LISTED_TAGS => format!("there are {}", all_of(names())),
            None => format!("none of the {} {what}s has this tag", self.list.len()),
        });
    }
}
