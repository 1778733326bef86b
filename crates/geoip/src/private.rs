use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Addresses that are not reachable over the public Internet: what `geoip:private` means where no
/// geoip.dat defines it.
///
/// The special-purpose registries of RFC 6890 and multicast, as the V2Ray family ships them in the
/// list `private`.
pub fn private_prefixes() -> impl Iterator<Item = IpNet> {
    let v4 = PRIVATE_V4
        .iter()
        .filter_map(|&(octets, length)| Ipv4Net::new(Ipv4Addr::from(octets), length).ok().map(IpNet::V4));
    let v6 = PRIVATE_V6
        .iter()
        .filter_map(|&(segments, length)| Ipv6Net::new(Ipv6Addr::from(segments), length).ok().map(IpNet::V6));
    v4.chain(v6)
}

/// Addresses that sing-box's `ip_is_private` means: the private networks of RFC 1918 and RFC 4193,
/// loopback, link-local and multicast addresses, and the unspecified ones.
pub fn not_public_prefixes() -> impl Iterator<Item = IpNet> {
    let v4 = NOT_PUBLIC_V4
        .iter()
        .filter_map(|&(octets, length)| Ipv4Net::new(Ipv4Addr::from(octets), length).ok().map(IpNet::V4));
    let v6 = NOT_PUBLIC_V6
        .iter()
        .filter_map(|&(segments, length)| Ipv6Net::new(Ipv6Addr::from(segments), length).ok().map(IpNet::V6));
    v4.chain(v6)
}

const NOT_PUBLIC_V4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 32),
    ([10, 0, 0, 0], 8),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    ([224, 0, 0, 0], 4),
];

const NOT_PUBLIC_V6: &[([u16; 8], u8)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 127),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

const PRIVATE_V4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 3),
];

const PRIVATE_V6: &[([u16; 8], u8)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 127),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_the_table_is_valid() {
        assert_eq!(private_prefixes().count(), PRIVATE_V4.len() + PRIVATE_V6.len());
        assert!(private_prefixes().all(|net| net == net.trunc()));
        assert_eq!(not_public_prefixes().count(), NOT_PUBLIC_V4.len() + NOT_PUBLIC_V6.len());
        assert!(not_public_prefixes().all(|net| net == net.trunc()));
    }
}
