//! What the CRYPTO frames of Initial packets make up (RFC 9000 §7.5, §19.6).

use crate::sniff::MAX_SNIFF_BYTES;

/// The beginning of a stream whose parts come in any order.
#[derive(Debug, Default)]
pub(super) struct CryptoStream {
    bytes: Vec<u8>,
    /// Which of them have come.
    known: Vec<bool>,
    /// Up to where all have.
    n_contiguous: usize,
}

impl CryptoStream {
    /// Puts in a part; `None` if it lies beyond what is looked at.
    pub(super) fn insert(&mut self, offset: u64, part: &[u8]) -> Option<()> {
        let begin = usize::try_from(offset).ok()?;
        let end = begin.checked_add(part.len()).filter(|end| *end <= MAX_SNIFF_BYTES)?;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
            self.known.resize(end, false);
        }
        if let (Some(bytes), Some(known)) = (self.bytes.get_mut(begin..end), self.known.get_mut(begin..end)) {
            bytes.copy_from_slice(part);
            known.fill(true);
        }
        let behind = self.known.get(self.n_contiguous..).unwrap_or_default();
        self.n_contiguous += behind.iter().take_while(|known| **known).count();
        Some(())
    }

    /// The bytes from the beginning up to the first that is missing.
    pub(super) fn contiguous(&self) -> &[u8] {
        self.bytes.get(..self.n_contiguous).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_lies_beyond_the_bound_takes_no_memory() {
        let mut stream = CryptoStream::default();
        assert_eq!(stream.insert(u64::MAX, b"x"), None);
        assert_eq!(stream.insert(MAX_SNIFF_BYTES as u64, b"x"), None);
        assert_eq!(stream.bytes.capacity(), 0);
        stream.insert(MAX_SNIFF_BYTES as u64 - 1, b"x").unwrap();
        assert_eq!(stream.contiguous(), b"");
        assert_eq!(stream.bytes.len(), MAX_SNIFF_BYTES);
    }

    proptest! {
        #[test]
        fn parts_that_overlap_come_in_any_order(cuts in proptest::collection::vec((0..300_usize, 0..80_usize), 0..60)) {
            let text: Vec<u8> = (0..=255).cycle().take(300).collect();
            let (mut stream, mut known) = (CryptoStream::default(), [false; 300]);
            for (begin, length) in cuts {
                let end = (begin + length).min(text.len());
                stream.insert(begin as u64, &text[begin..end]).unwrap();
                known[begin..end].fill(true);
                let n_contiguous = known.iter().take_while(|known| **known).count();
                assert_eq!(stream.contiguous(), &text[..n_contiguous]);
            }
        }
    }
}
