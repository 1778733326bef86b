//! What may stand in which object, as data: the reader works from these tables, and so do the
//! schema and the reference page.

/// What one kind of object may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTable {
    /// The name that [`Form::Object`] and [`Form::Objects`] refer to.
    pub name: &'static str,
    /// Where such an object stands, with `[]` behind what is repeated.
    pub path: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its keys, in the order of the reference page.
    pub keys: &'static [Key],
}

/// One key of an object. Keys are compared without regard to letter case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The name as the reference page spells it.
    pub name: &'static str,
    /// Other names for the same thing.
    pub aliases: &'static [&'static str],
    /// What the value looks like.
    pub form: Form,
    /// What it is for, in one line.
    pub doc: &'static str,
    /// Whether it does anything.
    pub status: Status,
}

/// What the value of a key looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// `true` or `false`.
    Flag,
    /// A number.
    Number,
    /// A whole number.
    Count {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// A string.
    Text,
    /// One of these words, in any letter case.
    Word(&'static [&'static str]),
    /// A string that is a duration, such as `1m30s`.
    Duration,
    /// An array of strings, or one string that is split at commas.
    Strings,
    /// A port, as a number or a string, or a range `A-B`.
    Port,
    /// A port, or a string with ports and ranges between commas.
    Ports,
    /// An object of the table with this name.
    Object(&'static str),
    /// An array of objects of the table with this name.
    Objects(&'static str),
    /// An array.
    List(&'static Form),
    /// An array, or one element without it.
    OneOrMany(&'static Form),
    /// One of these.
    OneOf(&'static [Form]),
    /// An object whose keys are free.
    MapOf(&'static Form),
    /// An object of the table that belongs to a word, which another key of the same object has.
    ByNeighbour {
        /// The key with the word.
        key: &'static str,
        /// Words, in any letter case, with the names of their tables.
        tables: &'static [(&'static str, &'static str)],
    },
    /// An object of the table that belongs to a word, which a key of its own has.
    ByType {
        /// The key with the word.
        key: &'static str,
        /// The word of an object without that key, if it may be absent.
        default: Option<&'static str>,
        /// Words with the names of their tables, each of which has the key.
        tables: &'static [(&'static str, &'static str)],
    },
    /// An object whose keys are free.
    Map,
    /// Anything; see the line of text.
    Any,
}

/// Whether a key does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Supported,
    /// It is accepted with a warning, because connections do not go elsewhere and are not less
    /// protected without it. The text says why.
    NoEffect(&'static str),
    /// It is accepted where it is `false`, zero or empty; otherwise it is an error, and the text
    /// says why.
    OnlyOff(&'static str),
    /// It is an error. The text says why, and what to do instead.
    Unsupported(&'static str),
}

impl Form {
    /// A whole number up to a largest one.
    pub(crate) const fn up_to(most: u64) -> Self {
        Self::Count { least: 0, most }
    }

    /// The names of the tables that it refers to.
    #[must_use]
    pub fn tables(self) -> Vec<&'static str> {
        match self {
            Self::Object(table) | Self::Objects(table) => vec![table],
            Self::List(form) | Self::OneOrMany(form) | Self::MapOf(form) => form.tables(),
            Self::OneOf(forms) => forms.iter().flat_map(|form| form.tables()).collect(),
            Self::ByNeighbour { tables, .. } | Self::ByType { tables, .. } => {
                tables.iter().map(|(_, table)| *table).collect()
            }
            Self::Flag
            | Self::Number
            | Self::Count { .. }
            | Self::Text
            | Self::Word(_)
            | Self::Duration
            | Self::Strings
            | Self::Port
            | Self::Ports
            | Self::Map
            | Self::Any => Vec::new(),
        }
    }
}

impl KeyTable {
    /// The key that a file means by `written`.
    #[must_use]
    pub fn find(&self, written: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.is_named(written))
    }
}

impl Key {
    pub(crate) const fn new(name: &'static str, form: Form, doc: &'static str) -> Self {
        Self { name, aliases: &[], form, doc, status: Status::Supported }
    }

    pub(crate) const fn alias(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    pub(crate) const fn no_effect(self, reason: &'static str) -> Self {
        Self { status: Status::NoEffect(reason), ..self }
    }

    pub(crate) const fn only_off(self, reason: &'static str) -> Self {
        Self { status: Status::OnlyOff(reason), ..self }
    }

    pub(crate) const fn unsupported(self, reason: &'static str) -> Self {
        Self { status: Status::Unsupported(reason), ..self }
    }

    fn is_named(&self, written: &str) -> bool {
        self.name.eq_ignore_ascii_case(written)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(written))
    }
}

/// Whether a key is a comment: `_comment`, `//`, `$schema`.
pub(crate) fn is_comment(key: &str) -> bool {
    key.starts_with('_') || key.starts_with("//") || key.starts_with('$')
}

/// Keys of several tables in one. `N` is the number of all of them.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses what is out of bounds")]
pub(crate) const fn join<const N: usize>(parts: &[&[Key]]) -> [Key; N] {
    let mut keys = [Key::new("", Form::Any, ""); N];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut key = 0;
        while key < parts[part].len() {
            keys[at] = parts[part][key];
            at += 1;
            key += 1;
        }
        part += 1;
    }
    assert!(at == N);
    keys
}
