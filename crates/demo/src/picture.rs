//! Frames as an animated picture.

use std::fmt::Write as _;

use crate::{
    frame::{Frame, Line, Look},
    view::WIDTH,
};

/// How many frames a picture has; each one is some kilobytes.
const N_FRAMES: usize = 20;
const FRAME_SECONDS: usize = 2;
/// Whole numbers are short; 0.6 of the font's size is as wide as most fixed fonts are.
const COLUMN: f32 = 8.0;
const ROW: f32 = 18.0;
const MARGIN: f32 = 18.0;

const STYLE: &str = "text{font:13.3px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}\
    text,rect{fill:#d0d7de}.b{fill:#f6f8fa;font-weight:600}.d{fill:#8b949e}.a{fill:#58a6ff}\
    .g{fill:#3fb950}.y{fill:#d29922}.r{fill:#ff7b72;font-weight:600}";

/// An SVG that shows some of the frames, evenly spread, one after the other for ever. Where nothing
/// moves, one from the second half is shown, in which three members are frozen.
pub(crate) fn animated(frames: &[Frame]) -> String {
    let chosen = choose(frames);
    let n_rows = chosen.iter().map(|frame| frame.0.len()).max().unwrap_or(0);
    let (width, height) = (2.0 * MARGIN + COLUMN * as_f32(WIDTH), 2.0 * MARGIN + ROW * as_f32(n_rows));
    let n_frames = chosen.len().max(1);
    let (seconds, part) = (n_frames * FRAME_SECONDS, 100.0 / as_f32(n_frames));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-label=\"waypost demo: members are killed and frozen, and no \
         connection is lost\">\n<style>{STYLE}\n\
         .f{{visibility:hidden;animation:f {seconds}s infinite}}.f.m{{visibility:visible}}\
         @keyframes f{{0%,{:.3}%{{visibility:visible}}{part:.3}%,100%{{visibility:hidden}}}}\
         @media (prefers-reduced-motion:reduce){{.f{{animation:none}}}}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" style=\"fill:#0d1117\"/>\n",
        part - 0.001
    );
    let still = chosen.len() * 5 / 8;
    for (index, frame) in chosen.iter().enumerate() {
        // With a negative delay every frame is somewhere in its round from the begin on.
        let delay = (n_frames - index) * FRAME_SECONDS;
        let class = if index == still { "f m" } else { "f" };
        let _infallible = writeln!(svg, "<g class=\"{class}\" style=\"animation-delay:-{delay}s\">");
        for (row, line) in frame.0.iter().enumerate() {
            draw_line(&mut svg, row, line);
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Some frames, evenly spread, and always the last one.
fn choose(frames: &[Frame]) -> Vec<&Frame> {
    let n_frames = N_FRAMES.min(frames.len());
    (1..=n_frames).filter_map(|place| frames.get(frames.len() * place / n_frames - 1)).collect()
}

fn draw_line(svg: &mut String, row: usize, line: &Line) {
    let mut column = 0;
    for (look, text) in &line.0 {
        let class = class(*look);
        let top = MARGIN + ROW * as_f32(row);
        for (offset, run) in runs(text) {
            let x = MARGIN + COLUMN * as_f32(column + offset);
            let _infallible = match block(&run) {
                Some(eighths) => {
                    let (width, height) = (COLUMN * as_f32(run.chars().count()), 1.75 * as_f32(eighths));
                    let y = top + ROW - 3.0 - height;
                    writeln!(svg, "<rect{class} x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>")
                }
                None if run.starts_with('─') => {
                    let (end, y) = (x + COLUMN * as_f32(run.chars().count()), top + ROW / 2.0);
                    writeln!(svg, "<path d=\"M{x} {y}H{end}\" stroke=\"#30363d\"/>")
                }
                None => {
                    let (width, y) = (COLUMN * as_f32(run.chars().count()), top + ROW - 5.0);
                    writeln!(
                        svg,
                        "<text{class} x=\"{x}\" y=\"{y}\" textLength=\"{width}\">{}</text>",
                        escape(&run)
                    )
                }
            };
        }
        column += text.chars().count();
    }
}

/// The parts of a text that are drawn as one, with the column that each begins in: blocks of one
/// height, and words. Spaces are not drawn, so that a font of another width moves no column.
fn runs(text: &str) -> Vec<(usize, String)> {
    let mut runs: Vec<(usize, String)> = Vec::new();
    let mut last = None;
    let mut n_spaces = 0;
    for (column, char) in text.chars().enumerate() {
        if char == ' ' {
            n_spaces += 1;
            continue;
        }
        let kind = block(char.encode_utf8(&mut [0; 4]));
        match runs.last_mut() {
            // A single space is a part of a sentence.
            Some((_, run))
                if last == Some(kind) && n_spaces == usize::from(n_spaces > 0 && kind.is_none()) =>
            {
                run.extend((n_spaces > 0).then_some(' '));
                run.push(char);
            }
            Some(_) | None => runs.push((column, char.to_string())),
        }
        (last, n_spaces) = (Some(kind), 0);
    }
    runs
}

/// The height of a block in eighths of a line, if the text begins with one.
fn block(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    "▁▂▃▄▅▆▇█".chars().position(|block| block == first).map(|position| position + 1)
}

fn class(look: Look) -> &'static str {
    match look {
        Look::Plain => "",
        Look::Bold => " class=\"b\"",
        Look::Dim => " class=\"d\"",
        Look::Accent => " class=\"a\"",
        Look::Good => " class=\"g\"",
        Look::Doubtful => " class=\"y\"",
        Look::Bad => " class=\"r\"",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Columns and rows are few.
fn as_f32(number: usize) -> f32 {
    f32::from(u16::try_from(number).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_blocks_are_drawn_where_they_stand() {
        let found = runs(" a b   c ██▁▁");
        let expected = [(1, "a b"), (7, "c"), (9, "██"), (11, "▁▁")];
        assert_eq!(found, expected.map(|(column, run)| (column, run.to_owned())));
    }

    #[test]
    fn a_picture_has_some_frames_and_always_the_last() {
        let frames: Vec<Frame> =
            (0..205).map(|index| Frame(vec![Line::plain(format!("<{index}>"))])).collect();
        let svg = animated(&frames);
        assert_eq!(svg.matches("<g ").count(), N_FRAMES);
        assert_eq!(svg.matches("class=\"f m\"").count(), 1);
        assert!(svg.contains("&lt;204&gt;"), "{svg}");
        assert_eq!(animated(&frames[..3]).matches("<g ").count(), 3);
        assert_eq!(animated(&[]).matches("<g ").count(), 0);
    }
}
