//! The rules, and how often each has decided.

use axum::{extract::State, response::Response};
use serde::Serialize;
use waypost_proxy::{Control, RuleReport};

use crate::{app::Shared, own::UNTAGGED, respond::json};

#[derive(Serialize)]
struct Rules {
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct Rule {
    index: usize,
    #[serde(rename = "type")]
    kind: &'static str,
    payload: String,
    proxy: String,
    /// How many entries a set has; Clash says -1 where there is none.
    size: i64,
    hits: u64,
    /// Where it is in the file; what takes the rest is nowhere.
    line: Option<usize>,
    file: Option<Box<str>>,
    name: String,
}

pub(super) async fn list(State(app): State<Shared>) -> Response {
    json(&Rules { rules: rules(&app.control) })
}

/// The rules in their order, and last what takes what none of them matches.
fn rules(control: &Control) -> Vec<Rule> {
    let reports = control.rules();
    let index = reports.len();
    let mut rules: Vec<Rule> = reports.into_iter().map(Rule::of).collect();
    let default = control.default_way();
    rules.push(Rule {
        index,
        kind: "final",
        payload: String::new(),
        proxy: format!("route({})", default.as_deref().unwrap_or(UNTAGGED)),
        size: -1,
        hits: control.figures().unmatched,
        line: None,
        file: None,
        name: "final".to_owned(),
    });
    rules
}

impl Rule {
    fn of(report: RuleReport) -> Self {
        let RuleReport { index, label, line, file, is_logical, text, action, hits, .. } = report;
        let kind = if is_logical { "logical" } else { "default" };
        let name = label.to_string();
        Self { index, kind, payload: text, proxy: action, size: -1, hits, line: Some(line), file, name }
    }
}
