//! How a target reads the bytes that it is given: choices first, and then what a peer sends.

/// The most pieces that something is cut into; what is left over comes at once.
const MAX_PIECES: usize = 64;

/// The input of a target, read from its front. Behind its end there are zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script<'a>(&'a [u8]);

/// The lengths of the pieces in which something arrives, over and over; 0 stands for all of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cuts<'a>(&'a [u8]);

/// What is done to bytes on the way.
#[derive(Debug, Clone, Copy)]
enum Change<'a> {
    Flip { place: usize, mask: u8 },
    Truncate { place: usize },
    Insert { place: usize, bytes: &'a [u8] },
    Remove { place: usize, length: usize },
    Double { place: usize },
}

impl<'a> Script<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn is_set(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// One of several.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        choices.get(usize::from(self.byte()).checked_rem(choices.len())?).copied()
    }

    /// So many bytes, or as many as there are.
    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes with their length in front.
    pub(crate) fn prefixed(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(length.into())
    }

    pub(crate) fn cuts(&mut self) -> Cuts<'a> {
        let n_cuts = self.byte() & 0x07;
        Cuts(self.take(n_cuts.into()))
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Some bytes and then the last of them again and again, so that a short input can stand for a long
    /// message.
    pub(crate) fn prefixed_and_drawn_out(&mut self) -> Vec<u8> {
        let mut bytes = self.prefixed().to_vec();
        // Up to 73 KiB: more than any length of two bytes.
        let length = bytes.len() + usize::from(self.byte()) * usize::from(self.byte()) * 9 / 8;
        let last = bytes.last().copied().unwrap_or_default();
        bytes.resize(length, last);
        bytes
    }

    /// Does up to seven things to `bytes`.
    pub(crate) fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.byte() & 0x07 {
            let kind = self.byte();
            let place = usize::from(self.number()).checked_rem(bytes.len()).unwrap_or_default();
            let change = match kind % 5 {
                0 => Change::Flip { place, mask: self.byte() },
                1 => Change::Truncate { place },
                2 => Change::Insert { place, bytes: self.prefixed() },
                3 => Change::Remove { place, length: self.byte().into() },
                _ => Change::Double { place },
            };
            change.apply(bytes);
        }
    }
}

impl Change<'_> {
    fn apply(self, target: &mut Vec<u8>) {
        match self {
            Self::Flip { place, mask } => {
                if let Some(byte) = target.get_mut(place) {
                    *byte ^= mask;
                }
            }
            Self::Truncate { place } => target.truncate(place),
            Self::Insert { place, bytes } => drop(target.splice(place..place, bytes.iter().copied())),
            Self::Remove { place, length } => {
                let end = place.saturating_add(length).min(target.len());
                target.drain(place..end);
            }
            Self::Double { place } if target.len() <= 1 << 16 => target.extend_from_within(place..),
            Self::Double { .. } => {}
        }
    }
}

impl Cuts<'static> {
    /// All at once.
    pub(crate) const NONE: Self = Self(&[]);
    /// Byte by byte, as far as that goes.
    pub(crate) const BYTES: Self = Self(&[1]);
}

impl<'a> Cuts<'a> {
    /// Cuts `bytes` into pieces, none of which is empty.
    pub(crate) fn pieces<'b>(self, bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> + use<'a, 'b> {
        let mut lengths = self.0.iter().copied().cycle().take(MAX_PIECES).map(usize::from);
        let mut rest = bytes;
        std::iter::from_fn(move || {
            let length = lengths.next().filter(|length| *length != 0).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    }
}
