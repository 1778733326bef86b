//! `waypost rule-set`.

use std::path::Path;

use waypost_config::{Options, Source, Style, render, rule_set as source};
use waypost_geodata::rule_set::{RuleSet, read_srs, write_srs, write_srs_as};

use crate::{
    InspectError, ListKind, Outcome, convert,
    host_match::SetIndex,
    output::{self, beside},
    source_form,
};

/// Reads a source and writes it compiled.
pub(crate) fn compile(
    path: &Path,
    output: Option<&Path>,
    version: Option<u8>,
) -> Result<Outcome, InspectError> {
    let (set, notes) = read_source(path, output::read(path)?)?;
    let Some(set) = set else { return Ok(Outcome { notes, failed: true, ..Outcome::default() }) };
    SetIndex::new(&set).map_err(|flaw| flaw.in_file(path))?;
    write_set(&set, version, output.unwrap_or(&beside(path, "srs")), notes)
}

/// Reads a compiled set and writes its source form.
pub(crate) fn decompile(path: &Path, output: Option<&Path>) -> Result<Outcome, InspectError> {
    let set = read_compiled(path, &output::read(path)?)?;
    let text = source_form::write(&set).ok_or_else(|| InspectError::AdGuard(path.to_owned()))?;
    let output = output.map_or_else(|| beside(path, "json"), Path::to_owned);
    output::write(&output, text.as_bytes())?;
    Ok(Outcome::wrote(&output, String::new()))
}

/// Says which rules of a set hold for names and addresses.
pub(crate) fn match_hosts(path: &Path, hosts: &[String]) -> Result<Outcome, InspectError> {
    let bytes = output::read(path)?;
    let (set, notes) = if bytes.starts_with(b"SRS") || path.extension().is_some_and(|ending| ending == "srs")
    {
        (Some(read_compiled(path, &bytes)?), String::new())
    } else {
        read_source(path, bytes)?
    };
    let Some(mut set) = set else { return Ok(Outcome { notes, failed: true, ..Outcome::default() }) };
    set.spell_out_adguard();
    let index = SetIndex::new(&set).map_err(|flaw| flaw.in_file(path))?;
    let mut outcome = Outcome { notes, failed: true, ..Outcome::default() };
    for host in hosts {
        if host == "-" {
            let input = output::read(Path::new("-"))?;
            let text = String::from_utf8_lossy(&input);
            text.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|host| {
                index.say(host, &mut outcome);
            });
        } else {
            index.say(host, &mut outcome);
        }
    }
    Ok(outcome)
}

/// Makes a compiled set of another list.
pub(crate) fn convert(path: &Path, kind: ListKind, output: Option<&Path>) -> Result<Outcome, InspectError> {
    let input = output::read(path)?;
    let text = String::from_utf8_lossy(&input);
    let converted = match kind {
        ListKind::Adguard => convert::adguard(&text),
        ListKind::Hosts => convert::hosts(&text),
    };
    let convert::Converted { rule, used, ignored } = converted;
    let rule = rule.ok_or_else(|| InspectError::Empty(path.to_owned()))?;
    let notes = match ignored.first() {
        None => format!("{used} lines\n"),
        Some((line, reason)) => {
            format!("{used} lines, {} not used; the first is line {line}: {reason}\n", ignored.len())
        }
    };
    let set = RuleSet { version: 2, rules: vec![rule] };
    SetIndex::new(&set).map_err(|flaw| flaw.in_file(path))?;
    write_set(&set, Some(2), output.unwrap_or(&beside(path, "srs")), notes)
}

/// Writes a set in the form that the ending of the file asks for.
pub(crate) fn write_set(
    set: &RuleSet,
    version: Option<u8>,
    output: &Path,
    notes: String,
) -> Result<Outcome, InspectError> {
    let is_source = output.extension().is_some_and(|ending| ending == "json");
    let bytes = if let Some(text) = source_form::write(set).filter(|_| is_source) {
        text.into_bytes()
    } else {
        let file = version.map_or_else(|| write_srs(set), |version| write_srs_as(set, version));
        file.map_err(|error| InspectError::Write { path: output.to_owned(), error })?
    };
    output::write(output, &bytes)?;
    Ok(Outcome::wrote(output, notes))
}

fn read_compiled(path: &Path, bytes: &[u8]) -> Result<RuleSet, InspectError> {
    read_srs(bytes).map_err(|error| InspectError::Srs { path: path.to_owned(), error })
}

/// Reads a source form; what is wrong with it is in the notes.
fn read_source(path: &Path, bytes: Vec<u8>) -> Result<(Option<RuleSet>, String), InspectError> {
    let source = Source::new(path.display().to_string(), bytes)?;
    let read = source::parse(&source, &Options::default());
    Ok((read.set, render(&source, &read.diagnostics, Style::Plain)))
}
