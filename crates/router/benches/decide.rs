//! How long a decision takes over real geo data, and how long the data takes to load.
//!
//! `cargo xtask bench` makes `target/geodata` first. Without the public lists the synthetic ones of
//! the same size are used, and the report says so.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops where it cannot go on, and prints what it measures"
)]

use std::{hint::black_box, net::IpAddr, path::PathBuf, time::Duration};

use criterion::{BatchSize, Criterion};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use waypost_geodata::{CountryMmdb, DomainKind, GeositeFile};
use waypost_net::{DomainName, Flow, Host, Network, Tag, Target};
use waypost_router::{
    Addresses, Conditions, DomainList, EntryKind, IpList, Router, RouterSpec, RuleSpec, Step, Strategy, Way,
};

fn main() {
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    domains(&mut criterion);
    addresses(&mut criterion);
    criterion.final_summary();
}

fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn shared(path: &str) -> PathBuf {
    workspace().join("../shared/data").join(path)
}

fn domains(criterion: &mut Criterion) {
    let Some((file, bytes)) = ["geosite.dat", "synthetic-geosite.dat"].iter().find_map(|name| {
        let bytes = std::fs::read(workspace().join("target/geodata").join(name)).ok()?;
        Some((GeositeFile::new(bytes.clone()).expect("a geosite file"), bytes))
    }) else {
        println!("SKIPPED: no target/geodata/geosite.dat; run `cargo xtask bench`");
        return;
    };
    let mut hosts: Vec<Host> = query_mix(&file).into_iter().map(Host::Domain).collect();
    let all: Vec<String> = file.codes().map(str::to_owned).collect();

    let mut first = vec!["cn", "geolocation-!cn", "category-ads-all"];
    if first.iter().any(|code| file.list(code).is_none()) {
        println!("NOTE: synthetic lists, not the public ones");
        first = all.iter().take(3).map(String::as_str).collect();
    }
    let rest = all
        .iter()
        .map(String::as_str)
        .filter(|code| !first.iter().any(|known| code.eq_ignore_ascii_case(known)));
    let three_hundred: Vec<&str> = first.iter().copied().chain(rest).take(300).collect();
    for (name, codes) in [("3 rules", &first), ("300 rules", &three_hundred)] {
        let router = site_router(&file, codes);
        let matched = matches(&router, &hosts);
        println!(
            "domain/{name}: {matched} of {} names match, index {} bytes",
            hosts.len(),
            router.index_bytes()
        );
        bench_decisions(criterion, &format!("domain/{name}"), &router, &mut hosts);
    }

    let codes: Vec<&str> = all.iter().map(String::as_str).collect();
    let keys = distinct_keys(&file);
    let bytes_per_key = site_router(&file, &codes).index_bytes() as f64 / keys as f64;
    println!("load: {} lists, {keys} distinct keys, {bytes_per_key:.1} bytes per key", codes.len());
    criterion.bench_function("load/all lists from bytes to router", |bencher| {
        bencher.iter_batched(
            || bytes.clone(),
            |bytes| {
                let file = GeositeFile::new(bytes).expect("a geosite file");
                site_router(&file, &codes)
            },
            BatchSize::LargeInput,
        );
    });
}

/// The OpenDNS lists where they are there, else names of the lists themselves with others between.
fn query_mix(file: &GeositeFile) -> Vec<DomainName> {
    let mut names: Vec<DomainName> = Vec::new();
    for list in ["opendns/opendns-top-domains.txt", "opendns/opendns-random-domains.txt"] {
        let text = std::fs::read_to_string(shared(list)).unwrap_or_default();
        names.extend(text.lines().filter_map(|line| DomainName::new(line.trim()).ok()));
    }
    if names.is_empty() {
        println!("NOTE: no OpenDNS lists; names are made from the lists");
        let codes: Vec<&str> = file.codes().collect();
        for code in codes {
            let list = file.list(code).expect("a code of the file");
            for domain in list.domains().flatten().step_by(10) {
                names.extend(DomainName::new(&format!("www.{}", domain.value)));
                names.extend(DomainName::new(&format!("{}.example", domain.value)));
            }
        }
    }
    names.shuffle(&mut StdRng::seed_from_u64(1));
    names
}

fn flow(host: Host) -> Flow {
    Flow::new(Network::Tcp, Target::new(host, 443))
}

/// One flow with one host after the other, so that the flow is in the cache, as that of a connection
/// just accepted is, and the index is not.
fn bench_decisions(criterion: &mut Criterion, name: &str, router: &Router, hosts: &mut [Host]) {
    let mut flow = flow(Host::Ip(IpAddr::from([0, 0, 0, 0])));
    let mut next = 0;
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            next = if next + 1 == hosts.len() { 0 } else { next + 1 };
            std::mem::swap(&mut flow.target.host, &mut hosts[next]);
            let decided = decided(router, black_box(&flow));
            std::mem::swap(&mut flow.target.host, &mut hosts[next]);
            decided
        });
    });
}

