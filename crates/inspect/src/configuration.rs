//! `waypost convert`.

use std::fmt::Write as _;

use waypost_config::{Options, Severity, Source, Style, parse, render, write};
use waypost_proxy::build::read_files;

use crate::{Convert, InspectError, Outcome, output};

/// Writes a configuration in a dialect. What is lost is told in any case; what changes where
/// connections go, or how they are treated, has to be allowed.
pub(crate) fn convert(
    arguments: &Convert,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Outcome, InspectError> {
    let Convert { to, paths, config, output, allow_loss } = arguments;
    let source = read_files(&[&**paths, config].concat())?;
    let outcome = parse(&source, &Options { env, ..Options::default() });
    let Some(config) = outcome.config else {
        let notes = render(&source, &outcome.diagnostics, Style::Plain);
        return Ok(Outcome { notes, failed: true, ..Outcome::default() });
    };
    let mut written = write(&config, *to);
    let n_losses = written.losses.iter().filter(|loss| loss.severity == Severity::Error).count();
    if *allow_loss {
        written.losses.iter_mut().for_each(|loss| loss.severity = Severity::Warning);
    }
    let mut notes = render(&source, &written.losses, Style::Plain);
    if n_losses > 0 && !allow_loss {
        let things = if n_losses == 1 { "1 thing" } else { &format!("{n_losses} things") };
        let _infallible = write!(notes, "\nnothing is written: {things} would be lost (see --allow-loss)\n");
        return Ok(Outcome { notes, failed: true, ..Outcome::default() });
    }
    let name = output.as_ref().map_or_else(|| "(result)".to_owned(), |path| path.display().to_string());
    let failed = !check(&name, &written.text, &mut notes)?;
    match output {
        None => Ok(Outcome { text: written.text, notes, failed }),
        Some(path) => {
            output::write_private(path, written.text.as_bytes())?;
            Ok(Outcome { text: String::new(), notes, failed })
        }
    }
}

/// Reads the result as any other file, and tells what is wrong with it.
pub(crate) fn check(name: &str, text: &str, notes: &mut String) -> Result<bool, InspectError> {
    let source = Source::new(name, text)?;
    let mut outcome = parse(&source, &Options::default());
    outcome.diagnostics.retain(|found| found.severity == Severity::Error);
    if !outcome.diagnostics.is_empty() {
        notes.push_str("\nwithout what is lost, the result cannot run:\n");
        notes.push_str(&render(&source, &outcome.diagnostics, Style::Plain));
    }
    Ok(outcome.config.is_some())
}
