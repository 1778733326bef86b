use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, value_parser};

/// What the command line offers.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch a group lose no connection while its members are killed and frozen; needs no file and no
    /// network.
    Demo(Demo),
    /// What a member of the demo runs.
    #[command(hide = true)]
    DemoMember(DemoMember),
    /// What the origin of the demo runs.
    #[command(hide = true)]
    DemoOrigin,
}

/// How the demo runs.
#[derive(Debug, Args)]
pub struct Demo {
    /// How long it takes; the script is stretched or squeezed to it.
    #[arg(long, value_name = "SECONDS", default_value_t = 40, value_parser = value_parser!(u16).range(10..=600))]
    seconds: u16,
    /// Print lines, as it is done where there is no terminal, instead of a picture that moves.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Write what was shown to an animated picture.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) record: Option<PathBuf>,
}

/// A member of the demo.
#[derive(Debug, Args)]
pub struct DemoMember {
    /// How long it waits before it grants a request, in milliseconds, as one that is far away would.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pub(crate) delay: u16,
    /// Where it listens; 0 for any port.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,
}

impl Demo {
    pub(crate) fn span(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

impl DemoMember {
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay.into())
    }
}
