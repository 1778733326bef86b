use waypost_net::Target;

use super::CRLF;
use crate::{
    DatagramTooLong, OpenDatagrams, OpenedDatagram, PlainSealer, SealDatagrams, TargetError,
    address::{Cursor, put_target},
    target_field::read_port_last,
};

/// The longest datagram: its length has two bytes.
pub const MAX_TROJAN_DATAGRAM_BYTES: usize = 65_535;

/// Writes datagrams, each with its target, its length and an empty line in front.
#[derive(Debug, Default)]
pub struct TrojanDatagramSealer {
    head: PlainSealer,
}

/// Reads datagrams, each with its target, its length and an empty line in front.
#[derive(Debug, Default)]
pub struct TrojanDatagramOpener(());

/// Why the datagrams of a stream cannot be read on: where the next one begins is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrojanDatagramError {
    /// The target is not an address or a valid name.
    #[error("bad target of a datagram: {0}")]
    Target(#[from] TargetError),
    /// The empty line is missing.
    #[error("expected an empty line before the payload of a datagram")]
    EmptyLine,
    /// The peer closed within a datagram.
    #[error("closed in the middle of a datagram")]
    Cut,
}

impl TrojanDatagramSealer {
    pub(super) fn new(head: Vec<u8>) -> Self {
        Self { head: PlainSealer::new(head) }
    }
}

impl SealDatagrams for TrojanDatagramSealer {
    fn seal_datagram(
        &mut self,
        target: &Target,
        payload: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), DatagramTooLong> {
        let too_long = |_| DatagramTooLong { length: payload.len(), limit: MAX_TROJAN_DATAGRAM_BYTES };
        let length = u16::try_from(payload.len()).map_err(too_long)?;
        self.head.seal_head(wire);
        put_target(wire, target);
        wire.extend_from_slice(&length.to_be_bytes());
        wire.extend_from_slice(&CRLF);
        wire.extend_from_slice(payload);
        Ok(())
    }

    fn seal_head(&mut self, wire: &mut Vec<u8>) {
        self.head.seal_head(wire);
    }

    fn carries_targets(&self) -> bool {
        true
    }
}

impl OpenDatagrams for TrojanDatagramOpener {
    type Error = TrojanDatagramError;

    fn open_datagram(&mut self, wire: &mut [u8]) -> Result<OpenedDatagram, TrojanDatagramError> {
        let mut cursor = Cursor::new(wire);
        let Some(head) = read_head(&mut cursor) else {
            return Ok(OpenedDatagram::NeedMore { at_least: wire.len() + 1 });
        };
        let (target, length) = head?;
        let start = cursor.position();
        let consumed = start + length;
        if wire.len() < consumed {
            return Ok(OpenedDatagram::NeedMore { at_least: consumed });
        }
        Ok(OpenedDatagram::Datagram { target: Some(target), payload: start..consumed, consumed })
    }

    fn close_datagrams(&self, unread: usize) -> Result<(), TrojanDatagramError> {
        if unread == 0 { Ok(()) } else { Err(TrojanDatagramError::Cut) }
    }
}

fn read_head(cursor: &mut Cursor<'_>) -> Option<Result<(Target, usize), TrojanDatagramError>> {
    let target = match read_port_last(cursor)? {
        Ok(target) => target,
        Err(error) => return Some(Err(error.into())),
    };
    let length = u16::from_be_bytes(cursor.array()?);
    if cursor.array()? != CRLF {
        return Some(Err(TrojanDatagramError::EmptyLine));
    }
    Some(Ok((target, length.into())))
}
