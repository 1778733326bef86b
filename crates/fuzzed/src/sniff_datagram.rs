//! What the first datagrams of a client are.

use waypost_wire::{DatagramSniffer, Protocols, Sniff};

use crate::script::Script;

/// How many datagrams are looked at: more than any ClientHello takes.
const MAX_DATAGRAMS: usize = 64;

/// Datagrams, cut out of the bytes.
pub fn sniff_datagram(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let cuts = script.cuts();
    let rest = script.rest();
    for wanted in [Protocols::V2RAY, Protocols::ALL] {
        one(rest, wanted);
        let mut sniffer = DatagramSniffer::new(wanted);
        let mut verdict = Sniff::NeedMore;
        for datagram in cuts.pieces(rest).take(MAX_DATAGRAMS) {
            verdict = sniffer.feed(datagram);
            if verdict != Sniff::NeedMore {
                break;
            }
        }
        if let Sniff::Found(found) = verdict {
            assert!(!found.protocol.is_empty(), "nothing is something");
        }
        let _found = sniffer.so_far();
    }
}

/// All bytes as one datagram.
fn one(datagram: &[u8], wanted: Protocols) {
    let mut sniffer = DatagramSniffer::new(wanted);
    if let Sniff::Found(found) = sniffer.feed(datagram) {
        assert!(!found.protocol.is_empty() && !datagram.is_empty(), "nothing is something");
    }
}
