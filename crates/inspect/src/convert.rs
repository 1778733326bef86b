//! Lists in other forms, as rules of a set.

use std::net::IpAddr;

use waypost_geodata::rule_set::{DefaultRule, DomainMatch, HeadlessRule, LogicalMode, LogicalRule};

/// The longest host name, and the longest label of one (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// What became of a list.
#[derive(Debug)]
pub(crate) struct Converted {
    /// `None` if no line could be used.
    pub(crate) rule: Option<HeadlessRule>,
    /// Lines that are in the rule.
    pub(crate) used: usize,
    /// Lines that could not be used, by number, and why.
    pub(crate) ignored: Vec<(usize, &'static str)>,
}

/// Reads a hosts file that sends names to this machine or nowhere.
pub(crate) fn hosts(text: &str) -> Converted {
    let (mut rule, mut used, mut ignored) = (DefaultRule::default(), 0, Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(first) = words.next() else { continue };
        match first.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() || address.is_loopback() => {}
            Ok(_) => {
                ignored.push((number, "it does not send the name to 0.0.0.0, `::` or this machine"));
                continue;
            }
            Err(_) => {
                ignored.push((number, "it does not begin with an address"));
                continue;
            }
        }
        let names = words.filter(|name| is_host_name(name) && *name != "localhost");
        let added = names.filter(|name| rule.domains.push(DomainMatch::Full, name).is_ok()).count();
        used += usize::from(added > 0);
        if added == 0 {
            ignored.push((number, "it has no host name"));
        }
    }
    let rule = (!rule.is_empty()).then(|| HeadlessRule::Default(Box::new(rule)));
    Converted { rule, used, ignored }
}

/// Where a line of an AdGuard filter belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Class {
    is_exception: bool,
    is_important: bool,
}

/// A line of an AdGuard filter that can be used.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// A host name, and whether it came with an address in front.
    Host(String, bool),
    Pattern(Class, String),
    Regexp(Class, String),
}

/// Reads a DNS filter of AdGuard, as sing-box reads one: without the lines that a name alone cannot
/// decide.
pub(crate) fn adguard(text: &str) -> Converted {
    let (mut lines, mut ignored) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with(['!', '#']) {
            continue;
        }
        match read_line(line) {
            Ok(read) => lines.push(read),
            Err(reason) => ignored.push((number, reason)),
        }
    }
    let used = lines.len();
    Converted { rule: join(lines), used, ignored }
}

fn read_line(line: &str) -> Result<Line, &'static str> {
    if is_host_name(line) {
        return Ok(Line::Host(line.to_owned(), false));
    }
    if let Some((address, name)) = line.split_once(' ')
        && let Ok(address) = address.parse::<IpAddr>()
    {
        return match (address.is_unspecified(), is_host_name(name)) {
            (true, true) => Ok(Line::Host(name.to_owned(), true)),
            (true, false) => Err("it has no host name"),
            (false, _) => Err("it does not send the name nowhere"),
        };
    }
    let mut class = Class::default();
    let mut rest = line.strip_suffix('|').unwrap_or(line);
    if !rest.starts_with('/')
        && let Some((before, modifiers)) = rest.split_once('$')
    {
        for modifier in modifiers.split(',') {
            match modifier.split_once('=') {
                None if modifier == "important" => class.is_important = true,
                Some(("dnsrewrite", value)) if is_nowhere(value) => {}
                None | Some(_) => return Err("it has a modifier that a rule set cannot have"),
            }
        }
        rest = before;
    }
    if let Some(exception) = rest.strip_prefix("@@") {
        (rest, class.is_exception) = (exception, true);
    }
    rest = rest.strip_suffix('|').unwrap_or(rest);
    let expression = rest.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    if let Some(expression) = expression {
        return if is_about_addresses(expression) {
            Err("its expression is about addresses")
        } else {
            Ok(Line::Regexp(class, expression.to_owned()))
        };
    }
    pattern(rest).map(|pattern| Line::Pattern(class, pattern))
}

