//! Where everything is shown: a terminal, or lines for logs.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use rustix::termios::tcgetwinsize;

use crate::{
    DemoError,
    frame::{Frame, Line},
    view::WIDTH,
};

/// Where everything is shown.
#[derive(Debug)]
pub(crate) struct Show {
    is_live: bool,
    has_colours: bool,
    columns: usize,
    n_lines: usize,
}

impl Show {
    /// A picture that moves, if standard output is a terminal that it fits in and nobody wants lines.
    pub(crate) fn new(plain: bool, n_lines: usize) -> Self {
        let output = std::io::stdout();
        let size = tcgetwinsize(&output).ok().filter(|_| output.is_terminal());
        let (columns, rows) = size.map_or((0, 0), |size| (size.ws_col.into(), size.ws_row.into()));
        let is_live = !plain && columns >= WIDTH && rows > n_lines;
        Self { is_live, has_colours: output.is_terminal() && !plain, columns, n_lines: 0 }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Shows a frame in place of the last one.
    pub(crate) fn frame(&mut self, frame: &Frame) -> Result<(), DemoError> {
        let text = frame.ansi(self.columns, self.n_lines);
        self.n_lines = frame.0.len();
        write(&text)
    }

    /// Writes a line with the time in front.
    pub(crate) fn line(&self, now: Duration, text: &str) -> Result<(), DemoError> {
        write(&format!("{:5.1} s  {text}\n", now.as_secs_f32()))
    }

    /// Writes lines below everything else.
    pub(crate) fn below(&self, lines: &[Line]) -> Result<(), DemoError> {
        let text = if self.has_colours {
            Frame(lines.to_vec()).ansi(usize::MAX, 0)
        } else {
            let text =
                |line: &Line| line.0.iter().map(|(_, text)| text.as_str()).chain(["\n"]).collect::<String>();
            lines.iter().map(text).collect()
        };
        write(&format!("\n{text}"))
    }
}

fn write(text: &str) -> Result<(), DemoError> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(DemoError::Output)
}
