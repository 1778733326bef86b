use waypost_geodata::{DatError, GeoipFile, GeositeFile};

use crate::bytes_of_hex;

/// Reads a whole file and returns the first error.
fn geosite_error(hex: &str) -> DatError {
    let file = match GeositeFile::new(bytes_of_hex(&hex.replace(' ', ""))) {
        Ok(file) => file,
        Err(error) => return error,
    };
    let code = file.codes().next().unwrap();
    file.list(code).unwrap().domains().find_map(Result::err).unwrap()
}

fn geoip_error(hex: &str) -> DatError {
    let file = GeoipFile::new(bytes_of_hex(&hex.replace(' ', ""))).unwrap();
    file.list("T").unwrap().prefixes().find_map(Result::err).unwrap()
}

#[track_caller]
fn check(error: &DatError, expected: &str) {
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_length_may_not_reach_over_the_end_of_the_file() {
    check(&geosite_error("0a05 0a0141"), "offset 2: expected 5 bytes, only 3 are left");
}

#[test]
fn a_huge_length_is_refused_without_taking_memory() {
    let expected = "offset 11: expected 18446744073709551615 bytes, only 0 are left";
    check(&geosite_error("0a ffffffffffffffffff01"), expected);
}

#[test]
fn an_inner_length_may_not_reach_over_its_list() {
    // The domain claims 9 bytes; the list ends before, though the file goes on.
    let error = geosite_error("0a07 0a0154 1209 0801 0a06 0a0158 12011a");
    check(&error, "offset 7: expected 9 bytes, only 2 are left");
}

#[test]
fn a_varint_ends_within_ten_bytes() {
    let error = geosite_error("0a ffffffffffffffffffff01");
    assert_eq!(error, DatError::VarintTooLong { offset: 1 });
    let error = geosite_error("0a ffffffffffffffffff02");
    assert_eq!(error, DatError::VarintTooLong { offset: 1 });
}

#[test]
fn a_varint_may_not_be_cut() {
    check(&geosite_error("0a"), "offset 1: the data ends where a length was expected");
    check(&geosite_error("0a 80"), "offset 1: the data ends where a length was expected");
    check(&geosite_error("80"), "offset 0: the data ends where a field tag was expected");
}

#[test]
fn groups_and_unknown_wire_types_are_refused() {
    check(&geosite_error("0b"), "offset 0: field 1 has the unsupported wire type `3`");
    check(&geosite_error("0a03 0a0154 17"), "offset 5: field 2 has the unsupported wire type `7`");
}

#[test]
fn field_number_zero_is_refused() {
    check(&geosite_error("02 00"), "offset 0: expected a field number, found `0`");
}

#[test]
fn a_code_is_utf8() {
    assert_eq!(geosite_error("0a03 0a01ff"), DatError::CodeNotUtf8 { offset: 4 });
}

#[test]
fn a_value_and_an_attribute_are_utf8() {
    check(&geosite_error("0a08 0a0154 1203 1201ff"), "list `T`, offset 9: expected text in UTF-8");
    check(&geosite_error("0a0a 0a0154 1205 1a03 0a01ff"), "list `T`, offset 11: expected text in UTF-8");
}

#[test]
fn a_domain_type_is_one_of_four() {
    let expected = "list `T`, offset 7: expected a domain type from 0 to 3, found `4`";
    check(&geosite_error("0a07 0a0154 1202 0804"), expected);
}

#[test]
fn a_geoip_file_is_not_taken_for_a_geosite_file() {
    let file = "0a0d 0a0154 1208 0a047f000001 1008";
    check(&geosite_error(file), "offset 7: expected an integer in field 1");
}

#[test]
fn an_address_has_4_or_16_bytes() {
    let expected = "list `T`, offset 5: expected an address of 4 or 16 bytes, found 3";
    check(&geoip_error("0a0a 0a0154 1205 0a037f0000"), expected);
    let expected = "list `T`, offset 5: expected an address of 4 or 16 bytes, found 0";
    check(&geoip_error("0a05 0a0154 1200"), expected);
}

#[test]
fn a_prefix_is_no_longer_than_its_address() {
    let expected = "list `T`, offset 5: expected a prefix length up to 32, found `33`";
    check(&geoip_error("0a0d 0a0154 1208 0a047f000001 1021"), expected);
    // 256 would be 0 in one byte.
    let expected = "list `T`, offset 5: expected a prefix length up to 32, found `256`";
    check(&geoip_error("0a0e 0a0154 1209 0a047f000001 108002"), expected);
    let expected = "list `T`, offset 5: expected a prefix length up to 128, found `129`";
    let address = "00000000000000000000ffff7f000001";
    check(&geoip_error(&format!("0a1a 0a0154 1215 0a10{address} 108101")), expected);
}

#[test]
fn a_list_ends_after_its_first_error() {
    let file = GeositeFile::new(bytes_of_hex("0a0c0a01541202080412031201ff")).unwrap();
    assert_eq!(file.list("t").unwrap().domains().count(), 1);
}
