//! 10,000 names against three sets, here and in sing-box.
//!
//! `sing-box rule-set match` takes one name per process, so that it is asked about a sample; one
//! sing-box process answers for all names as a DNS server.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::json;

use super::{done, oracle::Oracle};
use crate::sing_box::require_sing_box;

const N_NAMES: usize = 10_000;
/// How many names of each set go through `sing-box rule-set match`.
const N_SAMPLE: usize = 20;

const WORDS: [&str; 12] = ["ad", "track", "cdn", "www", "api", "img", "a", "b-c", "x_y", "stat", "m", "news"];
const TOPS: [&str; 6] = ["com", "org", "cn", "com.cn", "example", "io"];

fn name(random: &mut StdRng) -> String {
    let mut labels: Vec<String> = (0..random.random_range(1..4))
        .map(|_| {
            let word = WORDS.choose(random).unwrap();
            if random.random_bool(0.5) {
                format!("{word}{}", random.random_range(0..40))
            } else {
                (*word).to_owned()
            }
        })
        .collect();
    labels.push((*TOPS.choose(random).unwrap()).to_owned());
    labels.join(".")
}

fn names(random: &mut StdRng, count: usize) -> Vec<String> {
    let mut names = BTreeSet::new();
    while names.len() < count {
        names.insert(name(random));
    }
    names.into_iter().collect()
}

/// Names, suffixes and suffixes with a dot in front.
fn plain_set(random: &mut StdRng) -> String {
    let suffixes = names(random, 600)
        .into_iter()
        .map(|name| if random.random_bool(0.3) { format!(".{name}") } else { name });
    let suffixes: Vec<String> = suffixes.collect();
    json!({"version": 2, "rules": [{"domain": names(random, 1_500), "domain_suffix": suffixes}]}).to_string()
}

/// Keywords, expressions, rules joined by `and` and `or`, and inverted ones.
fn joined_set(random: &mut StdRng) -> String {
    let and = json!({"type": "logical", "mode": "and", "rules": [
        {"domain_suffix": ["cn", "org"]},
        {"domain_keyword": ["track", "b-c"], "domain": names(random, 300)},
        {"domain_regex": ["^(www|m)[0-9]?\\."], "invert": true},
    ]});
    let or = json!({"type": "logical", "mode": "or", "rules": [
        {"domain_regex": ["^ad[0-9]+\\.", "[13579]\\.io$"]},
        {"type": "logical", "mode": "and", "rules": [
            {"domain_suffix": ".com"}, {"domain_keyword": "stat"}, {"domain_keyword": ["x_y1", "x_y2"], "invert": true},
        ]},
    ]});
    json!({"version": 3, "rules": [and, or]}).to_string()
}

fn adguard_list(random: &mut StdRng) -> String {
    let mut list = "! a filter\n".to_owned();
    for mut name in names(random, 900) {
        if random.random_bool(0.3) {
            let at = random.random_range(0..name.len());
            name.replace_range(at..=at, "*");
        }
        let front = ["||", "||", "||", "|", "", "@@||"].choose(random).unwrap();
        let end = ["^", "^", "^", ""].choose(random).unwrap();
        let modifier = if random.random_bool(0.05) { "$important" } else { "" };
        writeln!(list, "{front}{name}{end}{modifier}").unwrap();
    }
    list
}

fn matched_here(set: &str, names: &[String], folder: &Path) -> Vec<bool> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command.args(["rule-set", "match", set, "-"]).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(names.join("\n").as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), names.len());
    for (line, name) in lines.iter().zip(names) {
        assert!(line.starts_with(&format!("{name}: ")), "{line} is not about {name}");
    }
    lines.iter().map(|line| !line.ends_with(": no rule")).collect()
}

fn matched_by_command(sing_box: &Path, set: &str, name: &str, folder: &Path) -> bool {
    let mut command = Command::new(sing_box);
    command.args(["rule-set", "match", "-f", "binary", set, name]).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).contains("match rules")
}

#[test]
fn ten_thousand_names_are_in_the_same_sets() {
    let Some(sing_box) = require_sing_box("ten_thousand_names_are_in_the_same_sets") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut random = waypost_testkit::seeded_rng(14);
    fs::write(folder.join("plain.json"), plain_set(&mut random)).unwrap();
    fs::write(folder.join("joined.json"), joined_set(&mut random)).unwrap();
    fs::write(folder.join("adguard.txt"), adguard_list(&mut random)).unwrap();
    done(&["rule-set", "compile", "plain.json"], folder);
    done(&["rule-set", "compile", "joined.json"], folder);
    done(&["rule-set", "convert", "-t", "adguard", "adguard.txt"], folder);
    let sets = ["plain.srs", "joined.srs", "adguard.srs"];
    let oracle = Oracle::start(&sing_box, &sets.map(|set| folder.join(set)), folder);
    let names = names(&mut random, N_NAMES);
    for (index, set) in sets.into_iter().enumerate() {
        let ours = matched_here(set, &names, folder);
        let theirs = oracle.ask(index, &names);
        let n_matched = theirs.iter().filter(|matched| **matched).count();
        assert!((300..N_NAMES - 300).contains(&n_matched), "{set}: {n_matched} names are no test");
        let differing: Vec<&String> = names
            .iter()
            .zip(ours.iter().zip(&theirs))
            .filter(|(_, (a, b))| a != b)
            .map(|(name, _)| name)
            .collect();
        assert!(
            differing.is_empty(),
            "{set}: {} differ: {:?}",
            differing.len(),
            &differing[..differing.len().min(10)]
        );
        for index in (0..N_NAMES).step_by(N_NAMES / N_SAMPLE) {
            let matched = matched_by_command(&sing_box, set, &names[index], folder);
            assert_eq!(matched, ours[index], "{set}: {}", names[index]);
        }
    }
}
