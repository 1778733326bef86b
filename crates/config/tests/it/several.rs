//! `testdata/config/several`: folders whose files are one configuration, each with what is said about
//! it. A new case needs no Rust; `UPDATE_EXPECT=1` writes the `.stderr`.

use std::fs;

use waypost_config::{
    DiagnosticRecord, Options, Outcome, Severity, Source, Style,
    model::{Config, DomainStrategy},
    parse, render,
};

use crate::files::{folder, updates_expectations};

fn parse_files(files: &[(&str, &str)]) -> (Source, Outcome) {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
    let source = Source::of_files("all", files).expect("test data is text");
    let outcome = parse(&source, &Options::default());
    (source, outcome)
}

/// The cases in order, each with its files.
fn cases() -> Vec<(String, Vec<(String, String)>)> {
    let list = |path| {
        let entries = fs::read_dir(path).expect("the folder exists");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
        paths.sort();
        paths
    };
    let name = |path: &std::path::Path| path.file_name().expect("a file").to_string_lossy().into_owned();
    let cases = list(folder("several")).into_iter().filter(|path| path.is_dir()).map(|case| {
        let files = list(case.clone()).into_iter();
        let files = files.map(|file| (name(&file), fs::read_to_string(&file).expect("readable")));
        (name(&case), files.collect())
    });
    cases.collect()
}

fn case(wanted: &str) -> (Source, Outcome) {
    let (_, files) = cases().into_iter().find(|(name, _)| name == wanted).expect("there is such a case");
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    parse_files(&files)
}

#[test]
fn every_problem_names_its_file() {
    let cases = cases();
    assert!(cases.len() >= 8, "only {} cases", cases.len());
    let mut differing = Vec::new();
    for (name, files) in &cases {
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
        let (source, outcome) = parse_files(&files);
        let rendered = render(&source, &outcome.diagnostics, Style::Plain);
        for found in &outcome.diagnostics {
            let record = DiagnosticRecord::new(&source, found);
            let (_, text) = files.iter().find(|(name, _)| *name == record.file).expect("a file of the case");
            let line = text.lines().nth(record.line - 1).unwrap_or_default();
            assert_eq!(source.line_of(found.span.start), line, "{name}");
            assert!(text.get(record.offset..record.end_offset).is_some(), "{name}: {record:?}");
        }
        let expected = folder("several").join(format!("{name}.stderr"));
        if updates_expectations() {
            fs::write(&expected, &rendered).expect("writable");
        } else if fs::read_to_string(&expected).unwrap_or_default() != rendered {
            differing.push(format!("--- {name}\n{rendered}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn several_files_are_one_configuration() {
    let (_, outcome) = case("01-parts");
    let config = outcome.config.expect("it is good");
    let tags = |config: &Config| {
        let tags =
            config.outbounds.iter().filter_map(|outbound| Some(outbound.tag.as_ref()?.value.to_string()));
        tags.collect::<Vec<_>>()
    };
    assert_eq!(tags(&config), ["out", "no"]);
    assert_eq!(config.routing.domain_strategy, DomainStrategy::IpOnDemand);
    assert_eq!(config.routing.rules.len(), 2);
}

#[test]
fn of_a_value_given_twice_the_last_counts() {
    let (_, outcome) = case("05-values-given-twice");
    let config = outcome.config.expect("it is only doubtful");
    assert_eq!(config.routing.domain_strategy, DomainStrategy::IpIfNonMatch);
    assert!(outcome.diagnostics.iter().all(|found| found.severity == Severity::Warning));
}

#[test]
fn null_is_as_absent() {
    let good = "{\"inbounds\": [{\"protocol\": \"socks\", \"listen\": \"127.0.0.1\", \"port\": 1080}]}";
    let null = "{\"inbounds\": null, \"outbounds\": null}";
    let more = "{\"outbounds\": [{\"protocol\": \"freedom\"}]}";
    for files in [[("a", good), ("b", null), ("c", more)], [("a", null), ("b", more), ("c", good)]] {
        let (_, outcome) = parse_files(&files);
        assert_eq!(outcome.diagnostics, []);
        assert!(outcome.config.is_some());
    }
}

#[test]
fn very_many_keys_given_twice_take_no_time() {
    let file = |value: u8| {
        let keys: String = (0..100_000).map(|number| format!("\"k{number}\": {value},")).collect();
        format!("{{{keys}}}")
    };
    let (_, outcome) = parse_files(&[("a", &file(1)), ("b", &file(2))]);
    assert_eq!(outcome.diagnostics.len(), 1001);
}
