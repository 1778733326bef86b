//! What source text may not contain.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::{Problem, dependencies};
use crate::workspace::Package;

/// A longer file has more than one job.
const MAX_FILE_LINES: usize = 600;

/// What a pure crate takes as an argument, if it needs it at all.
const IMPURE: [&str; 7] = [
    "std::fs",
    "std::env",
    "std::net::Tcp",
    "std::net::Udp",
    "Instant::now",
    "SystemTime::now",
    "thread::sleep",
];

/// The patterns are split so that this file does not match them itself.
static ALLOW: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"#!?\[\s*(cfg_attr\(.*,\s*)?allow\s*\(").ok());
static UNFINISHED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(concat!(r"\bto", r"do!|\bFIX", r"ME\b|\bXX", r"X\b")).ok());
static OPEN_ENDED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(concat!(r"\bTO", r"DO\b(\(#[0-9]+\))?")).ok());
static WORKPLACE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(concat!(r"(^|[^A-Za-z0-9_./-])/wo", r"rk/[A-Za-z0-9_.]")).ok());

/// Checks a tracked file of any kind.
pub(super) fn check_text(path: &Path, text: &str) -> Vec<Problem> {
    let is_hit = |line: &str| matches(&WORKPLACE, line);
    hits(path, numbered(text), is_hit, "an absolute path of one workplace")
}

/// Checks a Rust file. Files outside of all packages are not held to the rules of a package.
pub(super) fn check_rust(path: &Path, text: &str, package: Option<&Package>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let n_lines = code_lines(text).count();
    if n_lines > MAX_FILE_LINES {
        let text = format!("expected at most {MAX_FILE_LINES} lines without tests, found {n_lines}");
        problems.push(Problem::new(path, MAX_FILE_LINES + 1, text));
    }
    let allow = "`allow` hides what it no longer needs to: use `#[expect(.., reason = \"..\")]`";
    problems.extend(hits(path, numbered(text), |line| matches(&ALLOW, without_comment(line)), allow));
    problems.extend(hits(path, numbered(text), |line| matches(&UNFINISHED, line), "unfinished code"));
    let open_ended = "expected the number of an issue: `(#N)`";
    problems.extend(hits(path, numbered(text), has_note_without_issue, open_ended));
    if package
        .is_some_and(|package| dependencies::is_pure(package) && path.starts_with(package.folder.join("src")))
    {
        problems.extend(check_pure(path, text));
    }
    problems
}

/// Returns the lines above the unit tests, which by convention (and clippy) end a file.
pub(super) fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<&str> = text.lines().collect();
    let tests =
        lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests"));
    let n_lines = tests.unwrap_or(lines.len());
    lines.into_iter().take(n_lines)
}

