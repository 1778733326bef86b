//! What is said at the end.

use std::time::Duration;

use crate::{
    figures::{Figures, Times},
    frame::{Line, Look, grouped},
    view::millis,
};

/// A table of the phases and one closing sentence.
pub(crate) fn summary(figures: &Figures, titles: &[&str], n_left: usize) -> Vec<Line> {
    let columns = format!(
        "{:<26} {:>11} {:>6} {:>11} {:>11} {:>10}",
        "phase", "connections", "lost", "set-up p50", "p99", "slowest"
    );
    let mut lines = vec![Line::default().with(Look::Dim, columns)];
    let phases = titles.iter().copied().zip(figures.by_phase());
    lines.extend(phases.chain([("all", figures.all())]).map(|(title, times)| row(title, &times)));
    let n_connections = grouped(u64::try_from(figures.count()).unwrap_or(u64::MAX));
    lines.push(Line::default());
    lines.push(match figures.first_lost() {
        None if figures.count() == 0 => Line::plain("nothing was carried yet"),
        None => Line::default().with(Look::Good, format!("lost: 0 of {n_connections} connections")),
        Some(first) => Line::default().with(
            Look::Bad,
            format!("lost: {} of {n_connections} connections, the first one: {first}", figures.n_lost()),
        ),
    });
    if n_left > 0 {
        lines.push(Line::plain(format!("not counted: {n_left} that were under way when it was stopped")));
    }
    lines
}

fn row(title: &str, times: &Times) -> Line {
    let time = |time: Duration| format!("{} ms", millis(time));
    let look = if times.n_lost == 0 { Look::Good } else { Look::Bad };
    let n_connections = grouped(u64::try_from(times.n_connections).unwrap_or(u64::MAX));
    Line::plain(format!("{title:<26} {n_connections:>11} ")).with(look, format!("{:>6}", times.n_lost)).with(
        Look::Plain,
        format!(" {:>11} {:>11} {:>10}", time(times.p50), time(times.p99), time(times.slowest)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Record;

    fn text(figures: &Figures) -> String {
        let lines = summary(figures, &["one", "two"], 0);
        lines.iter().flat_map(|line| &line.0).map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn says_what_was_lost_and_why() {
        let mut figures = Figures::default();
        figures.begin_phase(Duration::ZERO);
        assert!(text(&figures).contains("nothing was carried yet"));
        let record = |lost: Option<&str>| Record {
            at: Duration::ZERO,
            setup: Duration::from_millis(3),
            answered: Duration::from_millis(4),
            lost: lost.map(str::to_owned),
        };
        figures.add(record(None));
        assert!(text(&figures).contains("lost: 0 of 1 connections"));
        figures.add(record(Some("SOCKS: reply 5")));
        assert!(text(&figures).contains("lost: 1 of 2 connections, the first one: SOCKS: reply 5"));
    }
}
