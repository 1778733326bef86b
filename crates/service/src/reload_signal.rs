//! Telling another process to read its files again.

use std::io;

use rustix::process::{Pid, Signal, kill_process};

/// Sends SIGHUP to a process.
///
/// # Errors
///
/// If there is no such process, or it belongs to somebody else.
pub(crate) fn hang_up(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(kill_process(pid, Signal::HUP)?)
}
