use crate::MAX_HTTP_HEAD_BYTES;

/// More headers than this are not read; browsers send fewer than 30.
pub(crate) const MAX_HEADERS: usize = 128;

/// Finds the end of an HTTP head in bytes that arrive piece by piece, looking at each byte once.
#[derive(Debug, Default)]
pub(crate) struct HeadScanner {
    scanned: usize,
    /// Whether nothing but a carriage return came since the last line feed.
    line_is_empty: bool,
}

/// What is known of the end of a head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeadEnd {
    /// It did not come yet.
    NotYet,
    /// The head is this long, its empty line included.
    At(usize),
    /// It does not come within [`MAX_HTTP_HEAD_BYTES`].
    TooFar,
}

impl HeadScanner {
    /// Looks at what was added to `bytes` since the last call. After an end it goes on to the next one.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> HeadEnd {
        let new = bytes.iter().take(MAX_HTTP_HEAD_BYTES).enumerate().skip(self.scanned);
        for (index, &byte) in new {
            self.scanned = index + 1;
            match byte {
                b'\n' if self.line_is_empty => {
                    self.line_is_empty = false;
                    return HeadEnd::At(index + 1);
                }
                b'\n' => self.line_is_empty = true,
                b'\r' => {}
                _ => self.line_is_empty = false,
            }
        }
        if bytes.len() >= MAX_HTTP_HEAD_BYTES { HeadEnd::TooFar } else { HeadEnd::NotYet }
    }
}

/// What is wrong with a head, in words.
pub(crate) fn describe(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "invalid header name",
        httparse::Error::HeaderValue => "invalid header value",
        httparse::Error::NewLine => "invalid line end",
        httparse::Error::Status => "invalid status",
        httparse::Error::Token => "invalid start line",
        httparse::Error::TooManyHeaders => "too many headers",
        httparse::Error::Version => "invalid version",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_ends_with_its_empty_line() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n\r\nbody"[..], HeadEnd::At(18)),
            (b"GET / HTTP/1.1\n\nbody", HeadEnd::At(16)),
            (b"GET / HTTP/1.1\r\na: b\r\n", HeadEnd::NotYet),
            (b"", HeadEnd::NotYet),
        ] {
            assert_eq!(HeadScanner::default().scan(bytes), expected);
            let mut scanner = HeadScanner::default();
            let last = (0..=bytes.len())
                .map(|end| scanner.scan(&bytes[..end]))
                .find(|end| *end != HeadEnd::NotYet)
                .unwrap_or(HeadEnd::NotYet);
            assert_eq!(last, expected, "byte by byte");
        }
    }

    #[test]
    fn a_head_without_end_is_too_large_at_the_limit() {
        let mut bytes = vec![b'a'; MAX_HTTP_HEAD_BYTES - 1];
        assert_eq!(HeadScanner::default().scan(&bytes), HeadEnd::NotYet);
        bytes.push(b'a');
        assert_eq!(HeadScanner::default().scan(&bytes), HeadEnd::TooFar);
        bytes.splice(MAX_HTTP_HEAD_BYTES - 4.., *b"\r\n\r\n");
        assert_eq!(HeadScanner::default().scan(&bytes), HeadEnd::At(MAX_HTTP_HEAD_BYTES));
    }
}
