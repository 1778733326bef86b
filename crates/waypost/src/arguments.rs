use std::{net::IpAddr, path::PathBuf};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use waypost_config::{UnknownKeys, model::LogLevel};
use waypost_proxy::net::{Network, Target};

/// Decides which way each connection goes, and which outbound carries it.
///
/// Reads configuration files of V2Ray and sing-box. Start with `waypost run`, which listens on 127.0.0.1:1080 for
/// SOCKS and HTTP and sends everything out directly.
#[derive(Debug, Parser)]
#[command(name = "waypost", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the proxy until it is told to stop (Ctrl-C or SIGTERM).
    Run(Run),
    /// Check a configuration and its geo data, and report every problem with its place.
    Check(Check),
    /// Show which rule would take a connection, why, and where it would go.
    Explain(Explain),
    #[command(flatten)]
    Inspect(waypost_inspect::Command),
    /// Run a group of a configuration against a script of faults, on a virtual clock.
    Simulate(Simulate),
    #[command(flatten)]
    Demo(waypost_demo::Command),
    /// Print the version.
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// A configuration file, or a folder of them; may be repeated. Without it a built-in one is used
    /// (127.0.0.1:1080, all direct).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// What an unknown key in the file is; with `warn` the file is used all the same.
    #[arg(long, value_name = "LEVEL", default_value = "error", value_parser = one_of(&UnknownKeys::WORDS))]
    pub(crate) unknown_keys: UnknownKeys,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// How much to log, instead of what the file says [default: info]; only debug shows addresses.
    #[arg(long, value_name = "LEVEL", value_parser = one_of(&LogLevel::WORDS))]
    pub(crate) log_level: Option<LogLevel>,
    /// How log lines look.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// How many seconds connections may go on after the first signal to stop.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) grace: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Configuration files, or folders of them.
    #[arg(value_name = "FILE", required_unless_present = "config")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// How problems are reported.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(crate) format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Where the connection wants to go, such as `example.com:443` or `[2001:db8::1]:80`.
    #[arg(value_name = "HOST:PORT")]
    pub(crate) target: Target,
    /// tcp or udp.
    #[arg(long, default_value = "tcp")]
    pub(crate) network: Network,
    /// The client's address.
    #[arg(long, value_name = "IP")]
    pub(crate) source: Option<IpAddr>,
    /// The client's port.
    #[arg(long, value_name = "PORT", requires = "source")]
    pub(crate) source_port: Option<u16>,
    /// The tag of the inbound that the connection came in by.
    #[arg(long, value_name = "TAG")]
    pub(crate) inbound: Option<String>,
    /// The user that the client logged in as.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// The recognised protocol, such as http/1.1.
    #[arg(long, value_name = "LABEL")]
    pub(crate) protocol: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// What happens: arrivals, latencies and faults, as docs/reference/simulate.md describes.
    pub(crate) trace: PathBuf,
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// The tag of the group.
    #[arg(long, value_name = "TAG")]
    pub(crate) group: String,
    /// The same seed makes the same run.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Draw the timeline.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

fn one_of<T: Copy + Send + Sync>(words: &'static [(&str, T)]) -> impl TypedValueParser<Value = T> {
    let word_of =
        |word: String| words.iter().find(|(name, _)| *name == word).map_or(words[0].1, |found| found.1);
    PossibleValuesParser::new(words.iter().map(|(name, _)| *name)).map(word_of)
}
