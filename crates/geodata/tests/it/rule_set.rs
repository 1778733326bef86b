//! Compiled rule sets: sing-box's own, ours, and those that are cut or changed.

use std::{collections::BTreeSet, io::Read as _, path::PathBuf};

use flate2::read::ZlibDecoder;
use ipnet::IpNet;
use proptest::prelude::*;
use waypost_geodata::rule_set::{
    DefaultRule, DomainMatch, Domains, HeadlessRule, LogicalMode, LogicalRule, NetworkType, RangesBuilder,
    RuleSet, RuleSetWriteError, SrsReader, read_srs, write_srs, write_srs_as,
};

/// Files that sing-box 1.14.4 compiled from the sources beside them.
const COMPILED: [&str; 6] = ["version-1", "version-2", "version-3", "version-4", "version-5", "adguard"];

fn folder() -> PathBuf {
    waypost_testkit::workspace_root().join("testdata/rule-set")
}

fn compiled(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name).with_extension("srs")).unwrap()
}

/// What is behind the header, inflated.
fn inflated(file: &[u8]) -> Vec<u8> {
    let mut rules = Vec::new();
    ZlibDecoder::new(&file[4..]).read_to_end(&mut rules).unwrap();
    rules
}

#[test]
fn files_of_sing_box_come_out_byte_for_byte() {
    for name in COMPILED {
        let theirs = compiled(name);
        let set = read_srs(&theirs).unwrap_or_else(|error| panic!("{name}: {error}"));
        let ours = write_srs(&set).unwrap();
        assert_eq!(ours[..4], theirs[..4], "{name}");
        assert_eq!(inflated(&ours), inflated(&theirs), "{name}");
    }
}

#[test]
fn a_reader_can_be_used_again_after_an_error() {
    let mut reader = SrsReader::default();
    let file = compiled("version-2");
    let expected = read_srs(&file).unwrap();
    for cut in [0, 4, 20, file.len() - 1] {
        assert!(reader.read(&file[..cut]).is_err());
        assert_eq!(reader.read(&file), Ok(expected.clone()));
    }
}

#[test]
fn every_cut_is_an_error() {
    for name in COMPILED {
        let file = compiled(name);
        for cut in 0..file.len() {
            assert!(read_srs(&file[..cut]).is_err(), "{name} cut to {cut} bytes");
        }
    }
}

#[test]
fn every_cut_of_the_rules_is_an_error() {
    for name in COMPILED {
        let file = compiled(name);
        let rules = inflated(&file);
        for cut in 0..rules.len() {
            let error = read_srs(&deflated(file[3], &rules[..cut])).unwrap_err().to_string();
            assert!(error.contains("of the inflated rules"), "{name} cut to {cut}: {error}");
        }
    }
}

/// Most changes are errors; what is read all the same can be written and read again.
#[test]
fn changed_bytes_never_panic() {
    use rand::RngExt as _;
    let mut random = waypost_testkit::seeded_rng(5);
    let mut reader = SrsReader::default();
    for name in COMPILED {
        let file = compiled(name);
        let rules = inflated(&file);
        let mut outcomes = BTreeSet::new();
        for _ in 0..3_000 {
            let mut changed = rules.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..changed.len());
                changed[at] = random.random();
            }
            let read = reader.read(&deflated(file[3], &changed));
            outcomes.insert(read.is_ok());
            if let Ok(set) = read {
                let again = read_srs(&write_srs_as(&set, 5).unwrap()).unwrap();
                assert_eq!(again.rules.len(), set.rules.len());
            }
        }
        assert!(outcomes.contains(&false), "{name}");
    }
}

pub(crate) fn deflated(version: u8, rules: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let file = [b'S', b'R', b'S', version].to_vec();
    let mut encoder = flate2::write::ZlibEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(rules).unwrap();
    encoder.finish().unwrap()
}

fn set(rule: DefaultRule) -> RuleSet {
    RuleSet { version: 2, rules: vec![HeadlessRule::Default(Box::new(rule))] }
}

