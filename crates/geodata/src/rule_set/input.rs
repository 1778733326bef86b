//! The inflated rules as a stream, so that nothing is held that was not asked for.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::{MAX_INFLATED_BYTES, SrsError, SrsPlace, SrsProblem};

/// How much is inflated at once.
const WINDOW_BYTES: usize = 32 << 10;
/// A varint of 64 bits takes at most this many bytes.
const MAX_VARINT_BYTES: usize = 10;

/// What can be used again for the next file.
pub(super) struct Inflater {
    decompress: Decompress,
    window: Box<[u8]>,
}

impl Default for Inflater {
    fn default() -> Self {
        Self { decompress: Decompress::new(true), window: vec![0; WINDOW_BYTES].into() }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

/// Reads what the compressed part of a file inflates to.
pub(super) struct Input<'a> {
    inflater: &'a mut Inflater,
    file: &'a [u8],
    /// Where the compressed data goes on in the file.
    at: usize,
    /// What of the window was filled, and what of that was read.
    filled: usize,
    read: usize,
    /// Bytes that were inflated before the window.
    before: u64,
    ended: bool,
}

impl<'a> Input<'a> {
    /// Begins with the byte of `file` at `start`.
    pub(super) fn new(inflater: &'a mut Inflater, file: &'a [u8], start: usize) -> Self {
        inflater.decompress.reset(true);
        Self { inflater, file, at: start, filled: 0, read: 0, before: 0, ended: false }
    }

    /// Where the next byte is in the inflated data.
    pub(super) fn offset(&self) -> u64 {
        self.before + self.read as u64
    }

    /// A problem with the inflated data at `offset`.
    pub(super) fn wrong_at(offset: u64, problem: SrsProblem) -> SrsError {
        SrsError { place: SrsPlace::Inflated(offset), problem }
    }

    /// A problem with the inflated data at the next byte.
    pub(super) fn wrong(&self, problem: SrsProblem) -> SrsError {
        Self::wrong_at(self.offset(), problem)
    }

    pub(super) fn byte(&mut self, expected: &'static str) -> Result<u8, SrsError> {
        if self.read == self.filled && !self.refill()? {
            return Err(self.wrong(SrsProblem::RulesEnd(expected)));
        }
        let byte = self.inflater.window[self.read];
        self.read += 1;
        Ok(byte)
    }

    /// A flag, which Go writes as 0 or 1.
    pub(super) fn flag(&mut self, expected: &'static str) -> Result<bool, SrsError> {
        let offset = self.offset();
        match self.byte(expected)? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(Self::wrong_at(offset, SrsProblem::Byte { expected: "a flag, 0 or 1", found })),
        }
    }

    pub(super) fn varint(&mut self, expected: &'static str) -> Result<u64, SrsError> {
        let offset = self.offset();
        let mut value = 0_u64;
        for index in 0..MAX_VARINT_BYTES {
            let byte = self.byte(expected)?;
            if index == MAX_VARINT_BYTES - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Self::wrong_at(offset, SrsProblem::Varint))
    }

    pub(super) fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], SrsError> {
        let mut bytes = [0; N];
        if let Some(here) = self.inflater.window.get(self.read..self.filled)
            && let Some(here) = here.first_chunk::<N>()
        {
            bytes = *here;
            self.read += N;
            return Ok(bytes);
        }
        for byte in &mut bytes {
            *byte = self.byte(expected)?;
        }
        Ok(bytes)
    }

    /// Appends the next `length` bytes. Memory grows only by what is there.
    pub(super) fn append(
        &mut self,
        length: usize,
        out: &mut Vec<u8>,
        expected: &'static str,
    ) -> Result<(), SrsError> {
        let mut left = length;
        while left > 0 {
            if self.read == self.filled && !self.refill()? {
                return Err(self.wrong(SrsProblem::RulesEnd(expected)));
            }
            let here = self.inflater.window.get(self.read..self.filled).unwrap_or_default();
            let taken = here.len().min(left);
            out.extend_from_slice(&here[..taken]);
            self.read += taken;
            left -= taken;
        }
        Ok(())
    }

    /// Checks that the data ends here, its checksum, and that the file ends with it.
    pub(super) fn finish(mut self) -> Result<(), SrsError> {
        if self.read < self.filled || self.refill()? {
            return Err(self.wrong(SrsProblem::BehindRules));
        }
        match self.file.len() - self.at {
            0 => Ok(()),
            more => Err(self.wrong_in_file(SrsProblem::BehindData(more as u64))),
        }
    }

    fn wrong_in_file(&self, problem: SrsProblem) -> SrsError {
        SrsError { place: SrsPlace::File(self.at as u64), problem }
    }

    /// Inflates the next piece; `false` at the end.
    fn refill(&mut self) -> Result<bool, SrsError> {
        self.before += self.filled as u64;
        (self.filled, self.read) = (0, 0);
        while !self.ended && self.filled == 0 {
            let Inflater { decompress, window } = &mut *self.inflater;
            let (read, written) = (decompress.total_in(), decompress.total_out());
            let rest = self.file.get(self.at..).unwrap_or_default();
            let status = decompress.decompress(rest, window, FlushDecompress::None);
            let consumed = usize::try_from(decompress.total_in() - read).unwrap_or(rest.len());
            self.filled = usize::try_from(decompress.total_out() - written).unwrap_or_default();
            self.at += consumed.min(rest.len());
            match status {
                Ok(Status::StreamEnd) => self.ended = true,
                Ok(Status::Ok | Status::BufError) if self.filled > 0 || consumed > 0 => {}
                Ok(Status::Ok | Status::BufError) => {
                    return Err(self.wrong_in_file(SrsProblem::FileEnds));
                }
                Err(_damaged) => return Err(self.wrong_in_file(SrsProblem::Damaged)),
            }
        }
        if self.before + self.filled as u64 > MAX_INFLATED_BYTES {
            let problem = SrsProblem::TooMany { what: "inflated bytes", limit: MAX_INFLATED_BYTES };
            return Err(self.wrong_in_file(problem));
        }
        Ok(self.filled > 0)
    }
}
