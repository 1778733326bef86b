use std::fmt;

/// A closed range of ports: `first` and `last` both belong to it.
///
/// A range whose `first` is above its `last` is allowed and holds nothing, as in V2Ray.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// Whether `port` lies in the range.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A set of ports, made of closed ranges; the empty set holds no port.
///
/// ```
/// use waypost_net::{PortRange, PortSet};
///
/// let set: PortSet = [PortRange { first: 1000, last: 1100 }, PortRange { first: 53, last: 53 }]
///     .into_iter()
///     .collect();
/// assert!(set.contains(1100) && set.contains(53) && !set.contains(54));
/// assert_eq!(set.to_string(), "53,1000-1100");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortSet {
    /// Sorted, disjoint and not adjacent.
    ranges: Box<[PortRange]>,
}

impl PortSet {
    /// Whether `port` is in the set.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let after = self.ranges.partition_point(|range| range.first <= port);
        after > 0 && self.ranges.get(after - 1).is_some_and(|range| port <= range.last)
    }

    /// Whether the set holds no port at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges in ascending order, disjoint and not adjacent.
    #[must_use]
    pub fn ranges(&self) -> &[PortRange] {
        &self.ranges
    }
}

impl FromIterator<PortRange> for PortSet {
    fn from_iter<I: IntoIterator<Item = PortRange>>(ranges: I) -> Self {
        let mut sorted: Vec<PortRange> =
            ranges.into_iter().filter(|range| range.first <= range.last).collect();
        sorted.sort_unstable();
        let mut merged: Vec<PortRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(open) if range.first <= open.last.saturating_add(1) => {
                    open.last = open.last.max(range.last);
                }
                Some(_) | None => merged.push(range),
            }
        }
        Self { ranges: merged.into() }
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            range.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u16, u16)]) -> PortSet {
        ranges.iter().map(|&(first, last)| PortRange { first, last }).collect()
    }

    #[test]
    fn agrees_with_a_linear_scan_on_every_port() {
        let ranges =
            [(443, 443), (1000, 1100), (1050, 1200), (1201, 1300), (0, 5), (65_530, u16::MAX), (90, 80)];
        let merged = set(&ranges);
        for port in 0..=u16::MAX {
            let expected = ranges.iter().any(|&(first, last)| first <= port && port <= last);
            assert_eq!(merged.contains(port), expected, "port {port}");
        }
        assert_eq!(merged.to_string(), "0-5,443,1000-1300,65530-65535");
    }

    #[test]
    fn a_reversed_range_is_empty() {
        assert!(set(&[(100, 50)]).is_empty());
    }
}
