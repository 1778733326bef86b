use std::{io, path::PathBuf};

use waypost_proxy::{BindError, HandshakeError, StartError};

/// Why a demo cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The system refuses what every program needs: threads, signals.
    #[error("the system refuses: {step}")]
    System {
        /// What was asked for.
        step: &'static str,
        /// What it says.
        source: io::Error,
    },
    /// A process does not start.
    #[error("the process of `{name}` does not start; is there a limit on processes?")]
    Start {
        /// The member, or `origin`.
        name: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A process ends or stays silent instead of saying where it listens.
    #[error("the process of `{name}` does not say where it listens; its own message is above")]
    Silent {
        /// The member, or `origin`.
        name: &'static str,
    },
    /// A process cannot be signalled.
    #[error("the process of `{name}` cannot be signalled")]
    Signal {
        /// The member.
        name: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The demo's own configuration is refused, which is a fault of this program.
    #[error("the configuration of the demo is refused: {text}")]
    Configuration {
        /// What is wrong with it.
        text: String,
    },
    /// The proxy does not start.
    #[error("the proxy does not start")]
    Proxy(#[from] StartError),
    /// A member cannot listen.
    #[error("a member cannot listen")]
    Bind(#[from] BindError),
    /// A member turned a client away.
    #[error("a client of a member was turned away")]
    Handshake(#[from] HandshakeError),
    /// The picture cannot be written.
    #[error("cannot write `{}`", .path.display())]
    Picture {
        /// Where to.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing can be shown: standard output is gone.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

impl DemoError {
    pub(crate) fn system(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { step, source }
    }
}
