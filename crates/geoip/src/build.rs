use std::net::IpAddr;

use ipnet::IpNet;
use waypost_net::{IdSetsBuilder, SetId};

use crate::{
    IpIndex,
    index::{HOST_BITS, NETWORK_BITS, network},
    table::{FINE, FineTable, V4Table, V6Table},
};

/// Collects prefixes for an [`IpIndex`].
#[derive(Debug, Default)]
pub struct IpIndexBuilder {
    v4: Vec<Range<u32>>,
    v6: Vec<Range<u128>>,
}

/// A closed range that belongs to one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range<K> {
    id: u32,
    first: K,
    last: K,
}

impl IpIndexBuilder {
    /// Puts all addresses of `net` under `id`; host bits do not matter.
    pub fn insert(&mut self, net: IpNet, id: u32) {
        match net {
            IpNet::V4(net) => {
                self.v4.push(Range { id, first: net.network().to_bits(), last: net.broadcast().to_bits() });
            }
            IpNet::V6(net) => {
                self.v6.push(Range { id, first: net.network().to_bits(), last: net.broadcast().to_bits() });
            }
        }
    }

    /// Puts the addresses from `first` to `last`, both included, under `id`. A range of which `last` comes
    /// before `first`, or is of the other family, has no address.
    ///
    /// It costs no more than one prefix, while up to 254 prefixes would make up the same range.
    pub fn insert_range(&mut self, first: IpAddr, last: IpAddr, id: u32) {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                self.v4.push(Range { id, first: first.to_bits(), last: last.to_bits() });
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                self.v6.push(Range { id, first: first.to_bits(), last: last.to_bits() });
            }
            (IpAddr::V4(_), IpAddr::V4(_) | IpAddr::V6(_))
            | (IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_)) => {}
        }
    }

    /// Sorts and merges everything.
    #[must_use]
    pub fn build(self) -> IpIndex {
        let mut sets = IdSetsBuilder::default();
        let v4 = sweep(self.v4, |last| last.checked_add(1), &mut sets);
        let v6 = sweep(self.v6, |last| last.checked_add(1), &mut sets);
        let v4_fine = v4
            .iter()
            .any(|&(_, set)| set >= FINE)
            .then(|| v4.iter().map(|&(start, set)| (u128::from(start), set)).collect());
        let v4_coarse = v4.into_iter().map(|(start, set)| (start, set.min(FINE)));
        let (v6_coarse, v6_fine) = split(v6);
        IpIndex {
            v4: V4Table::new(from_zero(0, v4_coarse)),
            v4_fine: FineTable { entries: v4_fine.unwrap_or_default() },
            v6: V6Table::new(from_zero(0, v6_coarse.into_iter())),
            v6_fine: FineTable { entries: v6_fine.into() },
            sets: sets.build(),
        }
    }
}

/// Where a range begins, and what holds from there on.
type Start<K> = (K, SetId);

/// The same ranges with one more where the first does not begin at `zero`, unless there is none.
fn from_zero<K: Copy + Ord>(
    zero: K,
    ranges: impl Iterator<Item = Start<K>>,
) -> impl Iterator<Item = Start<K>> {
    let mut ranges = ranges.peekable();
    let gap = ranges.peek().is_some_and(|&(start, _)| start > zero);
    gap.then_some((zero, SetId::EMPTY)).into_iter().chain(ranges)
}

/// Turns overlapping ranges into disjoint ones: where each begins and which ids hold there.
fn sweep<K: Copy + Ord>(
    mut ranges: Vec<Range<K>>,
    after: impl Fn(K) -> Option<K>,
    sets: &mut IdSetsBuilder,
) -> Vec<(K, SetId)> {
    ranges.sort_unstable();
    // Once an id's own ranges are disjoint and not adjacent, an edge simply switches it on or off.
    let mut edges: Vec<(K, u32)> = Vec::with_capacity(2 * ranges.len());
    let mut ranges = ranges.into_iter().peekable();
    while let Some(mut open) = ranges.next() {
        while let Some(next) = ranges
            .next_if(|next| next.id == open.id && after(open.last).is_none_or(|edge| next.first <= edge))
        {
            open.last = open.last.max(next.last);
        }
        edges.push((open.first, open.id));
        edges.extend(after(open.last).map(|edge| (edge, open.id)));
    }
    edges.sort_unstable();

    let mut active: Vec<u32> = Vec::new();
    let mut disjoint: Vec<(K, SetId)> = Vec::new();
    let mut edges = edges.into_iter().peekable();
    while let Some((at, id)) = edges.next() {
        match active.binary_search(&id) {
            Ok(present) => drop(active.remove(present)),
            Err(absent) => active.insert(absent, id),
        }
        if edges.peek().is_none_or(|&(next, _)| next != at) {
            disjoint.push((at, sets.intern(&active)));
        }
    }
    disjoint
}