fn check_pure(path: &Path, text: &str) -> Vec<Problem> {
    if path.file_name().is_some_and(|name| name == "tests.rs") {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut statement: Option<(usize, String)> = None;
    for (index, line) in code_lines(text).enumerate() {
        let code = without_comment(line);
        if import_of(code).is_some() {
            statement = Some((index + 1, String::new()));
        }
        let mut paths = vec![code.to_owned()];
        let mut first_line = index + 1;
        if let Some((start, statement_text)) = &mut statement {
            statement_text.push_str(code.trim());
            if !code.contains(';') {
                continue;
            }
            first_line = *start;
            paths = imported_paths(statement_text);
            statement = None;
        }
        let found = IMPURE.iter().filter(|name| paths.iter().any(|path| contains_path(path, name)));
        problems.extend(
            found.map(|name| Problem::new(path, first_line, format!("a pure crate may not use `{name}`"))),
        );
    }
    problems
}

/// Says whether `name` stands in `code` on its own and not as the end of a longer word.
fn contains_path(code: &str, name: &str) -> bool {
    let starts_word = |at: usize| !code[..at].ends_with(|last: char| last.is_alphanumeric() || last == '_');
    let may_go_on = name.ends_with("Tcp") || name.ends_with("Udp");
    let ends_word = |at: usize| {
        may_go_on || !code[at + name.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
    };
    code.match_indices(name).any(|(at, _)| starts_word(at) && ends_word(at))
}

/// Returns what follows `use`, `pub use` or `pub(..) use` at the start of a line.
fn import_of(code: &str) -> Option<&str> {
    let code = code.trim_start();
    let code = match code.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1.trim_start(),
        Some(rest) => rest.trim_start(),
        None => code,
    };
    code.strip_prefix("use ")
}

/// Writes out the paths of a `use` statement: `use a::{b, c::d as e};` gives `a::b` and `a::c::d`.
fn imported_paths(statement: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut prefixes = vec![String::new()];
    let mut current = String::new();
    for character in import_of(statement).unwrap_or_default().chars() {
        let prefix = prefixes.last().cloned().unwrap_or_default();
        match character {
            '{' => prefixes.push(format!("{prefix}{}", std::mem::take(&mut current).trim())),
            '}' | ',' | ';' => {
                let name = std::mem::take(&mut current);
                let name = name.split(" as ").next().unwrap_or_default().trim();
                if !name.is_empty() {
                    paths.push(format!("{prefix}{name}"));
                }
                if character == '}' {
                    prefixes.pop();
                }
            }
            _ => current.push(character),
        }
    }
    paths
}

fn has_note_without_issue(line: &str) -> bool {
    OPEN_ENDED.as_ref().is_some_and(|regex| regex.captures_iter(line).any(|found| found.get(1).is_none()))
}

fn matches(regex: &LazyLock<Option<Regex>>, line: &str) -> bool {
    regex.as_ref().is_some_and(|regex| regex.is_match(line))
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn hits<'a>(
    path: &Path,
    lines: impl Iterator<Item = (usize, &'a str)>,
    is_hit: impl Fn(&str) -> bool,
    text: &str,
) -> Vec<Problem> {
    lines.filter(|(_, line)| is_hit(line)).map(|(number, _)| Problem::new(path, number, text)).collect()
}

/// Cuts a line comment off. `//` after a colon is taken for an address in a string.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pure_package() -> Package {
        Package {
            name: "waypost-ring".to_owned(),
            folder: "crates/ring".into(),
            dependencies: Vec::new(),
            has_benches: false,
        }
    }

    /// Checks text in which `~` splits words that this file may not contain.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let (path, package) = (Path::new("crates/ring/src/lib.rs"), pure_package());
        let problems = check_rust(path, &text.replace('~', ""), Some(&package));
        let texts: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.line, problem.text)).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn every_pattern_is_a_valid_expression() {
        assert!(ALLOW.is_some() && UNFINISHED.is_some() && OPEN_ENDED.is_some() && WORKPLACE.is_some());
    }

    #[test]
    fn allow_is_refused_in_every_form() {
        let expected = "1: `allow` hides what it no longer needs to: use `#[expect(.., reason = \"..\")]`";
        check("#[al~low(dead_code)]", &[expected]);
        check("#![al~low(dead_code)]", &[expected]);
        check("#[cfg_attr(test, al~low(dead_code))]", &[expected]);
        check("#[expect(dead_code, reason = \"x\")] fn allow() {} // #[al~low(dead_code)]", &[]);
    }

    #[test]
    fn unfinished_code_is_refused() {
        check("fn a() { to~do!() }", &["1: unfinished code"]);
        check("// FIX~ME: later\n// XX~X", &["1: unfinished code", "2: unfinished code"]);
        check("// TO~DO: later", &["1: expected the number of an issue: `(#N)`"]);
        check("// TO~DO(#12): later, TO~DO", &["1: expected the number of an issue: `(#N)`"]);
        check("// TO~DO(#12): later\nconst XX~XX: u8 = 0;", &[]);
    }

    #[test]
    fn a_pure_crate_uses_no_file_clock_or_socket() {
        let message = |line: usize, name: &str| format!("{line}: a pure crate may not use `{name}`");
        check("use std::fs;", &[&message(1, "std::fs")]);
        check("let a = std::env::var(\"A\");", &[&message(1, "std::env")]);
        check("use std::net::TcpStream;", &[&message(1, "std::net::Tcp")]);
        check("x(std::net::UdpSocket::bind(a))", &[&message(1, "std::net::Udp")]);
        check("let now = Instant::now();", &[&message(1, "Instant::now")]);
        check("let now = time::SystemTime::now();", &[&message(1, "SystemTime::now")]);
        check("\nstd::thread::sleep(a);", &[&message(2, "thread::sleep")]);
        let renamed = "pub(crate) use std::{fs as files, net::TcpListener as A};";
        check(renamed, &[&message(1, "std::fs"), &message(1, "std::net::Tcp")]);
        check(
            "use std::{\n    env, net::{IpAddr, UdpSocket},\n};",
            &[&message(1, "std::env"), &message(1, "std::net::Udp")],
        );
    }

    #[test]
    fn a_pure_crate_may_name_them_in_comments_and_tests() {
        check("//! Never calls Instant::now.\nuse std::net::IpAddr;\nlet a = 1; // not std::fs", &[]);
        check("use std::fmt;\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}", &[]);
        check("let a = MyInstant::now(); use std::envelope;", &[]);
    }

    #[test]
    fn only_sources_of_pure_crates_are_held_to_purity() {
        let package = pure_package();
        assert!(
            check_rust(Path::new("crates/ring/tests/it/main.rs"), "use std::fs;", Some(&package)).is_empty()
        );
        let package = Package { name: "waypost-dns".to_owned(), folder: "crates/dns".into(), ..package };
        assert!(check_rust(Path::new("crates/dns/src/lib.rs"), "use std::fs;", Some(&package)).is_empty());
    }

    #[test]
    fn a_file_has_at_most_600_lines_without_its_tests() {
        let lines = |n_lines: usize| "x\n".repeat(n_lines);
        check(&lines(600), &[]);
        check(&lines(601), &["601: expected at most 600 lines without tests, found 601"]);
        check(&format!("{}#[cfg(test)]\nmod tests {{\n{}}}", lines(600), lines(500)), &[]);
    }

    #[test]
    fn an_absolute_workplace_path_is_refused_in_any_file() {
        let n_hits = |text: &str| check_text(Path::new("a.md"), &text.replace('~', "")).len();
        assert_eq!(n_hits("/wo~rk/main\ncd /wo~rk/shared\n(`/wo~rk/x`)"), 3);
        assert_eq!(n_hits("../shared/data https://example.org/wo~rk/x /wo~rkshop ./wo~rk/x"), 0);
    }
}
