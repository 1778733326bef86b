//! `waypost check` on all broken files: every problem that is expected of a file is found in one run.

use waypost_testkit::workspace_root;

use crate::binary::command;

/// Expressions are compiled behind the reading of a file, whose expectations do not have them.
const EXPRESSIONS: [(&str, &str); 3] = [
    ("92-sing-box-names.json", ":8:25: error: regular expression `(`: unclosed group"),
    ("92-sing-box-names.json", ":8:30: error: regular expression `a{2,1}`: invalid repetition count range"),
    ("95-sing-box-other-conditions.json", ":10:30: error: regular expression `[`: unclosed character class"),
];

#[tokio::test]
async fn every_problem_of_every_broken_file_is_found() {
    let folder = workspace_root().join("testdata/config/bad");
    let (mut n_files, mut n_expressions) = (0, 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        n_files += 1;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let expected = std::fs::read_to_string(path.with_extension("stderr")).unwrap();
        let output = command().env("PORT", "1234").arg("check").arg(&path).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}\n{said}");
        let places = expected.lines().filter_map(|line| line.strip_prefix(&format!("bad/{name}")));
        let problems: Vec<&str> = places.filter(|line| line.contains(": error: ")).collect();
        assert!(!problems.is_empty(), "{name}");
        for problem in problems {
            assert!(said.contains(problem), "{name}{problem}\n{said}");
        }
        for (_, expression) in EXPRESSIONS.iter().filter(|(file, _)| *file == name) {
            assert!(said.contains(expression), "{name}{expression}\n{said}");
            n_expressions += 1;
        }
    }
    assert!(
        n_files >= 90 && n_expressions == EXPRESSIONS.len(),
        "{n_files} files, {n_expressions} expressions"
    );
}
