//! What both sides of a connection know in every run.

use rand::{SeedableRng as _, rngs::StdRng};
use waypost_net::Target;

use crate::script::Script;

/// The time in seconds since 1970 that all clocks show.
pub(crate) const NOW: u64 = 1_795_420_533;

/// Where the requests of a client go: a name, or an address.
const TARGETS: [&str; 4] = ["example.com:443", "192.0.2.1:53", "[2001:db8::1]:80", "a:0"];

/// The same random numbers in every run.
pub(crate) fn rng(seed: u8) -> StdRng {
    StdRng::seed_from_u64(seed.into())
}

pub(crate) fn target(script: &mut Script<'_>) -> Option<Target> {
    script.one_of(&TARGETS)?.parse().ok()
}
