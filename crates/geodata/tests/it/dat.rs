use waypost_geodata::{DomainKind, GeoipFile, GeositeFile, IpEntry, write_geoip};

use crate::bytes_of_hex;

/// Wraps one list into a file.
fn file_of(list_hex: &str) -> Vec<u8> {
    let list = bytes_of_hex(list_hex);
    let mut file = vec![0x0a, u8::try_from(list.len()).unwrap()];
    file.extend(list);
    file
}

#[track_caller]
fn check_prefix(prefix_hex: &str, expected: &str) {
    let list = format!("0a015412{:02x}{prefix_hex}", prefix_hex.len() / 2);
    let file = GeoipFile::new(file_of(&list)).unwrap();
    let prefixes: Vec<_> =
        file.list("t").unwrap().prefixes().map(|prefix| prefix.unwrap().to_string()).collect();
    assert_eq!(prefixes, [expected]);
}

/// Vector `geodata_decode-597`, from V2Ray's memconservative/decode_test.go.
#[test]
fn decodes_the_geoip_vector_of_v2ray() {
    let file = GeoipFile::new(file_of("0a045445535412080a047f0000001008")).unwrap();
    assert_eq!(file.codes().collect::<Vec<_>>(), ["TEST"]);
    let list = file.list("Test").unwrap();
    assert_eq!(list.code(), "TEST");
    assert_eq!(list.prefixes().collect::<Vec<_>>(), [Ok("127.0.0.0/8".parse().unwrap())]);
}

/// Vector `geodata_decode-598`, from V2Ray's memconservative/decode_test.go.
#[test]
fn decodes_the_geosite_vector_of_v2ray() {
    let list = "0a0454455354121408031210746573742e6578616d706c652e636f6d";
    let file = GeositeFile::new(file_of(list)).unwrap();
    let domains: Vec<_> = file.list("TEST").unwrap().domains().map(Result::unwrap).collect();
    assert_eq!(domains.len(), 1);
    assert_eq!((domains[0].kind, domains[0].value), (DomainKind::Full, "test.example.com"));
    assert_eq!(domains[0].attributes().count(), 0);
}

#[test]
fn finds_the_code_behind_the_domains() {
    let file = GeositeFile::new(file_of("1203120161 0a0142".replace(' ', "").as_str())).unwrap();
    assert_eq!(file.codes().collect::<Vec<_>>(), ["B"]);
    assert_eq!(file.list("b").unwrap().domains().count(), 1);
}

#[test]
fn finds_a_lower_case_code_and_reports_it_as_written() {
    let file = GeositeFile::new(file_of("0a02636e")).unwrap();
    assert_eq!(file.list("CN").unwrap().code(), "cn");
    assert!(file.list("CN2").is_none());
}

#[test]
fn the_first_of_two_lists_with_one_code_wins() {
    let mut bytes = file_of("0a01411203120161");
    bytes.extend(file_of("0a01611203120162"));
    let file = GeositeFile::new(bytes).unwrap();
    assert_eq!(file.codes().collect::<Vec<_>>(), ["A", "a"]);
    assert_eq!(file.list("a").unwrap().domains().next().unwrap().unwrap().value, "a");
}

#[test]
fn skips_unknown_fields_of_every_wire_type() {
    // In the list: 9 (varint), 10 (64 bits), 11 (bytes), 12 (32 bits). In the domain: 68000 (bytes).
    let unknown = "48ffff03 510102030405060708 5a03aabbcc 6501020304".replace(' ', "");
    let domain = "0803 120161 8a9a2101ff".replace(' ', "").replace("8a9a2101", "829a2101");
    let list = format!("{unknown}0a014112{:02x}{domain}", domain.len() / 2);
    let file = GeositeFile::new(file_of(&list)).unwrap();
    let domains: Vec<_> = file.list("A").unwrap().domains().map(Result::unwrap).collect();
    assert_eq!((domains[0].kind, domains[0].value), (DomainKind::Full, "a"));
}

#[test]
fn reads_attributes_with_and_without_a_value() {
    // `ads` = true, `cn` = 5 (int_value), `X` without a value.
    let domain = "12016d 1a070a036164731001 1a060a02636e1805 1a030a0158".replace(' ', "");
    let file = GeositeFile::new(file_of(&format!("0a014112{:02x}{domain}", domain.len() / 2))).unwrap();
    let domain = file.list("A").unwrap().domains().next().unwrap().unwrap();
    assert_eq!(domain.attributes().collect::<Vec<_>>(), ["ads", "cn", "X"]);
    assert!(domain.has_attribute("ADS") && domain.has_attribute("x") && !domain.has_attribute("ad"));
    assert_eq!(
        format!("{domain:?}"),
        r#"GeositeDomain { kind: Keyword, value: "m", attributes: ["ads", "cn", "X"] }"#
    );
}

#[test]
fn an_empty_file_has_no_lists() {
    assert_eq!(GeositeFile::new(Vec::new()).unwrap().codes().count(), 0);
    assert!(GeoipFile::new(Vec::new()).unwrap().list("").is_none());
}

#[test]
fn clears_host_bits() {
    check_prefix("0a04c0000207 1018".replace(' ', "").as_str(), "192.0.2.0/24");
}

#[test]
fn an_omitted_prefix_length_is_zero() {
    check_prefix("0a0400000000", "0.0.0.0/0");
}

#[test]
fn turns_a_mapped_prefix_of_96_and_more_into_ipv4() {
    check_prefix("0a1000000000000000000000ffffc0000207 1078".replace(' ', "").as_str(), "192.0.2.0/24");
    check_prefix("0a1000000000000000000000ffffc0000207 1060".replace(' ', "").as_str(), "0.0.0.0/0");
}

#[test]
fn keeps_a_mapped_prefix_below_96_as_ipv6() {
    check_prefix("0a1000000000000000000000ffffc0000207 105f".replace(' ', "").as_str(), "::fffe:0:0/95");
}

#[test]
fn ignores_the_inverse_match_field() {
    let file = GeoipFile::new(file_of("0a01411801 12060a047f000001".replace(' ', "").as_str())).unwrap();
    assert_eq!(file.list("A").unwrap().prefixes().count(), 1);
}

#[test]
fn writes_no_host_bits() {
    let entry = IpEntry { code: "A".to_owned(), prefixes: vec!["10.1.2.3/8".parse().unwrap()] };
    assert_eq!(write_geoip(&[entry]), file_of("0a014112080a040a0000001008"));
}
