//! The command line of Waypost.

mod arguments;
mod inspect;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command};

/// A configuration with errors.
const EXIT_ERRORS: u8 = 1;
/// Nothing could be done: a file that cannot be read, a port that is taken, unusable arguments.
const EXIT_FAILURE: u8 = 2;

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Service(command) => inspect::service(&command),
        Command::Check(arguments) => inspect::check(&arguments),
        Command::Explain(arguments) => inspect::explain(&arguments),
        Command::Inspect(command) => inspect::files(&command),
        Command::Simulate(arguments) => inspect::simulate(arguments),
        Command::Demo(command) => waypost_demo::run(&command).map_err(Into::into),
        Command::Version => print(&format!("waypost {}\n", env!("CARGO_PKG_VERSION"))),
    };
    result.unwrap_or_else(|error| {
        let _closed = waypost_service::write_stderr(&format!("waypost: {error:#}\n"));
        ExitCode::from(EXIT_FAILURE)
    })
}

/// Writes to standard output. A reader that has seen enough and went away is no failure.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    use std::io::{ErrorKind, Write as _};
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}
