//! Servers that have names, which somebody has to resolve.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use tokio::time::Instant;
use waypost_dns::{
    Answer, DirectNetwork, Fallback, Family, Hosts, LookupFuture, NamesBuilder, Network, Pattern, Protocol,
    Resolver, ServerAddress, ServerSpec, ServersSpec, SystemLookup, Way,
};
use waypost_net::DomainName;

use crate::world::{SECOND, World, look_up, resolver, target, udp};

#[tokio::test(start_paused = true)]
async fn the_name_of_a_server_is_resolved_by_the_system() {
    let world = Arc::new(World::default());
    world.serve_always("192.0.2.1", |response| response.address(60, "10.0.0.1"));
    let resolver = resolver(&world, vec![udp("dns.test")]);
    assert_eq!(look_up(&resolver, "a.test", Family::V4).await, "10.0.0.1");
    // Its own name is a name like any other to those who look it up.
    assert_eq!(look_up(&resolver, "dns.test", Family::V4).await, "10.0.0.1");
    assert_eq!(world.seen(), ["192.0.2.1 a.test A", "192.0.2.1 dns.test A"]);
}

#[tokio::test(start_paused = true)]
async fn by_a_way_through_the_rules_the_name_goes_along() {
    let world = Arc::new(World::default());
    world.serve_always("dns.unknown", |response| response.address(60, "10.0.0.1"));
    let way = Way::Routed { tag: Some("dns-in".into()) };
    let address = ServerAddress::Remote { protocol: Protocol::Udp, target: target("dns.unknown"), way };
    let resolver = resolver(&world, vec![ServerSpec::new(address)]);
    assert_eq!(look_up(&resolver, "a.test", Family::V4).await, "10.0.0.1");
}

/// A resolver with hosts, whose only server is `udp://dns.loop`.
fn with_named_server(hosts: Hosts, system: Arc<dyn SystemLookup>, network: Arc<dyn Network>) -> Resolver {
    let names = NamesBuilder::default().build().unwrap();
    let servers = vec![udp("dns.loop")];
    let spec =
        ServersSpec { servers, names, fallback: Fallback::Always, chooser: None, network, roots: None };
    Resolver::with_lookup(hosts, system).with_servers(spec).unwrap()
}

#[derive(Debug)]
struct NoSystem;

impl SystemLookup for NoSystem {
    fn lookup<'a>(&'a self, _name: &'a str) -> LookupFuture<'a> {
        Box::pin(async { Err(io::ErrorKind::NotFound.into()) })
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_come_before_the_system() {
    let world = Arc::new(World::default());
    world.serve_always("192.0.2.7", |response| response.address(60, "10.0.0.1"));
    let listed = Answer::Addresses(vec!["192.0.2.7".parse().unwrap()]);
    let hosts = Hosts::from_iter([(Pattern::Full("dns.loop".into()), listed)]);
    let resolver = with_named_server(hosts, Arc::new(NoSystem), world);
    assert_eq!(look_up(&resolver, "a.test", Family::V4).await, "10.0.0.1");
    assert_eq!(look_up(&resolver, "dns.loop", Family::V4).await, "192.0.2.7");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_can_resolve_is_told() {
    let resolver = with_named_server(Hosts::default(), Arc::new(NoSystem), Arc::new(DirectNetwork));
    let expected = "the DNS server `udp://dns.loop:53` has no answer for `a.test`: its own name cannot be \
                    resolved; give its address, or list the name in `hosts`";
    assert_eq!(look_up(&resolver, "a.test", Family::V4).await, expected);
}

/// A system whose only name server is the resolver itself.
#[derive(Debug, Default)]
struct Ourselves(OnceLock<Resolver>);

impl SystemLookup for Ourselves {
    fn lookup<'a>(&'a self, name: &'a str) -> LookupFuture<'a> {
        Box::pin(async move {
            let name = DomainName::new(name).unwrap();
            let found = self.0.get().unwrap().resolve(&name, Family::Any).await;
            found.map_err(|_error| io::ErrorKind::NotFound.into())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_system_that_asks_the_resolver_again_is_a_loop_that_ends() {
    let system = Arc::new(Ourselves::default());
    let resolver = with_named_server(Hosts::default(), system.clone(), Arc::new(World::default()));
    system.0.set(resolver.clone()).unwrap();
    let start = Instant::now();
    let found = {
        let outer = resolver.clone();
        tokio::spawn(async move { look_up(&outer, "a.test", Family::V4).await })
    };
    tokio::task::yield_now().await;
    let own = look_up(&resolver, "dns.loop", Family::Any).await;
    assert!(own.contains("its own name `dns.loop` can only be resolved by asking it"), "{own}");
    assert!(found.await.unwrap().contains("its own name cannot be resolved"));
    assert_eq!(start.elapsed(), 2 * SECOND);
}
