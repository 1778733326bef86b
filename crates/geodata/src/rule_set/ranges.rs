use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

/// Disjoint ranges of addresses, both ends included, in rising order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRanges {
    pub(super) v4: Vec<(u32, u32)>,
    pub(super) v6: Vec<(u128, u128)>,
}

impl AddressRanges {
    /// How many ranges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ranges, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> {
        let v4 = self.v4.iter().map(|&(first, last)| {
            (IpAddr::V4(Ipv4Addr::from_bits(first)), IpAddr::V4(Ipv4Addr::from_bits(last)))
        });
        let v6 = self.v6.iter().map(|&(first, last)| {
            (IpAddr::V6(Ipv6Addr::from_bits(first)), IpAddr::V6(Ipv6Addr::from_bits(last)))
        });
        v4.chain(v6)
    }

    /// The fewest prefixes that make up the ranges, IPv4 first. One range may take up to 254 of them.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.v4.iter().flat_map(|&(first, last)| {
            Ipv4Subnets::new(Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last), 0).map(IpNet::V4)
        });
        let v6 = self.v6.iter().flat_map(|&(first, last)| {
            Ipv6Subnets::new(Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last), 0).map(IpNet::V6)
        });
        v4.chain(v6)
    }

    /// Whether `address` is in one of the ranges.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => contains(&self.v4, address.to_bits()),
            IpAddr::V6(address) => contains(&self.v6, address.to_bits()),
        }
    }
}

fn contains<K: Copy + Ord>(ranges: &[(K, K)], key: K) -> bool {
    let after = ranges.partition_point(|&(first, _)| first <= key);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|&(_, last)| key <= last)
}

/// Collects prefixes for [`AddressRanges`].
#[derive(Clone, Debug, Default)]
pub struct RangesBuilder {
    ranges: AddressRanges,
}

impl RangesBuilder {
    /// Adds all addresses of `net`; host bits do not matter.
    pub fn push(&mut self, net: IpNet) {
        match net {
            IpNet::V4(net) => self.ranges.v4.push((net.network().to_bits(), net.broadcast().to_bits())),
            IpNet::V6(net) => self.ranges.v6.push((net.network().to_bits(), net.broadcast().to_bits())),
        }
    }

    /// Sorts and joins what overlaps or touches.
    #[must_use]
    pub fn build(mut self) -> AddressRanges {
        join(&mut self.ranges.v4, |last| last.checked_add(1));
        join(&mut self.ranges.v6, |last| last.checked_add(1));
        self.ranges
    }
}

fn join<K: Copy + Ord>(ranges: &mut Vec<(K, K)>, after: impl Fn(K) -> Option<K>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, open| {
        let touches = after(open.1).is_none_or(|edge| next.0 <= edge);
        if touches {
            open.1 = open.1.max(next.1);
        }
        touches
    });
    ranges.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(nets: &[&str]) -> AddressRanges {
        let mut builder = RangesBuilder::default();
        nets.iter().for_each(|net| builder.push(net.parse().unwrap()));
        builder.build()
    }

    #[test]
    fn what_overlaps_or_touches_is_one_range() {
        let ranges =
            build(&["10.1.0.0/16", "10.0.0.0/16", "10.0.5.9/24", "::/0", "2001:db8::/32", "0.0.0.0/8"]);
        let shown: Vec<String> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        assert_eq!(
            shown,
            ["0.0.0.0-0.255.255.255", "10.0.0.0-10.1.255.255", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
        );
        let prefixes: Vec<String> = ranges.prefixes().map(|net| net.to_string()).collect();
        assert_eq!(prefixes, ["0.0.0.0/8", "10.0.0.0/15", "::/0"]);
    }

    #[test]
    fn ends_belong_to_a_range() {
        let ranges = build(&["10.0.0.0/31", "255.255.255.255/32"]);
        for (address, expected) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("255.255.255.255", true),
            ("::", false),
        ] {
            assert_eq!(ranges.contains(address.parse().unwrap()), expected, "{address}");
        }
    }
}
