//! Tests through the public interface.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod bounded;
mod build;
mod evenness;
mod golden;
mod peers;
mod placement;
mod removal;

use waypost_ring::{Algorithm, Member, Placement, PlacementSpec};

#[track_caller]
fn placement<'m>(
    algorithm: Algorithm,
    members: impl IntoIterator<Item = impl Into<Member<'m>>>,
    salt: &str,
) -> Placement {
    let spec = PlacementSpec { algorithm, salt: salt.as_bytes(), ..PlacementSpec::default() };
    Placement::try_new(members, &spec).unwrap()
}

fn names(n_members: usize) -> Vec<String> {
    (0..n_members).map(|n| format!("proxy-{n}")).collect()
}

/// Keys as a gateway sees them: a client and a site.
fn keys(n_keys: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..n_keys).map(|n| format!("10.0.{}.{}|example{n}.com", n / 256 % 256, n % 256).into_bytes())
}

/// The order of the walk, by name.
fn order<'m>(placement: &Placement, members: &[&'m str], key: &[u8]) -> Vec<&'m str> {
    placement.walk(key).map(|member| members[member.get()]).collect()
}
