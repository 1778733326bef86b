//! Values that may stand alone or in an array (sing-box: "Listable").

use crate::{
    Span, Spanned,
    json::{Kind, Number, Value},
    names::{Names, Tags},
    nearest,
    object::{Field, Object},
    report::{Report, all_of, one_of, quote},
};

impl<'a> Object<'a> {
    /// The values of a key that takes one or an array of them; `None` if it is absent or the array is
    /// empty, which means the same.
    pub(super) fn one_or_many(&self, name: &str) -> Option<(Field<'a>, &'a [Value])> {
        let field = self.get(name)?;
        let values = field.value.items().unwrap_or_else(|| std::slice::from_ref(field.value));
        (!values.is_empty()).then_some((field, values))
    }

    /// Strings, one or many. `None` if there are none.
    pub(super) fn texts(&self, name: &str, report: &mut Report<'_>) -> Option<Vec<Spanned<&'a str>>> {
        let (field, values) = self.one_or_many(name)?;
        let mut texts = Vec::with_capacity(values.len());
        for value in values {
            match value.text() {
                Some("") => {
                    report.error(value.span, format!("an empty string in `{name}`")).help("remove it");
                }
                Some(text) => texts.push(Spanned::new(text, value.span)),
                None if std::ptr::eq(value, field.value) => {
                    field.expected("a string or an array of strings", report);
                }
                None => {
                    let message = format!("expected a string in `{name}`, found {}", value.found());
                    report.error(value.span, message);
                }
            }
        }
        Some(texts)
    }

    /// Whole numbers up to `most`, one or many. `None` if there are none.
    pub(super) fn numbers(&self, name: &str, most: u32, report: &mut Report<'_>) -> Option<Vec<u32>> {
        let (_, values) = self.one_or_many(name)?;
        let mut numbers = Vec::with_capacity(values.len());
        for value in values {
            match value.kind {
                Kind::Number(Number::Unsigned(number)) if number <= u64::from(most) => {
                    numbers.push(u32::try_from(number).unwrap_or(most));
                }
                Kind::Number(Number::Unsigned(number)) => {
                    let message = format!("expected a number from 0 to {most} in `{name}`, found {number}");
                    report.error(value.span, message);
                }
                Kind::String(ref text) if text.parse::<u32>().is_ok_and(|number| number <= most) => {
                    report
                        .error(value.span, format!("expected a number in `{name}`, found a string"))
                        .help(format!("write {text} without the quotes"));
                }
                Kind::Null
                | Kind::Bool(_)
                | Kind::Number(_)
                | Kind::String(_)
                | Kind::Array(_)
                | Kind::Object(_) => {
                    let message = format!("expected a number in `{name}`, found {}", value.found());
                    report.error(value.span, message);
                }
            }
        }
        Some(numbers)
    }
}

/// Reads `A:B`, `:B` or `A:`.
pub(super) fn port_range(text: Spanned<&str>, report: &mut Report<'_>) -> Option<(u16, u16)> {
    let range = waypost_geodata::rule_set::parse_port_range(text.value);
    match range {
        None => {
            report.error(text.span, format!("not a range of ports: {}", quote(text.value)));
            report.help(match text.value.split_once('-') {
                Some((first, last))
                    if waypost_geodata::rule_set::parse_port_range(&format!("{first}:{last}")).is_some() =>
                {
                    format!("write `{first}:{last}`")
                }
                _ => "expected `1000:2000`, `:3000` or `4000:`".to_owned(),
            });
        }
        Some((first, last)) if first > last => {
            report
                .warning(text.span, format!("the range {} holds no port", quote(text.value)))
                .help(format!("write `{last}:{first}`"));
        }
        Some(_) => {}
    }
    range
}

/// Finds what the `type` of an inbound or outbound means; `foreign` are those of sing-box that do not
/// exist here, with what to write instead, if there is anything. The tag of one whose type is unknown is known all the same.
pub(super) fn read_type<T: Copy>(
    value: &Value,
    what: &str,
    choices: &[(&str, T)],
    foreign: &[(&str, &str)],
    tags: &mut Tags,
    report: &mut Report<'_>,
) -> Option<T> {
    let names = || choices.iter().map(|(name, _)| *name);
    if value.members().is_none() {
        report.error(value.span, format!("expected an object for `{what}s[]`, found {}", value.found()));
        return None;
    }
    let Some(member) = value.member("type") else {
        let brace = Span { start: value.span.start, end: value.span.start + 1 };
        report
            .error(brace, format!("an {what} needs a `type`"))
            .help(format!("expected {}", one_of(names())));
        tags.declare_unread(value);
        return None;
    };
    let Some(written) = member.value.text() else {
        let message = format!("expected a string for `type`, found {}", member.value.found());
        report.error(member.value.span, message);
        tags.declare_unread(value);
        return None;
    };
    if let Some((_, found)) = choices.iter().find(|(name, _)| written.eq_ignore_ascii_case(name)) {
        return Some(*found);
    }
    tags.declare_unread(value);
    let (span, quoted) = (member.value.span, quote(written));
    if let Some((_, way_out)) = foreign.iter().find(|(name, _)| written.eq_ignore_ascii_case(name)) {
        report.error(span, format!("{what}s of the type {quoted} are not available in this version")).help(
            match *way_out {
                "" => format!("there are {}", all_of(names())),
                way_out => way_out.to_owned(),
            },
        );
        return None;
    }
    report.error(span, format!("unknown {what} type: {quoted}"));
    report.help(match nearest(written, names()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are {}", all_of(names())),
    });
    None
}

/// Warns of rule sets that no rule names.
pub(super) fn find_unused_rule_sets(names: &Names, report: &mut Report<'_>) {
    for tag in names.rule_sets.unused() {
        report
            .warning(tag.span, format!("nothing uses the rule set {}", quote(&tag.value)))
            .help("no rule names it");
    }
}
