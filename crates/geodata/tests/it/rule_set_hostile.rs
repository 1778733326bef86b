//! Files that lie, each named after what is wrong with it.
//!
//! `UPDATE_EXPECT=1` writes the files and what is said about them again.

use std::{fmt::Write as _, fs, path::PathBuf};

use waypost_geodata::rule_set::read_srs;

use crate::rule_set::deflated;

fn folder() -> PathBuf {
    waypost_testkit::workspace_root().join("testdata/rule-set/hostile")
}

/// A file of version 4 with `rules` in it.
fn file(rules: &[u8]) -> Vec<u8> {
    deflated(4, rules)
}

/// A set of one rule with one item.
fn item(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut rules = vec![1, 0, number];
    rules.extend_from_slice(payload);
    rules.extend([0xFF, 0]);
    file(&rules)
}

/// A set of one rule with a tree of names: its leaves, its bitmap and its labels.
fn tree(leaves: &[u64], bitmap: &[u64], labels: &[u8]) -> Vec<u8> {
    item(2, &tree_payload(leaves, bitmap, labels))
}

fn tree_payload(leaves: &[u64], bitmap: &[u64], labels: &[u8]) -> Vec<u8> {
    let mut payload = vec![0];
    for words in [leaves, bitmap] {
        payload.push(u8::try_from(words.len()).unwrap());
        payload.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    }
    payload.push(u8::try_from(labels.len()).unwrap());
    payload.extend_from_slice(labels);
    payload
}

/// A set of one rule with a set of addresses: how many ranges it says it has, and their bytes.
fn ranges(count: u64, ranges: &[u8]) -> Vec<u8> {
    let mut payload = vec![1];
    payload.extend(count.to_be_bytes());
    payload.extend_from_slice(ranges);
    item(6, &payload)
}

/// A count of nine bytes that says 2^62.
const HUGE: [u8; 9] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];

/// A rule with the port 443.
const RULE: [u8; 7] = [0, 9, 1, 0x01, 0xBB, 0xFF, 0];

fn logical(mode: u8, inner: &[u8], count: u8) -> Vec<u8> {
    let mut rule = vec![1, mode, count];
    rule.extend_from_slice(inner);
    rule.push(0);
    rule
}

fn nested(depth: usize) -> Vec<u8> {
    let innermost = RULE.to_vec();
    let rule = (0..depth).fold(innermost, |inner, _| logical(0, &inner, 1));
    [vec![1], rule].concat()
}

fn wrong_headers() -> Vec<(&'static str, Vec<u8>)> {
    let good = file(&[&[1], &RULE[..]].concat());
    let with = |change: fn(&mut Vec<u8>)| {
        let mut file = good.clone();
        change(&mut file);
        file
    };
    vec![
        ("empty-file", vec![]),
        ("wrong-magic", with(|file| file[2] = b'X')),
        ("source-instead-of-compiled", b"{\"version\":2,\"rules\":[]}".to_vec()),
        ("header-alone", good[..4].to_vec()),
        ("no-version", good[..3].to_vec()),
        ("version-0", with(|file| file[3] = 0)),
        ("version-6", with(|file| file[3] = 6)),
        ("not-zlib", with(|file| file[4] = 0x1f)),
        ("wrong-checksum", with(|file| *file.last_mut().unwrap() ^= 1)),
        ("half-a-checksum", good[..good.len() - 2].to_vec()),
        ("behind-the-data", with(|file| file.extend(b"more"))),
        ("behind-the-rules", file(&[&[1], &RULE[..], &[0]].concat())),
        ("zip-bomb", bomb()),
    ]
}

