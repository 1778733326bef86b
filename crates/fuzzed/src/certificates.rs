//! Certificates of servers, as far as they are read here.

use waypost_transport::certificate_validity;

/// The last second that a certificate can name: 9999-12-31T23:59:60Z.
const LAST: u64 = 253_402_300_800;

/// A certificate in DER.
pub fn certificates(bytes: &[u8]) {
    let Some((from, to)) = certificate_validity(bytes) else { return };
    assert!(from.max(to) <= LAST, "from {from} to {to}");
}
