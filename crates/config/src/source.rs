use std::fmt;

use crate::Span;

const MAX_BYTES: usize = Source::MAX_BYTES;

/// Distance between two entries of the line index, so that neither the index nor one look-up in
/// it is large, however the file is made.
const INDEX_STEP: usize = 64 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a configuration with its name: of one file, or of several that are read together.
///
/// Several files have one range of offsets, so that a [`Span`] needs no file; a line feed that is in
/// none of them stands between two.
///
/// ```
/// use waypost_config::Source;
///
/// let source = Source::new("config.json", "{\n  \"log\": {}\n}")?;
/// let position = source.position(4);
/// assert_eq!((position.line, position.column), (2, 3));
/// # Ok::<(), waypost_config::SourceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    /// In the order of their places; never empty.
    files: Vec<File>,
    /// Number of line feeds before each multiple of [`INDEX_STEP`].
    lines_before: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    name: String,
    span: Span,
    /// Number of line feeds before it.
    lines_before: usize,
}

/// A place as people count: both start at 1, and columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// Why some bytes are not the text of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file, or all files together, are larger than this crate reads.
    #[error("{name}: error: the file has {size} bytes, at most {MAX_BYTES} are read")]
    TooBig {
        /// The name of the file.
        name: String,
        /// Its size in bytes, with that of the files before it.
        size: usize,
    },
    /// The file is not UTF-8.
    #[error("{name}:{position}: error: not UTF-8 text{hint}")]
    NotUtf8 {
        /// The name of the file.
        name: String,
        /// The place of the first byte that is wrong.
        position: Position,
        /// What the file may be instead; empty or beginning with a comma.
        hint: &'static str,
    },
}

impl Source {
    /// The most text that is read, of all files together. The geo data is not part of it, and the
    /// largest hand-collected rule files seen in the wild are below 10 MiB.
    pub const MAX_BYTES: usize = 64 * 1024 * 1024;

