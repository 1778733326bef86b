//! A report as a picture.

mod lanes;
mod shares;

use std::time::Duration;

use plotters::{
    backend::SVGBackend,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea as _},
    element::{PathElement, Rectangle, Text},
    style::{Color as _, IntoFont as _, RGBColor, ShapeStyle, TextStyle, WHITE},
};

use crate::{Report, Word, duration::show};

/// In pixels, as all that follows.
const WIDTH: u32 = 1200;
/// The space for names left of the time, and the margin right of it.
const LEFT: i32 = 140;
const RIGHT: i32 = 24;
const TITLE: i32 = 58;
/// Rows of labels of events, so that neighbours do not cover each other.
const EVENT_ROWS: i32 = 3;
const EVENT_ROW: i32 = 15;
const TIER: i32 = 18;
const LANE: i32 = 36;
const LOST: i32 = 20;
const SHARES: i32 = 280;
const LEGEND_ROW: i32 = 22;
/// Longer labels would cover others.
const EVENT_CHARS: usize = 44;
const TAG_CHARS: usize = 17;
/// More members make no picture that anybody can read.
const MAX_LANES: usize = 40;

const INK: RGBColor = RGBColor(40, 40, 40);
const GREY: RGBColor = RGBColor(120, 120, 120);
const LOST_RED: RGBColor = RGBColor(200, 0, 30);
/// Told apart by people who do not see all colours (Okabe and Ito, 2008).
const MEMBERS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(240, 228, 66),
    RGBColor(120, 120, 120),
];

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the picture cannot be drawn: {message}")]
pub struct PlotError {
    /// What the drawing library says.
    pub message: String,
}

/// Draws the timeline of a report as SVG: the state and the delay of each member, the tier that served,
/// what was lost, and who carried what.
///
/// # Errors
///
/// If the drawing library fails, which it has no reason to.
pub fn plot(report: &Report) -> Result<String, PlotError> {
    let mut svg = String::new();
    let layout = Layout::new(report);
    {
        let canvas = SVGBackend::with_string(&mut svg, (WIDTH, layout.height())).into_drawing_area();
        canvas.fill(&WHITE).map_err(failed)?;
        layout.title(&canvas)?;
        lanes::draw(&layout, &canvas)?;
        shares::draw(&layout, &canvas)?;
        layout.events(&canvas)?;
        layout.legend(&canvas)?;
        canvas.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Where everything is.
struct Layout<'r> {
    report: &'r Report,
    n_lanes: usize,
}

impl<'r> Layout<'r> {
    fn new(report: &'r Report) -> Self {
        Self { report, n_lanes: report.members.len().min(MAX_LANES) }
    }

    fn lanes_top(&self) -> i32 {
        TITLE + EVENT_ROWS * EVENT_ROW + 6
    }

    /// The top of a member's lane; the one past the last is that of what was lost.
    fn lane_top(&self, lane: usize) -> i32 {
        self.lanes_top() + TIER + 4 + LANE * i32::try_from(lane).unwrap_or(0)
    }

    fn shares_top(&self) -> i32 {
        self.lane_top(self.n_lanes) + LOST + 10
    }

    fn legend_top(&self) -> i32 {
        self.shares_top() + SHARES + 14
    }

    fn height(&self) -> u32 {
        let n_rows = self.n_lanes.div_ceil(MEMBERS_IN_ROW) + 1;
        let rows = LEGEND_ROW * i32::try_from(n_rows).unwrap_or(0);
        u32::try_from(self.legend_top() + rows + 12).unwrap_or(0)
    }

    fn x(&self, at: Duration) -> i32 {
        let share = at.as_secs_f64() / self.report.duration.as_secs_f64().max(f64::MIN_POSITIVE);
        LEFT + pixels(share.min(1.0) * f64::from(right() - LEFT))
    }

    fn title(&self, canvas: &Canvas<'_>) -> Result<(), PlotError> {
        let Report { group, strategy, seed, connections, answer, .. } = self.report;
        text(canvas, &format!("{group}: {strategy}, seed {seed}"), (12, 10), 20, INK)?;
        let answer = answer.map_or_else(String::new, |answer| {
            format!(
                ", first answer p50 {}, p99 {}, max {}",
                show(answer.p50),
                show(answer.p99),
                show(answer.max)
            )
        });
        let line = format!(
            "{} connections, {} lost ({} though some member worked){answer}",
            connections.total, connections.lost, connections.lost_needlessly
        );
        text(canvas, &line, (12, 36), 14, INK)
    }

    /// A dashed line for each event, with what it is.
    fn events(&self, canvas: &Canvas<'_>) -> Result<(), PlotError> {
        let bottom = self.shares_top() + SHARES - shares::AXIS;
        for (number, event) in (0_i32..).zip(&self.report.events) {
            let row = TITLE + (number % EVENT_ROWS) * EVENT_ROW;
            let x = self.x(event.at);
            dashes(canvas, x, row + 12, bottom, INK)?;
            if let Some(until) = event.until.filter(|&until| until < self.report.duration) {
                dashes(canvas, self.x(until), self.lanes_top(), bottom, GREY)?;
            }
            let lasts = event.until.map(|until| format!(" for {}", show(until.saturating_sub(event.at))));
            let label = shorten(&format!("{}{}", event.what, lasts.unwrap_or_default()), EVENT_CHARS);
            // About as wide as a label is.
            let width = 7 * i32::try_from(label.chars().count()).unwrap_or(0);
            let left = if x + width > right() + RIGHT { x - width } else { x + 3 };
            text(canvas, &label, (left, row), 12, INK)?;
        }
        Ok(())
    }

    fn legend(&self, canvas: &Canvas<'_>) -> Result<(), PlotError> {
        let top = self.legend_top();
        let words = [Word::Up, Word::Unknown, Word::Suspect, Word::Ejected, Word::Down];
        let mut x = LEFT;
        for word in words {
            swatch(canvas, (x, top), state_colour(word), state_name(word))?;
            x += 86;
        }
        swatch(canvas, (x, top), lanes::BACKUP, "backups serve")?;
        cross(canvas, (x + 136, top + 6))?;
        text(canvas, "lost", (x + 148, top), 12, INK)?;
        if let Some(scale) = lanes::delay_scale(self.report) {
            let line = [(x + 196, top + 6), (x + 212, top + 6)];
            canvas.draw(&PathElement::new(line, stroke(INK, 1))).map_err(failed)?;
            let label = format!("delay of probes; the height of a lane is {}", show(scale));
            text(canvas, &label, (x + 218, top), 12, INK)?;
        }
        for (lane, member) in self.report.members.iter().take(self.n_lanes).enumerate() {
            let (row, column) = (lane / MEMBERS_IN_ROW + 1, lane % MEMBERS_IN_ROW);
            let [row, column] = [row, column].map(|n| i32::try_from(n).unwrap_or(0));
            let label = format!("{} {:.0}%", shorten(&member.tag, TAG_CHARS), member.share * 100.0);
            swatch(canvas, (LEFT + column * 172, top + row * LEGEND_ROW), member_colour(lane), &label)?;
        }
        Ok(())
    }
}

const MEMBERS_IN_ROW: usize = 6;

fn right() -> i32 {
    i32::try_from(WIDTH).unwrap_or(0) - RIGHT
}

fn member_colour(lane: usize) -> RGBColor {
    MEMBERS.get(lane % MEMBERS.len()).copied().unwrap_or(GREY)
}

fn state_colour(word: Word) -> RGBColor {
    match word {
        Word::Up => RGBColor(190, 226, 198),
        Word::Unknown => RGBColor(222, 222, 222),
        Word::Suspect => RGBColor(255, 224, 120),
        Word::Ejected => RGBColor(244, 162, 89),
        Word::Down => RGBColor(214, 90, 104),
    }
}

fn state_name(word: Word) -> &'static str {
    match word {
        Word::Up => "up",
        Word::Unknown => "unknown",
        Word::Suspect => "suspect",
        Word::Ejected => "ejected",
        Word::Down => "down",
    }
}