fn matches(router: &Router, hosts: &[Host]) -> usize {
    hosts.iter().filter(|host| decided(router, &flow((*host).clone()))).count()
}

fn decided(router: &Router, flow: &Flow) -> bool {
    match router.route(flow) {
        Step::Decided(decision) => decision.rule.is_some(),
        Step::Ask(_) | Step::Perform(_) => unreachable!("AsIs never asks"),
    }
}

fn site_router(file: &GeositeFile, codes: &[&str]) -> Router {
    let rules = codes.iter().map(|code| {
        let list = file.list(code).expect("a code of the file");
        let entries = list.domains().map(|domain| {
            let domain = domain.expect("a sound file");
            let kind = match domain.kind {
                DomainKind::Keyword => EntryKind::Keyword,
                DomainKind::Regexp => EntryKind::Regexp,
                DomainKind::Suffix => EntryKind::Suffix,
                DomainKind::Full => EntryKind::Full,
            };
            (kind, domain.value)
        });
        let list = DomainList { label: Some((*code).into()), entries: entries.collect() };
        rule(code, Conditions { domain: Some(vec![list]), ..Conditions::default() })
    });
    Router::new(RouterSpec { strategy: Strategy::AsIs, rules: rules.collect(), ..RouterSpec::default() })
        .expect("sound rules")
}

fn rule<'a>(tag: &str, conditions: Conditions<'a>) -> RuleSpec<'a> {
    RuleSpec {
        tag: None,
        line: 0,
        file: None,
        action: Way::Outbound(Tag::from(tag)).into(),
        matcher: conditions.into(),
    }
}

fn distinct_keys(file: &GeositeFile) -> usize {
    let codes: Vec<&str> = file.codes().collect();
    let mut keys = std::collections::HashSet::new();
    for code in codes {
        let list = file.list(code).expect("a code of the file");
        keys.extend(list.domains().flatten().map(|domain| domain.value.to_owned()));
    }
    keys.len()
}

fn addresses(criterion: &mut Criterion) {
    let Ok(bytes) = std::fs::read(shared("mmdb/iptoasn-country.mmdb"))
        .or_else(|_| std::fs::read(workspace().join("target/geodata/synthetic-country.mmdb")))
    else {
        println!("SKIPPED: no country database; run `cargo xtask bench`");
        return;
    };
    let database = CountryMmdb::new(bytes).expect("a country database");
    let countries = database.countries().expect("a sound database");
    let codes: Vec<&str> = countries.keys().map(String::as_str).collect();
    let prefixes = database.prefixes(&codes).expect("a sound database");
    let count: usize = countries.values().sum();
    let rules = prefixes.iter().map(|(code, prefixes)| {
        let list = IpList {
            label: Some(code.as_str().into()),
            inverse: false,
            addresses: Addresses::Prefixes(prefixes.as_slice().into()),
        };
        rule(code, Conditions { ip: Some(vec![list]), ..Conditions::default() })
    });
    let router =
        Router::new(RouterSpec { strategy: Strategy::AsIs, rules: rules.collect(), ..RouterSpec::default() })
            .expect("sound rules");
    println!("ip: {} countries, {count} prefixes, index {} bytes", codes.len(), router.index_bytes());

    let mut rng = StdRng::seed_from_u64(2);
    let v4: Vec<IpAddr> = (0..20_000).map(|_| IpAddr::V4(rng.random::<u32>().into())).collect();
    let v6_prefixes: Vec<_> = prefixes.values().flatten().filter(|net| net.addr().is_ipv6()).collect();
    let mut inside = |index: usize| {
        let IpAddr::V6(first) = v6_prefixes[index].network() else { unreachable!("filtered above") };
        IpAddr::V6((first.to_bits() | u128::from(rng.random::<u64>())).into())
    };
    // Random IPv6 addresses are nearly all unassigned. These lie in prefixes of the database: once in
    // each equally often, which is the worst case, and once as often as a prefix has addresses.
    let mut picks = StdRng::seed_from_u64(3);
    let any_prefix: Vec<IpAddr> =
        (0..20_000).map(|_| inside(picks.random_range(0..v6_prefixes.len()))).collect();
    let mut total = 0.0;
    let sizes = v6_prefixes.iter().map(|net| {
        total += 0.5_f64.powi(i32::from(net.prefix_len()));
        total
    });
    let sizes: Vec<f64> = sizes.collect();
    let any_address: Vec<IpAddr> = (0..20_000)
        .map(|_| {
            let pick = picks.random::<f64>() * total;
            inside(sizes.partition_point(|&end| end < pick).min(v6_prefixes.len() - 1))
        })
        .collect();
    for (name, addresses) in [("v4", v4), ("v6, any address", any_address), ("v6, any prefix", any_prefix)] {
        let mut hosts: Vec<Host> = addresses.into_iter().map(Host::Ip).collect();
        println!("ip/{name}: {} of {} addresses match", matches(&router, &hosts), hosts.len());
        bench_decisions(criterion, &format!("ip/all countries {name}"), &router, &mut hosts);
    }
}
