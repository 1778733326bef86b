use super::VERSION;
use crate::{Open, Opened, codec::open_plain};

/// Reads a VLESS connection; on the client's side the answer comes first.
#[derive(Debug)]
pub struct VlessOpener {
    is_answer_due: bool,
}

/// Why a VLESS connection cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VlessOpenError {
    /// The peer closed before it answered, as servers do with a client that they do not know.
    #[error("closed without an answer: the server does not know the id, or it is no vless server")]
    NoAnswer,
    /// The answer has another version, so it is none.
    #[error("expected an answer of vless version {VERSION}, found {found}: the peer is no vless server")]
    Version {
        /// What the peer sent.
        found: u8,
    },
    /// The peer closed within a datagram.
    #[error("closed in the middle of a datagram")]
    Cut,
}

impl VlessOpener {
    /// An opener for what follows a request.
    pub(super) fn of_request() -> Self {
        Self { is_answer_due: false }
    }

    /// An opener for an answer and what follows.
    pub(super) fn of_answer() -> Self {
        Self { is_answer_due: true }
    }

    /// Reads the answer, if it has not been: `None` if what follows it is next.
    pub(super) fn open_answer(&mut self, wire: &[u8]) -> Result<Option<Opened>, VlessOpenError> {
        if !self.is_answer_due {
            return Ok(None);
        }
        let [version, addons_length] = match wire {
            [] => return Ok(Some(Opened::NeedMore { at_least: 2 })),
            [version] => [*version, 0],
            [version, addons_length, ..] => [*version, *addons_length],
        };
        if version != VERSION {
            return Err(VlessOpenError::Version { found: version });
        }
        let consumed = 2 + usize::from(addons_length);
        if wire.len() < consumed {
            return Ok(Some(Opened::NeedMore { at_least: consumed }));
        }
        self.is_answer_due = false;
        Ok(Some(Opened::Skip { consumed }))
    }

    pub(super) fn is_answer_due(&self) -> bool {
        self.is_answer_due
    }
}

impl Open for VlessOpener {
    type Error = VlessOpenError;

    fn open(&mut self, wire: &mut [u8]) -> Result<Opened, VlessOpenError> {
        Ok(self.open_answer(wire)?.unwrap_or_else(|| open_plain(wire)))
    }

    fn close(&self, _unread: usize) -> Result<(), VlessOpenError> {
        if self.is_answer_due { Err(VlessOpenError::NoAnswer) } else { Ok(()) }
    }

    fn is_plain(&self) -> bool {
        !self.is_answer_due
    }
}
