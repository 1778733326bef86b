use rand::Rng;
use waypost_net::Target;

use super::chunks::{BodyForm, BodyKeys, ChunkSealer, MAX_VMESS_DATAGRAM_BYTES, Session};
use crate::{DatagramTooLong, Seal, SealDatagrams, codec::PlainSealer};

/// Writes the body of a VMess connection in one direction, with the request or the answer in front.
#[derive(Debug)]
pub struct VmessSealer {
    head: PlainSealer,
    /// `None` if the body goes over the wire as it is.
    chunks: Option<Box<ChunkSealer>>,
}

impl VmessSealer {
    pub(super) fn new(
        head: Vec<u8>,
        form: BodyForm,
        session: &Session,
        direction: &BodyKeys,
        rng: &mut impl Rng,
    ) -> Self {
        let chunks = form.options.is_chunked.then(|| Box::new(form.sealer(session, direction, rng)));
        Self { head: PlainSealer::new(head), chunks }
    }
}

impl Seal for VmessSealer {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        self.head.seal_head(wire);
        match &mut self.chunks {
            Some(chunks) => chunks.seal(plain, wire),
            None => wire.extend_from_slice(plain),
        }
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        self.head.seal_head(wire);
        if let Some(chunks) = &mut self.chunks {
            chunks.seal_one(&[], wire);
        }
    }

    fn piece_bytes(&self) -> usize {
        self.chunks.as_ref().map_or(usize::MAX, |chunks| chunks.capacity())
    }

    fn is_plain(&self) -> bool {
        self.chunks.is_none() && self.head.is_plain()
    }
}

impl SealDatagrams for VmessSealer {
    fn seal_datagram(
        &mut self,
        _target: &Target,
        payload: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), DatagramTooLong> {
        if payload.len() > MAX_VMESS_DATAGRAM_BYTES {
            return Err(DatagramTooLong { length: payload.len(), limit: MAX_VMESS_DATAGRAM_BYTES });
        }
        self.head.seal_head(wire);
        match &mut self.chunks {
            // A chunk without content is the end.
            Some(_) if payload.is_empty() => {}
            Some(chunks) => chunks.seal_one(payload, wire),
            None => wire.extend_from_slice(payload),
        }
        Ok(())
    }

    fn seal_head(&mut self, wire: &mut Vec<u8>) {
        self.head.seal_head(wire);
    }

    fn finish_datagrams(&mut self, wire: &mut Vec<u8>) {
        self.finish(wire);
    }

    fn carries_targets(&self) -> bool {
        false
    }
}
