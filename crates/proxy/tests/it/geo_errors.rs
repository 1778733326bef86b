//! What is said about geo data that is missing, broken, or does not have what a rule names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use tempfile::TempDir;
use waypost_config::{Options, Severity, Source};
use waypost_geodata::{
    DomainKind, IpEntry, SiteDomain, SiteEntry, write_country_mmdb, write_geoip, write_geosite,
};
use waypost_net::{Flow, Network};
use waypost_proxy::build::{Assets, Loaded, load};
use waypost_router::{Router, Step};

/// A folder with these files.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// A file whose first rule stands in line 5.
fn file(rules: &[&str], hosts: &str) -> String {
    let rules: Vec<String> = rules.iter().map(|rule| format!(r#"{{{rule}, "outboundTag": "a"}}"#)).collect();
    format!(
        r#"{{
"inbounds": [{{"protocol": "socks", "listen": "127.0.0.1", "port": 1080}}],
"outbounds": [{{"protocol": "freedom", "tag": "a"}}],
"routing": {{"rules": [
{}
]}},
"dns": {{"hosts": {{{hosts}}}}}
}}"#,
        rules.join(",\n")
    )
}

fn load_text(folder: &Path, text: &str) -> (Loaded, Source) {
    let source = Source::new("c.json", text).unwrap();
    let assets = Assets::new(Some(folder), &|_| None);
    (load(&source, &Options::default(), &assets), source)
}

/// Everything that is said, one problem a line; the folder is called `ASSETS`.
fn said(folder: &Path, text: &str) -> Vec<String> {
    let (loaded, source) = load_text(folder, text);
    assert_eq!(loaded.ready.is_none(), loaded.failed(), "{:?}", loaded.diagnostics);
    let lines = loaded.diagnostics.iter().map(|found| {
        let place = source.position(found.span.start);
        let help = found.help.as_ref().map(|help| format!(" [{help}]")).unwrap_or_default();
        let line = format!("{place}: {}: {}{help}", found.severity.as_str(), found.message);
        line.replace(&*folder.to_string_lossy(), "ASSETS")
    });
    lines.collect()
}

#[track_caller]
fn check(folder: &TempDir, rules: &[&str], expected: &[&str]) {
    assert_eq!(said(folder.path(), &file(rules, "")), expected);
}

fn sites(lists: &[(&str, &[(DomainKind, &str)])]) -> Vec<u8> {
    let domain = |&(kind, value): &(DomainKind, &str)| SiteDomain {
        kind,
        value: value.to_owned(),
        attributes: vec!["ads".to_owned()],
    };
    let list = |&(code, domains): &(&str, &[(DomainKind, &str)])| SiteEntry {
        code: code.to_owned(),
        domains: domains.iter().map(domain).collect(),
    };
    write_geosite(&lists.iter().map(list).collect::<Vec<_>>())
}

fn ips(lists: &[(&str, &str)]) -> Vec<u8> {
    let list = |&(code, net): &(&str, &str)| IpEntry {
        code: code.to_owned(),
        prefixes: vec![net.parse::<IpNet>().unwrap()],
    };
    write_geoip(&lists.iter().map(list).collect::<Vec<_>>())
}

fn google() -> Vec<u8> {
    let list: &[(DomainKind, &str)] = &[(DomainKind::Suffix, "google.com")];
    sites(&[("GOOGLE", list), ("CN", &[(DomainKind::Suffix, "163.com")])])
}

/// Whether the first rule takes a connection to `target`.
fn first_rule_takes(router: &Router, target: &str) -> bool {
    let Step::Decided(decision) = router.route(&Flow::new(Network::Tcp, target.parse().unwrap())) else {
        panic!("there is nothing to ask");
    };
    decision.rule.is_some_and(|rule| rule.index() == 0)
}

