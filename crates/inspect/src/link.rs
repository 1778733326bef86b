//! `waypost link`.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use waypost_config::{
    Dialect, Options, Severity, Source,
    link::{self, Assembly, MAX_LIST_BYTES, Node, Subscription, SubscriptionError},
    model::{Config, LoadBalanceStrategy},
    write,
};
use waypost_net::{Networks, Tag};

use crate::{InspectError, Link, LinkForm, Outcome, configuration, fetch, output};

/// What came of the inputs.
#[derive(Default)]
struct Found {
    nodes: Vec<Node>,
    /// Lines for standard error.
    notes: String,
    n_rejected: usize,
}

impl Found {
    fn reject(&mut self, place: &str, reason: &str, help: Option<&str>) {
        self.n_rejected += 1;
        let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
        let _infallible = writeln!(self.notes, "{place}: {reason}{help}");
    }
}

/// Turns links into a configuration, or back. What cannot be used is told in any case.
pub(crate) fn link(arguments: &Link, env: &dyn Fn(&str) -> Option<String>) -> Result<Outcome, InspectError> {
    let mut found = Found::default();
    for (number, input) in (1..).zip(&arguments.inputs) {
        read(number, input, env, &mut found)?;
    }
    let (nodes, duplicates) = link::without_duplicates(std::mem::take(&mut found.nodes));
    for duplicate in duplicates {
        let _infallible = writeln!(found.notes, "{}: the same as `{}`", duplicate.name, duplicate.of);
    }
    tell_warnings(&nodes, &mut found.notes);
    let text = match arguments.to {
        LinkForm::Links => links(nodes, &mut found),
        LinkForm::Dialect(dialect) => configuration(nodes, dialect, arguments, &mut found)?,
    };
    let Found { mut notes, n_rejected, .. } = found;
    let is_refused = arguments.strict && n_rejected > 0;
    if text.is_empty() || is_refused {
        let reason = if is_refused && !text.is_empty() {
            format!("{n_rejected} cannot be used (--strict)")
        } else {
            "there is nothing that can be used".to_owned()
        };
        let _infallible = writeln!(notes, "nothing is written: {reason}");
        return Ok(Outcome { notes, failed: true, ..Outcome::default() });
    }
    match &arguments.output {
        None => Ok(Outcome { text, notes, failed: false }),
        Some(path) => {
            output::write_private(path, text.as_bytes())?;
            Ok(Outcome { text: String::new(), notes, failed: false })
        }
    }
}

/// Reads an argument: a link, the URL of a list, a file, or `-`.
fn read(
    number: usize,
    input: &str,
    env: &dyn Fn(&str) -> Option<String>,
    found: &mut Found,
) -> Result<(), InspectError> {
    let is_url =
        |scheme: &str| input.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
    let (name, bytes) = if is_url("http://") || is_url("https://") {
        fetch::list(input)?
    } else if input.contains("://") {
        (format!("argument {number}"), input.as_bytes().to_vec())
    } else {
        let name = if input == "-" { "(standard input)" } else { input };
        (name.to_owned(), output::read_at_most(Path::new(input), MAX_LIST_BYTES as u64 + 1)?)
    };
    let source = Source::new(name, bytes)?;
    let options = Options { env, ..Options::default() };
    match link::read(&source, &options) {
        Ok(list) => take(list, source.name(), found),
        Err(SubscriptionError::Configuration(mistakes)) => {
            // The lines themselves may have passwords.
            for mistake in mistakes.iter().filter(|mistake| mistake.severity == Severity::Error) {
                let place = format!("{}:{}", source.name(), source.position(mistake.span.start));
                found.reject(&place, &mistake.message, mistake.help.as_deref());
            }
        }
        Err(error) => found.reject(source.name(), &error.to_string(), None),
    }
    Ok(())
}

fn take(list: Subscription, source: &str, found: &mut Found) {
    for rejected in list.rejected {
        let name = if rejected.name.is_empty() { String::new() } else { format!(": {}", rejected.name) };
        let place = format!("{source}:{}{name}", rejected.line);
        found.reject(&place, &rejected.error.to_string(), rejected.error.help());
    }
    found.nodes.extend(list.nodes);
}

/// Says what is doubtful, each once with how often it is.
fn tell_warnings(nodes: &[Node], notes: &mut String) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for warning in nodes.iter().flat_map(|node| &node.warnings) {
        *counts.entry(warning).or_default() += 1;
    }
    for (warning, count) in counts {
        let things = if count == 1 { "1 outbound".to_owned() } else { format!("{count} outbounds") };
        let _infallible = writeln!(notes, "warning, of {things}: {warning}");
    }
}

fn links(nodes: Vec<Node>, found: &mut Found) -> String {
    let mut text = String::new();
    for outbound in link::bare(nodes).outbounds {
        match link::to_links(&outbound) {
            Ok(links) => links.iter().for_each(|link| text.push_str(&format!("{link}\n"))),
            Err(error) => {
                let name = outbound.tag.as_ref().map_or("", |tag| tag.value.as_str());
                found.reject(name, &error.to_string(), None);
            }
        }
    }
    text
}

/// The text of a configuration; empty if there is nothing to put in.
fn configuration(
    mut nodes: Vec<Node>,
    dialect: Dialect,
    arguments: &Link,
    found: &mut Found,
) -> Result<String, InspectError> {
    nodes.retain_mut(|node| is_sayable(node, dialect, found));
    if nodes.is_empty() {
        return Ok(String::new());
    }
    if arguments.outbounds_only {
        return Ok(write(&link::bare(nodes), dialect).text);
    }
    let strategy = arguments.strategy.unwrap_or(LoadBalanceStrategy::LeastPing);
    let assembly = Assembly { group: Tag::from(&*arguments.group), strategy };
    let text = write(&link::assemble(nodes, &assembly), dialect).text;
    configuration::check("(result)", &text, &mut found.notes)?;
    Ok(text)
}

/// Whether a dialect can say all of an outbound that its connections depend on.
fn is_sayable(node: &mut Node, dialect: Dialect, found: &mut Found) -> bool {
    let name = if node.name.is_empty() { link::default_name(node) } else { node.name.clone() };
    if dialect == Dialect::V2ray && node.outbound.networks != Networks::ALL {
        node.outbound.networks = Networks::ALL;
        let _infallible = writeln!(
            found.notes,
            "{name}: V2Ray cannot say that no datagrams go there (`--to sing-box` can)"
        );
    }
    let alone = Config { outbounds: vec![node.outbound.clone()], ..Config::default() };
    let losses = write(&alone, dialect).losses;
    let Some(loss) = losses.into_iter().find(|loss| loss.severity == Severity::Error) else { return true };
    found.reject(&name, &loss.message, loss.help.as_deref());
    false
}
