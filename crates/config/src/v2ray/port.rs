use waypost_net::{PortRange, PortSet};

use crate::{
    Spanned,
    json::{Kind, Number},
    object::{Field, split},
    report::{Report, quote},
};

/// How `a-b` in the port conditions of rules is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum RangeForm {
    /// `b` belongs to the range, as in every release of V2Ray.
    #[default]
    Closed,
    /// `b` does not belong to the range, as in V2Ray's old manual.
    HalfOpen,
}

/// Why a text is not a port or range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortFlaw {
    Form,
    TooBig,
}

/// Reads the port of an inbound: a number, `"N"`, `"A-B"` or `"env:NAME"`.
pub(super) fn read_range(field: Field<'_>, report: &mut Report<'_>) -> Option<PortRange> {
    let span = field.value.span;
    match &field.value.kind {
        Kind::Number(Number::Unsigned(number)) => {
            let port = u16::try_from(*number).ok();
            if port.is_none() {
                report.error(span, format!("port {number} is above 65535"));
            }
            port.map(|port| PortRange { first: port, last: port })
        }
        Kind::String(text) => {
            let resolved = resolve(Spanned::new(text, span), report)?;
            let is_range = resolved.contains('-');
            let range = if is_range { read_bounds(&resolved) } else { read_decimal(&resolved).map(single) };
            let range = range.map_err(|flaw| report_flaw(flaw, Spanned::new(text, span), report)).ok()?;
            if range.first > range.last {
                report.error(span, format!("the range {} ends before it begins", quote(text)));
                return None;
            }
            Some(range)
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Array(_) | Kind::Object(_) => {
            field.expected("a port number or a string such as `1000-1010`", report);
            None
        }
    }
}

/// Reads a port condition. The empty set is a condition that never holds.
pub(super) fn read_set(field: Field<'_>, form: RangeForm, report: &mut Report<'_>) -> Option<PortSet> {
    let span = field.value.span;
    match &field.value.kind {
        Kind::Number(Number::Unsigned(0)) => {
            report
                .warning(span, "the number 0 is an empty list of ports, so this rule never matches")
                .help("write `\"0\"` for port 0");
            Some(PortSet::default())
        }
        Kind::Number(Number::Unsigned(number)) => {
            let port = u16::try_from(*number).ok();
            if port.is_none() {
                report.error(span, format!("port {number} is above 65535"));
            }
            port.map(|port| std::iter::once(single(port)).collect())
        }
        Kind::String(text) => {
            let before = report.n_errors();
            let elements = split(text, span).into_iter().filter(|part| !part.value.trim().is_empty());
            let ranges: Vec<PortRange> =
                elements.filter_map(|part| read_element(part, form, report)).collect();
            if report.n_errors() > before {
                return None;
            }
            if ranges.is_empty() {
                report.warning(span, "an empty list of ports, so this rule never matches");
            }
            Some(ranges.into_iter().collect())
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Array(_) | Kind::Object(_) => {
            field.expected("a port number or a string such as `53, 1000-2000`", report);
            None
        }
    }
}

fn read_element(part: Spanned<&str>, form: RangeForm, report: &mut Report<'_>) -> Option<PortRange> {
    let leading = part.value.len() - part.value.trim_start().len();
    let text = part.value.trim();
    let start = (part.span.start + leading).min(part.span.end);
    let exact = part.span.end.saturating_sub(part.span.start) == part.value.len();
    let span = if exact { crate::Span { start, end: start + text.len() } } else { part.span };
    let written = Spanned::new(text, span);
    let resolved = resolve(written, report)?;
    if !resolved.contains('-') {
        let port = read_integer(&resolved);
        return port.map(single).map_err(|flaw| report_flaw(flaw, written, report)).ok();
    }
    let bounds = read_bounds(&resolved).map_err(|flaw| report_flaw(flaw, written, report));
    let written_range = bounds.ok()?;
    let range = match form {
        RangeForm::Closed => written_range,
        RangeForm::HalfOpen => match written_range.last.checked_sub(1) {
            Some(last) => PortRange { last, ..written_range },
            None => PortRange { first: 1, last: 0 },
        },
    };
    if range.first > range.last {
        let message = format!("the range {} holds no port", quote(text));
        let warning = report.warning(span, message);
        if written_range.first > written_range.last {
            warning.help(format!("write `{}-{}`", written_range.last, written_range.first));
        } else {
            warning.help("`portRange` is `half-open`: the last port does not belong to a range");
        }
    }
    Some(range)
}

fn single(port: u16) -> PortRange {
    PortRange { first: port, last: port }
}

/// Looks `env:NAME` up.
fn resolve(written: Spanned<&str>, report: &mut Report<'_>) -> Option<String> {
    let Some(name) = written.value.strip_prefix("env:") else { return Some(written.value.to_owned()) };
    let value = (report.options.env)(name);
    if value.is_none() {
        report.error(written.span, format!("the environment has no variable {}", quote(name)));
    }
    value
}

/// The value of a variable is not shown, because the name of it may be a mistake.
fn report_flaw(flaw: PortFlaw, written: Spanned<&str>, report: &mut Report<'_>) {
    let quoted = quote(written.value);
    let message = match flaw {
        PortFlaw::Form if written.value.starts_with("env:") => format!("the value of {quoted} is not a port"),
        PortFlaw::Form => format!("not a port or a range of ports: {quoted}"),
        PortFlaw::TooBig => format!("a port above 65535: {quoted}"),
    };
    report.error(written.span, message);
    if flaw == PortFlaw::Form {
        report.help("expected `443` or `1000-2000`, with decimal digits and no spaces around `-`");
    }
}

/// Reads `A-B`; leading zeros are decimal, as in V2Ray.
fn read_bounds(text: &str) -> Result<PortRange, PortFlaw> {
    let (first, last) = text.split_once('-').ok_or(PortFlaw::Form)?;
    let (first, last) = (read_decimal(first), read_decimal(last));
    if first == Err(PortFlaw::Form) || last == Err(PortFlaw::Form) {
        return Err(PortFlaw::Form);
    }
    Ok(PortRange { first: first?, last: last? })
}

fn read_decimal(text: &str) -> Result<u16, PortFlaw> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PortFlaw::Form);
    }
    text.parse().map_err(|_above| PortFlaw::TooBig)
}