    /// Takes the content of a file; a byte order mark is dropped.
    ///
    /// # Errors
    ///
    /// If the content is too large or not UTF-8.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Result<Self, SourceError> {
        let name = name.into();
        Self::of_files(name.clone(), [(name, bytes.into())])
    }

    /// Takes the contents of files that are one configuration together, in the order in which they
    /// are merged; `name` stands for all of them. No file at all is an empty one.
    ///
    /// ```
    /// use waypost_config::Source;
    ///
    /// let files = [("a.json".to_owned(), b"{}".to_vec()), ("b.json".to_owned(), b"{\n}".to_vec())];
    /// let source = Source::of_files("conf.d", files)?;
    /// assert_eq!((source.file_of(5), source.position(5).line), ("b.json", 2));
    /// # Ok::<(), waypost_config::SourceError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a content is not UTF-8, or all of them together are too large.
    pub fn of_files(
        name: impl Into<String>,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, SourceError> {
        let mut source =
            Self { name: name.into(), text: String::new(), files: Vec::new(), lines_before: Vec::new() };
        let mut lines_before = 0;
        for (name, bytes) in files {
            let text = decode(&name, bytes, source.text.len())?;
            if !source.files.is_empty() {
                source.text.push('\n');
                lines_before += 1;
            }
            let start = source.text.len();
            source.files.push(File { name, span: Span { start, end: start + text.len() }, lines_before });
            lines_before += count_line_feeds(text.as_bytes());
            if source.text.is_empty() {
                source.text = text;
            } else {
                source.text.push_str(&text);
            }
        }
        if source.files.is_empty() {
            source.files.push(File { name: source.name.clone(), span: Span::default(), lines_before: 0 });
        }
        source.lines_before = index_lines(&source.text);
        Ok(source)
    }

    /// The name given to [`Source::new`], or the one that stands for all files.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text: of several files one after the other, with a line feed between them.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is more than one file.
    #[must_use]
    pub fn has_several_files(&self) -> bool {
        self.files.len() > 1
    }

    /// The names of the files with their places, in order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&str, Span)> {
        self.files.iter().map(|file| (file.name.as_str(), file.span))
    }

    /// The name of the file that a byte offset lies in; an offset outside counts as the end.
    #[must_use]
    pub fn file_of(&self, offset: usize) -> &str {
        self.file(offset).map_or(&self.name, |file| &file.name)
    }

    /// Where the file begins that a byte offset lies in.
    #[must_use]
    pub fn file_start(&self, offset: usize) -> usize {
        self.file(offset).map_or(0, |file| file.span.start)
    }

    /// The line and column of a byte offset in its file; an offset outside counts as the end of the
    /// text.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.clamp(offset);
        let indexed = offset / INDEX_STEP;
        let before = self.lines_before.get(indexed).copied().unwrap_or_default();
        let rest = self.text.as_bytes().get(indexed * INDEX_STEP..offset).unwrap_or_default();
        let of_other_files = self.file(offset).map_or(0, |file| file.lines_before);
        let line = before + count_line_feeds(rest) + 1 - of_other_files;
        let column = self.slice(self.line_start(offset), offset).chars().count() + 1;
        Position { line, column }
    }

    /// The line that a byte offset lies in, without its end.
    #[must_use]
    pub fn line_of(&self, offset: usize) -> &str {
        let line = self.line_span(offset);
        self.slice(line.start, line.end)
    }

    /// The place of the line that a byte offset lies in, without its end.
    pub(crate) fn line_span(&self, offset: usize) -> Span {
        let offset = self.clamp(offset);
        let start = self.line_start(offset);
        let rest = self.slice(offset, self.text.len());
        let end = offset + rest.find('\n').unwrap_or(rest.len());
        let end = if self.slice(start, end).ends_with('\r') { end - 1 } else { end };
        Span { start, end }
    }

    /// The text of a place; empty if there is no such place.
    pub(crate) fn slice(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn file(&self, offset: usize) -> Option<&File> {
        let behind = self.files.partition_point(|file| file.span.start <= offset);
        self.files.get(behind.saturating_sub(1))
    }

    fn line_start(&self, offset: usize) -> usize {
        self.slice(0, offset).rfind('\n').map_or(0, |at| at + 1)
    }

    fn clamp(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// The text of a file that begins at `start`.
fn decode(name: &str, mut bytes: Vec<u8>, start: usize) -> Result<String, SourceError> {
    let size = start + bytes.len();
    if size > MAX_BYTES {
        return Err(SourceError::TooBig { name: name.to_owned(), size });
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        let hint = if utf16 { ", but UTF-16; save the file as UTF-8" } else { "" };
        let before = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default());
        SourceError::NotUtf8 { name: name.to_owned(), position: end_of(&before), hint }
    })
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

fn index_lines(text: &str) -> Vec<usize> {
    let mut total = 0;
    let mut index = Vec::with_capacity(text.len() / INDEX_STEP + 1);
    for block in text.as_bytes().chunks(INDEX_STEP) {
        index.push(total);
        total += count_line_feeds(block);
    }
    // The end of a text that fills its last block exactly lies behind that block.
    index.push(total);
    index
}

fn count_line_feeds(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

fn end_of(text: &str) -> Position {
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    Position { line: count_line_feeds(text.as_bytes()) + 1, column: last_line.chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_agree_with_a_count_from_the_start() {
        let text = "a\nbü漢c\r\n\nlast".repeat(9000);
        let source = Source::new("x", text.clone()).unwrap();
        for offset in (0..=text.len()).step_by(101).chain([text.len(), INDEX_STEP, INDEX_STEP + 1]) {
            let Some(before) = text.get(..offset) else { continue };
            assert_eq!(source.position(offset), end_of(before), "offset {offset}");
        }
    }

    #[test]
    fn offsets_outside_count_as_the_end() {
        let source = Source::new("x", "a\nü").unwrap();
        assert_eq!(source.position(99), Position { line: 2, column: 2 });
        assert_eq!(source.position(3), Position { line: 2, column: 1 });
        assert_eq!(source.line_of(99), "ü");
    }

    #[test]
    fn lines_come_without_their_end() {
        let source = Source::new("x", "one\r\ntwo\n").unwrap();
        assert_eq!(source.line_of(0), "one");
        assert_eq!(source.line_of(4), "one");
        assert_eq!(source.line_of(6), "two");
        assert_eq!(source.line_of(9), "");
    }

    #[test]
    fn the_first_byte_that_is_not_text_is_named() {
        let error = Source::new("c.json", b"{\n \"\xff\"}".as_slice()).unwrap_err();
        assert_eq!(error.to_string(), "c.json:2:3: error: not UTF-8 text");
        let error = Source::new("c.json", b"\xff\xfe{\0".as_slice()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "c.json:1:1: error: not UTF-8 text, but UTF-16; save the file as UTF-8"
        );
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(Source::new("x", "\u{feff}{}").unwrap().text(), "{}");
    }

    #[test]
    fn a_file_that_is_too_big_is_refused() {
        let error = Source::new("x", vec![b' '; MAX_BYTES + 1]).unwrap_err();
        assert_eq!(error, SourceError::TooBig { name: "x".into(), size: MAX_BYTES + 1 });
    }

    #[test]
    fn every_file_counts_its_own_lines() {
        let texts = ["{\n}\n", "", "\u{feff}ü", "a\nb"];
        let names = ["a", "b", "c", "d"];
        let files = names.iter().zip(texts).map(|(name, text)| ((*name).to_owned(), text.into()));
        let source = Source::of_files("all", files).unwrap();
        assert_eq!((source.name(), source.text()), ("all", "{\n}\n\n\nü\na\nb"));
        let place = |offset| {
            let Position { line, column } = source.position(offset);
            (source.file_of(offset), line, column, source.line_of(offset))
        };
        assert_eq!(place(0), ("a", 1, 1, "{"));
        assert_eq!(place(2), ("a", 2, 1, "}"));
        assert_eq!(place(4), ("a", 3, 1, ""));
        assert_eq!(place(5), ("b", 1, 1, ""));
        assert_eq!(place(6), ("c", 1, 1, "ü"));
        assert_eq!(place(8), ("c", 1, 2, "ü"));
        assert_eq!(place(11), ("d", 2, 1, "b"));
        assert_eq!(place(99), ("d", 2, 2, "b"));
    }

    #[test]
    fn the_file_that_is_wrong_is_named() {
        let files = |second: &[u8]| [("a".to_owned(), b"{}".to_vec()), ("b".to_owned(), second.to_vec())];
        let error = Source::of_files("all", files(b"\n\xff")).unwrap_err();
        assert_eq!(error.to_string(), "b:2:1: error: not UTF-8 text");
        let error = Source::of_files("all", files(&vec![b' '; MAX_BYTES - 1])).unwrap_err();
        assert_eq!(error, SourceError::TooBig { name: "b".into(), size: MAX_BYTES + 1 });
    }

    #[test]
    fn no_file_is_an_empty_one() {
        let source = Source::of_files("none", []).unwrap();
        assert_eq!((source.file_of(0), source.text(), source.position(0).line), ("none", "", 1));
    }
}
