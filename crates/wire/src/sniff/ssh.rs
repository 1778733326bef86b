//! The identification of an SSH client (RFC 4253 §4.2).

use super::{Sniff, Sniffed};

pub(super) const FIRST_BYTE: u8 = b'S';

/// Version 2, and those before it, which end in a dash after another number.
const IDENTIFICATIONS: [&[u8]; 2] = [b"SSH-2.0-", b"SSH-1."];

pub(super) fn sniff(bytes: &[u8]) -> Sniff {
    if IDENTIFICATIONS.iter().any(|known| bytes.starts_with(known)) {
        Sniff::Found(Sniffed::new("ssh", None))
    } else if IDENTIFICATIONS.iter().any(|known| known.starts_with(bytes)) {
        Sniff::NeedMore
    } else {
        Sniff::Unknown
    }
}
