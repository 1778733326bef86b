/// For each equal slice of the hash space the first virtual node in it, so that a look-up compares
/// with the one or two nodes of a slice instead of searching all.
#[derive(Clone)]
pub(super) struct PlaceIndex {
    /// One entry more than there are slices: the end of a slice is the start of the next.
    starts: Box<[u32]>,
    /// How far to shift a point right to get the number of its slice.
    shift: u32,
}

impl PlaceIndex {
    pub(super) fn new(places: &[u64]) -> Self {
        // At least two slices: shifting a u64 by all of its 64 bits is not defined.
        let n_slices = places.len().next_power_of_two().max(2);
        let shift = u64::BITS - n_slices.trailing_zeros();
        let mut starts = Vec::with_capacity(n_slices + 1);
        let mut place_slices = places.iter().map(|place| place >> shift).peekable();
        let mut n_before = 0;
        for slice in 0..n_slices as u64 {
            starts.push(n_before);
            while place_slices.next_if_eq(&slice).is_some() {
                n_before += 1;
            }
        }
        starts.push(n_before);
        Self { starts: starts.into(), shift }
    }

    /// The number of places below `point`.
    pub(super) fn successor(&self, places: &[u64], point: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "a slice number is below 2^21")]
        let slice = (point >> self.shift) as usize;
        let (Some(&start), Some(&end)) = (self.starts.get(slice), self.starts.get(slice + 1)) else {
            return places.len();
        };
        let (start, end) = (start as usize, end as usize);
        let in_slice = places.get(start..end).unwrap_or_default();
        start + in_slice.partition_point(|&place| place < point)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            // Close to the borders of slices and to both ends.
            (0_u64..16, 0_u64..3)
                .prop_map(|(slice, offset)| (slice << 60).wrapping_add(offset).wrapping_sub(1)),
        ]
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_search_of_all_places_finds(
            mut places in prop::collection::vec(points(), 0..20),
            point in points(),
        ) {
            places.sort_unstable();
            let expected = places.partition_point(|&place| place < point);
            prop_assert_eq!(PlaceIndex::new(&places).successor(&places, point), expected);
        }
    }
}
