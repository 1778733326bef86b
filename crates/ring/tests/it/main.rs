//! Tests of the ring through its public interface.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod build;
mod evenness;
mod golden;
mod peers;
mod placement;

use waypost_ring::{DEFAULT_VIRTUAL_NODES, Member, Ring};

#[track_caller]
fn ring<'m>(members: impl IntoIterator<Item = impl Into<Member<'m>>>, salt: &str) -> Ring {
    Ring::try_new(members, DEFAULT_VIRTUAL_NODES, salt.as_bytes()).unwrap()
}

fn names(n_members: usize) -> Vec<String> {
    (0..n_members).map(|n| format!("proxy-{n}")).collect()
}

/// Keys as a gateway sees them: a client and a site.
fn keys(n_keys: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..n_keys).map(|n| format!("10.0.{}.{}|example{n}.com", n / 256 % 256, n % 256).into_bytes())
}

/// The order of the walk, by name.
fn order<'m>(ring: &Ring, members: &[&'m str], key: &[u8]) -> Vec<&'m str> {
    ring.walk(key).map(|member| members[member.get()]).collect()
}
