//! Rule sets of sing-box: named conditions that rules refer to, compiled (`.srs`) or as source.

mod adguard;
mod domains;
mod error;
mod input;
mod item;
mod query_types;
mod ranges;
mod read;
mod trie;
mod trie_write;
mod write;

use ipnet::IpNet;

pub use adguard::{AdGuardMeaning, adguard_meaning};
pub use domains::{DomainMatch, Domains, NotADomain};
pub use error::{RuleSetWriteError, SrsError, SrsPlace, SrsProblem};
pub use query_types::QUERY_TYPES;
pub use ranges::{AddressRanges, RangesBuilder};
pub use read::{SrsReader, parse_port_range, read_srs};
pub use write::{write_srs, write_srs_as};

/// The newest version of the format that is read and written (sing-box 1.14).
pub const NEWEST_VERSION: u8 = 5;
/// Logical rules may stand in each other so deep.
pub const MAX_NESTING: usize = 32;
/// A set may have so many rules, those inside logical rules included.
pub const MAX_RULES: usize = 65_536;
/// A `.srs` file may inflate to so many bytes.
pub const MAX_INFLATED_BYTES: u64 = 64 << 20;
/// The domain items of a set may have so many trie nodes each, which is about a million names.
pub const MAX_TRIE_NODES: usize = 16 << 20;
/// A domain name of a set may have so many bytes in UTF-8.
pub const MAX_NAME_BYTES: usize = 1024;
/// All domain names of a set together may have so many bytes, written out.
pub const MAX_NAMES_BYTES: usize = 64 << 20;
/// A set may have so many texts besides its domain names: keywords, expressions, processes.
pub const MAX_TEXTS: usize = 1 << 20;

/// A rule set: it holds for a connection if one of its rules does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// The version that the file states, from 1 to [`NEWEST_VERSION`].
    pub version: u8,
    /// Its rules, of which one has to hold.
    pub rules: Vec<HeadlessRule>,
}

/// A rule without an action (sing-box, "Headless Rule").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadlessRule {
    /// Conditions.
    Default(Box<DefaultRule>),
    /// Rules joined by `and` or `or`.
    Logical(LogicalRule),
}

/// Rules joined by `and` or `or`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalRule {
    /// How they are joined.
    pub mode: LogicalMode,
    /// What is joined; at least one.
    pub rules: Vec<HeadlessRule>,
    /// Whether the rule holds where the joined rules do not.
    pub invert: bool,
}

/// How the rules of a [`LogicalRule`] are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogicalMode {
    /// All have to hold.
    And,
    /// One has to hold.
    Or,
}

/// The conditions of a rule. A list without entries is a condition that is absent.
///
/// `domains`, `domain_keywords`, `domain_regexps`, `adguard` and `ip` are one group, of which one has
/// to hold; so are each kind of port with its ranges. Everything else has to hold too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultRule {
    /// `query_type`: DNS record types by number.
    pub query_types: Vec<u16>,
    /// `network`: `tcp` or `udp`.
    pub networks: Vec<Box<str>>,
    /// `domain` and `domain_suffix`.
    pub domains: Domains,
    /// `domain_keyword`: a part of the name.
    pub domain_keywords: Vec<Box<str>>,
    /// `domain_regex`: an expression in Go's syntax.
    pub domain_regexps: Vec<Box<str>>,
    /// `source_ip_cidr`.
    pub source_ip: AddressRanges,
    /// `ip_cidr`.
    pub ip: AddressRanges,
    /// `source_port`.
    pub source_ports: Vec<u16>,
    /// `source_port_range`: `1000:2000`, `:3000` or `4000:`.
    pub source_port_ranges: Vec<Box<str>>,
    /// `port`.
    pub ports: Vec<u16>,
    /// `port_range`, in the form of `source_port_range`.
    pub port_ranges: Vec<Box<str>>,
    /// `process_name`: the file name of the executable.
    pub process_names: Vec<Box<str>>,
    /// `process_path`: the path of the executable.
    pub process_paths: Vec<Box<str>>,
    /// `process_path_regex`: an expression in Go's syntax.
    pub process_path_regexps: Vec<Box<str>>,
    /// `package_name`: of an Android application.
    pub package_names: Vec<Box<str>>,
    /// `package_name_regex`: an expression in Go's syntax.
    pub package_name_regexps: Vec<Box<str>>,
    /// `network_type`: what the default interface is.
    pub network_types: Vec<NetworkType>,
    /// `network_is_expensive`.
    pub network_is_expensive: bool,
    /// `network_is_constrained`.
    pub network_is_constrained: bool,
    /// `network_interface_address`: prefixes that interfaces of these types have to have.
    pub network_interface_addresses: Vec<(NetworkType, Vec<IpNet>)>,
    /// `default_interface_address`.
    pub default_interface_addresses: Vec<IpNet>,
    /// `wifi_ssid`.
    pub wifi_ssids: Vec<Box<str>>,
    /// `wifi_bssid`.
    pub wifi_bssids: Vec<Box<str>>,
    /// Rules of an AdGuard DNS filter, such as `||example.org^`; see [`adguard_meaning`].
    pub adguard: Vec<Box<str>>,
    /// Whether the rule holds where its conditions do not.
    pub invert: bool,
}

/// The type of a network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkType {
    /// Wi-Fi.
    Wifi,
    /// A mobile network.
    Cellular,
    /// Ethernet.
    Ethernet,
    /// Anything else.
    Other,
}

impl NetworkType {
    /// All types by the words that source files have for them, in the order of their numbers.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("wifi", Self::Wifi),
        ("cellular", Self::Cellular),
        ("ethernet", Self::Ethernet),
        ("other", Self::Other),
    ];

    fn number(self) -> u8 {
        match self {
            Self::Wifi => 0,
            Self::Cellular => 1,
            Self::Ethernet => 2,
            Self::Other => 3,
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        Self::WORDS.get(usize::from(number)).map(|(_, kind)| *kind)
    }

    /// The word that source files have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wifi => "wifi",
            Self::Cellular => "cellular",
            Self::Ethernet => "ethernet",
            Self::Other => "other",
        }
    }
}

impl DefaultRule {
    /// Whether there is no condition at all, which sing-box refuses too.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let plain = Self { invert: self.invert, ..Self::default() };
        *self == plain
    }
}

impl RuleSet {
    /// Calls `visit` with every rule that has conditions, those in logical rules included.
    pub fn for_each_rule<'a>(&'a self, mut visit: impl FnMut(&'a DefaultRule)) {
        let mut left: Vec<&HeadlessRule> = self.rules.iter().rev().collect();
        while let Some(rule) = left.pop() {
            match rule {
                HeadlessRule::Default(rule) => visit(rule),
                HeadlessRule::Logical(logical) => left.extend(logical.rules.iter().rev()),
            }
        }
    }

    /// Turns AdGuard rules into the names, keywords and expressions that they stand for, so that
    /// nobody else has to know them. The set holds for the same connections as before.
    pub fn spell_out_adguard(&mut self) {
        let mut left: Vec<&mut HeadlessRule> = self.rules.iter_mut().collect();
        while let Some(rule) = left.pop() {
            match rule {
                HeadlessRule::Default(rule) => adguard::spell_out(rule),
                HeadlessRule::Logical(logical) => left.extend(logical.rules.iter_mut()),
            }
        }
    }

    /// The lowest version that can say what the set says, besides 1, whose form of suffixes no
    /// reader needs any more.
    #[must_use]
    pub fn needed_version(&self) -> u8 {
        let mut needed = 2;
        self.for_each_rule(|rule| needed = needed.max(write::needed_version(rule).0));
        needed
    }
}