#[test]
fn unknown_codes_come_with_the_nearest_one() {
    let folder = folder(&[("geosite.dat", google()), ("geoip.dat", ips(&[("CN", "1.0.1.0/24")]))]);
    check(
        &folder,
        &[r#""domain": ["a.com", "geosite:gogle"]"#, r#""ip": ["10.0.0.1", "geoip:cm"], "port": 80"#],
        &[
            "5:22: error: `geosite.dat` has no list `gogle` \
             [did you mean `google`? `waypost geo list geosite.dat` shows all codes (2)]",
            "6:21: error: `geoip.dat` has no list `cm` \
             [did you mean `cn`? `waypost geo list geoip.dat` shows all codes (1)]",
        ],
    );
}

#[test]
fn a_missing_file_is_reported_once_with_the_places_tried() {
    let folder = folder(&[]);
    let places = "[set WAYPOST_ASSETS to the folder that has it; looked in ASSETS, \
                  /usr/local/share/waypost, /usr/local/share/v2ray, /usr/local/share/xray, \
                  /usr/share/waypost, /usr/share/v2ray, /usr/share/xray]";
    let databases = "(`country.mmdb`, `Country.mmdb`, `GeoLite2-Country.mmdb`, `dbip-country-lite.mmdb`)";
    check(
        &folder,
        &[
            r#""domain": ["geosite:cn", "geosite:google"]"#,
            r#""domain": ["geosite:apple"], "ip": ["geoip:cn"]"#,
            r#""source": ["geoip:us"]"#,
            r#""domain": ["ext:mine.dat:x"]"#,
        ],
        &[
            &format!("5:13: error: cannot find `geosite.dat` {places}"),
            &format!("6:38: error: cannot find `geoip.dat` or a country database {databases} {places}"),
            &format!("8:13: error: cannot find `mine.dat` {places}"),
        ],
    );
}

#[test]
fn a_cut_file_is_reported_with_its_path() {
    let whole = google();
    let cut = whole[..whole.len() - 3].to_vec();
    let folder = folder(&[("geosite.dat", cut), ("geoip.dat", b"<!DOCTYPE html>".to_vec())]);
    let again = "[fetch the file again: an interrupted download looks like this, and so does another kind of \
                 file under this name]";
    check(
        &folder,
        &[r#""domain": ["geosite:cn"]"#, r#""ip": ["geoip:cn"]"#],
        &[
            &format!(
                "5:13: error: `ASSETS/geosite.dat` is broken: offset 37: expected 26 bytes, only 23 are left \
                 {again}"
            ),
            &format!(
                "6:9: error: `ASSETS/geoip.dat` is broken: offset 0: field 7 has the unsupported wire type `4` \
                 {again}"
            ),
        ],
    );
}

#[test]
fn an_empty_file_has_no_list() {
    let folder = folder(&[("geosite.dat", Vec::new())]);
    let said = said(folder.path(), &file(&[r#""domain": "geosite:cn""#], ""));
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("`geosite.dat` has no list `cn` [it has no list at all; fetch"), "{said:?}");
}

#[test]
fn a_file_of_the_other_kind_is_not_taken() {
    let folder = folder(&[("sites.dat", google()), ("ips.dat", ips(&[("CN", "1.0.1.0/24")]))]);
    let said =
        said(folder.path(), &file(&[r#""ip": "ext:sites.dat:cn""#, r#""domain": "ext:ips.dat:cn""#], ""));
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("5:9: error: `sites.dat` is broken:"), "{said:?}");
    assert!(said[1].starts_with("6:13: error: `ips.dat` is broken:"), "{said:?}");
}

#[test]
fn a_broken_list_matters_only_where_a_rule_names_it() {
    // List `B` has one domain, of the type 9, which does not exist.
    let bytes = [google(), b"\x0a\x07\x0a\x01B\x12\x02\x08\x09".to_vec()].concat();
    let folder = folder(&[("geosite.dat", bytes)]);
    check(&folder, &[r#""domain": ["geosite:cn"]"#, r#""domain": ["geosite:google"]"#], &[]);
    let rules = [r#""domain": ["geosite:b"]"#, r#""domain": ["geosite:b", "more.example"]"#];
    let said = said(folder.path(), &file(&rules, ""));
    let broken = "13: error: `geosite.dat` is broken: list `B`, offset ";
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with(&format!("5:{broken}")), "{said:?}");
    assert!(said[1].starts_with(&format!("6:{broken}")), "{said:?}");
}

#[test]
fn of_a_list_with_many_bad_entries_the_first_one_is_shown() {
    let bad: &[(DomainKind, &str)] =
        &[(DomainKind::Full, "a b"), (DomainKind::Suffix, ""), (DomainKind::Regexp, "(")];
    let folder = folder(&[("geosite.dat", sites(&[("X", bad)]))]);
    let in_rule = "5:20: error: `geosite:x` has an entry that cannot be used: `a b`: a domain name has letters, \
                   digits, `-`, `_` and `.`, not ' ' [the mistake is in the geo file: use another version of \
                   it, or leave the list out]";
    check(&folder, &[r#""domain": ["a.b", "geosite:x"]"#], &[in_rule]);
    let in_hosts = said(folder.path(), &file(&[r#""port": 1"#], r#""geosite:x": "127.0.0.1""#));
    assert_eq!(in_hosts, [in_rule.replace("5:20", "7:19")]);
}

#[test]
fn every_broken_country_database_is_an_error_and_never_a_crash() {
    let Some(shared) = waypost_testkit::skip_without_shared("every_broken_country_database_is_an_error")
    else {
        return;
    };
    let mut n_files = 0;
    for path in files_below(&shared.join("data/maxmind-test/bad-data")) {
        if path.extension().is_none_or(|ending| ending != "mmdb") {
            continue;
        }
        n_files += 1;
        let bytes = fs::read(&path).unwrap();
        for (name, rule) in [("country.mmdb", "geoip:cn"), ("x.mmdb", "ext:x.mmdb:cn")] {
            let folder = folder(&[(name, bytes.clone())]);
            let said = said(folder.path(), &file(&[&format!(r#""ip": ["{rule}"]"#)], ""));
            assert_eq!(said.len(), 1, "{}: {said:?}", path.display());
            let broken = said[0].starts_with(&format!("5:9: error: `ASSETS/{name}` is broken: "));
            let without = said[0].starts_with(&format!("5:9: error: `{name}` has no list `cn` ["));
            assert!(broken || without, "{}: {said:?}", path.display());
        }
    }
    assert!(n_files > 15, "{n_files} files");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn bad_expressions_are_reported_where_they_stand() {
    let folder = folder(&[]);
    let text = file(
        &[
            r#""domain": ["a.com", "regexp:(a"]"#,
            r#""user": ["x", "regexp:a**"]"#,
            r#""attrs": {":path": "[", "host": "^ok"}"#,
        ],
        r#""a.com": "1.1.1.1", "regexp:\\1": "1.1.1.1""#,
    );
    assert_eq!(
        said(folder.path(), &text),
        [
            "5:22: error: regular expression `(a`: unclosed group",
            "6:16: error: regular expression `a**`: the repetition at character 3 follows another one; \
             put the first in parentheses",
            "7:21: error: regular expression `[`: unclosed character class",
            r"9:39: error: regular expression `\1`: the back-reference at character 1 is not supported",
        ]
    );
}

#[test]
fn an_expression_that_needs_an_upper_case_letter_is_warned_of() {
    let folder = folder(&[]);
    let warning = "warning: this expression never matches: it needs an upper-case letter, and names are \
                   compared in lower case [write it in lower case, or put `(?i)` at its beginning]";
    let rules = [r#""domain": ["regexp:^Example", "regexp:(?i)^Example", "regexp:\\D+\\S", "dotless:PC"]"#];
    let text = file(&rules, r#""regexp:A": "1.1.1.1""#);
    assert_eq!(
        said(folder.path(), &text),
        [format!("5:13: {warning}"), format!("5:73: {warning}"), format!("7:19: {warning}")]
    );
}

#[test]
fn an_attribute_filter_that_leaves_nothing_is_warned_of_and_never_matches() {
    let folder = folder(&[("geosite.dat", google())]);
    let text = file(&[r#""domain": "geosite:google@cn@Ads", "network": "tcp""#], "");
    assert_eq!(
        said(folder.path(), &text),
        ["5:13: warning: no entry of list `google` has `@cn` and `@ads` [this entry never matches]"]
    );
    let snapshot = load_text(folder.path(), &text).0.ready.unwrap().snapshot;
    assert!(!first_rule_takes(snapshot.router(), "google.com:443"));
}

#[test]
fn private_addresses_need_no_file() {
    let folder = folder(&[]);
    check(&folder, &[r#""ip": ["geoip:private"], "source": ["geoip:PRIVATE"]"#], &[]);
    let text = file(&[r#""ip": ["geoip:private"]"#], "");
    let snapshot = load_text(folder.path(), &text).0.ready.unwrap().snapshot;
    assert!(first_rule_takes(snapshot.router(), "192.168.1.1:80"));
    assert!(!first_rule_takes(snapshot.router(), "8.8.8.8:80"));
}

#[test]
fn a_country_database_stands_in_for_a_missing_geoip_dat() {
    let country = fs::read(waypost_testkit::workspace_root().join("testdata/geo/country.mmdb")).unwrap();
    let database = waypost_geodata::CountryMmdb::new(country.clone()).unwrap();
    let mut codes = database.countries().unwrap().into_keys();
    let (code, other) = (codes.next().unwrap(), codes.next().unwrap());
    let address_in = |code: &str| {
        let prefixes = database.prefixes(&[code]).unwrap().remove(code).unwrap();
        std::net::SocketAddr::new(prefixes[0].addr(), 443).to_string()
    };
    let folder = folder(&[("country.mmdb", country)]);

    let rule = format!(r#""ip": ["geoip:{}", "geoip:private"]"#, code.to_lowercase());
    let (loaded, _) = load_text(folder.path(), &file(&[&rule], ""));
    assert_eq!(loaded.diagnostics, []);
    let snapshot = loaded.ready.unwrap().snapshot;
    assert!(first_rule_takes(snapshot.router(), &address_in(&code)), "{code}");
    assert!(!first_rule_takes(snapshot.router(), &address_in(&other)), "{other}");
    assert!(first_rule_takes(snapshot.router(), "10.0.0.1:443"));
}

#[test]
fn a_code_that_the_country_database_lacks_is_said_of_the_database() {
    let database = write_country_mmdb(&[("1.0.1.0/24".parse().unwrap(), "CN")], 0);
    let folder = folder(&[("Country.mmdb", database)]);
    check(
        &folder,
        &[r#""ip": ["geoip:telegram", "geoip:cn"]"#],
        &[
            "5:9: error: `Country.mmdb` has no list `telegram` [`waypost geo list Country.mmdb` shows all codes (1)]",
        ],
    );
}

#[test]
fn lists_of_other_files_take_attributes() {
    let folder = folder(&[("mine.dat", google())]);
    let text = file(&[r#""domain": "ext:mine.dat:google@ads""#], "");
    let (loaded, _) = load_text(folder.path(), &text);
    assert_eq!(loaded.diagnostics, []);
    let snapshot = loaded.ready.unwrap().snapshot;
    assert!(first_rule_takes(snapshot.router(), "www.google.com:443"));
    assert!(!first_rule_takes(snapshot.router(), "www.163.com:443"));
}

#[test]
fn hosts_take_lists_in_any_letter_case() {
    let names: &[(DomainKind, &str)] = &[
        (DomainKind::Full, "Full.Example."),
        (DomainKind::Keyword, "KEY"),
        (DomainKind::Suffix, "sub.example"),
    ];
    let folder = folder(&[("geosite.dat", sites(&[("X", names)]))]);
    let text = file(&[r#""port": 1"#], r#""geosite:x": "127.0.0.9""#);
    let (loaded, _) = load_text(folder.path(), &text);
    assert_eq!(loaded.diagnostics, []);
    let snapshot = loaded.ready.unwrap().snapshot;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for name in ["full.example", "a.key.example", "www.sub.example"] {
        let name = waypost_net::DomainName::new(name).unwrap();
        let addresses = runtime.block_on(snapshot.resolver().resolve(&name, snapshot.family())).unwrap();
        assert_eq!(addresses, ["127.0.0.9".parse::<std::net::IpAddr>().unwrap()], "{name}");
    }
}

#[test]
fn problems_of_all_kinds_are_reported_in_one_run() {
    let folder = folder(&[("geosite.dat", google())]);
    let text = file(
        &[
            r#""domain": ["geosite:googel", "regexp:("], "ip": ["geoip:cn"]"#,
            r#""domain": ["geosite:google@nothing", "ext:x.dat:y"]"#,
            r#""user": "regexp:[""#,
        ],
        r#""geosite:cm": "1.1.1.1""#,
    );
    let said = said(folder.path(), &text);
    let places: Vec<&str> = said.iter().map(|line| line.split(['`', '(']).next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "5:13: error: ",
            "5:31: error: regular expression ",
            "5:51: error: cannot find ",
            "6:13: warning: no entry of list ",
            "6:39: error: cannot find ",
            "7:11: error: regular expression ",
            "9:19: error: ",
        ],
        "{said:#?}"
    );
    let (loaded, _) = load_text(folder.path(), &text);
    let n_errors = loaded.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    assert_eq!((n_errors, loaded.ready.is_none()), (6, true));
}
