//! Lines of styled text, and how a terminal shows them.

use std::fmt::Write as _;

/// How text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    Bold,
    Dim,
    Accent,
    Good,
    Doubtful,
    Bad,
}

/// A line of styled text. Every character takes one column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Line(pub(crate) Vec<(Look, String)>);

/// What is shown at a moment, from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Frame(pub(crate) Vec<Line>);

impl Line {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::default().with(Look::Plain, text)
    }

    pub(crate) fn with(mut self, look: Look, text: impl Into<String>) -> Self {
        self.0.push((look, text.into()));
        self
    }

    /// Appends text whose last column is `column`.
    pub(crate) fn right(self, column: usize, look: Look, text: &str) -> Self {
        let gap = column.saturating_sub(self.width() + text.chars().count());
        self.with(Look::Plain, " ".repeat(gap)).with(look, text)
    }

    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// The text for a terminal, cut at its edge: a line that wraps would break the picture.
    fn ansi(&self, columns: usize) -> String {
        let (mut ansi, mut left) = (String::new(), columns);
        for (look, text) in &self.0 {
            let cut: String = text.chars().take(left).collect();
            left -= cut.chars().count();
            match look.code() {
                Some(code) => drop(write!(ansi, "\x1b[{code}m{cut}\x1b[0m")),
                None => ansi.push_str(&cut),
            }
        }
        ansi
    }
}

impl Frame {
    /// What a terminal is sent to show this in place of the frame before it, which had so many lines.
    pub(crate) fn ansi(&self, columns: usize, n_before: usize) -> String {
        let mut ansi = if n_before > 0 { format!("\x1b[{n_before}A") } else { String::new() };
        for line in &self.0 {
            let _infallible = write!(ansi, "\r{}\x1b[K\r\n", line.ansi(columns));
        }
        ansi
    }
}

impl Look {
    /// The parameter of SGR (ECMA-48 §8.3.117).
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bold => Some("1"),
            Self::Dim => Some("2"),
            Self::Accent => Some("36"),
            Self::Good => Some("32"),
            Self::Doubtful => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// A number with commas between the thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_replaces_the_one_before_and_never_wraps() {
        let line = Line::plain("ab").with(Look::Good, "cde").right(10, Look::Bold, "fg");
        assert_eq!(line.width(), 10);
        let frame = Frame(vec![line, Line::default()]);
        assert_eq!(frame.ansi(80, 0), "\rab\x1b[32mcde\x1b[0m   \x1b[1mfg\x1b[0m\x1b[K\r\n\r\x1b[K\r\n");
        assert_eq!(frame.ansi(3, 2), "\x1b[2A\rab\x1b[32mc\x1b[0m\x1b[1m\x1b[0m\x1b[K\r\n\r\x1b[K\r\n");
    }

    #[test]
    fn numbers_are_grouped() {
        let numbers = [0, 999, 1000, 123_456, 1_234_567];
        assert_eq!(numbers.map(grouped), ["0", "999", "1,000", "123,456", "1,234,567"]);
    }
}