/// Splits IPv6 ranges into those that the main table can hold, and the rest behind a [`FINE`] mark:
/// networks that a longer prefix cuts, and ranges whose set has too large a number.
fn split(ranges: Vec<Start<u128>>) -> (Vec<Start<u64>>, Vec<Start<u128>>) {
    let (mut coarse, mut fine) = (Vec::<Start<u64>>::new(), Vec::<Start<u128>>::new());
    let mut current = SetId::EMPTY;
    let mut ranges = ranges.into_iter().peekable();
    while let Some((start, set)) = ranges.next() {
        let here = network(start);
        let first_of_network = u128::from(here) << HOST_BITS;
        let cut = |next: &Start<u128>| network(next.0) == here;
        if start == first_of_network && set < FINE && !ranges.peek().is_some_and(cut) {
            coarse.push((here, set));
            current = set;
            continue;
        }
        coarse.push((here, FINE));
        if start > first_of_network {
            fine.push((first_of_network, current));
        }
        fine.push((start, set));
        current = set;
        while let Some((start, set)) = ranges.next_if(cut) {
            fine.push((start, set));
            current = set;
        }
        let next = here + 1;
        let is_last = next >> NETWORK_BITS > 0;
        let another_begins_there =
            ranges.peek().is_some_and(|&(start, _)| start == u128::from(next) << HOST_BITS);
        if !is_last && !another_begins_there {
            coarse.push((next, current.min(FINE)));
        }
    }
    (coarse, fine)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    fn index(nets: &[(IpNet, u32)]) -> IpIndex {
        let mut builder = IpIndexBuilder::default();
        for &(net, id) in nets {
            builder.insert(net, id);
        }
        builder.build()
    }

    fn naive(nets: &[(IpNet, u32)], address: IpAddr) -> Vec<u32> {
        let mut ids: Vec<u32> =
            nets.iter().filter(|(net, _)| net.contains(&address)).map(|&(_, id)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Every edge of every prefix, its neighbours, and the ends of the address space.
    fn edges(nets: &[(IpNet, u32)]) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> =
            ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        for (net, _) in nets {
            match (net.network(), net.broadcast()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    let (first, last) = (first.to_bits(), last.to_bits());
                    for bits in [first, first.wrapping_sub(1), last, last.wrapping_add(1)] {
                        addresses.push(IpAddr::V4(bits.into()));
                    }
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    let (first, last) = (first.to_bits(), last.to_bits());
                    for bits in [first, first.wrapping_sub(1), last, last.wrapping_add(1)] {
                        addresses.push(IpAddr::V6(bits.into()));
                    }
                }
                _ => unreachable!("a prefix has one family"),
            }
        }
        addresses
    }

    #[track_caller]
    fn check(nets: &[(IpNet, u32)]) {
        let index = index(nets);
        for address in edges(nets) {
            let expected = naive(nets, address);
            assert_eq!(index.ids(address), expected, "{address}");
            if let Some(range) = index.range(address) {
                assert!(range.first <= address && address <= range.last, "{address} in {range}");
                assert_eq!(naive(nets, range.first), expected, "{address}: start of {range}");
                assert_eq!(naive(nets, range.last), expected, "{address}: end of {range}");
            }
        }
    }

    fn nets(texts: &[(&str, u32)]) -> Vec<(IpNet, u32)> {
        texts.iter().map(|&(text, id)| (text.parse().unwrap(), id)).collect()
    }

    #[test]
    fn overlapping_prefixes_of_one_list_all_count() {
        check(&nets(&[("98.108.20.0/22", 1), ("98.108.20.0/23", 1), ("98.108.22.0/24", 2)]));
    }

    #[test]
    fn whole_families_and_single_addresses_are_found() {
        check(&nets(&[("0.0.0.0/0", 0), ("255.255.255.255/32", 1), ("0.0.0.0/32", 2)]));
        check(&nets(&[("::/0", 0), ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 1), ("::/128", 2)]));
    }

    #[test]
    fn prefixes_longer_than_64_bits_are_exact() {
        check(&nets(&[
            ("2001:db8::/32", 0),
            ("2001:db8:0:1::/64", 1),
            ("2001:db8:0:1::5/128", 2),
            ("2001:db8:0:1:8000::/65", 3),
            ("2001:db8:0:2::/127", 4),
            ("2001:db8:0:3::/64", 5),
        ]));
    }

    #[test]
    fn crowded_networks_are_divided() {
        let mut nets = Vec::new();
        for i in 0_u32..3000 {
            let spread = i.wrapping_mul(2_654_435_761);
            nets.push((
                IpNet::new(IpAddr::V4((0x0A00_0000 | spread >> 8).into()), 26).unwrap().trunc(),
                i % 7,
            ));
            let v6 = 0x2a00 << 112 | u128::from(spread) << 80;
            nets.push((IpNet::new(IpAddr::V6(v6.into()), 44).unwrap().trunc(), i % 5));
        }
        check(&nets);
    }

    #[test]
    fn more_sets_than_an_entry_has_room_for_are_still_exact() {
        let v4 = |i: u32| IpNet::new(IpAddr::V4((0x0A00_0000 + i * 0x100).into()), 24).unwrap();
        let v6 = |i: u32| IpNet::new(IpAddr::V6((0x2a00 << 112 | u128::from(i) << 80).into()), 48).unwrap();
        let nets: Vec<(IpNet, u32)> = (0..66_000).flat_map(|i| [(v4(i), i), (v6(i), i)]).collect();
        let index = index(&nets);
        for &(net, id) in nets.iter().step_by(101).chain(nets.last()) {
            assert_eq!(index.ids(net.network()), [id]);
            assert_eq!(index.ids(net.broadcast()), [id]);
            assert!(index.range(net.network()).is_some_and(|range| range.last == net.broadcast()), "{net}");
        }
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        assert!(index(&[]).ids("127.0.0.1".parse().unwrap()).is_empty());
        assert_eq!(index(&[]).range("::1".parse().unwrap()), None);
    }

    #[test]
    fn ranges_are_as_exact_as_prefixes() {
        let mut builder = IpIndexBuilder::default();
        for (first, last, id) in [
            ("10.0.0.3", "10.1.2.3", 0),
            ("10.1.2.4", "10.1.2.4", 0),
            ("255.255.255.254", "255.255.255.255", 1),
            ("2001:db8::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe", 0),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2),
            // These have no address.
            ("10.0.0.2", "10.0.0.1", 3),
            ("10.0.0.1", "2001:db8::1", 3),
        ] {
            builder.insert_range(first.parse().unwrap(), last.parse().unwrap(), id);
        }
        let index = builder.build();
        for (address, expected) in [
            ("10.0.0.2", &[][..]),
            ("10.0.0.3", &[0]),
            ("10.1.2.4", &[0]),
            ("10.1.2.5", &[]),
            ("255.255.255.253", &[]),
            ("255.255.255.255", &[1]),
            ("2001:db8::", &[2]),
            ("2001:db8::1", &[0, 2]),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:fffe", &[0, 2]),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", &[2]),
        ] {
            assert_eq!(index.ids(address.parse().unwrap()), expected, "{address}");
        }
    }

    fn any_net() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (any::<u32>(), 0_u8..=32)
                .prop_map(|(bits, length)| { IpNet::new(IpAddr::V4(bits.into()), length).unwrap().trunc() }),
            // Few distinct leading bits, so that networks of 64 bits collide and are cut.
            (0_u128..4, 0_u128..4, any::<u64>(), 0_u8..=128).prop_map(|(high, middle, low, length)| {
                let bits = 0x2001 << 112 | high << 80 | middle << 78 | u128::from(low);
                IpNet::new(IpAddr::V6(bits.into()), length).unwrap().trunc()
            }),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_testing_every_prefix(nets in prop::collection::vec((any_net(), 0_u32..6), 0..40)) {
            check(&nets);
        }
    }
}