/// Reads a port as V2Ray reads one in a list: with the grammar of JSON, so without leading zeros.
fn read_integer(text: &str) -> Result<u16, PortFlaw> {
    if text.len() > 1 && text.starts_with('0') { Err(PortFlaw::Form) } else { read_decimal(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source, Span, json::Value};

    fn read(text: &str, form: RangeForm) -> (Option<String>, Vec<String>) {
        let source = Source::new("x", format!("\"{text}\"")).unwrap();
        let env = |name: &str| (name == "SECRET").then(|| "hunter2".to_owned());
        let options = Options { env: &env, ..Options::default() };
        let mut report = Report::new(&source, &options);
        let span = Span { start: 0, end: text.len() + 2 };
        let value = Value { kind: Kind::String(text.into()), span };
        let set = read_set(Field { name: "port", key_span: span, value: &value }, form, &mut report);
        (set.map(|set| set.to_string()), report.finish().into_iter().map(|found| found.message).collect())
    }

    #[test]
    fn half_open_ranges_lack_their_last_port() {
        assert_eq!(read("80,100-200", RangeForm::Closed), (Some("80,100-200".to_owned()), vec![]));
        assert_eq!(read("80,100-200", RangeForm::HalfOpen), (Some("80,100-199".to_owned()), vec![]));
        for empty in ["80-80", "0-0", "90-80"] {
            let warning = format!("the range `{empty}` holds no port");
            assert_eq!(
                read(&format!("443,{empty}"), RangeForm::HalfOpen),
                (Some("443".to_owned()), vec![warning])
            );
        }
    }

    #[test]
    fn values_of_variables_are_not_shown() {
        let (set, messages) = read("env:SECRET", RangeForm::Closed);
        assert_eq!((set, messages), (None, vec!["the value of `env:SECRET` is not a port".to_owned()]));
    }
}
