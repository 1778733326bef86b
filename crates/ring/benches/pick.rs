//! What one pick costs: the owner of a key, the successor of its owner, the full order, and the build.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use waypost_ring::{Algorithm, Placement, PlacementSpec};

fn pick(criterion: &mut Criterion) {
    let keys: Vec<String> =
        (0..4096).map(|n| format!("10.0.{}.{}|example{n}.com", n / 256, n % 256)).collect();
    for algorithm in Algorithm::ALL {
        let mut group = criterion.benchmark_group(algorithm.as_str());
        let spec = PlacementSpec { algorithm, salt: b"bench", ..PlacementSpec::default() };
        for n_members in [4, 10, 100] {
            let names: Vec<String> = (0..n_members).map(|n| format!("vless|198.51.100.{n}:443")).collect();
            let Ok(placement) = Placement::try_new(&names, &spec) else { return };
            let mut keys = keys.iter().cycle().map(String::as_bytes);
            let mut next_key = || keys.next().unwrap_or_default();
            group.bench_function(BenchmarkId::new("owner", n_members), |bencher| {
                bencher.iter(|| black_box(placement.owner(next_key())));
            });
            group.bench_function(BenchmarkId::new("second", n_members), |bencher| {
                bencher.iter(|| black_box(placement.walk(next_key()).nth(1)));
            });
            group.bench_function(BenchmarkId::new("walk", n_members), |bencher| {
                bencher.iter(|| black_box(placement.walk(next_key()).last()));
            });
            group.bench_function(BenchmarkId::new("build", n_members), |bencher| {
                bencher.iter(|| black_box(Placement::try_new(&names, &spec)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, pick);
criterion_main!(benches);
