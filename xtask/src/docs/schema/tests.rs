//! The schemas against all example files, by an independent validator (Python's `jsonschema`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::*;
use crate::workspace;

const VALIDATE: &str = "
import json, sys, jsonschema
schema, *files = json.load(sys.stdin)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for file in files:
    error = next(iter(validator.iter_errors(file)), None)
    print('' if error is None else f'{error.json_path}: {error.message[:200]}'.replace(chr(10), ' '))
";

/// What is wrong with each file by the schema of its dialect; empty texts mean nothing.
fn validate(schema: &Value, files: &[Value]) -> Option<Vec<String>> {
    // That of Debian has the package even where another one comes first.
    let has_validator = |python: &&str| {
        let mut python = Command::new(python);
        let status = python.args(["-c", "import jsonschema"]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let Some(python) = ["/usr/bin/python3", "python3"].into_iter().find(has_validator) else {
        #[expect(clippy::disallowed_methods, reason = "whether programs must be there is told so")]
        let required = std::env::var_os("CI_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "no `python3` has the module `jsonschema`, and CI_REQUIRE_PEERS=1 asks for it");
        waypost_testkit::say_skipped("docs::schema", "no `python3` has the module `jsonschema`");
        return None;
    };
    let input = tempfile::NamedTempFile::new().unwrap();
    let values: Vec<&Value> = std::iter::once(schema).chain(files).collect();
    serde_json::to_writer(&input, &values).unwrap();
    let stdin = fs::File::open(input.path()).unwrap();
    let output = Command::new(python).args(["-W", "ignore", "-c", VALIDATE]).stdin(stdin).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verdicts: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(verdicts.len(), files.len());
    Some(verdicts)
}

fn read_schema(dialect: Dialect) -> Option<Value> {
    let has_tables = !key_tables(dialect).is_empty();
    has_tables.then(|| serde_json::from_str(&schema(dialect).unwrap()).unwrap())
}

/// The JSON files of a folder that are JSON at all, by dialect.
fn files(folder: &str) -> Vec<(PathBuf, Dialect, Value)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(workspace::root().unwrap().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let value: Value = serde_json::from_str(&plain(&text)).ok()?;
        let dialect = dialect_of(&value);
        Some((path, dialect, value))
    };
    paths.into_iter().filter_map(read).collect()
}

fn dialect_of(file: &Value) -> Dialect {
    let endpoints = ["inbounds", "outbounds"].into_iter().filter_map(|section| file[section].as_array());
    let has_type = endpoints.flatten().any(|endpoint| endpoint.get("type").is_some());
    if has_type || file.get("route").is_some() { Dialect::SingBox } else { Dialect::V2ray }
}

/// A text without comments and without commas before a closing bracket.
fn plain(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text.trim_start_matches('\u{feff}'));
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let mut escaped = false;
                let end = rest.char_indices().skip(1).find(|&(_, c)| {
                    let closes = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    closes
                });
                end.map_or(rest.len(), |(at, _)| at + 1)
            }
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            other => other.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        if matches!(first, ']' | '}') && plain.trim_end().ends_with(',') {
            plain.truncate(plain.trim_end().len() - 1);
        }
        if !matches!(first, '#' | '/') {
            plain.push_str(token);
        }
        rest = behind;
    }
    plain
}

/// The verdicts about every file of a folder that `wanted` takes.
fn verdicts(folder: &str, wanted: impl Fn(&Path, &Value) -> bool) -> Vec<(PathBuf, String)> {
    let mut verdicts = Vec::new();
    for dialect in [Dialect::V2ray, Dialect::SingBox] {
        let Some(schema) = read_schema(dialect) else { continue };
        let files =
            files(folder).into_iter().filter(|(path, of, value)| *of == dialect && wanted(path, value));
        let (paths, values): (Vec<_>, Vec<_>) = files.map(|(path, _, value)| (path, value)).unzip();
        let Some(said) = validate(&schema, &values) else { return Vec::new() };
        verdicts.extend(paths.into_iter().zip(said));
    }
    assert!(!verdicts.is_empty(), "no file in {folder}");
    verdicts
}

/// Files with a word that is read with a warning, and that no editor should offer or accept.
const DOUBTFUL: [&str; 1] = ["08-no-effect.json"];

#[test]
fn files_that_can_run_are_valid() {
    for folder in ["docs/examples", "testdata/config/good", "testdata/config/warn", "testdata/config/convert"]
    {
        // A file that asks for leniency has keys that no schema can know.
        let strict = |path: &Path, file: &Value| {
            let name = path.file_name().unwrap().to_string_lossy();
            !DOUBTFUL.contains(&&*name)
                && file
                    .as_object()
                    .is_some_and(|file| file.keys().all(|key| !key.eq_ignore_ascii_case("unknownKeys")))
        };
        let wrong: Vec<_> =
            verdicts(folder, strict).into_iter().filter(|(_, said)| !said.is_empty()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// What a diagnostic says about a key or a kind of value that is wrong, whatever it means.
const OF_FORM: [&str; 6] = [
    "error: unknown key `",
    "` is not supported: ",
    "error: expected a string for `",
    "error: expected `true` or `false` for `",
    "error: expected an object for `",
    "error: expected an array for `",
];

#[test]
fn files_with_unknown_keys_and_wrong_kinds_are_invalid() {
    let wrong = |path: &Path, _: &Value| {
        let said = fs::read_to_string(path.with_extension("stderr")).unwrap();
        OF_FORM.iter().any(|text| said.contains(text))
    };
    let verdicts = verdicts("testdata/config/bad", wrong);
    for (path, said) in &verdicts {
        assert_ne!(said, "", "{}", path.display());
    }
    assert!(verdicts.is_empty() || verdicts.len() > 10, "only {} files", verdicts.len());
}

#[test]
fn words_are_valid_in_every_spelling_that_is_read() {
    let pattern =
        regex::Regex::new(&any_case(&["consistent_hash", "IPIfNonMatch", "dokodemo-door"])).unwrap();
    for word in ["consistent_hash", "ConsistentHash", "consistent-hash", "ipifnonmatch", "DOKODEMODOOR"] {
        assert!(pattern.is_match(word), "{word}");
    }
    for word in ["", "consistent", "xconsistent_hash", "consistent_hashx", "consistent hash"] {
        assert!(!pattern.is_match(word), "{word}");
    }
}

#[test]
fn an_object_by_its_type_has_the_keys_of_that_type() {
    let by_type = by_type("type", Some("a"), &[("a", "A"), ("b", "B")]);
    let table =
        |other: &str| json!({ "properties": { "type": true, (other): true }, "additionalProperties": false });
    let schema = json!({ "allOf": [by_type], "definitions": { "A": table("one"), "B": table("two") } });
    let files = [
        (json!({ "type": "a", "one": 1 }), true),
        (json!({ "type": "B", "two": 1 }), true),
        (json!({ "one": 1 }), true),
        (json!({ "type": "b", "one": 1 }), false),
        (json!({ "two": 1 }), false),
        (json!({ "type": "c" }), false),
        (json!({ "type": 1 }), false),
    ];
    let values: Vec<Value> = files.iter().map(|(file, _)| file.clone()).collect();
    let Some(said) = validate(&schema, &values) else { return };
    for ((file, valid), said) in files.iter().zip(said) {
        assert_eq!(said.is_empty(), *valid, "{file}: {said}");
    }
}
