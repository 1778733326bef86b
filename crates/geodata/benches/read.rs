//! How long it takes to read files of real size, which `cargo xtask bench geodata` makes first.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a benchmark has nobody to report to")]

use std::path::Path;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use waypost_geodata::{CountryMmdb, GeoipFile, GeositeFile};

fn read(name: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/geodata").join(name);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        eprintln!("SKIPPED: {} is not here", path.display());
    }
    bytes
}

fn geosite(criterion: &mut Criterion) {
    for name in ["geosite.dat", "synthetic-geosite.dat"] {
        let Some(bytes) = read(name) else { continue };
        criterion.bench_function(&format!("index {name}"), |bencher| {
            let index = |bytes| GeositeFile::new(bytes).unwrap();
            bencher.iter_batched(|| bytes.clone(), index, BatchSize::LargeInput);
        });
        let file = GeositeFile::new(bytes).unwrap();
        criterion.bench_function(&format!("decode all of {name}"), |bencher| {
            bencher.iter(|| {
                let lists = file.codes().map(|code| file.list(code).unwrap());
                lists.flat_map(|list| list.domains()).map(|domain| domain.unwrap().value.len()).sum::<usize>()
            });
        });
    }
}

fn geoip(criterion: &mut Criterion) {
    let Some(bytes) = read("synthetic-geoip.dat") else { return };
    let file = GeoipFile::new(bytes).unwrap();
    criterion.bench_function("decode all of synthetic-geoip.dat", |bencher| {
        bencher.iter(|| {
            let lists = file.codes().map(|code| file.list(code).unwrap());
            lists.flat_map(|list| list.prefixes()).filter(|prefix| prefix.is_ok()).count()
        });
    });
}

fn country(criterion: &mut Criterion) {
    let Some(bytes) = read("synthetic-country.mmdb") else { return };
    let database = CountryMmdb::new(bytes).unwrap();
    criterion.bench_function("prefixes of two countries of synthetic-country.mmdb", |bencher| {
        bencher.iter(|| database.prefixes(&["cn", "us"]).unwrap());
    });
    criterion.bench_function("look up one address in synthetic-country.mmdb", |bencher| {
        let address = "100.64.1.1".parse().unwrap();
        bencher.iter(|| database.lookup(address).unwrap());
    });
}

criterion_group!(benches, geosite, geoip, country);
criterion_main!(benches);
