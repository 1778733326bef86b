use ipnet::IpNet;

/// Why a `.dat` file cannot be read.
///
/// Offsets count bytes from the start of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatError {
    /// The data ends inside a number or a fixed-size value.
    #[error("offset {offset}: the data ends where {expected} was expected")]
    Truncated {
        /// Where the missing value starts.
        offset: usize,
        /// What should have been there.
        expected: &'static str,
    },
    /// A variable-length integer is longer than 10 bytes or does not fit 64 bits.
    #[error("offset {offset}: expected a variable-length integer of at most 64 bits")]
    VarintTooLong {
        /// Where the integer starts.
        offset: usize,
    },
    /// A length reaches over the end of the message that holds it.
    #[error("offset {offset}: expected {length} bytes, only {remaining} are left")]
    LengthBeyondEnd {
        /// Where the value starts.
        offset: usize,
        /// The length that the file states.
        length: u64,
        /// The bytes left in the message.
        remaining: usize,
    },
    /// A field number is zero or larger than protobuf permits.
    #[error("offset {offset}: expected a field number, found `{number}`")]
    FieldNumber {
        /// Where the tag starts.
        offset: usize,
        /// The number found.
        number: u64,
    },
    /// A field uses a group or a wire type that does not exist.
    #[error("offset {offset}: field {field} has the unsupported wire type `{wire_type}`")]
    UnsupportedWireType {
        /// Where the tag starts.
        offset: usize,
        /// The field number.
        field: u32,
        /// The wire type found.
        wire_type: u8,
    },
    /// A known field has a type that its message does not give it: most often another kind of file.
    #[error("offset {offset}: expected {expected} in field {field}")]
    UnexpectedWireType {
        /// Where the tag starts.
        offset: usize,
        /// The field number.
        field: u32,
        /// The type that the message gives this field.
        expected: &'static str,
    },
    /// The code of a list is not UTF-8.
    #[error("offset {offset}: expected a list code in UTF-8")]
    CodeNotUtf8 {
        /// Where the code starts.
        offset: usize,
    },
    /// A domain or an attribute of a list is not UTF-8.
    #[error("list `{list}`, offset {offset}: expected text in UTF-8")]
    NotUtf8 {
        /// The code of the list, as written.
        list: String,
        /// Where the text starts.
        offset: usize,
    },
    /// A domain has a type that is none of the four known ones.
    #[error("list `{list}`, offset {offset}: expected a domain type from 0 to 3, found `{found}`")]
    UnknownDomainKind {
        /// The code of the list, as written.
        list: String,
        /// Where the domain starts.
        offset: usize,
        /// The type found.
        found: u64,
    },
    /// An address is neither 4 nor 16 bytes long.
    #[error("list `{list}`, offset {offset}: expected an address of 4 or 16 bytes, found {length}")]
    AddressLength {
        /// The code of the list, as written.
        list: String,
        /// Where the prefix starts.
        offset: usize,
        /// The length found.
        length: usize,
    },
    /// A prefix is longer than its address.
    #[error("list `{list}`, offset {offset}: expected a prefix length up to {max}, found `{found}`")]
    PrefixLength {
        /// The code of the list, as written.
        list: String,
        /// Where the prefix starts.
        offset: usize,
        /// The length found.
        found: u64,
        /// The longest one that the address permits.
        max: u8,
    },
}

/// Why a country database cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MmdbError {
    /// The file is not an MMDB database, or its metadata is broken.
    #[error("{message}")]
    Invalid {
        /// What the MMDB reader found, with the offset where it knows it.
        message: String,
    },
    /// The record of one network cannot be decoded.
    #[error("record of {network}: {message}")]
    Record {
        /// The network whose record is broken.
        network: IpNet,
        /// What the MMDB reader found, with the offset where it knows it.
        message: String,
    },
    /// A branch of the search tree is longer than an address, so the tree has a cycle.
    #[error("node {node}: expected a search tree of at most {bits} levels")]
    TreeTooDeep {
        /// The node found below the last level.
        node: u32,
        /// The number of levels that an address has bits for.
        bits: u8,
    },
    /// The tree joins its branches over and over, which would make the walk endless.
    #[error("expected to visit at most {limit} nodes in a search tree of {nodes}")]
    TreeTooWide {
        /// The number of nodes that the file has.
        nodes: u32,
        /// The visits after which the walk stops.
        limit: u64,
    },
}
