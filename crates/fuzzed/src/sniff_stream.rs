//! What the first bytes of a connection are.

use waypost_wire::{MAX_SNIFF_BYTES, Protocols, Sniff, sniff, sniff_so_far, sniff_widely};

use crate::script::{Cuts, Script};

/// How a connection is cut, and its first bytes.
pub fn sniff_stream(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let cuts = script.cuts();
    let bytes = script.rest();
    let widely: fn(&[u8]) -> Sniff = |bytes| sniff_widely(bytes, Protocols::ALL);
    for sniff in [sniff, widely] {
        let whole = sniff(bytes);
        stays(sniff, bytes, cuts, &whole);
        stays(sniff, bytes, Cuts::BYTES, &whole);
        if bytes.len() >= MAX_SNIFF_BYTES {
            assert_ne!(whole, Sniff::NeedMore, "more is wanted than is looked at");
        }
    }
    if let Sniff::Found(found) = sniff(bytes) {
        assert_eq!(sniff_so_far(bytes, Protocols::V2RAY), Some(found), "known, but not so far");
    }
    for piece in cuts.pieces(bytes) {
        let _found = sniff_so_far(piece, Protocols::ALL);
    }
}

/// The first answer that is one is the same however a connection is cut.
fn stays(sniff: fn(&[u8]) -> Sniff, bytes: &[u8], cuts: Cuts<'_>, whole: &Sniff) {
    let mut length = 0;
    for piece in cuts.pieces(bytes) {
        length += piece.len();
        let part = sniff(bytes.get(..length).unwrap_or_default());
        if part != Sniff::NeedMore {
            assert_eq!(&part, whole, "after {length} bytes");
            return;
        }
    }
}
