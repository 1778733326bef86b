//! Files that no reader may trust. None may panic, hang or take much memory.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use waypost_geodata::{CountryMmdb, MmdbError, write_country_mmdb};

use crate::shared_data;

/// Opens a file and reads everything in it.
fn read_all(bytes: Vec<u8>) -> Result<usize, MmdbError> {
    let database = CountryMmdb::new(bytes)?;
    for address in ["1.1.1.1", "255.255.255.255", "::", "2001:db8::1", "ffff::"] {
        let _ = database.lookup(address.parse().unwrap());
    }
    Ok(database.countries()?.values().sum())
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "mmdb") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn every_bad_file_gives_an_error_or_has_no_country() {
    let Some(folder) = shared_data("maxmind-test/bad-data") else { return };
    let files = files_below(&folder);
    assert!(files.len() >= 20);
    // Bad for readers that decode whole records or trust sizes; asked for countries they have none.
    let without_country = [
        "libmaxminddb-corrupt-search-tree.mmdb",
        "libmaxminddb-deep-array-nesting.mmdb",
        "libmaxminddb-empty-array-last-in-metadata.mmdb",
        "libmaxminddb-empty-map-last-in-metadata.mmdb",
    ];
    for file in files {
        let result = read_all(std::fs::read(&file).unwrap());
        if without_country.contains(&name(&file)) {
            assert_eq!(result, Ok(0), "{}", file.display());
        } else {
            assert!(result.is_err(), "{}", file.display());
        }
    }
}

#[test]
fn of_the_test_data_only_the_broken_files_give_an_error() {
    let Some(folder) = shared_data("maxmind-test/test-data") else { return };
    let mut files = files_below(&folder);
    files.retain(|file| read_all(std::fs::read(file).unwrap()).is_err());
    let broken = [
        "GeoIP2-City-Test-Broken-Double-Format.mmdb",
        "GeoIP2-City-Test-Invalid-Node-Count.mmdb",
        "MaxMind-DB-test-broken-pointers-24.mmdb",
        "MaxMind-DB-test-broken-search-tree-24.mmdb",
    ];
    assert_eq!(files.iter().map(|file| name(file)).collect::<Vec<_>>(), broken);
}

/// A database of 128 nodes, one below the other.
fn chain() -> Vec<u8> {
    write_country_mmdb(&[("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128".parse().unwrap(), "US")], 0)
}

/// Sets both records of a node of 24-bit records.
fn set_node(bytes: &mut [u8], node: usize, left: u8, right: u8) {
    bytes[node * 6..node * 6 + 6].copy_from_slice(&[0, 0, left, 0, 0, right]);
}

#[test]
fn a_cycle_is_found_at_the_last_level() {
    let mut bytes = chain();
    // 128 levels of six nodes each end two nodes into the next round.
    set_node(&mut bytes, 5, 128, 0);
    assert_eq!(read_all(bytes), Err(MmdbError::TreeTooDeep { node: 2, bits: 128 }));
}

#[test]
fn branches_that_join_again_and_again_are_not_walked_for_ever() {
    let mut bytes = chain();
    for node in 0..128 {
        set_node(&mut bytes, node, u8::try_from(node + 1).unwrap(), u8::try_from(node + 1).unwrap());
    }
    assert_eq!(read_all(bytes), Err(MmdbError::TreeTooWide { nodes: 128, limit: 512 }));
}

#[test]
fn a_pointer_between_tree_and_data_is_refused() {
    let mut bytes = chain();
    set_node(&mut bytes, 3, 130, 4);
    let error = read_all(bytes).unwrap_err();
    assert!(
        matches!(&error, MmdbError::Record { network, .. } if network.to_string() == "e000::/4"),
        "{error}"
    );
}

#[test]
fn a_text_file_is_not_a_database() {
    let error = CountryMmdb::new(b"# not a database\n".to_vec()).unwrap_err();
    assert_eq!(error.to_string(), "invalid database: could not find MaxMind DB metadata in file");
}

proptest! {
    #[test]
    fn reads_mutated_databases_without_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        tail_only in any::<bool>(),
    ) {
        let networks = [("10.0.0.0/8", "US"), ("192.0.2.0/24", "JP"), ("2001:db8::/32", "CN")];
        let networks = networks.map(|(network, code)| (network.parse().unwrap(), code));
        let mut bytes = write_country_mmdb(&networks, 0);
        let start = if tail_only { bytes.len() - 300 } else { 0 };
        for (at, value) in changes {
            let at = start + at.index(bytes.len() - start);
            bytes[at] = value;
        }
        let _ = read_all(bytes);
    }
}
