//! What geosite.dat and geoip.dat have in common: a list of entries, each with a code.

use std::collections::HashMap;
use std::ops::Range;

use crate::DatError;
use crate::proto::{Fields, text};

const ENTRY: u32 = 1;
const CODE: u32 = 1;

/// A file and where each of its lists lies. No list is decoded.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Upper-case code to position in `entries`.
    by_code: HashMap<String, usize>,
}

#[derive(Clone, Debug)]
struct Entry {
    code: Range<usize>,
    message: Range<usize>,
}

/// One list of a file.
#[derive(Clone, Debug)]
pub(crate) struct List<'a> {
    pub(crate) code: &'a str,
    pub(crate) file: &'a [u8],
    pub(crate) message: Range<usize>,
}

impl Index {
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Index, DatError> {
        let mut entries = Vec::new();
        let mut by_code = HashMap::new();
        let mut fields = Fields::new(&bytes, 0..bytes.len());
        while let Some(field) = fields.next()? {
            if field.number != ENTRY {
                continue;
            }
            let message = field.bytes()?;
            let code = find_code(&bytes, message.clone())?;
            let offset = code.start;
            let upper_case =
                text(&bytes, code.clone()).ok_or(DatError::CodeNotUtf8 { offset })?.to_ascii_uppercase();
            by_code.entry(upper_case).or_insert(entries.len());
            entries.push(Entry { code, message });
        }
        Ok(Index { bytes, entries, by_code })
    }

    pub(crate) fn codes(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| self.code(entry))
    }

    pub(crate) fn list(&self, code: &str) -> Option<List<'_>> {
        let entry = self.entries.get(*self.by_code.get(&code.to_ascii_uppercase())?)?;
        Some(List { code: self.code(entry), file: &self.bytes, message: entry.message.clone() })
    }

    fn code(&self, entry: &Entry) -> &str {
        text(&self.bytes, entry.code.clone()).unwrap_or_default()
    }
}

/// Returns the first code field. Writers put it first, so the rest is seldom looked at.
fn find_code(file: &[u8], message: Range<usize>) -> Result<Range<usize>, DatError> {
    let end = message.end;
    let mut fields = Fields::new(file, message);
    while let Some(field) = fields.next()? {
        if field.number == CODE {
            return field.bytes();
        }
    }
    Ok(end..end)
}
