use crate::{MAX_MEMBERS, MAX_PROBES, MAX_TABLE_SIZE, MAX_VIRTUAL_NODES};

/// Why members cannot be placed. All of it is for the author of the member list to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There are more than [`MAX_MEMBERS`].
    #[error("too many members, the limit is {MAX_MEMBERS}: `{requested}`")]
    TooManyMembers {
        /// How many there are.
        requested: usize,
    },
    /// The weights and virtual nodes multiply to more than [`MAX_VIRTUAL_NODES`].
    #[error("too many virtual nodes on the ring, the limit is {MAX_VIRTUAL_NODES}: `{requested}`")]
    TooManyVirtualNodes {
        /// How many there would be.
        requested: u64,
    },
    /// A key would be hashed to more than [`MAX_PROBES`] points of the ring.
    #[error("too many probes for each key, the limit is {MAX_PROBES}: `{requested}`")]
    TooManyProbes {
        /// How many there would be.
        requested: u8,
    },
    /// The size of a Maglev table is not a prime from 3 to [`MAX_TABLE_SIZE`].
    #[error("the size of a Maglev table has to be a prime from 3 to {MAX_TABLE_SIZE}: `{requested}`")]
    TableSize {
        /// The size that was asked for.
        requested: u32,
    },
    /// A Maglev table has fewer slots than there are members.
    #[error("a Maglev table of {table_size} slots is too small for `{members}` members")]
    TableTooSmall {
        /// How many slots it has.
        table_size: u32,
        /// How many members there are.
        members: usize,
    },
}
