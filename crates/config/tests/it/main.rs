//! Configuration files as a whole: text in, diagnostics and a model out.
#![expect(clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

mod anything;
mod files;
mod groups;
mod load_balance;
mod model;
mod rule_set;
mod rule_text;
mod several;
mod sniffing;
mod tunnels;
mod vectors;
mod write;

use waypost_config::{Options, Outcome, Source, Style, parse, render};

/// Reads a file with an environment in which `PORT` is 1234.
fn read(name: &str, text: &str) -> (Outcome, String) {
    let source = Source::new(name, text).expect("test data is text");
    let env = |name: &str| (name == "PORT").then(|| "1234".to_owned());
    let outcome = parse(&source, &Options { env: &env, ..Options::default() });
    let rendered = render(&source, &outcome.diagnostics, Style::Plain);
    (outcome, rendered)
}
