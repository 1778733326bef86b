use waypost_net::Target;

use super::{VlessOpenError, VlessOpener};
use crate::{DatagramTooLong, OpenDatagrams, Opened, OpenedDatagram, PlainSealer, SealDatagrams};

/// The longest datagram: its length has two bytes.
pub const MAX_VLESS_DATAGRAM_BYTES: usize = 65_535;

/// Writes datagrams, each with its length in front.
#[derive(Debug)]
pub struct VlessDatagramSealer {
    head: PlainSealer,
}

/// Reads datagrams, each with its length in front.
#[derive(Debug)]
pub struct VlessDatagramOpener {
    answer: VlessOpener,
}

impl VlessDatagramSealer {
    pub(super) fn new(head: Vec<u8>) -> Self {
        Self { head: PlainSealer::new(head) }
    }
}

impl VlessDatagramOpener {
    pub(super) fn new(answer: VlessOpener) -> Self {
        Self { answer }
    }
}

impl SealDatagrams for VlessDatagramSealer {
    fn seal_datagram(
        &mut self,
        _target: &Target,
        payload: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), DatagramTooLong> {
        let too_long = |_| DatagramTooLong { length: payload.len(), limit: MAX_VLESS_DATAGRAM_BYTES };
        let length = u16::try_from(payload.len()).map_err(too_long)?;
        self.head.seal_head(wire);
        wire.extend_from_slice(&length.to_be_bytes());
        wire.extend_from_slice(payload);
        Ok(())
    }

    fn seal_head(&mut self, wire: &mut Vec<u8>) {
        self.head.seal_head(wire);
    }

    fn carries_targets(&self) -> bool {
        false
    }
}

impl OpenDatagrams for VlessDatagramOpener {
    type Error = VlessOpenError;

    fn open_datagram(&mut self, wire: &mut [u8]) -> Result<OpenedDatagram, VlessOpenError> {
        match self.answer.open_answer(wire)? {
            Some(Opened::NeedMore { at_least }) => return Ok(OpenedDatagram::NeedMore { at_least }),
            Some(Opened::Skip { consumed } | Opened::Piece { consumed, .. } | Opened::Ended { consumed }) => {
                return Ok(OpenedDatagram::Skip { consumed });
            }
            None => {}
        }
        let Some(length) = wire.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length))) else {
            return Ok(OpenedDatagram::NeedMore { at_least: 2 });
        };
        let consumed = 2 + length;
        if wire.len() < consumed {
            return Ok(OpenedDatagram::NeedMore { at_least: consumed });
        }
        Ok(OpenedDatagram::Datagram { target: None, payload: 2..consumed, consumed })
    }

    fn close_datagrams(&self, unread: usize) -> Result<(), VlessOpenError> {
        if self.answer.is_answer_due() {
            Err(VlessOpenError::NoAnswer)
        } else if unread > 0 {
            Err(VlessOpenError::Cut)
        } else {
            Ok(())
        }
    }
}
