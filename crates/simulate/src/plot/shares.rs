//! Who carried what, second by second, one above the other.

use plotters::{
    chart::ChartBuilder,
    element::Polygon,
    style::{Color as _, IntoFont as _, RGBColor, TextStyle},
};

use super::{Canvas, INK, LEFT, LOST_RED, Layout, PlotError, RIGHT, SHARES, WIDTH, failed, member_colour};

/// The space for the axis of time.
pub(super) const AXIS: i32 = 46;
/// The space left of the axis of connections.
const DESCRIPTION: i32 = 64;
/// In the picture a value holds for at least this long, so that chance does not hide the shares.
const MIN_STRETCH: f64 = 1.0;

pub(super) fn draw(layout: &Layout<'_>, canvas: &Canvas<'_>) -> Result<(), PlotError> {
    let report = layout.report;
    let (top, bottom) = (layout.shares_top(), layout.shares_top() + SHARES);
    let area = canvas.clone().shrink((0, top), (WIDTH, u32::try_from(bottom - top).unwrap_or(0)));
    let stretches = stretches(layout);
    let highest = stretches.iter().map(|stretch| stretch.rates.iter().sum::<f64>()).fold(1.0, f64::max);
    let end = report.duration.as_secs_f64();
    let (unit, divisor) = unit(end);
    let mut chart = ChartBuilder::on(&area)
        .margin_left(DESCRIPTION)
        .margin_right(RIGHT)
        .set_left_and_bottom_label_area_size(AXIS)
        .set_label_area_size(plotters::chart::LabelAreaPosition::Left, LEFT - DESCRIPTION)
        .build_cartesian_2d(0.0..end / divisor, 0.0..highest * 1.05)
        .map_err(failed)?;
    let style = TextStyle::from(("sans-serif", 13).into_font()).color(&INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(RGBColor(235, 235, 235))
        .label_style(style)
        .x_desc(format!("time [{unit}]"))
        .y_desc("carried [connections/s]")
        .x_labels(13)
        .y_labels(6)
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .draw()
        .map_err(failed)?;
    let n_series = layout.n_lanes + 1;
    let mut base = vec![0.0; stretches.len()];
    for series in 0..n_series {
        let mut upper = Vec::with_capacity(2 * stretches.len());
        let mut lower = Vec::with_capacity(2 * stretches.len());
        for (stretch, base) in stretches.iter().zip(&mut base) {
            let (from, to) = (stretch.from / divisor, stretch.to.min(end) / divisor);
            lower.extend([(from, *base), (to, *base)]);
            *base += stretch.rates.get(series).copied().unwrap_or(0.0);
            upper.extend([(from, *base), (to, *base)]);
        }
        let colour = if series < layout.n_lanes { member_colour(series) } else { LOST_RED };
        upper.extend(lower.into_iter().rev());
        chart.draw_series([Polygon::new(upper, colour.mix(0.85).filled())]).map_err(failed)?;
    }
    Ok(())
}

/// Several slices as one.
struct Stretch {
    /// In seconds.
    from: f64,
    to: f64,
    /// Connections per second of each member, and at last those that were lost.
    rates: Vec<f64>,
}

fn stretches(layout: &Layout<'_>) -> Vec<Stretch> {
    let timeline = &layout.report.timeline;
    let length = timeline.length.as_secs_f64().max(f64::MIN_POSITIVE);
    let n_slices = usize::try_from(super::pixels((MIN_STRETCH / length).ceil().max(1.0))).unwrap_or(1);
    let chunks = timeline.slices.chunks(n_slices.max(1));
    let stretches = chunks.filter_map(|slices| {
        let from = slices.first()?.at.as_secs_f64();
        let to = slices.last()?.at.as_secs_f64() + length;
        let rate = |count: u32| f64::from(count) / (to - from);
        let carried = |lane: usize| slices.iter().filter_map(|slice| slice.carried.get(lane)).sum();
        let mut rates: Vec<f64> = (0..layout.n_lanes).map(|lane| rate(carried(lane))).collect();
        rates.push(rate(slices.iter().map(|slice| slice.lost).sum()));
        Some(Stretch { from, to, rates })
    });
    stretches.collect()
}

/// A number without zeros that say nothing.
fn number(value: &f64) -> String {
    let rounded = (value * 1_000_000.0).round() / 1_000_000.0;
    rounded.to_string()
}

/// The unit of the time axis, and how many seconds it has.
fn unit(seconds: f64) -> (&'static str, f64) {
    if seconds <= 600.0 {
        ("s", 1.0)
    } else if seconds <= 4.0 * 3_600.0 {
        ("min", 60.0)
    } else {
        ("h", 3_600.0)
    }
}
