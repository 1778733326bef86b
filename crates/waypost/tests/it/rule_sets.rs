//! `waypost rule-set` and `waypost geo export`, beside sing-box.

mod agreement;
mod oracle;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::json;

use crate::sing_box::require_sing_box;

fn waypost(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_waypost")).args(arguments).current_dir(folder).output().unwrap()
}

/// Runs a command that has to succeed.
#[track_caller]
fn done(arguments: &[&str], folder: &Path) -> String {
    let output = waypost(arguments, folder);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that has to fail, and returns its exit code and what it says.
#[track_caller]
fn failed(arguments: &[&str], folder: &Path) -> (i32, String) {
    let output = waypost(arguments, folder);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

const SOURCE: &str = r#"{"version": 2, "rules": [
    {"domain_suffix": ["example.org", ".below.example"], "domain_keyword": "track", "ip_cidr": "10.0.0.0/8"},
    {"type": "logical", "mode": "and", "rules": [
        {"domain_regex": "^ad[0-9]+\\."},
        {"domain": "ad1.good.example", "invert": true}]},
    {"port": 443, "domain": "with-port.example"}
]}"#;

#[test]
fn match_names_the_rule_and_the_entry() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("set.json"), SOURCE).unwrap();
    assert_eq!(done(&["rule-set", "compile", "set.json"], folder.path()), "wrote set.srs\n");
    for file in ["set.json", "set.srs"] {
        let said = done(
            &[
                "rule-set",
                "match",
                file,
                "www.example.org",
                "BELOW.example",
                "a.below.example",
                "tracker.test",
                "10.1.2.3",
                "ad7.test",
            ],
            folder.path(),
        );
        assert_eq!(
            said,
            "www.example.org: rules[0]: domain_suffix:example.org\n\
             BELOW.example: no rule\n\
             a.below.example: rules[0]: domain_suffix:below.example\n\
             tracker.test: rules[0]: domain_keyword:track\n\
             10.1.2.3: rules[0]: ip_cidr:10.0.0.0-10.255.255.255\n\
             ad7.test: rules[1]: domain_regex:^ad[0-9]+\\.\n"
        );
        for nothing in ["ad1.good.example", "with-port.example", "192.0.2.1"] {
            let expected = (1, format!("{nothing}: no rule\n"));
            assert_eq!(failed(&["rule-set", "match", file, nothing], folder.path()), expected);
        }
    }
}

#[test]
fn decompiled_sets_compile_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.json"), SOURCE).unwrap();
    done(&["rule-set", "compile", "a.json"], folder.path());
    done(&["rule-set", "decompile", "a.srs", "-o", "b.json"], folder.path());
    done(&["rule-set", "compile", "b.json"], folder.path());
    assert_eq!(fs::read(path("a.srs")).unwrap(), fs::read(path("b.srs")).unwrap());
}

#[test]
fn what_is_broken_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("set.srs"), "the old one").unwrap();
    fs::write(path("set.json"), r#"{"version": 2, "rules": [{"domain_regex": "("}]}"#).unwrap();
    let (code, said) = failed(&["rule-set", "compile", "set.json"], folder.path());
    assert_eq!(code, 2, "{said}");
    assert!(said.starts_with("waypost: `set.json`: rules[0]: `(`: "), "{said}");
    fs::write(path("set.json"), r#"{"version": 2, "rules": [{"domian": "a"}]}"#).unwrap();
    let (code, said) = failed(&["rule-set", "compile", "set.json"], folder.path());
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("set.json:1:27: error: unknown key `domian`"), "{said}");
    let (code, said) = failed(&["rule-set", "decompile", "set.srs"], folder.path());
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("`set.srs`: offset 0: expected `SRS`"), "{said}");
    assert_eq!(fs::read(path("set.srs")).unwrap(), b"the old one");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn hosts_files_become_sets_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let list = "# blocked\n127.0.0.1 localhost\n0.0.0.0 ads.example tracker.example # both\n192.0.2.1 real.example\n";
    fs::write(folder.path().join("hosts.txt"), list).unwrap();
    let output = waypost(&["rule-set", "convert", "-t", "hosts", "hosts.txt"], folder.path());
    let notes = String::from_utf8(output.stderr).unwrap();
    assert_eq!(notes, "1 lines, 2 not used; the first is line 2: it has no host name\n");
    let hosts = ["rule-set", "match", "hosts.srs", "ads.example", "tracker.example", "real.example"];
    let said = done(&hosts, folder.path());
    assert_eq!(
        said,
        "ads.example: rules[0]: domain:ads.example\n\
         tracker.example: rules[0]: domain:tracker.example\n\
         real.example: no rule\n"
    );
}

