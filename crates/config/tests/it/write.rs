//! From the model back to text.

use std::{fs, path::Path};

use waypost_config::{Dialect, Source, Style, model::Config, render, write};

use crate::{
    files::{folder, updates_expectations},
    read,
};

/// A model without the places of its values.
pub(crate) fn without_places(config: &Config) -> String {
    without_spans(&format!("{config:#?}"))
}

fn without_spans(text: &str) -> String {
    let mut lines = Vec::new();
    let mut in_span = false;
    for line in text.lines() {
        in_span |= line.trim_end().ends_with("Span {");
        if !in_span {
            lines.push(line);
        }
        in_span &= !line.trim_start().starts_with('}');
    }
    lines.join("\n")
}

/// The usable files of a folder, with their models.
fn usable(folder: &Path) -> Vec<(String, String, Config)> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the folder exists")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read_one = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).expect("readable");
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let config = read(&name, &text).0.config?;
        Some((name, text, config))
    };
    paths.iter().filter_map(read_one).collect()
}

/// Writes a model and reads it again.
#[track_caller]
fn again(name: &str, config: &Config, dialect: Dialect) -> (String, Config) {
    let written = write(config, dialect);
    let (outcome, said) = read(name, &written.text);
    let config = outcome.config.unwrap_or_else(|| panic!("{name}\n{said}\n{}", written.text));
    (written.text, config)
}

/// Files with rules that never hold, which are not written.
const WITH_IDLE_RULES: [&str; 4] =
    ["01-empty-strings.json", "02-spaces.json", "04-ports.json", "12-tags-and-labels.json"];

#[test]
fn a_file_that_is_written_in_its_own_dialect_means_the_same() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let mut n_files = 0;
    for folder in [folder("good"), folder("warn"), examples] {
        for (name, text, config) in usable(&folder) {
            let written = write(&config, config.dialect);
            let source = Source::new(&*name, text).expect("text");
            assert!(written.losses.is_empty(), "{}", render(&source, &written.losses, Style::Plain));
            let (text, second) = again(&name, &config, config.dialect);
            if !WITH_IDLE_RULES.contains(&&*name) {
                pretty_assert(&name, &without_places(&config), &without_places(&second), &text);
            }
            let (text_of_second, _) = again(&name, &second, config.dialect);
            assert_eq!(text, text_of_second, "{name}");
            n_files += 1;
        }
    }
    assert!(n_files > 40, "only {n_files} files");
}

#[track_caller]
fn pretty_assert(name: &str, left: &str, right: &str, text: &str) {
    let first = left.lines().zip(right.lines()).position(|(left, right)| left != right);
    if left != right {
        let around = |text: &str| {
            let from = first.unwrap_or_default().saturating_sub(8);
            text.lines().skip(from).take(16).collect::<Vec<_>>().join("\n")
        };
        panic!("{name}:\n{}\n--- became\n{}\n--- by\n{text}", around(left), around(right));
    }
}

#[test]
fn passwords_are_written() {
    let text = r#"{
        "inbounds": [{"protocol": "http", "port": 8080, "listen": "127.0.0.1",
            "settings": {"accounts": [{"user": "me", "pass": "p\"\\ü"}]}}],
        "outbounds": [{"protocol": "freedom"}]
    }"#;
    let config = read("c", text).0.config.expect("good");
    let (_, second) = again("c", &config, Dialect::V2ray);
    let password = |config: &Config| config.inbounds[0].accounts[0].password.expose().to_owned();
    assert_eq!(password(&second), "p\"\\ü");
}

/// Files of V2Ray that lose something in the dialect of sing-box are told so, and what is left is a
/// file; the others can be converted there and back without another change.
#[test]
fn files_of_v2ray_are_files_of_sing_box() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let (mut n_exact, mut n_lossy) = (0, 0);
    for folder in [folder("good"), folder("warn"), examples] {
        for (name, text, config) in usable(&folder) {
            if config.dialect != Dialect::V2ray {
                continue;
            }
            let written = write(&config, Dialect::SingBox);
            let source = Source::new(&*name, text).expect("text");
            for loss in &written.losses {
                assert!(loss.message.starts_with("sing-box cannot say "), "{}", loss.message);
                assert!(!source.line_of(loss.span.start).trim().is_empty(), "{name}: {}", loss.message);
            }
            if written.is_lossy() {
                n_lossy += 1;
                continue;
            }
            n_exact += 1;
            let (_, there) = again(&name, &config, Dialect::SingBox);
            let losses = write(&there, Dialect::V2ray).losses;
            assert!(losses.is_empty(), "{name}: {losses:?}");
            let (_, back) = again(&name, &there, Dialect::V2ray);
            let (text, there_again) = again(&name, &back, Dialect::SingBox);
            pretty_assert(&name, &without_places(&there), &without_places(&there_again), &text);
        }
    }
    assert!(n_exact > 25 && n_lossy > 5, "{n_exact} exact, {n_lossy} lossy");
}

