use std::process::ExitCode;

use waypost_config::Severity;

use crate::{
    EXIT_ERRORS,
    arguments::{Check, LogFormat},
    load::{load_file, report},
    print,
};

/// Reports every problem; the exit code tells whether the configuration can run.
pub(crate) fn check(arguments: &Check) -> anyhow::Result<ExitCode> {
    let path = arguments.path.as_deref().or(arguments.file.config.as_deref());
    let (source, loaded) = load_file(path, &arguments.file)?;
    let (errors, warnings) = (loaded.count(Severity::Error), loaded.count(Severity::Warning));
    match arguments.format {
        LogFormat::Text => {
            report(&source, &loaded)?;
            let verdict = if errors == 0 { "can run" } else { "cannot run" };
            print(&format!("{}: {verdict} (errors: {errors}, warnings: {warnings})\n", source.name()))?;
        }
        LogFormat::Json => drop(print(&format!("{:#}\n", loaded.to_json(&source)))?),
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_ERRORS) })
}
