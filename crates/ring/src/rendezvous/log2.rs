//! A binary logarithm that is the same on every machine.
//!
//! The last bits of `f64::ln` depend on the platform's mathematics library, and one bit is enough to
//! move a key. Integers have no such freedom.

/// Fractional bits of a logarithm.
const FRACTION_BITS: u32 = 40;

/// The mantissa's leading bits that choose an entry of the table.
const TABLE_BITS: u32 = 8;

/// Bits between two entries of the table that interpolation looks at. Their product with a step of
/// the table (below 2^33) has to fit into 64 bits.
const STEP_BITS: u32 = 31;

/// `log2(1 + i / 256)` in fixed point, rounded down.
const TABLE: [u64; (1 << TABLE_BITS) + 1] = table();

/// `-log2(hash / 2^64)` in fixed point with 40 fractional bits: more than 0, less than 2^47.
///
/// It never rises with `hash`, so that for equal weights the order of costs is that of hashes.
/// Between the entries of the table it is linear; the shares of weights are off by less than 0.3 %.
pub(super) fn negative_log2(hash: u64) -> u64 {
    let hash = hash | 1;
    let n_zeros = hash.leading_zeros();
    // The bits behind the leading one.
    let mantissa = hash << n_zeros << 1;
    let entry = (mantissa >> (u64::BITS - TABLE_BITS)) as usize;
    let between = mantissa << TABLE_BITS >> (u64::BITS - STEP_BITS);
    let (Some(low), Some(high)) = (TABLE.get(entry), TABLE.get(entry + 1)) else { return u64::MAX >> 17 };
    let fraction = low + (((high - low) * between) >> STEP_BITS);
    (u64::from(n_zeros + 1) << FRACTION_BITS) - fraction
}

const fn table() -> [u64; (1 << TABLE_BITS) + 1] {
    let mut table = [0; (1 << TABLE_BITS) + 1];
    let mut entry = 0;
    while entry < 1 << TABLE_BITS {
        table[entry] = log2((1 << 63) + ((entry as u64) << (63 - TABLE_BITS)));
        entry += 1;
    }
    table[entry] = 1 << FRACTION_BITS;
    table
}

/// The logarithm of a number from 1 to below 2 with 63 fractional bits, one bit for each squaring.
const fn log2(number: u64) -> u64 {
    let mut number = number as u128;
    let mut logarithm = 0;
    let mut bit = 0;
    while bit < FRACTION_BITS {
        number = (number * number) >> 63;
        logarithm <<= 1;
        if number >> 64 != 0 {
            number >>= 1;
            logarithm |= 1;
        }
        bit += 1;
    }
    logarithm
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: f64 = (1_u64 << FRACTION_BITS) as f64;

    #[test]
    fn the_table_holds_logarithms() {
        for (entry, &actual) in TABLE.iter().enumerate() {
            let expected = (1.0 + entry as f64 / 256.0).log2() * ONE;
            assert!((actual as f64 - expected).abs() < 1.5, "{entry}: {actual} is not {expected}");
        }
    }

    #[test]
    fn the_ends_of_the_range_are_positive_and_bounded() {
        assert_eq!(negative_log2(0), 64 << FRACTION_BITS);
        assert_eq!(negative_log2(1), 64 << FRACTION_BITS);
        assert_eq!(negative_log2(1 << 63), 1 << FRACTION_BITS);
        assert!((1..10).contains(&negative_log2(u64::MAX)));
    }

    proptest! {
        #[test]
        fn it_is_close_to_the_true_logarithm(hash in any::<u64>(), n_zeros in 0_u32..60) {
            let hash = hash >> n_zeros | 1;
            let expected = 64.0 - (hash as f64).log2();
            let actual = negative_log2(hash) as f64 / ONE;
            prop_assert!((actual - expected).abs() < 3e-6, "{} is not {}", actual, expected);
        }

        #[test]
        fn it_never_rises(hash in any::<u64>(), n_zeros in 0_u32..64, step in 1_u64..1 << 40) {
            let hash = hash >> n_zeros;
            prop_assert!(negative_log2(hash) >= negative_log2(hash.saturating_add(step)));
            prop_assert!(negative_log2(hash) >= negative_log2(hash.saturating_add(1)));
        }
    }
}
