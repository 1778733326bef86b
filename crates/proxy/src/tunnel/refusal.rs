//! Why one that came in is no client: for the log only.

use std::{error::Error, fmt, sync::Arc};

use waypost_wire::{VlessServerError, VmessServerError};

use crate::{shadowsocks::HandshakeError, wire_io::DriveError};

/// Why one that came in is no client.
#[derive(Debug)]
pub(crate) struct Refusal {
    reason: String,
    /// The place of the user, if it is known which one it would be.
    place: Option<usize>,
    pub(crate) user: Option<Arc<str>>,
}

/// An error of a protocol, which may be about a user.
pub(super) trait Reason: Error {
    fn user(&self) -> Option<usize>;
}

impl Reason for VmessServerError {
    fn user(&self) -> Option<usize> {
        self.place()
    }
}

impl Reason for HandshakeError {
    fn user(&self) -> Option<usize> {
        None
    }
}

impl Reason for VlessServerError {
    fn user(&self) -> Option<usize> {
        None
    }
}

impl Refusal {
    pub(super) fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), place: None, user: None }
    }

    /// What came of a handshake; `None` if the peer went away.
    pub(super) fn of<E: Reason>(error: DriveError<E>) -> Option<Self> {
        match error {
            DriveError::Closed | DriveError::Io(_) => None,
            DriveError::Failed { error, .. } => Some(Self { place: error.user(), ..Self::new(error) }),
        }
    }

    pub(super) fn timeout() -> Self {
        Self::new("it took too long to say what it wants")
    }

    pub(super) fn closed() -> Self {
        Self::new("it ended in the middle of what it wants")
    }

    /// Puts the name of the user in.
    pub(super) fn name(&mut self, names: &[Option<Arc<str>>]) {
        self.user = self.place.and_then(|place| names.get(place).cloned().flatten());
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
