//! A lane for each member: its state as a colour, its delay as a line.

use std::time::Duration;

use plotters::{element::PathElement, style::RGBColor};

use super::{
    Canvas, INK, LANE, LOST, Layout, PlotError, TAG_CHARS, TIER, cross, failed, pixels, rectangle, right,
    shorten, state_colour, stroke, text,
};
use crate::{Report, Slice, Word};

pub(super) const BACKUP: RGBColor = RGBColor(142, 124, 195);
const PRIMARY: RGBColor = RGBColor(207, 226, 243);
/// Between two lanes.
const GAP: i32 = 4;

pub(super) fn draw(layout: &Layout<'_>, canvas: &Canvas<'_>) -> Result<(), PlotError> {
    let report = layout.report;
    let top = layout.lanes_top();
    text(canvas, "tier", (12, top + 2), 13, INK)?;
    let tier = |slice: &Slice| slice.is_backup;
    for (from, to, is_backup) in runs(report, tier) {
        let colour = if is_backup { BACKUP } else { PRIMARY };
        rectangle(canvas, [(layout.x(from), top), (layout.x(to), top + TIER - GAP)], colour)?;
    }
    let scale = delay_scale(report);
    for (lane, member) in report.members.iter().take(layout.n_lanes).enumerate() {
        let top = layout.lane_top(lane);
        text(canvas, &shorten(&member.tag, TAG_CHARS), (12, top + 9), 13, INK)?;
        let state = |slice: &Slice| slice.states.get(lane).copied().unwrap_or(Word::Unknown);
        for (from, to, word) in runs(report, state) {
            let corners = [(layout.x(from), top), (layout.x(to), top + LANE - GAP)];
            rectangle(canvas, corners, state_colour(word))?;
        }
        if let Some(scale) = scale {
            delay_line(layout, canvas, lane, scale)?;
        }
    }
    lost(layout, canvas)
}

/// What the height of a lane stands for: the longest delay of all.
pub(super) fn delay_scale(report: &Report) -> Option<Duration> {
    let slices = report.timeline.slices.iter();
    slices.flat_map(|slice| slice.delays.iter().copied()).flatten().max().filter(|scale| !scale.is_zero())
}

fn delay_line(
    layout: &Layout<'_>,
    canvas: &Canvas<'_>,
    lane: usize,
    scale: Duration,
) -> Result<(), PlotError> {
    let bottom = layout.lane_top(lane) + LANE - GAP;
    let height = f64::from(LANE - GAP - 2);
    let delay = |slice: &Slice| slice.delays.get(lane).copied().flatten();
    let mut points = Vec::new();
    for (from, to, delay) in runs(layout.report, delay) {
        let Some(delay) = delay else { continue };
        let y = bottom - 1 - pixels(delay.as_secs_f64() / scale.as_secs_f64() * height);
        points.extend([(layout.x(from), y), (layout.x(to), y)]);
    }
    canvas.draw(&PathElement::new(points, stroke(INK, 1))).map_err(failed)
}

fn lost(layout: &Layout<'_>, canvas: &Canvas<'_>) -> Result<(), PlotError> {
    let top = layout.lane_top(layout.n_lanes);
    text(canvas, "lost", (12, top + 2), 13, INK)?;
    let line = [(layout.x(Duration::ZERO), top + LOST - 2), (right(), top + LOST - 2)];
    canvas.draw(&PathElement::new(line, stroke(PRIMARY, 1))).map_err(failed)?;
    for slice in layout.report.timeline.slices.iter().filter(|slice| slice.lost > 0) {
        cross(canvas, (layout.x(slice.at), top + LOST / 2 - 1))?;
    }
    Ok(())
}

/// Stretches of slices that are alike: from when, to when, what.
fn runs<T: PartialEq>(report: &Report, of: impl Fn(&Slice) -> T) -> Vec<(Duration, Duration, T)> {
    let mut runs: Vec<(Duration, Duration, T)> = Vec::new();
    for slice in &report.timeline.slices {
        let (what, to) = (of(slice), slice.at + report.timeline.length);
        match runs.last_mut() {
            Some((_, end, same)) if *same == what => *end = to,
            Some(_) | None => runs.push((slice.at, to, what)),
        }
    }
    runs
}