#[test]
fn the_version_is_the_lowest_that_can_say_it() {
    let texts = || vec!["x".into()];
    let ethernet = vec![NetworkType::Ethernet];
    for (rule, needs) in [
        (DefaultRule { domain_keywords: texts(), ..DefaultRule::default() }, 2),
        (DefaultRule { adguard: texts(), ..DefaultRule::default() }, 2),
        (DefaultRule { network_types: ethernet, ..DefaultRule::default() }, 3),
        (
            DefaultRule {
                default_interface_addresses: vec!["::/0".parse().unwrap()],
                ..DefaultRule::default()
            },
            4,
        ),
        (DefaultRule { package_name_regexps: texts(), ..DefaultRule::default() }, 5),
    ] {
        let set = set(rule);
        let file = write_srs(&RuleSet { version: 5, ..set.clone() }).unwrap();
        assert_eq!(file[3], needs);
        assert_eq!(read_srs(&file).unwrap(), RuleSet { version: needs, ..set });
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let expensive = set(DefaultRule { network_is_expensive: true, ..DefaultRule::default() });
    let needs = RuleSetWriteError::NeedsVersion { item: "network_is_expensive", needs: 3, asked: 2 };
    assert_eq!(write_srs_as(&expensive, 2), Err(needs));
    assert_eq!(write_srs_as(&expensive, 6), Err(RuleSetWriteError::Version(6)));
    let empty = set(DefaultRule { invert: true, ..DefaultRule::default() });
    assert_eq!(write_srs(&empty), Err(RuleSetWriteError::NoConditions(0)));
}

/// Version 1 has two keys for a suffix, which are one entry again when they are read.
#[test]
fn suffixes_of_version_1_come_back_as_suffixes() {
    let mut rule = DefaultRule::default();
    for (how, name) in [
        (DomainMatch::Below, "below.example"),
        (DomainMatch::Full, "full.example"),
        (DomainMatch::Suffix, "suffix.example"),
        (DomainMatch::Full, "www-suffix.example"),
    ] {
        rule.domains.push(how, name).unwrap();
    }
    let set = RuleSet { version: 1, ..set(rule) };
    let read = read_srs(&write_srs(&set).unwrap()).unwrap();
    assert_eq!(names_of(&read), names_of(&set));
}

fn names_of(set: &RuleSet) -> Vec<BTreeSet<(DomainMatch, String)>> {
    let mut names = Vec::new();
    set.for_each_rule(|rule| {
        names.push(rule.domains.iter().map(|(how, name)| (how, name.to_owned())).collect());
    });
    names
}

fn texts() -> impl Strategy<Value = Vec<Box<str>>> {
    prop::collection::vec("[a-zé^.*$]{1,6}".prop_map(Box::from), 0..4)
}

fn domains() -> impl Strategy<Value = BTreeSet<(DomainMatch, String)>> {
    let how = prop_oneof![Just(DomainMatch::Full), Just(DomainMatch::Suffix), Just(DomainMatch::Below)];
    prop::collection::btree_set((how, "[abö]{1,3}(\\.[abö-]{1,2}){0,2}"), 0..20)
}

fn prefixes() -> impl Strategy<Value = Vec<IpNet>> {
    let v4 = (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(ip, bits)| IpNet::new(ip.into(), bits).unwrap());
    let v6 = (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(ip, bits)| IpNet::new(ip.into(), bits).unwrap());
    prop::collection::vec(prop_oneof![v4, v6], 0..12)
}

fn default_rule() -> impl Strategy<Value = DefaultRule> {
    let many = (domains(), prefixes(), prefixes(), prefixes());
    let numbers = (prop::collection::vec(any::<u16>(), 0..4), prop::collection::vec(any::<u16>(), 0..4));
    (many, numbers, (texts(), texts(), texts(), texts()), any::<bool>(), any::<bool>()).prop_map(
        |(
            (names, source, ip, local),
            (ports, types),
            (keywords, regexps, paths, ssids),
            invert,
            constrained,
        )| {
            let ranges = |nets: Vec<IpNet>| {
                let mut builder = RangesBuilder::default();
                nets.into_iter().for_each(|net| builder.push(net));
                builder.build()
            };
            let mut domains = Domains::default();
            for (how, name) in &names {
                domains.push(*how, name).unwrap();
            }
            DefaultRule {
                query_types: types,
                domains,
                domain_keywords: keywords,
                domain_regexps: regexps,
                source_ip: ranges(source),
                ip: ranges(ip),
                ports,
                port_ranges: vec![":1000".into()],
                process_paths: paths,
                wifi_ssids: ssids,
                network_is_constrained: constrained,
                network_interface_addresses: vec![(NetworkType::Wifi, vec!["10.1.2.3/8".parse().unwrap()])],
                default_interface_addresses: local,
                invert,
                ..DefaultRule::default()
            }
        },
    )
}

fn rule() -> impl Strategy<Value = HeadlessRule> {
    let leaf = default_rule().prop_map(|rule| HeadlessRule::Default(Box::new(rule)));
    leaf.prop_recursive(3, 8, 3, |inner| {
        let mode = prop_oneof![Just(LogicalMode::And), Just(LogicalMode::Or)];
        (mode, prop::collection::vec(inner, 1..3), any::<bool>())
            .prop_map(|(mode, rules, invert)| HeadlessRule::Logical(LogicalRule { mode, rules, invert }))
    })
}

/// The same rule with its names in no order; a name that is also a suffix says nothing more, and
/// with all names below it, it is a suffix.
fn without_names(set: &RuleSet) -> (RuleSet, Vec<BTreeSet<(DomainMatch, String)>>) {
    fn strip(rule: &mut HeadlessRule) {
        match rule {
            HeadlessRule::Default(rule) => rule.domains = Domains::default(),
            HeadlessRule::Logical(logical) => logical.rules.iter_mut().for_each(strip),
        }
    }
    let mut names = names_of(set);
    for names in &mut names {
        let all = names.clone();
        let has = |how, name: &String| all.contains(&(how, name.clone()));
        let is_suffix = |name: &String| {
            has(DomainMatch::Suffix, name) || has(DomainMatch::Full, name) && has(DomainMatch::Below, name)
        };
        *names = all
            .iter()
            .map(|(how, name)| (if is_suffix(name) { DomainMatch::Suffix } else { *how }, name.clone()))
            .collect();
    }
    let mut bare = set.clone();
    bare.rules.iter_mut().for_each(strip);
    (bare, names)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_again(rules in prop::collection::vec(rule(), 0..4), version in 4..=5_u8) {
        let set = RuleSet { version, rules };
        let read = read_srs(&write_srs_as(&set, version).unwrap()).unwrap();
        prop_assert_eq!(without_names(&read), without_names(&set));
    }
}
