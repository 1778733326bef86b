use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use waypost_proxy::net::{Network, Target};
use waypost_service::{ConfigFile, LogFormat, RemoteOptions};

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
    #[command(flatten)]
    Service(waypost_service::Command),
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
// The program that runs knows its configuration.
#[command(mut_arg("live", |live| live.conflicts_with("config")))]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    #[command(flatten)]
    pub(crate) remote: RemoteOptions,
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