fn text(
    canvas: &Canvas<'_>,
    text: &str,
    at: (i32, i32),
    size: i32,
    colour: RGBColor,
) -> Result<(), PlotError> {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&colour);
    canvas.draw(&Text::new(text.to_owned(), at, style)).map_err(failed)
}

fn swatch(canvas: &Canvas<'_>, (x, y): (i32, i32), colour: RGBColor, label: &str) -> Result<(), PlotError> {
    rectangle(canvas, [(x, y), (x + 14, y + 12)], colour)?;
    text(canvas, label, (x + 20, y), 12, INK)
}

fn rectangle(canvas: &Canvas<'_>, corners: [(i32, i32); 2], colour: RGBColor) -> Result<(), PlotError> {
    canvas.draw(&Rectangle::new(corners, colour.filled())).map_err(failed)
}

fn cross(canvas: &Canvas<'_>, (x, y): (i32, i32)) -> Result<(), PlotError> {
    for line in [[(x - 4, y - 4), (x + 4, y + 4)], [(x - 4, y + 4), (x + 4, y - 4)]] {
        canvas.draw(&PathElement::new(line, stroke(LOST_RED, 2))).map_err(failed)?;
    }
    Ok(())
}

fn dashes(canvas: &Canvas<'_>, x: i32, top: i32, bottom: i32, colour: RGBColor) -> Result<(), PlotError> {
    let mut y = top;
    while y < bottom {
        let line = [(x, y), (x, (y + 4).min(bottom))];
        canvas.draw(&PathElement::new(line, stroke(colour, 1))).map_err(failed)?;
        y += 8;
    }
    Ok(())
}

fn stroke(colour: RGBColor, width: u32) -> ShapeStyle {
    colour.stroke_width(width)
}

/// Cuts a label that would cover others.
fn shorten(label: &str, n_chars: usize) -> String {
    if label.chars().count() <= n_chars {
        return label.to_owned();
    }
    let head: String = label.chars().take(n_chars.saturating_sub(1)).collect();
    format!("{head}\u{2026}")
}

#[expect(clippy::cast_possible_truncation, reason = "places in a picture are far below 2^31")]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError { message: error.to_string() }
}
