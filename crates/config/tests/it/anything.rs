//! Whatever the text is, there is an outcome and it can be shown.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*, sample::Index};
use waypost_config::{DiagnosticRecord, Options, Severity, Source, Style, UnknownKeys, parse, render};

/// Reads and shows `bytes`, and checks what holds for every text.
fn check(bytes: &[u8]) {
    let Ok(source) = Source::new("any.json", bytes) else { return };
    for unknown_keys in [UnknownKeys::Error, UnknownKeys::Warn] {
        let outcome = parse(&source, &Options { unknown_keys, ..Options::default() });
        let errors = outcome.diagnostics.iter().any(|found| found.severity == Severity::Error);
        assert_eq!(outcome.config.is_none(), errors);
        assert!(outcome.diagnostics.is_sorted_by_key(|found| found.span));
        for found in &outcome.diagnostics {
            assert!(found.span.start <= found.span.end && found.span.end <= source.text().len());
            assert!(source.text().get(found.span.start..found.span.end).is_some(), "{found:?}");
            let record = DiagnosticRecord::new(&source, found);
            assert!((record.line, record.column) <= (record.end_line, record.end_column));
        }
        let shown = render(&source, &outcome.diagnostics, Style::Plain);
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'));
    }
}

fn samples() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/config");
    let mut samples = Vec::new();
    for folder in ["good", "warn", "bad"] {
        for entry in fs::read_dir(root.join(folder)).expect("the folder exists") {
            let path = entry.expect("readable").path();
            if path.extension().is_some_and(|extension| extension == "json") {
                samples.push(fs::read_to_string(path).expect("readable"));
            }
        }
    }
    samples.sort();
    samples
}

/// Pieces of files, so that chance makes texts that are almost right.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u",
    "\\ud83c",
    "//",
    "/*",
    "*/",
    "#",
    "\n",
    "null",
    "true",
    "-",
    "1e9",
    "65536",
    "\"inbounds\"",
    "\"outbounds\"",
    "\"routing\"",
    "\"rules\"",
    "\"protocol\"",
    "\"socks\"",
    "\"port\"",
    "\"1-2,\"",
    "\"domain\"",
    "\"geosite:@\"",
    "\"ip\"",
    "\"!::/0\"",
    "\"attrs\"",
    "\"attrs['a'] == 'ü\"",
    "\"ext:a:b\"",
    "\"1h30\"",
    "\"-1.5.s\"",
    "\"http://@[:\"",
    "\"200-/\"",
    "\"everything\"",
    "\u{feff}",
    "ü",
    "\u{0}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_have_an_outcome(bytes in vec(any::<u8>(), 0..300)) {
        check(&bytes);
    }

    #[test]
    fn any_text_of_pieces_has_an_outcome(pieces in vec(prop::sample::select(PIECES), 0..60)) {
        check(pieces.concat().as_bytes());
    }

    #[test]
    fn any_file_with_some_bytes_changed_has_an_outcome(
        sample in any::<Index>(),
        changes in vec((any::<Index>(), prop::sample::select(PIECES), any::<bool>()), 1..4),
    ) {
        let samples = samples();
        let mut bytes = sample.get(&samples).clone().into_bytes();
        for (at, piece, insert) in changes {
            let at = at.index(bytes.len() + 1);
            let end = if insert { at } else { (at + piece.len()).min(bytes.len()) };
            bytes.splice(at..end, piece.bytes());
        }
        check(&bytes);
    }
}

#[test]
fn deep_and_endless_texts_have_an_outcome() {
    for text in ["[", "{\"a\":", "[[],", "\"\\", "@", "'", "/*", "{\"a\":1 ", "[1 "] {
        check(text.repeat(10_000).as_bytes());
    }
}

#[test]
fn no_more_than_a_thousand_problems_are_listed() {
    let keys: String = (0..2000).map(|number| format!("\"k{number}\": 1,")).collect();
    let source = Source::new("x", format!("{{{keys}}}")).expect("text");
    let outcome = parse(&source, &Options::default());
    assert_eq!(outcome.diagnostics.len(), 1001);
    let last = outcome.diagnostics.last().expect("not empty");
    assert_eq!(last.message, "1002 more problems are not shown");
}
