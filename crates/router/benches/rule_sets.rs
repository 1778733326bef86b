//! How long about 1,500 rule sets with 110,000 names take from their files to a router, and how much memory.
//!
//! Fails if it is more than 100 ms or 12 MB at the best of several runs.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a benchmark stops where it cannot go on, prints what it measures, and looks at the clock for that"
)]

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use peak_alloc::PeakAlloc;
use waypost_geodata::{
    DomainKind, GeositeFile,
    rule_set::{DefaultRule, DomainMatch, HeadlessRule, RuleSet, SrsReader, write_srs},
};
use waypost_net::{DomainName, Flow, Host, Network, Tag, Target};
use waypost_router::{
    Conditions, DomainList, EntryKind, Matcher, Router, RouterSpec, RuleSetSpec, RuleSets, RuleSpec, Step,
    Way,
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const SETS_PER_RULE: usize = 30;
const N_RUNS: usize = 25;
const MOST_TIME: Duration = Duration::from_millis(100);
const MOST_BYTES: usize = 12_000_000;

fn main() {
    let folder = tempfile::tempdir().expect("a folder for the sets");
    let (paths, n_names) = write_sets(folder.path());
    let mut best = Duration::MAX;
    let (mut peak, mut kept) = (0, 0);
    for _ in 0..N_RUNS {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let start = Instant::now();
        let router = black_box(load(&paths));
        best = best.min(start.elapsed());
        peak = ALLOCATOR.peak_usage() - before;
        kept = ALLOCATOR.current_usage() - before;
        let name = DomainName::new("www.nothing.invalid").expect("a name");
        let flow = Flow::new(Network::Tcp, Target { host: Host::Domain(name), port: 443 });
        assert!(matches!(router.route(&flow), Step::Decided(_)));
    }
    println!("{} rule sets, {n_names} entries: {best:?}, peak {peak} bytes, kept {kept} bytes", paths.len());
    if std::env::args().any(|argument| argument == "--bench") {
        assert!(best <= MOST_TIME && peak <= MOST_BYTES, "at most {MOST_TIME:?} and {MOST_BYTES} bytes");
    }
}

/// Reads every set and compiles them with rules that name them.
fn load(paths: &[PathBuf]) -> Router {
    let mut reader = SrsReader::default();
    let mut sets = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes = fs::read(path).expect("the file was written");
        sets.push(reader.read(&bytes).expect("the file is sound"));
    }
    drop(reader);
    let rule = |first: usize| RuleSpec {
        tag: None,
        line: first,
        file: None,
        action: Way::Outbound(Tag::from("out")).into(),
        matcher: Conditions {
            rule_sets: Some(RuleSets {
                sets: (first..sets.len().min(first + SETS_PER_RULE)).collect(),
                match_source: false,
            }),
            either: true,
            ..Conditions::default()
        }
        .into(),
    };
    let spec = RouterSpec {
        rules: (0..sets.len()).step_by(SETS_PER_RULE).map(rule).collect(),
        rule_sets: sets.iter().enumerate().map(set_spec).collect(),
        ..RouterSpec::default()
    };
    Router::new(spec).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn set_spec((index, set): (usize, &RuleSet)) -> RuleSetSpec<'_> {
    RuleSetSpec { tag: Tag::from(format!("set-{index}")), rules: set.rules.iter().map(matcher).collect() }
}

fn matcher(rule: &HeadlessRule) -> Matcher<'_> {
    let HeadlessRule::Default(rule) = rule else { panic!("the sets have no logical rules") };
    let entries = rule.domains.iter().map(|(how, name)| match how {
        DomainMatch::Full => (EntryKind::Full, name),
        DomainMatch::Suffix => (EntryKind::Suffix, name),
        DomainMatch::Below => (EntryKind::Below, name),
    });
    let mut entries: Vec<(EntryKind, &str)> = entries.collect();
    entries.extend(rule.domain_keywords.iter().map(|text| (EntryKind::Keyword, &**text)));
    entries.extend(rule.domain_regexps.iter().map(|text| (EntryKind::Regexp, &**text)));
    let list = DomainList { label: None, entries };
    Conditions { domain: Some(vec![list]), either: true, ..Conditions::default() }.into()
}

/// Writes every list of the public domain lists as a set, or of the synthetic ones.
fn write_sets(folder: &Path) -> (Vec<PathBuf>, usize) {
    let geodata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/geodata");
    let read = |name: &str| fs::read(geodata.join(name)).map(|bytes| (name.to_owned(), bytes));
    let (name, bytes) = read("geosite.dat")
        .or_else(|_absent| read("synthetic-geosite.dat"))
        .expect("`cargo xtask bench geodata` makes the lists");
    println!("the lists of {name}");
    let file = GeositeFile::new(bytes).expect("the lists are sound");
    let (mut paths, mut n_names) = (Vec::new(), 0);
    for list in file.codes().filter_map(|code| file.list(code)) {
        let mut rule = DefaultRule::default();
        for domain in list.domains() {
            let domain = domain.expect("the list is sound");
            match domain.kind {
                DomainKind::Full => rule.domains.push(DomainMatch::Full, domain.value).expect("a name"),
                DomainKind::Suffix => rule.domains.push(DomainMatch::Suffix, domain.value).expect("a name"),
                DomainKind::Keyword => rule.domain_keywords.push(domain.value.into()),
                DomainKind::Regexp => rule.domain_regexps.push(domain.value.into()),
            }
            n_names += 1;
        }
        let set = RuleSet { version: 2, rules: vec![HeadlessRule::Default(Box::new(rule))] };
        let path = folder.join(format!("{}.srs", list.code().to_lowercase()));
        fs::write(&path, write_srs(&set).expect("a sound set")).expect("the folder is there");
        paths.push(path);
    }
    (paths, n_names)
}