/// A keyword that says it is as long as can be, of zeros that compress well.
fn bomb() -> Vec<u8> {
    use std::io::Write as _;
    let mut head = vec![1, 0, 3, 1];
    head.extend(HUGE);
    let start = b"SRS\x04".to_vec();
    let mut encoder = flate2::write::ZlibEncoder::new(start, flate2::Compression::best());
    encoder.write_all(&head).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..65 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

fn wrong_rules() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("no-rules-at-all", file(&[])),
        ("rule-count-absurd", file(&HUGE)),
        ("rule-count-too-long", file(&[0xFF; 11])),
        ("rule-count-too-large", file(&[[2].as_slice(), &RULE].concat())),
        ("rule-type-2", file(&[1, 2, 0xFF, 0])),
        ("rule-without-conditions", file(&[1, 0, 0xFF, 0])),
        ("logical-mode-2", file(&[vec![1], logical(2, &RULE, 1)].concat())),
        ("logical-without-rules", file(&[vec![1], logical(0, &[], 0)].concat())),
        ("logical-count-absurd", file(&[[1, 1, 0].as_slice(), &HUGE].concat())),
        ("logical-nested-33", file(&nested(33))),
        ("logical-nested-5000", file(&nested(5_000))),
        ("invert-2", file(&[1, 0, 9, 1, 0x01, 0xBB, 0xFF, 2])),
        ("item-24", item(24, &[])),
        ("item-254", item(254, &[])),
        ("item-twice", file(&[1, 0, 9, 1, 1, 0xBB, 9, 1, 1, 0xBB, 0xFF, 0])),
        ("keywords-none", item(3, &[0])),
        ("keyword-empty", item(3, &[1, 0])),
        ("keyword-not-utf-8", item(3, &[1, 1, 0x80])),
        ("keyword-length-absurd", item(3, &[[1].as_slice(), &HUGE].concat())),
        ("keyword-count-absurd", item(3, &HUGE)),
        ("port-count-absurd", item(9, &HUGE)),
        ("port-range-without-colon", item(10, b"\x01\x02ab")),
        ("port-range-above-65535", item(10, b"\x01\x0810:70000")),
        ("network-type-4", item(18, &[1, 4])),
        ("prefix-of-5-bytes", item(22, &[1, 5, 1, 2, 3, 4, 5, 8])),
        ("prefix-of-33-bits", item(22, &[1, 4, 10, 0, 0, 0, 33])),
    ]
}

fn wrong_sets() -> Vec<(&'static str, Vec<u8>)> {
    let range = |first: u8, last: u8| vec![4, 10, 0, 0, first, 4, 10, 0, 0, last];
    let mixed = [vec![4, 10, 0, 0, 1, 16], vec![0; 16]].concat();
    let v6 = [vec![16], vec![0; 16], vec![16], vec![0; 16]].concat();
    vec![
        ("ranges-form-2", item(6, &[2, 0, 0, 0, 0, 0, 0, 0, 1])),
        ("ranges-none", ranges(0, &[])),
        ("ranges-count-absurd", ranges(u64::MAX, &range(1, 2))),
        ("ranges-overlap", ranges(2, &[range(1, 5), range(5, 9)].concat())),
        ("ranges-not-in-order", ranges(2, &[range(7, 9), range(1, 2)].concat())),
        ("range-backwards", ranges(1, &range(9, 1))),
        ("range-of-two-families", ranges(1, &mixed)),
        ("ranges-v4-behind-v6", ranges(2, &[v6, range(1, 2)].concat())),
        ("range-address-of-3-bytes", ranges(1, &[3, 10, 0, 0, 3, 10, 0, 1])),
        ("range-address-length-absurd", ranges(1, &HUGE)),
    ]
}

