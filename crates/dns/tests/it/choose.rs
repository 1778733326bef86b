//! Who is asked for a name, and when the next one is.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use hickory_proto::op::ResponseCode;
use tokio::time::Instant;
use waypost_dns::{AddressFilter, AddressSet, Fallback, Family, ServerAddress, ServerSpec};

use crate::world::{SECOND, World, look_up, resolver, resolver_with, udp};

/// Three servers, each with an address of its own for every name.
fn three() -> Arc<World> {
    let world = Arc::new(World::default());
    for n in 1..=3 {
        world.serve_always(&format!("192.0.2.{n}"), move |response| {
            response.address(60, &format!("198.51.100.{n}"))
        });
    }
    world
}

fn servers() -> Vec<ServerSpec> {
    (1..=3).map(|n| udp(&format!("192.0.2.{n}"))).collect()
}

#[tokio::test(start_paused = true)]
async fn names_come_to_their_server_first() {
    let resolver = resolver_with(&three(), servers(), Fallback::Always, |names| {
        names.suffix("example.test", 1).unwrap();
        names.full("www.example.test", 2).unwrap();
    });
    for (name, address) in [
        ("other.test", "198.51.100.1"),
        ("a.example.test", "198.51.100.2"),
        ("www.example.test", "198.51.100.3"),
    ] {
        assert_eq!(look_up(&resolver, name, Family::V4).await, address, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn fallback_decides_who_is_asked_after_those_that_have_the_name() {
    let skipping = || {
        let mut servers = servers();
        servers[0].skip_fallback = true;
        servers
    };
    let all_skipping = || {
        let mut servers = servers();
        servers.iter_mut().for_each(|server| server.skip_fallback = true);
        servers
    };
    for (servers, fallback, name, expected) in [
        (servers(), Fallback::Always, "mine.test", &[2, 1, 3][..]),
        (servers(), Fallback::UnlessMatched, "mine.test", &[2]),
        (servers(), Fallback::UnlessMatched, "other.test", &[1, 2, 3]),
        (servers(), Fallback::Never, "mine.test", &[2]),
        // V2Ray asks the first server if nobody is left.
        (servers(), Fallback::Never, "other.test", &[1]),
        (skipping(), Fallback::Always, "mine.test", &[2, 3]),
        (skipping(), Fallback::Always, "other.test", &[2, 3]),
        (all_skipping(), Fallback::Always, "other.test", &[1]),
    ] {
        let world = three();
        for n in 1..=3 {
            world.serve_always(&format!("192.0.2.{n}"), |response| response.code(ResponseCode::ServFail));
        }
        let resolver = resolver_with(&world, servers, fallback, |names| names.full("mine.test", 1).unwrap());
        let result = look_up(&resolver, name, Family::V4).await;
        let expected: Vec<String> = expected.iter().map(|n| format!("192.0.2.{n} {name} A")).collect();
        assert_eq!(world.seen(), expected, "{fallback:?} {name}");
        assert!(result.contains("has no answer") && result.contains("Server Failure"), "{result}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_server_is_asked_when_one_has_no_address() {
    type Script = fn(crate::world::Response) -> crate::world::Response;
    let scripts: [(&str, Script); 4] = [
        ("failure", |response| response.code(ResponseCode::ServFail)),
        ("refusal", |response| response.code(ResponseCode::Refused)),
        ("no such name", |response| response.code(ResponseCode::NXDomain).soa(60, 60)),
        ("no data", |response| response.soa(60, 60)),
    ];
    for (what, script) in scripts {
        let world = three();
        world.serve_always("192.0.2.1", script);
        let resolver = resolver(&world, servers());
        assert_eq!(look_up(&resolver, "a.test", Family::V4).await, "198.51.100.2", "{what}");
        assert_eq!(look_up(&resolver, "b.test", Family::Any).await, "198.51.100.2", "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_gets_four_seconds() {
    let world = three();
    world.serve("192.0.2.1", |_| Vec::new());
    let mut servers = servers();
    let start = Instant::now();
    assert_eq!(look_up(&resolver(&world, servers.clone()), "a.test", Family::Any).await, "198.51.100.2");
    assert_eq!(start.elapsed(), 4 * SECOND);
    // Datagrams get lost, so that it was asked every second for both families.
    assert_eq!(world.seen().iter().filter(|line| line.starts_with("192.0.2.1 ")).count(), 8);
    servers[0].timeout = SECOND / 2;
    let start = Instant::now();
    assert_eq!(look_up(&resolver(&world, servers), "a.test", Family::Any).await, "198.51.100.2");
    assert_eq!(start.elapsed(), SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_to_the_first_of_several_datagrams_counts() {
    let world = Arc::new(World::default());
    world.serve_after("192.0.2.1", 2 * SECOND + SECOND / 2, |response| response.address(60, "10.0.0.1"));
    let start = Instant::now();
    assert_eq!(look_up(&resolver(&world, vec![udp("192.0.2.1")]), "a.test", Family::V4).await, "10.0.0.1");
    assert_eq!((start.elapsed(), world.seen().len()), (2 * SECOND + SECOND / 2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_missing_ipv6_address_is_final_and_the_first_negative_answer_is_told() {
    let world = three();
    world.serve_always("192.0.2.1", |response| response.soa(60, 60));
    let resolver_of_three = resolver(&world, servers());
    assert_eq!(look_up(&resolver_of_three, "a.test", Family::V6).await, "`a.test` has no ipv6 address");
    assert_eq!(world.seen(), ["192.0.2.1 a.test AAAA"]);
    world.serve_always("192.0.2.1", |response| response.code(ResponseCode::NXDomain));
    let mut servers = servers();
    servers[1].is_final = true;
    world.serve_always("192.0.2.2", |response| response.code(ResponseCode::ServFail));
    let resolver = resolver(&world, servers);
    assert_eq!(look_up(&resolver, "b.test", Family::V4).await, "`b.test` does not exist");
    assert_eq!(world.seen(), ["192.0.2.1 b.test A", "192.0.2.2 b.test A"]);
}

#[derive(Debug)]
struct Some3(BTreeSet<IpAddr>);

impl AddressSet for Some3 {
    fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

fn filter(addresses: &[&str], only_prefer: bool) -> Option<AddressFilter> {
    let set = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Some(AddressFilter { set: Arc::new(Some3(set)), only_prefer })
}

#[tokio::test(start_paused = true)]
async fn answers_with_other_addresses_than_expected_are_passed_over() {
    let world = three();
    world.serve_always("192.0.2.1", |response| response.address(60, "10.0.0.1").address(60, "10.0.0.2"));
    for (expected, unexpected, addresses) in [
        (filter(&["10.0.0.2"], false), None, "10.0.0.2"),
        (filter(&["10.0.0.9"], false), None, "198.51.100.2"),
        (filter(&["10.0.0.9"], true), None, "10.0.0.1 10.0.0.2"),
        (filter(&["10.0.0.2"], true), None, "10.0.0.2"),
        (None, filter(&["10.0.0.2"], false), "10.0.0.1"),
        (None, filter(&["10.0.0.1", "10.0.0.2"], false), "198.51.100.2"),
        (None, filter(&["10.0.0.1", "10.0.0.2"], true), "10.0.0.1 10.0.0.2"),
    ] {
        let mut servers = servers();
        (servers[0].expected, servers[0].unexpected) = (expected.clone(), unexpected.clone());
        let resolver = resolver(&world, servers);
        let found = look_up(&resolver, "a.test", Family::V4).await;
        assert_eq!(found, addresses, "{expected:?} {unexpected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn families_are_asked_together_and_as_configured() {
    let world = Arc::new(World::default());
    world.serve_always("192.0.2.1", |response| response.address(60, "10.0.0.1").address(60, "2001:db8::1"));
    let both = resolver(&world, vec![udp("192.0.2.1")]);
    assert_eq!(look_up(&both, "a.test", Family::Any).await, "10.0.0.1 2001:db8::1");
    let mut seen = world.seen();
    seen.sort();
    assert_eq!(seen, ["192.0.2.1 a.test A", "192.0.2.1 a.test AAAA"]);

    let only_v4 = both.with_family(Family::V4);
    assert_eq!(look_up(&only_v4, "b.test", Family::Any).await, "10.0.0.1");
    assert_eq!(look_up(&only_v4, "b.test", Family::V6).await, "`b.test` has no ipv6 address");
    let mut server = udp("192.0.2.1");
    server.family = Family::V6;
    assert_eq!(look_up(&resolver(&world, vec![server]), "c.test", Family::Any).await, "2001:db8::1");
    assert_eq!(world.seen(), ["192.0.2.1 b.test A", "192.0.2.1 c.test AAAA"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_swallows_one_family_costs_half_a_second() {
    let world = Arc::new(World::default());
    world.serve("192.0.2.1", |asked| {
        if asked.is_for_v6() { Vec::new() } else { vec![asked.response().address(60, "10.0.0.1").bytes()] }
    });
    let start = Instant::now();
    assert_eq!(look_up(&resolver(&world, vec![udp("192.0.2.1")]), "a.test", Family::Any).await, "10.0.0.1");
    assert_eq!(start.elapsed(), Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn the_system_can_be_one_of_the_servers() {
    let world = three();
    let system = ServerSpec::new(ServerAddress::System);
    let resolver = resolver_with(&world, vec![udp("192.0.2.1"), system], Fallback::Always, |names| {
        names.suffix("test", 1).unwrap();
    });
    assert_eq!(look_up(&resolver, "system.test", Family::V4).await, "192.0.2.200");
    assert_eq!(look_up(&resolver, "unknown.test", Family::V4).await, "198.51.100.1");
    assert_eq!(look_up(&resolver, "system.example", Family::V4).await, "198.51.100.1");
}
