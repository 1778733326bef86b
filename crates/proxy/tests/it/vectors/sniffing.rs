use serde_json::json;
use waypost_wire::{DatagramSniffer, Protocols, Sniff, sniff_so_far};

use super::{Vector, Verdict};

/// Whether the bytes are recognised as they should be, or not recognised if they should not.
pub(super) fn run(vector: &Vector) -> Verdict {
    let found = if vector.get("network") == "tcp" {
        sniff_so_far(&bytes(vector), Protocols::V2RAY)
    } else {
        match DatagramSniffer::new(Protocols::V2RAY).feed(&bytes(vector)) {
            Sniff::Found(found) => Some(found),
            Sniff::NeedMore | Sniff::Unknown => None,
        }
    };
    let found = found.map(|found| {
        let domain = found.host.map_or_else(String::new, |host| host.to_string());
        json!({"protocol": found.protocol, "domain": domain})
    });
    let expected = vector.expected();
    let as_expected = match &found {
        Some(found) => found == expected,
        None => expected.get("status").is_some(),
    };
    if as_expected { Verdict::AsExpected } else { Verdict::Opposite }
}

fn bytes(vector: &Vector) -> Vec<u8> {
    let hex = vector.get("hex").as_str().expect("a text");
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}