/// The tree of the name `a` has the leaves `01`, the bitmap `0 1 1` and the label `a`.
fn wrong_trees() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |length: usize| {
        let bits = 2 * length + 1;
        let mut bitmap = vec![0_u64; bits.div_ceil(64)];
        for bit in (1..bits).step_by(2).chain([bits - 1]) {
            bitmap[bit / 64] |= 1 << (bit % 64);
        }
        let mut leaves = vec![0_u64; (length + 1).div_ceil(64)];
        leaves[length / 64] |= 1 << (length % 64);
        let (mut rules, count) = (vec![1, 0, 2, 0], |n: usize, out: &mut Vec<u8>| {
            out.extend([u8::try_from(n & 0x7f).unwrap() | 0x80, u8::try_from(n >> 7).unwrap()]);
        });
        for words in [&leaves, &bitmap] {
            count(words.len(), &mut rules);
            rules.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
        count(length, &mut rules);
        rules.extend(vec![b'a'; length]);
        rules.extend([0xFF, 0]);
        file(&rules)
    };
    vec![
        ("tree-form-1", item(2, &[1])),
        ("tree-empty", tree(&[0], &[1], b"")),
        ("tree-without-anything", tree(&[], &[], b"")),
        ("tree-of-the-empty-name", tree(&[0b11], &[0b110], b"a")),
        ("tree-leaves-absurd", item(2, &[[0].as_slice(), &HUGE].concat())),
        ("tree-bitmap-absurd", item(2, &[[0, 0].as_slice(), &HUGE].concat())),
        ("tree-labels-absurd", item(2, &[[0, 0, 0].as_slice(), &HUGE].concat())),
        ("tree-too-few-labels", tree(&[0b110], &[0b11100], b"a")),
        ("tree-too-many-labels", tree(&[0b10], &[0b110], b"ab")),
        ("tree-bits-behind-its-end", tree(&[0b10], &[0b1110], b"a")),
        ("tree-leaves-behind-its-end", tree(&[0b110], &[0b110], b"a")),
        ("tree-without-leaf", tree(&[0], &[0b110], b"a")),
        ("tree-leaves-missing", tree(&[], &[0b110], b"a")),
        ("tree-node-without-parent", tree(&[0b110], &[0b10011], b"ab")),
        ("tree-not-in-order", tree(&[0b110], &[0b11100], b"ba")),
        ("tree-label-twice", tree(&[0b110], &[0b11100], b"aa")),
        ("tree-goes-on-behind-root-label", tree(&[0b100], &[0b11010], b"\na")),
        ("tree-wildcard-without-dot", tree(&[0b100], &[0b11010], b"a\r")),
        ("tree-wildcard-alone", tree(&[0b10], &[0b110], b"\r")),
        ("tree-control-character", tree(&[0b10], &[0b110], b"\x01")),
        ("tree-not-utf-8", tree(&[0b10], &[0b110], b"\x80")),
        ("tree-deeper-than-a-name", deep(1_025)),
        ("adguard-without-text", item(16, &tree_payload(&[0b10], &[0b110], b"\n"))),
    ]
}

fn all() -> Vec<(&'static str, Vec<u8>)> {
    [wrong_headers(), wrong_rules(), wrong_sets(), wrong_trees()].concat()
}

#[test]
fn every_lie_is_told_from_the_truth() {
    let (folder, mut said) = (folder(), String::new());
    let update = update();
    for (name, made) in all() {
        let path = folder.join(name).with_extension("srs");
        if update {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &made).unwrap();
        }
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let error = match read_srs(&bytes) {
            Ok(set) => panic!("{name} was read: {set:?}"),
            Err(error) => error,
        };
        writeln!(said, "{name}: {error}").unwrap();
        assert_eq!(read_srs(&made), Err(error), "the helper and the file of {name} differ");
    }
    let expected = folder.join("expected.txt");
    if update {
        fs::write(&expected, &said).unwrap();
    }
    assert_eq!(said, fs::read_to_string(&expected).unwrap());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), all().len() + 1, "every file is named here");
}

#[expect(clippy::disallowed_methods, reason = "how expected output is written again")]
fn update() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}

#[test]
fn nesting_up_to_the_limit_is_fine() {
    assert!(read_srs(&file(&nested(32))).is_ok());
}
