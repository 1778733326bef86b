use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use maxminddb::{Reader, WithinOptions};
use proptest::prelude::*;
use waypost_geodata::{CountryMmdb, write_country_mmdb};

use crate::shared_data;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn open(path: &str) -> Option<(Vec<u8>, CountryMmdb)> {
    let bytes = std::fs::read(shared_data(path)?).unwrap();
    Some((bytes.clone(), CountryMmdb::new(bytes).unwrap()))
}

#[track_caller]
fn check_lookup(database: &CountryMmdb, address: &str, expected: Option<&str>) {
    assert_eq!(database.lookup(address.parse().unwrap()).unwrap().as_deref(), expected, "{address}");
}

/// Compares every prefix with the networks that the walk of `maxminddb` gives.
#[track_caller]
fn check_against_maxminddb(bytes: &[u8], database: &CountryMmdb, path: &[maxminddb::PathElement<'static>]) {
    let reader = Reader::from_source(bytes).unwrap();
    let mut expected: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
    for found in reader.networks(WithinOptions::default()).unwrap() {
        let found = found.unwrap();
        if let Some(code) = found.decode_path::<String>(path).unwrap().filter(|code| !code.is_empty()) {
            expected.entry(code).or_default().push(found.network().unwrap().to_string().parse().unwrap());
        }
    }
    let codes: Vec<&str> = expected.keys().map(String::as_str).collect();
    let counts: BTreeMap<String, usize> =
        expected.iter().map(|(code, prefixes)| (code.clone(), prefixes.len())).collect();
    let prefixes = database.prefixes(&codes).unwrap();
    for prefixes in expected.values_mut() {
        prefixes.sort();
    }
    assert!(!expected.is_empty());
    assert_eq!(database.countries().unwrap(), counts);
    assert!(prefixes == expected);
}

#[test]
fn the_longest_prefix_wins_whatever_the_order() {
    let networks = [
        (net("10.1.0.0/16"), "CN"),
        (net("10.0.0.0/8"), "US"),
        (net("10.1.2.0/24"), "JP"),
        (net("::/0"), "ZZ"),
    ];
    let database = CountryMmdb::new(write_country_mmdb(&networks, 0)).unwrap();
    check_lookup(&database, "10.9.9.9", Some("US"));
    check_lookup(&database, "10.1.9.9", Some("CN"));
    check_lookup(&database, "10.1.2.3", Some("JP"));
    check_lookup(&database, "::ffff:10.1.2.3", Some("JP"));
    check_lookup(&database, "2001:db8::", Some("ZZ"));
    assert_eq!(database.countries().unwrap()["JP"], 1);
}

#[test]
fn an_empty_database_knows_nobody() {
    let networks: [(IpNet, &str); 0] = [];
    let database = CountryMmdb::new(write_country_mmdb(&networks, 0)).unwrap();
    check_lookup(&database, "192.0.2.1", None);
    assert!(database.countries().unwrap().is_empty());
}

#[test]
fn a_code_that_is_not_there_is_missing_from_the_prefixes() {
    let database = CountryMmdb::new(write_country_mmdb(&[(net("192.0.2.0/24"), "jp")], 0)).unwrap();
    let prefixes = database.prefixes(&["Jp", "CN"]).unwrap();
    assert_eq!(prefixes, BTreeMap::from([("JP".to_owned(), vec![net("192.0.2.0/24")])]));
}

#[test]
fn a_record_above_the_ipv4_part_covers_both_families() {
    let database = CountryMmdb::new(write_country_mmdb(&[(net("::/1"), "US")], 0)).unwrap();
    check_lookup(&database, "192.0.2.1", Some("US"));
    assert_eq!(database.prefixes(&["us"]).unwrap()["US"], [net("0.0.0.0/0"), net("::/1")]);
}

/// The walk of `maxminddb` takes 8000::/1 for an alias here and drops it.
#[test]
fn an_ipv6_network_with_the_record_of_all_ipv4_is_kept() {
    let database = CountryMmdb::new(write_country_mmdb(&[(net("::/0"), "US")], 0)).unwrap();
    let expected = [net("0.0.0.0/0"), net("::/1"), net("8000::/1")];
    assert_eq!(database.prefixes(&["us"]).unwrap()["US"], expected);
}

#[test]
fn writes_records_of_28_bits_when_24_do_not_reach() {
    let long = "X".repeat(16_800_000);
    let networks =
        [(net("10.0.0.0/8"), long.as_str()), (net("11.0.0.0/8"), "US"), (net("2001:db8::/32"), "JP")];
    let bytes = write_country_mmdb(&networks, 0);
    assert_eq!(Reader::from_source(bytes.as_slice()).unwrap().metadata().record_size, 28);
    let database = CountryMmdb::new(bytes).unwrap();
    check_lookup(&database, "11.1.1.1", Some("US"));
    check_lookup(&database, "2001:db8::1", Some("JP"));
    check_lookup(&database, "2001:db9::1", None);
}

#[test]
fn writes_metadata_that_other_readers_take() {
    let bytes = write_country_mmdb(&[(net("192.0.2.0/24"), "JP")], 1_700_000_000);
    let reader = Reader::from_source(bytes.as_slice()).unwrap();
    reader.verify().unwrap();
    assert_eq!(reader.metadata().build_epoch, 1_700_000_000);
    assert_eq!(reader.metadata().ip_version, 6);
    assert_eq!(reader.metadata().record_size, 24);
}

#[test]
fn reads_the_maxmind_country_file_without_its_aliases() {
    let Some((_, database)) = open("maxmind-test/test-data/GeoIP2-Country-Test.mmdb") else { return };
    check_lookup(&database, "81.2.69.160", Some("GB"));
    check_lookup(&database, "2001:218::1", Some("JP"));
    let prefixes = database.prefixes(&["gb"]).unwrap();
    assert!(prefixes["GB"].contains(&net("81.2.69.160/27")));
    assert!(!prefixes["GB"].iter().any(|prefix| prefix.to_string().starts_with("2002:")));
    check_countries_against_lookup(&database);
}

/// A prefix of a country is found for that country, with the fallback to the registered one.
#[track_caller]
fn check_countries_against_lookup(database: &CountryMmdb) {
    let countries = database.countries().unwrap();
    let codes: Vec<&str> = countries.keys().map(String::as_str).collect();
    for (code, prefixes) in database.prefixes(&codes).unwrap() {
        assert_eq!(prefixes.len(), countries[&code]);
        for prefix in prefixes {
            assert_eq!(database.lookup(prefix.addr()).unwrap().as_deref(), Some(code.as_str()), "{prefix}");
        }
    }
}

#[test]
fn reads_the_full_country_file_as_maxminddb_does() {
    let Some((bytes, database)) = open("mmdb/iptoasn-country.mmdb") else { return };
    check_against_maxminddb(&bytes, &database, &[maxminddb::PathElement::Key("country_code")]);
    check_lookup(&database, "202.96.209.133", Some("CN"));
}

#[test]
fn reads_trees_of_every_record_size() {
    for size in [24, 28, 32] {
        for family in ["ipv4", "ipv6", "mixed"] {
            let name = format!("maxmind-test/test-data/MaxMind-DB-test-{family}-{size}.mmdb");
            let Some((_, database)) = open(&name) else { return };
            // The records are `{ip: ..}`: no country, but the tree is walked and decoded.
            assert_eq!(database.countries().unwrap(), BTreeMap::new(), "{name}");
        }
    }
}

#[test]
fn reads_records_that_are_a_bare_string() {
    let Some((_, database)) = open("maxmind-test/test-data/MaxMind-DB-string-value-entries.mmdb") else {
        return;
    };
    check_lookup(&database, "1.1.1.1", Some("1.1.1.1/32"));
    assert_eq!(database.countries().unwrap().len(), 6);
    assert_eq!(database.prefixes(&["1.1.1.2/31"]).unwrap()["1.1.1.2/31"], [net("1.1.1.2/31")]);
    assert_eq!(database.lookup("2001:db8::".parse().unwrap()), Ok(None));
}

#[test]
fn reads_records_that_are_an_array_of_codes() {
    // The record `{country: {iso_code: "JPX"}}` has room for an array of three codes.
    let mut bytes = write_country_mmdb(&[(net("192.0.2.0/24"), "JPX")], 0);
    let at = bytes.windows(7).position(|window| window == b"country").unwrap() - 2;
    let array = b"\x03\x04\x42cn\x48telegram\x44goog";
    bytes[at..at + array.len()].copy_from_slice(array);
    let database = CountryMmdb::new(bytes).unwrap();
    check_lookup(&database, "192.0.2.1", Some("CN"));
    let countries = database.countries().unwrap();
    assert_eq!(countries.keys().collect::<Vec<_>>(), ["CN", "GOOG", "TELEGRAM"]);
}

fn networks() -> impl Strategy<Value = Vec<(IpNet, String)>> {
    // Few bits vary, so that prefixes overlap often.
    let v4 = (0_u32..16, 0_u8..=32).prop_map(|(address, length)| {
        IpNet::V4(Ipv4Net::new((address << 28 | address).into(), length).unwrap().trunc())
    });
    let v6 = (1_u128..16, 4_u8..=128).prop_map(|(address, length)| {
        IpNet::V6(Ipv6Net::new((address << 124 | address).into(), length).unwrap().trunc())
    });
    prop::collection::vec((prop_oneof![v4, v6], "[A-C]{2}"), 0..20)
}

/// The last of the longest prefixes that contain the address.
fn naive_lookup(networks: &[(IpNet, String)], address: IpAddr) -> Option<String> {
    let hits = networks.iter().filter(|(network, _)| network.contains(&address));
    hits.max_by_key(|(network, _)| network.prefix_len()).map(|(_, code)| code.clone())
}

proptest! {
    #[test]
    fn finds_what_a_plain_search_finds(networks in networks(), v4 in any::<u32>(), v6 in any::<u128>()) {
        let bytes = write_country_mmdb(&networks, 0);
        Reader::from_source(bytes.as_slice()).unwrap();
        let database = CountryMmdb::new(bytes).unwrap();
        let near = networks.iter().flat_map(|(network, _)| [network.network(), network.broadcast()]);
        let far = [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())];
        let prefixes = database.prefixes(&["AA", "AB", "AC", "BA", "BB", "BC", "CA", "CB", "CC"]).unwrap();
        for address in near.chain(far) {
            let expected = naive_lookup(&networks, address);
            prop_assert_eq!(database.lookup(address).unwrap(), expected.clone());
            let by_prefix: Vec<&String> = prefixes
                .iter()
                .filter(|(_, prefixes)| prefixes.iter().any(|prefix| prefix.contains(&address)))
                .map(|(code, _)| code)
                .collect();
            prop_assert_eq!(by_prefix, expected.iter().collect::<Vec<_>>());
        }
    }
}