#[test]
fn lists_of_geo_files_become_sets() {
    use waypost_geodata::{DomainKind, IpEntry, SiteDomain, SiteEntry, write_geoip, write_geosite};
    let domain = |kind, value: &str, attribute: Option<&str>| SiteDomain {
        kind,
        value: value.to_owned(),
        attributes: attribute.map(ToOwned::to_owned).into_iter().collect(),
    };
    let folder = tempfile::tempdir().unwrap();
    let domains = vec![
        domain(DomainKind::Suffix, "example.org", Some("ads")),
        domain(DomainKind::Full, "full.example", None),
        domain(DomainKind::Keyword, "track", None),
        domain(DomainKind::Regexp, "^ad[0-9]", Some("ads")),
    ];
    let sites = write_geosite(&[SiteEntry { code: "TEST".to_owned(), domains }]);
    fs::write(folder.path().join("geosite.dat"), sites).unwrap();
    let prefixes = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().unwrap()).to_vec();
    let ips = write_geoip(&[IpEntry { code: "TEST".to_owned(), prefixes }]);
    fs::write(folder.path().join("geoip.dat"), ips).unwrap();
    let source = |rule: serde_json::Value| json!({"version": 2, "rules": [rule]});
    for (file, code, expected) in [
        (
            "geosite.dat",
            "test",
            json!({
                "domain": "full.example",
                "domain_suffix": "example.org",
                "domain_keyword": "track",
                "domain_regex": "^ad[0-9]",
            }),
        ),
        ("geosite.dat", "test@ads", json!({"domain_suffix": "example.org", "domain_regex": "^ad[0-9]"})),
        ("geoip.dat", "test", json!({"ip_cidr": ["10.0.0.0/8", "2001:db8::/32"]})),
    ] {
        done(&["geo", "export", file, code, "-o", "out.srs"], folder.path());
        done(&["rule-set", "decompile", "out.srs"], folder.path());
        let text = fs::read_to_string(folder.path().join("out.json")).unwrap();
        let decompiled: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(decompiled, source(expected), "{file} {code}");
    }
    let (code, said) = failed(&["geo", "export", "geosite.dat", "other"], folder.path());
    assert_eq!((code, said.contains("has no list `other`")), (2, true), "{said}");
}

/// Both compile the same sources, and each reads what the other wrote.
#[test]
fn sing_box_reads_what_is_written_here() {
    let Some(sing_box) = require_sing_box("sing_box_reads_what_is_written_here") else { return };
    let folder = tempfile::tempdir().unwrap();
    let testdata = waypost_testkit::workspace_root().join("testdata/rule-set");
    for version in 1..=5 {
        let name = format!("version-{version}.json");
        fs::copy(testdata.join(&name), folder.path().join("ours.json")).unwrap();
        done(&["rule-set", "compile", "ours.json"], folder.path());
        let decompile = |program: &Path, from: &str, to: &str| {
            let arguments = ["rule-set", "decompile", from, "-o", to];
            let output = Command::new(program).args(arguments).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            fs::read_to_string(folder.path().join(to)).unwrap()
        };
        fs::copy(testdata.join(&name).with_extension("srs"), folder.path().join("theirs.srs")).unwrap();
        let ours = Path::new(env!("CARGO_BIN_EXE_waypost"));
        let expected = decompile(&sing_box, "theirs.srs", "theirs.json");
        assert_eq!(decompile(&sing_box, "ours.srs", "ours-by-theirs.json"), expected, "{name}");
        assert_eq!(decompile(ours, "theirs.srs", "theirs-by-ours.json"), expected, "{name}");
    }
}
