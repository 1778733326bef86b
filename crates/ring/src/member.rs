use std::num::NonZeroU16;

/// The most members that are placed together. The limit keeps a mistake in the list of members from
/// taking all memory.
pub const MAX_MEMBERS: u32 = 1 << 20;

/// A member to place: who it is, and how large its share should be.
///
/// The identity alone decides which keys the member is near to. It should name what the member
/// *is* (protocol, address, credentials) and not what it is called at the moment, because a changed
/// identity is a different member whose keys move. Members of equal identity are told apart by their
/// order in the list, so that each has keys of its own.
///
/// ```
/// use std::num::NonZeroU16;
/// use waypost_ring::Member;
///
/// let small = Member::new("198.51.100.7:443");
/// let large = Member::new("198.51.100.8:443").with_weight(NonZeroU16::MIN.saturating_add(2));
/// assert_eq!((small.weight().get(), large.weight().get()), (1, 3));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    identity: &'a [u8],
    weight: NonZeroU16,
}

impl<'a> Member<'a> {
    /// A member of weight 1.
    #[must_use]
    pub fn new<I: AsRef<[u8]> + ?Sized>(identity: &'a I) -> Self {
        Self { identity: identity.as_ref(), weight: NonZeroU16::MIN }
    }

    /// The same member with `weight` times the virtual nodes, and so about `weight` times the keys.
    #[must_use]
    pub fn with_weight(self, weight: NonZeroU16) -> Self {
        Self { weight, ..self }
    }

    /// The bytes that tell this member from the others.
    #[must_use]
    pub fn identity(&self) -> &'a [u8] {
        self.identity
    }

    /// How many shares of the keys it gets.
    #[must_use]
    pub fn weight(&self) -> NonZeroU16 {
        self.weight
    }
}

impl<'a> From<&'a str> for Member<'a> {
    fn from(identity: &'a str) -> Self {
        Self::new(identity)
    }
}

impl<'a> From<&'a [u8]> for Member<'a> {
    fn from(identity: &'a [u8]) -> Self {
        Self::new(identity)
    }
}

impl<'a> From<&'a String> for Member<'a> {
    fn from(identity: &'a String) -> Self {
        Self::new(identity)
    }
}

/// The place of a member in the list that it was given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberIndex(u32);

impl MemberIndex {
    pub(crate) fn new(index: u32) -> Self {
        Self(index)
    }

    /// The index into that list.
    #[must_use]
    pub fn get(self) -> usize {
        // Every supported target has pointers of at least 32 bits.
        self.0 as usize
    }
}
