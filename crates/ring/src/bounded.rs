/// The most connections that one member may carry at once, for consistent hashing with bounded loads
/// (Mirrokni, Thorup and Zadimoghaddam, SODA 2018).
///
/// It is the member's share of `total_connections` and the one to come, times the balance factor,
/// rounded up and at least 1. `total_weight` is the weight of all members that may be chosen and
/// `total_connections` what they carry; a total below the member's own weight counts as that weight.
/// A factor below 100 % counts as 100 %, so that some member always has room.
///
/// A member that is full is passed over, and the next one of the walk takes the key:
///
/// ```
/// use waypost_ring::{Placement, PlacementSpec, capacity};
///
/// let placement = Placement::try_new(["a", "b", "c", "d"], &PlacementSpec::default())?;
/// let mut connections = [0_usize; 4];
/// for _ in 0..1000 {
///     let most = capacity(connections.iter().sum(), 1, 4, 125);
///     let has_room = |member: waypost_ring::MemberIndex| connections[member.get()] < most;
///     let Some(member) = placement.owner_where(b"one busy client", has_room) else { break };
///     connections[member.get()] += 1;
/// }
/// assert!(connections.iter().all(|&carried| carried <= 313));
/// # Ok::<(), waypost_ring::BuildError>(())
/// ```
#[must_use]
pub fn capacity(
    total_connections: usize,
    weight: u32,
    total_weight: u64,
    balance_factor_percent: u32,
) -> usize {
    let weight = u128::from(weight.max(1));
    let total_weight = u128::from(total_weight).max(weight);
    let factor = u128::from(balance_factor_percent.max(100));
    // Below 2^65 * 2^32 * 2^32, with the connections on a platform of 64 bits.
    let share = ((total_connections as u128 + 1) * factor * weight).div_ceil(100 * total_weight);
    usize::try_from(share).unwrap_or(usize::MAX)
}
