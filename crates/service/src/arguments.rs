//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::{
    Args, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use waypost_config::{UnknownKeys, model::LogLevel};

/// Commands that run a configuration, or talk to a program that does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy until it is told to stop (Ctrl-C or SIGTERM).
    Run(Run),
    /// Have a program that runs read its configuration again. What is wrong with it changes nothing.
    Reload(Reload),
}

/// What `-c` is to `reload`.
const RELOADED: &str = "The configuration of the program that runs, to be checked first; it also says where that \
                        program is reached. A file, or a folder of them; may be repeated";

/// Which configuration.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// A configuration file, or a folder of them; may be repeated. Without it a built-in one is used
    /// (127.0.0.1:1080, all direct).
    #[arg(short, long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// What an unknown key in the file is; with `warn` the file is used all the same.
    #[arg(long, value_name = "LEVEL", default_value = "error", value_parser = one_of(&UnknownKeys::WORDS))]
    pub unknown_keys: UnknownKeys,
}

/// How it is run.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub file: ConfigFile,
    /// How much to log, instead of what the file says [default: info]; only debug shows addresses.
    #[arg(long, value_name = "LEVEL", value_parser = one_of(&LogLevel::WORDS))]
    pub log_level: Option<LogLevel>,
    /// How log lines look.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// How many seconds connections may go on after the first signal to stop.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// Read the files again when they change.
    #[arg(long, requires = "config")]
    pub watch: bool,
}

/// Which program that runs.
#[derive(Debug, Args)]
pub struct RemoteOptions {
    /// The control interface of a program that runs, such as `http://127.0.0.1:9090` or `/run/waypost.sock`.
    #[arg(long, value_name = "URL")]
    pub live: Option<String>,
    /// What it wants to know; or in the environment variable `WAYPOST_SECRET`.
    #[arg(long, value_name = "TEXT")]
    pub secret: Option<String>,
}

/// What is read again.
#[derive(Debug, Args)]
#[command(mut_arg("config", |config| config.help(RELOADED)))]
pub struct Reload {
    #[command(flatten)]
    pub file: ConfigFile,
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// Tell this process by SIGHUP; its log says what comes of it.
    #[arg(long, value_name = "PID", conflicts_with = "live")]
    pub pid: Option<u32>,
}

/// How log lines look, and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

fn one_of<T: Copy + Send + Sync>(words: &'static [(&str, T)]) -> impl TypedValueParser<Value = T> {
    let word_of =
        |word: String| words.iter().find(|(name, _)| *name == word).map_or(words[0].1, |found| found.1);
    PossibleValuesParser::new(words.iter().map(|(name, _)| *name)).map(word_of)
}