/// Reads `||name^`, `|name` and what else has the form of a name with `*`.
fn pattern(written: &str) -> Result<String, &'static str> {
    let (mut front, rest) = match (written.strip_prefix("||"), written.strip_prefix('|')) {
        (Some(rest), _) => ("||", rest),
        (None, Some(rest)) => ("|", rest),
        (None, None) => ("", written),
    };
    let (mut text, end) = rest.strip_suffix('^').map_or((rest, ""), |text| (text, "^"));
    if let Some((_, behind)) = text.split_once("://") {
        (front, text) = ("||", behind);
    }
    if text.contains('/') {
        return Err("it is about a path");
    }
    if text.contains(['?', '&']) {
        return Err("it is about a query");
    }
    if text.contains(['[', ']', '(', ')', '!', '#', '~']) {
        return Err("it is about the content of pages");
    }
    let begun = if text.starts_with(['.', '-']) { format!("r{text}") } else { text.to_owned() };
    if text.is_empty() || !is_host_name(&begun.replace('*', "x")) {
        return Err("it is not about a name");
    }
    Ok(format!("{front}{text}{end}"))
}

/// Puts the lines together: what is important counts before what is not, and an exception before
/// what it excepts.
fn join(lines: Vec<Line>) -> Option<HeadlessRule> {
    if lines.iter().all(|line| matches!(line, Line::Host(..))) {
        let mut rule = DefaultRule::default();
        for line in &lines {
            if let Line::Host(name, _) = line {
                let _is_host_name = rule.domains.push(DomainMatch::Full, name);
            }
        }
        return (!rule.is_empty()).then(|| HeadlessRule::Default(Box::new(rule)));
    }
    let mut classes: [DefaultRule; 4] = Default::default();
    let place = |class: Class| 2 * usize::from(class.is_important) + usize::from(class.is_exception);
    for line in lines {
        match line {
            Line::Host(name, true) => classes[0].adguard.push(format!("|{name}^").into()),
            Line::Host(name, false) => classes[0].adguard.push(name.into()),
            Line::Pattern(class, pattern) => classes[place(class)].adguard.push(pattern.into()),
            Line::Regexp(class, text) => classes[place(class)].domain_regexps.push(text.into()),
        }
    }
    let [plain, exceptions, important, important_exceptions] = classes;
    let mut rule = (!plain.is_empty()).then(|| HeadlessRule::Default(Box::new(plain)));
    for (mode, mut other) in [
        (LogicalMode::And, exceptions),
        (LogicalMode::Or, important),
        (LogicalMode::And, important_exceptions),
    ] {
        if other.is_empty() {
            continue;
        }
        other.invert = mode == LogicalMode::And;
        let other = HeadlessRule::Default(Box::new(other));
        rule = match (rule, mode) {
            (Some(rule), _) => {
                Some(HeadlessRule::Logical(LogicalRule { mode, rules: vec![other, rule], invert: false }))
            }
            (None, LogicalMode::Or) => Some(other),
            // There is nothing to except from.
            (None, LogicalMode::And) => None,
        };
    }
    rule
}

fn is_nowhere(address: &str) -> bool {
    address.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

/// Whether an expression begins with a number of at most 255 and a dot, as those for addresses do.
fn is_about_addresses(expression: &str) -> bool {
    let begin =
        [r"(http?:\/\/)", r"(https?:\/\/)", "^"].iter().find_map(|begin| expression.strip_prefix(begin));
    let rest = begin.unwrap_or(expression);
    let number =
        |separator: &str| rest.split(separator).next().is_some_and(|part| part.parse::<u8>().is_ok());
    number(r"\.") || number(".")
}

/// Whether a text has the form of a host name: labels of letters, digits, `-` and `_`, not all digits.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    name.len() <= MAX_NAME
        && name.split('.').all(label)
        && name.bytes().any(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'))
}
