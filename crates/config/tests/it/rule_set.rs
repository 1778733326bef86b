//! Rule sets in their source form, against what sing-box makes of them.

use std::{fs, path::PathBuf};

use waypost_config::{Options, Source, Style, render, rule_set};
use waypost_geodata::rule_set::{RuleSet, read_srs, write_srs};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/rule-set")
}

fn read(name: &str, text: &str) -> (Option<RuleSet>, String) {
    let source = Source::new(name, text).expect("test data is text");
    let outcome = rule_set::parse(&source, &Options::default());
    let rendered = render(&source, &outcome.diagnostics, Style::Plain);
    (outcome.set, rendered)
}

/// Names are sorted when they are written, so that the files can be compared.
#[test]
fn sources_compile_to_what_sing_box_makes_of_them() {
    for version in 1..=5 {
        let name = format!("version-{version}");
        let text = fs::read_to_string(folder().join(&name).with_extension("json")).unwrap();
        let (set, said) = read(&name, &text);
        assert_eq!(said, "", "{name}");
        let ours = write_srs(&set.unwrap()).unwrap();
        let theirs = read_srs(&fs::read(folder().join(&name).with_extension("srs")).unwrap()).unwrap();
        assert_eq!(ours, write_srs(&theirs).unwrap(), "{name}");
        assert_eq!(theirs.version, version);
    }
}

#[test]
fn broken_sources_are_refused_with_a_place_and_a_way_out() {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder().join("bad")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    assert!(paths.len() >= 8, "{}", paths.len());
    let mut differing = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (set, rendered) = read(&name, &fs::read_to_string(&path).unwrap());
        assert_eq!(set, None, "{name}");
        let expected = path.with_extension("stderr");
        if crate::files::updates_expectations() {
            fs::write(&expected, &rendered).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != rendered {
            differing.push(rendered);
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn a_set_without_rules_is_doubtful() {
    let (set, said) = read("x", r#"{"version": 3}"#);
    assert_eq!(set, Some(RuleSet { version: 3, rules: Vec::new() }));
    assert!(said.contains("warning: the set has no rules"), "{said}");
}
