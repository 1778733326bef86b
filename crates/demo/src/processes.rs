//! The members and the origin as processes, which can be killed, frozen and started again.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    DemoError,
    script::{Act, CAST, Cast},
};

/// How long a process may take to say where it listens.
const START_LIMIT: Duration = Duration::from_secs(20);
/// A port and a line feed.
const MAX_PORT_LINE_BYTES: u64 = 8;

/// A process of the demo; it is killed when this is dropped, and ends when this process does.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    address: SocketAddr,
}

/// What was done to a process last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Runs,
    Killed,
    Frozen,
}

/// All members, in the order of the [`CAST`].
#[derive(Debug)]
pub(crate) struct Members(Vec<Process>);

impl Process {
    async fn start(name: &'static str, arguments: &[String]) -> Result<Self, DemoError> {
        let failed = |source: io::Error| DemoError::Start { name, source };
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        // A Ctrl-C is for this process and does not reach one in a group of its own.
        let mut child = command.process_group(0).kill_on_drop(true).spawn().map_err(failed)?;
        let silent = DemoError::Silent { name };
        let Some(output) = child.stdout.take() else { return Err(silent) };
        let mut line = String::new();
        let mut output = BufReader::new(output.take(MAX_PORT_LINE_BYTES));
        // Whatever goes wrong here, there is no port in the line.
        let _read = timeout(START_LIMIT, output.read_line(&mut line)).await;
        let Ok(port) = line.trim().parse::<u16>() else { return Err(silent) };
        Ok(Self { name, child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) })
    }

    /// Starts the origin.
    pub(crate) async fn origin() -> Result<Self, DemoError> {
        Self::start("origin", &["demo-origin".to_owned()]).await
    }

    async fn member(cast: &Cast, port: u16) -> Result<Self, DemoError> {
        let (delay, port) = (cast.delay.to_string(), port.to_string());
        let arguments = ["demo-member", "--delay", &delay, "--port", &port].map(str::to_owned);
        Self::start(cast.name, &arguments).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is called and where it is, for people who look for it.
    pub(crate) fn describe(&self) -> String {
        let id = self.child.id().map_or_else(|| "-".to_owned(), |id| id.to_string());
        format!("{} is process {id} on {}", self.name, self.address)
    }

    async fn kill(&mut self) -> Result<(), DemoError> {
        self.child.kill().await.map_err(|source| DemoError::Signal { name: self.name, source })
    }

    fn signal(&self, signal: Signal) -> Result<(), DemoError> {
        let failed = |source| DemoError::Signal { name: self.name, source };
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        kill_process(id, signal).map_err(|error| failed(error.into()))
    }
}

impl Members {
    /// Starts all members.
    pub(crate) async fn start() -> Result<Self, DemoError> {
        let mut members = Vec::with_capacity(CAST.len());
        for cast in &CAST {
            members.push(Process::member(cast, 0).await?);
        }
        Ok(Self(members))
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(Process::address).collect()
    }

    pub(crate) fn describe(&self) -> Vec<String> {
        self.0.iter().map(Process::describe).collect()
    }

    /// Does something to some members; says what is to be known of those that are new.
    pub(crate) async fn act(&mut self, act: Act, members: &[usize]) -> Result<Vec<String>, DemoError> {
        let mut started = Vec::new();
        for &index in members {
            let Some((process, cast)) = self.0.get_mut(index).zip(CAST.get(index)) else { continue };
            match act {
                Act::Kill => process.kill().await?,
                Act::Freeze => process.signal(Signal::STOP)?,
                Act::Thaw => process.signal(Signal::CONT)?,
                Act::Restart => {
                    *process = Process::member(cast, process.address.port()).await?;
                    started.push(process.describe());
                }
            }
        }
        Ok(started)
    }

    /// Ends all of them, and waits for it.
    pub(crate) async fn end(&mut self) {
        for process in &mut self.0 {
            // One that has ended cannot be killed, and need not.
            let _ended = process.kill().await;
        }
    }
}

impl Condition {
    pub(crate) fn after(act: Act) -> Self {
        match act {
            Act::Kill => Self::Killed,
            Act::Freeze => Self::Frozen,
            Act::Thaw | Act::Restart => Self::Runs,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Killed => "killed",
            Self::Frozen => "frozen",
        }
    }
}
