//! Looking for what a peer has proved to know, in a time that does not tell which one it is.

use subtle::{Choice, ConditionallySelectable as _};

/// The place of the item that `is_it` says yes to, after all of them were looked at.
pub(crate) fn position<T>(items: &[T], is_it: impl Fn(&T) -> Choice) -> Option<usize> {
    let (mut found, mut position) = (Choice::from(0), 0u64);
    for (candidate, item) in (0u64..).zip(items) {
        let equal = is_it(item);
        position.conditional_assign(&candidate, equal);
        found |= equal;
    }
    if bool::from(found) { usize::try_from(position).ok() } else { None }
}
