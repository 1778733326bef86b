use std::{fmt, ops::RangeInclusive};

use crate::{
    Span, Spanned, UnknownKeys,
    json::{Kind, Member, Number, Value, part_of},
    keys::{Key, KeyTable, Status, is_comment},
    nearest,
    report::{Report, one_of, quote},
};

/// With more known keys than this, a list of them is no help.
const MAX_LISTED_KEYS: usize = 10;

/// An object whose keys have been checked against a table.
pub(crate) struct Object<'a> {
    table: &'static KeyTable,
    pub(crate) span: Span,
    fields: Vec<(&'static Key, Field<'a>)>,
}

/// A key that is there, with a value that is not `null`.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    /// The key as the table spells it.
    pub(crate) name: &'static str,
    pub(crate) key_span: Span,
    pub(crate) value: &'a Value,
}

impl<'a> Object<'a> {
    /// Checks that `value` is an object and every key of it. `what` names the value in the message
    /// about one that is something else.
    pub(crate) fn read(
        value: &'a Value,
        what: &str,
        table: &'static KeyTable,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let Some(members) = value.members() else {
            report.error(value.span, format!("expected an object for `{what}`, found {}", value.found()));
            return None;
        };
        let mut object = Self { table, span: value.span, fields: Vec::new() };
        for member in members {
            object.take(member, report);
        }
        object.fields.retain(|(_, field)| !field.value.is_null());
        object.report_status(report);
        Some(object)
    }

    /// Whether it was read through this table.
    pub(crate) fn is_of(&self, table: &'static KeyTable) -> bool {
        self.table == table
    }

    /// The field of this key of the table.
    pub(crate) fn get(&self, name: &str) -> Option<Field<'a>> {
        debug_assert!(self.table.keys.iter().any(|key| key.name == name), "{} {name}", self.table.name);
        self.fields.iter().find(|(key, _)| key.name == name).map(|(_, field)| *field)
    }

    /// Whether no key is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn text(&self, name: &str, report: &mut Report<'_>) -> Option<Spanned<&'a str>> {
        self.get(name)?.text(report)
    }

    pub(crate) fn flag(&self, name: &str, report: &mut Report<'_>) -> Option<Spanned<bool>> {
        let field = self.get(name)?;
        if let Kind::Bool(flag) = field.value.kind {
            return Some(Spanned::new(flag, field.value.span));
        }
        field.expected("`true` or `false`", report);
        None
    }

    /// A whole number in `range`.
    pub(crate) fn count<T>(&self, name: &str, range: RangeInclusive<T>, report: &mut Report<'_>) -> Option<T>
    where
        T: TryFrom<u64> + PartialOrd + fmt::Display,
    {
        self.get(name)?.count(range, report)
    }

    /// The elements of an array; none if the key is absent.
    pub(crate) fn items(&self, name: &str, report: &mut Report<'_>) -> &'a [Value] {
        let Some(field) = self.get(name) else { return &[] };
        field.value.items().unwrap_or_else(|| {
            field.expected("an array", report);
            &[]
        })
    }

    pub(crate) fn object(
        &self,
        name: &str,
        table: &'static KeyTable,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let field = self.get(name)?;
        Self::read(field.value, field.name, table, report)
    }

    /// A list of strings, V2Ray's way: an array, or one string that is split at commas with
    /// nothing trimmed or dropped. `None` if the key is absent or the array is empty, which means
    /// the same.
    pub(crate) fn strings(&self, name: &str, report: &mut Report<'_>) -> Option<Vec<Spanned<&'a str>>> {
        let field = self.get(name)?;
        match &field.value.kind {
            Kind::String(text) => Some(split(text, field.value.span)),
            Kind::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    match item.text() {
                        Some(text) => list.push(Spanned::new(text, item.span)),
                        None => {
                            let message =
                                format!("expected a string in `{}`, found {}", field.name, item.found());
                            report.error(item.span, message);
                        }
                    }
                }
                (!items.is_empty()).then_some(list)
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Object(_) => {
                field.expected("a string or an array of strings", report);
                None
            }
        }
    }

    fn take(&mut self, member: &'a Member, report: &mut Report<'_>) {
        let Some(key) = self.table.find(&member.key) else {
            if !is_comment(&member.key) {
                self.report_unknown(member, report);
            }
            return;
        };
        let field = Field { name: key.name, key_span: member.key_span, value: &member.value };
        match self.fields.iter_mut().find(|(known, _)| known.name == key.name) {
            Some((_, earlier)) => {
                report_duplicate(&member.key, earlier.key_span, member.key_span, report);
                *earlier = field;
            }
            None => self.fields.push((key, field)),
        }
    }

    fn report_unknown(&self, member: &Member, report: &mut Report<'_>) {
        let path = self.table.path;
        let place = if path.contains(' ') { path.to_owned() } else { format!("`{path}`") };
        let message = format!("unknown key {} in {place}", quote(&member.key));
        match report.unknown_keys {
            UnknownKeys::Error => report.error(member.key_span, message),
            UnknownKeys::Warn => report.warning(member.key_span, message),
        };
        if report.is_full() {
            return;
        }
        let names = self.table.keys.iter().map(|key| key.name);
        if let Some(name) = nearest(&member.key, names.clone()) {
            report.help(format!("did you mean `{name}`?"));
        } else if self.table.keys.len() <= MAX_LISTED_KEYS {
            report.help(format!("expected {}", one_of(names)));
        } else {
            report
                .help("remove it, or set `\"unknownKeys\": \"warn\"`; keys that begin with `_` are comments");
        }
    }

    fn report_status(&self, report: &mut Report<'_>) {
        for (key, field) in &self.fields {
            let name = key.name;
            match key.status {
                Status::Supported => {}
                Status::NoEffect(_) | Status::OnlyOff(_) if field.value.is_off() => {}
                Status::NoEffect(reason) => {
                    report.warning(field.key_span, format!("`{name}` has no effect: {reason}"));
                }
                Status::OnlyOff(reason) | Status::Unsupported(reason) => {
                    let (text, help) = reason.split_once("; ").unwrap_or((reason, ""));
                    report.error(field.key_span, format!("`{name}` is not supported: {text}"));
                    if !help.is_empty() {
                        report.help(help);
                    }
                }
            }
        }
    }
}

impl<'a> Field<'a> {
    /// Whether this is an empty array, or the empty string that front ends write for one.
    pub(crate) fn is_empty_list(&self) -> bool {
        self.value.text() == Some("") || self.value.items().is_some_and(<[Value]>::is_empty)
    }

    pub(crate) fn text(&self, report: &mut Report<'_>) -> Option<Spanned<&'a str>> {
        let text = self.value.text();
        if text.is_none() {
            self.expected("a string", report);
        }
        text.map(|text| Spanned::new(text, self.value.span))
    }

    pub(crate) fn count<T>(&self, range: RangeInclusive<T>, report: &mut Report<'_>) -> Option<T>
    where
        T: TryFrom<u64> + PartialOrd + fmt::Display,
    {
        let mut found = self.value.found().to_owned();
        if let Kind::Number(Number::Unsigned(number)) = self.value.kind {
            match T::try_from(number) {
                Ok(count) if range.contains(&count) => return Some(count),
                Ok(_) | Err(_) => found = number.to_string(),
            }
        }
        let (least, most) = (range.start(), range.end());
        let message =
            format!("expected a whole number from {least} to {most} for `{}`, found {found}", self.name);
        report.error(self.value.span, message);
        None
    }

    /// Reports that the value has the wrong type.
    pub(crate) fn expected(&self, expected: &str, report: &mut Report<'_>) {
        let found = self.value.found();
        report.error(self.value.span, format!("expected {expected} for `{}`, found {found}", self.name));
    }
}

/// The members of an object whose keys are free; of a key that is there twice the last counts.
pub(crate) fn read_map<'a>(field: Field<'a>, report: &mut Report<'_>) -> Vec<&'a Member> {
    let Some(members) = field.value.members() else {
        field.expected("an object", report);
        return Vec::new();
    };
    let mut last = std::collections::BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        if let Some((_, earlier)) = last.insert(&*member.key, (index, member.key_span)) {
            report_duplicate(&member.key, earlier, member.key_span, report);
        }
    }
    let is_last = |index, key: &str| last.get(key).is_some_and(|&(last, _)| last == index);
    let indexed = members.iter().enumerate().filter(|(index, member)| is_last(*index, &member.key));
    indexed.map(|(_, member)| member).filter(|member| !member.value.is_null()).collect()
}

/// Cuts a string at its commas, every part with its place.
pub(crate) fn split(text: &str, span: Span) -> Vec<Spanned<&str>> {
    if text.is_empty() {
        return vec![Spanned::new(text, span)];
    }
    let mut start = 0;
    let mut parts = Vec::new();
    for part in text.split(',') {
        let end = start + part.len();
        parts.push(Spanned::new(part, part_of(text, span, start..end)));
        start = end + 1;
    }
    parts
}

/// Finds the choice that a file names; letter case, `_` and `-` do not count.
pub(crate) fn choose<T: Copy>(
    name: &str,
    written: Spanned<&str>,
    choices: &[(&str, T)],
    report: &mut Report<'_>,
) -> Option<T> {
    let fold = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    let folded = fold(written.value);
    let chosen = choices.iter().find(|(word, _)| fold(word) == folded);
    if chosen.is_none() {
        report.error(written.span, format!("unknown `{name}`: {}", quote(written.value)));
        let words = || choices.iter().map(|(word, _)| *word);
        report.help(match nearest(written.value, words()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("expected {}", one_of(words())),
        });
    }
    chosen.map(|(_, choice)| *choice)
}

/// A port number from a JSON number or a string of digits.
pub(crate) fn read_port(field: Field<'_>, report: &mut Report<'_>) -> Option<u16> {
    let port = match &field.value.kind {
        Kind::Number(Number::Unsigned(number)) => u16::try_from(*number).ok(),
        Kind::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Array(_) | Kind::Object(_) => {
            None
        }
    };
    let port = port.filter(|&port| port > 0);
    if port.is_none() {
        field.expected("a port from 1 to 65535", report);
    }
    port
}

pub(crate) fn report_duplicate(key: &str, first: Span, second: Span, report: &mut Report<'_>) {
    let line = report.line(first);
    let message = format!("{} is already on line {line}, this one wins", quote(key));
    report.warning(second, message).help("remove one of the two");
}