/// Files that lose nothing in the other dialect mean the same when they come back.
#[test]
fn files_with_tunnels_come_back_from_the_other_dialect() {
    let mut n_files = 0;
    for (name, _, config) in usable(&folder("convert")) {
        if !name.contains("tunnels") || name.ends_with("-lost.json") {
            continue;
        }
        let other = match config.dialect {
            Dialect::V2ray => Dialect::SingBox,
            Dialect::SingBox => Dialect::V2ray,
        };
        let (_, there) = again(&name, &config, other);
        let (text, back) = again(&name, &there, config.dialect);
        let parts = |config: &Config| {
            // What inbounds sniff is said in other ways.
            let transports = config.inbounds.iter().map(|inbound| {
                format!("{:#?}\n{:#?}\n{:#?}", inbound.protocol, inbound.listen, inbound.transport)
            });
            let inbounds = transports.collect::<Vec<_>>().join("\n");
            let mut outbounds = config.clone();
            outbounds.inbounds.clear();
            format!("{}\n{}", without_spans(&inbounds), without_places(&outbounds))
        };
        pretty_assert(&name, &parts(&config), &parts(&back), &text);
        n_files += 1;
    }
    assert_eq!(n_files, 2);
}

/// Both at once are refused there.
#[test]
fn an_authority_beside_the_hash_of_a_key_is_lost_in_sing_box() {
    let hash = "A".repeat(43);
    let text = format!(
        r#"{{"inbounds": [{{"protocol": "socks", "listen": "127.0.0.1", "port": 1}}],
        "outbounds": [{{"protocol": "trojan", "settings": {{"address": "a", "port": 1, "password": "x"}},
            "streamSettings": {{"security": "tls", "tlsSettings": {{"disableSystemRoot": true,
                "certificates": [{{"usage": "verify", "certificateFile": "ca.pem"}}],
                "pinnedPeerCertificatePublicKeySha256": ["{hash}="]}}}}}}]}}"#
    );
    let (outcome, said) = read("c", &text);
    let written = write(&outcome.config.expect(&said), Dialect::SingBox);
    assert!(written.is_lossy(), "{:?}", written.losses);
    let (outcome, said) = read("c", &written.text);
    assert!(outcome.config.is_some(), "{said}");
}

/// `testdata/config/convert`: files with what they are in the other dialect (`.converted`) and what is
/// lost (`.stderr`). A new case needs no Rust; `UPDATE_EXPECT=1` writes both.
#[test]
fn a_login_means_the_same_or_is_lost() {
    let read = |login: &str| {
        let text = format!(
            r#"{{"inbounds": [{{"type": "mixed", "listen_port": 1}}],
                "outbounds": [{{"server": "a", "server_port": 1, {login}}}]}}"#
        );
        read("x", &text)
    };
    let long = "x".repeat(300);
    for (login, is_lossy) in [
        (r#""type": "socks", "username": "u", "password": "p""#.to_owned(), false),
        (r#""type": "socks", "username": "u""#.to_owned(), true),
        (r#""type": "http", "username": "u""#.to_owned(), false),
        (format!(r#""type": "http", "username": "u", "password": "{long}""#), false),
    ] {
        let (outcome, said) = read(&login);
        let config = outcome.config.expect(&said);
        let written = write(&config, Dialect::V2ray);
        assert_eq!(written.is_lossy(), is_lossy, "{login}: {:?}", written.losses);
        if !is_lossy {
            let (again, said) = self::read("x", &written.text);
            assert_eq!(write(&again.config.expect(&said), Dialect::V2ray).text, written.text, "{login}");
        }
    }
    for (login, place) in [
        (r#""type": "http", "username": "u:v""#.to_owned(), "RFC 7617"),
        (format!(r#""type": "socks", "username": "{long}""#), "RFC 1929"),
    ] {
        let (outcome, said) = read(&login);
        assert!(outcome.config.is_none() && said.contains(place), "{login}: {said}");
    }
}

#[test]
fn what_is_said_in_another_way_and_what_is_lost() {
    let folder = folder("convert");
    let files = usable(&folder);
    assert!(files.len() >= 4, "only {} files", files.len());
    let mut differing = Vec::new();
    for (name, text, config) in files {
        let other = match config.dialect {
            Dialect::V2ray => Dialect::SingBox,
            Dialect::SingBox => Dialect::V2ray,
        };
        let written = write(&config, other);
        assert_eq!(written.is_lossy(), name.ends_with("-lost.json"), "{name}: {:?}", written.losses);
        let lost = render(&Source::new(&*name, text).expect("text"), &written.losses, Style::Plain);
        for (ending, found) in [("converted", &written.text), ("stderr", &lost)] {
            let path = folder.join(&name).with_extension(ending);
            if updates_expectations() {
                fs::write(&path, found).expect("writable");
            } else if fs::read_to_string(&path).unwrap_or_default() != *found {
                differing.push(format!("--- {}\n{found}", path.display()));
            }
        }
        let (outcome, said) = read("converted.json", &written.text);
        assert!(outcome.config.is_some(), "{name}\n{said}\n{}", written.text);
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
