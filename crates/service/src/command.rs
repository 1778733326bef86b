//! The commands.

use std::{io, time::Duration};

use waypost_config::SourceError;
use waypost_net::Secret;
use waypost_proxy::build::ReadError;

use crate::{
    ClientError, RemoteAnswer,
    arguments::{Command, Reload, RemoteOptions, Run},
    load::{load_files, reading, report, write_stderr},
    reload_signal::hang_up,
    remote::{Remote, reload_remote},
    run::{RunError, RunOptions, run},
};

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file is no text.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Nobody reads what is said.
    #[error("nobody reads what is said")]
    Output(#[from] io::Error),
    /// Nothing runs.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The program that runs cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It is not said which program.
    #[error(
        "which program? name its file with `-c` if that has a control interface, or give `--live URL` or `--pid PID`"
    )]
    NoProgram,
    /// A process cannot be told.
    #[error("process {pid} cannot be told")]
    Process {
        /// Its number.
        pid: u32,
        /// What the system says.
        source: io::Error,
    },
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out; a text for standard output.
    Done(String),
    /// The configuration is wrong, which was said already.
    Wrong,
}

/// Carries a command out.
///
/// # Errors
///
/// See [`CommandError`].
pub fn command(command: &Command) -> Result<Outcome, CommandError> {
    match command {
        Command::Run(arguments) => run_files(arguments),
        Command::Reload(arguments) => reload(arguments),
    }
}

fn run_files(arguments: &Run) -> Result<Outcome, CommandError> {
    let (source, loaded) = load_files(&arguments.file.config, &arguments.file)?;
    report(&source, &loaded)?;
    let Some(ready) = loaded.ready else { return Ok(Outcome::Wrong) };
    let options = RunOptions {
        reading: reading(&arguments.file.config, &arguments.file),
        log_level: arguments.log_level,
        log_format: arguments.log_format,
        grace: Duration::from_secs(arguments.grace),
        watch: arguments.watch,
    };
    run(ready, &options)?;
    Ok(Outcome::Done(String::new()))
}

fn reload(arguments: &Reload) -> Result<Outcome, CommandError> {
    let mut remote = remote(&arguments.remote)?;
    if !arguments.file.config.is_empty() {
        let (source, loaded) = load_files(&arguments.file.config, &arguments.file)?;
        report(&source, &loaded)?;
        let Some(ready) = loaded.ready else { return Ok(Outcome::Wrong) };
        if let (None, Some(known)) = (&remote, Remote::of(&ready.config)) {
            let secret = secret(&arguments.remote).or(known.secret);
            remote = Some(Remote { secret, ..known });
        }
    }
    if let Some(pid) = arguments.pid {
        hang_up(pid).map_err(|source| CommandError::Process { pid, source })?;
        return Ok(Outcome::Done("told to read its files again; its log says what comes of it\n".to_owned()));
    }
    match reload_remote(&remote.ok_or(CommandError::NoProgram)?)? {
        RemoteAnswer::Done(_) => Ok(Outcome::Done("the configuration is in force\n".to_owned())),
        RemoteAnswer::Refused(why) => {
            write_stderr(&format!("{}\nthe configuration stays as it was\n", why.trim_end()))?;
            Ok(Outcome::Wrong)
        }
    }
}

/// The program that runs, if the command line says which.
///
/// # Errors
///
/// If that is no address.
pub fn remote(options: &RemoteOptions) -> Result<Option<Remote>, ClientError> {
    let Some(url) = &options.live else { return Ok(None) };
    Ok(Some(Remote { address: url.parse()?, secret: secret(options) }))
}

#[expect(clippy::disallowed_methods, reason = "what the binary does is where the environment is read")]
fn secret(options: &RemoteOptions) -> Option<Secret> {
    let secret = options.secret.clone().or_else(|| std::env::var("WAYPOST_SECRET").ok());
    secret.filter(|secret| !secret.is_empty()).map(Secret::new)
}
