use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use waypost_net::{IdSets, SetId};

use crate::table::{FINE, FineTable, SET_BITS, V4Table, V6Table};

/// An immutable index: address → set of ids.
///
/// Made by [`IpIndexBuilder`](crate::IpIndexBuilder). IPv4-mapped IPv6 addresses are looked up as
/// they are; whoever wants them to mean the IPv4 address converts them first.
#[derive(Debug, Clone)]
pub struct IpIndex {
    pub(crate) v4: V4Table,
    pub(crate) v4_fine: FineTable,
    /// Keyed by the [`network`] of an address.
    pub(crate) v6: V6Table,
    pub(crate) v6_fine: FineTable,
    pub(crate) sets: IdSets,
}

/// What the IPv6 table tells apart: hardly any public list has a prefix longer than 48 bits.
pub(crate) const NETWORK_BITS: u32 = 64 - SET_BITS;

/// Below a network of [`NETWORK_BITS`].
pub(crate) const HOST_BITS: u32 = 128 - NETWORK_BITS;

/// The network of an address, as the IPv6 table is keyed.
pub(crate) fn network(bits: u128) -> u64 {
    (bits >> HOST_BITS) as u64
}

impl IpIndex {
    /// The set of all ids whose prefixes hold `address`.
    #[must_use]
    #[inline]
    pub fn find(&self, address: IpAddr) -> SetId {
        match address {
            IpAddr::V4(address) => match self.v4.find(address.to_bits()) {
                FINE => self.v4_fine.find(address.to_bits().into()),
                set => set,
            },
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                match self.v6.find(network(bits)) {
                    FINE => self.v6_fine.find(bits),
                    set => set,
                }
            }
        }
    }

    /// The ids whose prefixes hold `address`, in ascending order.
    #[must_use]
    pub fn ids(&self, address: IpAddr) -> &[u32] {
        self.sets.get(self.find(address))
    }

    /// All distinct sets, so that a caller can compute its own form of each once.
    #[must_use]
    pub fn sets(&self) -> &IdSets {
        &self.sets
    }

    /// The largest range around `address` that has the same ids all over, for explanations.
    #[must_use]
    pub fn range(&self, address: IpAddr) -> Option<IpRange> {
        match address {
            IpAddr::V4(address) => {
                let bits = address.to_bits();
                let (mut first, mut next, set) = self.v4.range(bits)?;
                if set == FINE {
                    let (start, end, _) = self.v4_fine.range(bits.into())?;
                    first = first.max(u32::try_from(start).ok()?);
                    next = end.and_then(|end| u32::try_from(end).ok()).into_iter().chain(next).min();
                }
                let last = next.map_or(u32::MAX, |next| next - 1);
                Some(IpRange {
                    first: Ipv4Addr::from_bits(first).into(),
                    last: Ipv4Addr::from_bits(last).into(),
                })
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                let (start, next, set) = self.v6.range(network(bits))?;
                let edge = |network: u64| u128::from(network) << HOST_BITS;
                let (mut first, mut last) = (edge(start), next.map_or(u128::MAX, |next| edge(next) - 1));
                if set == FINE {
                    let (start, next, _) = self.v6_fine.range(bits)?;
                    first = first.max(start);
                    last = last.min(next.map_or(u128::MAX, |next| next - 1));
                }
                Some(IpRange {
                    first: Ipv6Addr::from_bits(first).into(),
                    last: Ipv6Addr::from_bits(last).into(),
                })
            }
        }
    }

    /// Number of disjoint ranges over both families.
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.v4.len() + self.v4_fine.entries.len() + self.v6.len() + self.v6_fine.entries.len()
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.v4.heap_bytes()
            + self.v6.heap_bytes()
            + size_of_val(&*self.v4_fine.entries)
            + size_of_val(&*self.v6_fine.entries)
            + self.sets.heap_bytes()
    }
}

/// A closed range of addresses of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpRange {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest address.
    pub last: IpAddr,
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}
