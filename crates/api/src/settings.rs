//! What the interface is told before it listens.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use rand::{Rng, RngExt as _};
use waypost_net::Secret;
use waypost_proxy::Reading;

/// Enough letters for 160 bits with an alphabet of 32.
const SECRET_LETTERS: usize = 32;
/// Letters and digits that are not mistaken for one another when somebody types them.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// What the interface is, who may use it, and what it may touch.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where it listens.
    pub listen: ListenOn,
    /// What clients have to know. An empty one counts as none. A TCP address needs one; without one
    /// everybody who may open a Unix socket may use it.
    pub secret: Option<Secret>,
    /// Origins of web pages that may use it, such as `https://board.example`; one `*` in an entry
    /// stands for any text, and `*` alone allows every page. Its own page needs no entry.
    pub allowed_origins: Vec<String>,
    /// Names by which clients may call it besides loopback names and the address that it listens on.
    pub allowed_hosts: Vec<String>,
    /// Whether pages of public servers may reach it by private addresses, if the browser asks.
    pub allow_private_network: bool,
    /// A folder that is served at `/ui/` instead of the page that is built in.
    pub external_ui: Option<PathBuf>,
    /// The folder that files named by clients must lie in.
    pub data_folder: PathBuf,
    /// How another configuration is read; `None` if clients cannot give one.
    pub reading: Option<Reading>,
    /// How much of the machine clients may take.
    pub bounds: Bounds,
}

/// Where the interface listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenOn {
    /// At an address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// At a path, which only the own user may open.
    Unix(PathBuf),
}

/// How much of the machine clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time, streams included.
    pub connections: usize,
    /// How long a client may take for the head of a request, and between two requests.
    pub head: Duration,
    /// How long it may take for the body.
    pub body: Duration,
    /// How long it may take nothing of what is sent to it.
    pub stall: Duration,
}

impl ApiSettings {
    /// Settings with the default bounds, and without anything that a file would have to allow.
    #[must_use]
    pub fn new(listen: ListenOn, secret: Option<Secret>, data_folder: PathBuf) -> Self {
        Self {
            listen,
            secret,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            allow_private_network: false,
            external_ui: None,
            data_folder,
            reading: None,
            bounds: Bounds::default(),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(30),
            body: Duration::from_secs(15),
            stall: Duration::from_secs(10),
        }
    }
}

/// Makes a secret of 160 random bits, in letters and digits.
#[must_use]
pub fn made_secret(rng: &mut impl Rng) -> Secret {
    let letter =
        |_| ALPHABET.get(rng.random_range(0..ALPHABET.len())).map_or('x', |&letter| char::from(letter));
    Secret::new((0..SECRET_LETTERS).map(letter).collect::<String>())
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn a_made_secret_is_long_and_never_the_same() {
        let mut rng = StdRng::seed_from_u64(1);
        let secrets = [made_secret(&mut rng), made_secret(&mut rng)];
        assert_ne!(secrets[0], secrets[1]);
        for secret in secrets {
            assert_eq!(secret.expose().len(), SECRET_LETTERS);
            assert!(secret.expose().bytes().all(|byte| ALPHABET.contains(&byte)));
        }
    }
}
