//! What one connection costs: the pick of the first member, and the whole plan.

use std::{hint::black_box, num::NonZeroU16, time::Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rand::{SeedableRng, rngs::StdRng};
use waypost_balance::{
    Context, GroupId, GroupSpec, Groups, KeyPart, KeySpec, MemberSpec, MemberTarget, Strategy,
};
use waypost_health::{Monitor, State, Status};
use waypost_net::{Flow, Network, Networks, Tag};

fn spec(strategy: Strategy, n_members: usize) -> GroupSpec {
    let mut monitor = Monitor::new();
    let members = (0..n_members).map(|n| MemberSpec {
        tag: Tag::from(format!("member{n}").as_str()),
        target: MemberTarget::Leaf { member: monitor.add_member(), check: None },
        identity: format!("vless|198.51.100.{n}:443").into_bytes().into(),
        weight: NonZeroU16::MIN,
        networks: Networks::ALL,
    });
    let mut spec = GroupSpec::new(Tag::from("group"), members.collect(), strategy);
    spec.hash.key = KeySpec::new([KeyPart::SrcIp], "");
    spec
}

fn flows() -> Vec<Flow> {
    let Ok(target) = "example.com:443".parse::<waypost_net::Target>() else { return Vec::new() };
    let flow = |n: u16| {
        let [high, low] = n.to_be_bytes();
        Flow { source: Some(([10, 0, high, low], 5000).into()), ..Flow::new(Network::Tcp, target.clone()) }
    };
    (0..4096).map(flow).collect()
}

#[expect(clippy::disallowed_methods, reason = "a bench begins at any moment")]
fn pick(criterion: &mut Criterion) {
    let flows = flows();
    for strategy in Strategy::ALL {
        let mut bench = criterion.benchmark_group(strategy.as_str());
        for n_members in [10, 100] {
            let Ok(groups) = Groups::try_new(vec![spec(strategy, n_members)]) else { return };
            let status = Status { state: State::Up, ..Status::UNKNOWN };
            let standings = groups.update(&mut groups.start(), |_, _| status, Instant::now());
            let mut rng = StdRng::seed_from_u64(1);
            let mut flows = flows.iter().cycle();
            let id = GroupId::new(0);
            bench.bench_function(BenchmarkId::new("pick", n_members), |bencher| {
                bencher.iter(|| {
                    let flow = flows.next()?;
                    let context = Context { standings: &standings, flow, load: &|member| member.index() % 7 };
                    black_box(groups.pick(id, context, &mut rng).ok())
                });
            });
            bench.bench_function(BenchmarkId::new("plan", n_members), |bencher| {
                bencher.iter(|| {
                    let flow = flows.next()?;
                    let context = Context { standings: &standings, flow, load: &|member| member.index() % 7 };
                    black_box(groups.plan(id, context, &mut rng).ok())
                });
            });
        }
        bench.finish();
    }
}

criterion_group!(benches, pick);
criterion_main!(benches);
