use std::fmt;

/// Why a `.srs` file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SrsError {
    /// Where it is wrong.
    pub place: SrsPlace,
    /// What is wrong there.
    pub problem: SrsProblem,
}

/// A place in a `.srs` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrsPlace {
    /// Bytes from the start of the file.
    File(u64),
    /// Bytes from the start of what the compressed part of the file inflates to.
    Inflated(u64),
}

impl fmt::Display for SrsPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(offset) => write!(f, "offset {offset}"),
            Self::Inflated(offset) => write!(f, "offset {offset} of the inflated rules"),
        }
    }
}

/// What is wrong with a `.srs` file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SrsProblem {
    /// The file does not begin with `SRS`.
    #[error("expected `SRS`: this is no compiled rule set (source files have the ending .json)")]
    Magic,
    /// The version is not one that is known.
    #[error("version {0} of the format is not known, only 1 to 5: compile the set with an older version")]
    Version(u8),
    /// The compressed data is damaged.
    #[error("the compressed data is damaged: download or compile the set again")]
    Damaged,
    /// The file ends too early.
    #[error("the file ends too early: download or compile the set again")]
    FileEnds,
    /// The rules end too early.
    #[error("the rules end where {0} was expected")]
    RulesEnd(&'static str),
    /// There is something behind the compressed data.
    #[error("{0} bytes are behind the end of the compressed data")]
    BehindData(u64),
    /// There is something behind the last rule.
    #[error("there is more behind the last rule")]
    BehindRules,
    /// Some limit is passed.
    #[error("{what}: at most {limit} are read")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// A length or a count is more than 64 bits long.
    #[error("expected a variable-length integer of at most 64 bits")]
    Varint,
    /// A byte is none of those that may stand there.
    #[error("expected {expected}, found `{found}`")]
    Byte {
        /// What may stand there.
        expected: &'static str,
        /// The byte.
        found: u8,
    },
    /// An item has a number that no known version has.
    #[error("item {0} is not known, only 0 to 23: compile the set with an older version")]
    UnknownItem(u8),
    /// An item stands twice in one rule.
    #[error("`{0}` stands twice in one rule")]
    Twice(&'static str),
    /// An item has no entries.
    #[error("`{0}` has no entries")]
    NoEntries(&'static str),
    /// A rule has no conditions, so that it would hold for everything.
    #[error("the rule has no conditions")]
    NoConditions,
    /// A text is empty or not UTF-8.
    #[error("`{0}` has a text that is empty or not UTF-8")]
    Text(&'static str),
    /// The tree of domain names is not one.
    #[error("the tree of `{item}` is malformed: {flaw}")]
    Tree {
        /// The item.
        item: &'static str,
        /// What is wrong with it.
        flaw: &'static str,
    },
    /// An address is neither 4 nor 16 bytes long, or the ends of a range differ in that.
    #[error("expected an address of {expected} bytes, found {found}")]
    AddressLength {
        /// The length that is possible here.
        expected: &'static str,
        /// The length found.
        found: u64,
    },
    /// A range ends before it begins, or before the one in front of it ends.
    #[error("the ranges of `{0}` overlap or are not in order")]
    Order(&'static str),
    /// A prefix is longer than its address.
    #[error("expected a prefix length up to {max}, found `{found}`")]
    PrefixLength {
        /// The longest possible one.
        max: u8,
        /// The length found.
        found: u8,
    },
    /// A port range does not have the form `A:B`.
    #[error("`{0}` has a range that is not like `1000:2000`, `:3000` or `4000:`")]
    PortRange(&'static str),
}

/// Why a rule set cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleSetWriteError {
    /// There is no such version.
    #[error("version {0} of the format is not known, only 1 to 5")]
    Version(u8),
    /// The version cannot say it.
    #[error("`{item}` needs version {needs} of the format, not {asked}")]
    NeedsVersion {
        /// The item.
        item: &'static str,
        /// The version that has it.
        needs: u8,
        /// The version that was asked for.
        asked: u8,
    },
    /// A rule has no conditions.
    #[error("rule {0} has no conditions, so that it would hold for everything")]
    NoConditions(usize),
}
