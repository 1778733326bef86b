//! What a router is made from.

use std::{borrow::Cow, fmt, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use waypost_geosite::EntryKind;
use waypost_net::{Networks, PortSet, Tag};

use crate::Action;

/// When names are resolved for routing (`routing.domainStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Never: IP conditions are false for names.
    #[default]
    AsIs,
    /// If no rule matches, all rules are tried again and IP conditions ask.
    IpIfNonMatch,
    /// At the first IP condition that decides something.
    IpOnDemand,
}

/// The words that explanations use for conditions: those of the file that rules come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Words {
    /// `inboundTag`, `attrs`.
    #[default]
    V2ray,
    /// `inbound`, `ip_cidr`.
    SingBox,
}

/// Everything that makes a router. Texts of lists are borrowed until it is built.
#[derive(Debug, Clone, Default)]
pub struct RouterSpec<'a> {
    /// When names are resolved.
    pub strategy: Strategy,
    /// What conditions are called.
    pub words: Words,
    /// The rules, in order.
    pub rules: Vec<RuleSpec<'a>>,
    /// What [`RuleSets::sets`] refers to, by place.
    pub rule_sets: Vec<RuleSetSpec<'a>>,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct RuleSpec<'a> {
    /// A name for logs.
    pub tag: Option<Tag>,
    /// The line of the file that the rule begins in; 0 where there is none.
    pub line: usize,
    /// The name of that file, where there are several.
    pub file: Option<Arc<str>>,
    /// What is done with a connection that it matches.
    pub action: Action,
    /// What has to hold.
    pub matcher: Matcher<'a>,
}

/// A set of rules without actions that rules refer to. One is enough to match.
#[derive(Debug, Clone)]
pub struct RuleSetSpec<'a> {
    /// Its name.
    pub tag: Tag,
    /// Its rules.
    pub rules: Vec<Matcher<'a>>,
}

/// What has to hold.
#[derive(Debug, Clone)]
pub enum Matcher<'a> {
    /// These conditions.
    One(Box<Conditions<'a>>),
    /// Several of them, joined.
    Logical(Logical<'a>),
}

/// Several matchers, joined.
#[derive(Debug, Clone)]
pub struct Logical<'a> {
    /// How.
    pub mode: LogicalMode,
    /// What is joined.
    pub matchers: Vec<Matcher<'a>>,
    /// Whether it holds when this does not.
    pub invert: bool,
}

/// How matchers are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogicalMode {
    /// All of them have to hold.
    And,
    /// One of them has to hold.
    Or,
}

impl<'a> From<Conditions<'a>> for Matcher<'a> {
    fn from(conditions: Conditions<'a>) -> Self {
        Self::One(Box::new(conditions))
    }
}

/// The rule sets that a condition names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSets {
    /// Their places in [`RouterSpec::rule_sets`], in the order of the rule.
    pub sets: Vec<usize>,
    /// Whether their `ip` conditions look at the client's address.
    pub match_source: bool,
}

/// The conditions of a rule, all of which must hold. `None` is absent; an empty set never holds.
///
/// With [`either`](Self::either), `domain` and `ip` are one condition, of which one half is enough, and
/// rule sets join in the manner of sing-box: what the rule itself has of the target's name or address,
/// of the target's port, of the client's address and of the client's port counts for the rules of its
/// sets as well, and what they have counts for it.
#[derive(Debug, Clone, Default)]
pub struct Conditions<'a> {
    /// The name is in one of these lists.
    pub domain: Option<Vec<DomainList<'a>>>,
    /// An address of the target is in one of these lists.
    pub ip: Option<Vec<IpList<'a>>>,
    /// The client's address is in one of these lists.
    pub source: Option<Vec<IpList<'a>>>,
    /// The address that the client came in on is in one of these lists.
    pub local_ip: Option<Vec<IpList<'a>>>,
    /// The target's port.
    pub port: Option<PortSet>,
    /// The client's port.
    pub source_port: Option<PortSet>,
    /// The port that the client came in on.
    pub local_port: Option<PortSet>,
    /// The network.
    pub network: Option<Networks>,
    /// The user is one of these.
    pub user: Option<Vec<UserPattern<'a>>>,
    /// The inbound is one of these.
    pub inbound: Option<Vec<Tag>>,
    /// The recognised protocol begins with one of these.
    pub protocol: Option<Vec<Box<str>>>,
    /// All of these hold for the HTTP attributes.
    pub attributes: Option<Vec<AttributeCondition<'a>>>,
    /// The process behind the connection is one of each of these lists.
    pub process: Vec<Vec<ProcessPattern>>,
    /// Whether the operating system is one that the rule names; decided before the router is made.
    pub operating_system: Option<bool>,
    /// The target is an address of this version.
    pub ip_version: Option<IpVersion>,
    /// The mode is this one, in any case.
    pub mode: Option<Box<str>>,
    /// The recognised program of the client is one of these.
    pub client: Option<Vec<Box<str>>>,
    /// One of these rule sets matches.
    pub rule_sets: Option<RuleSets>,
    /// Whether the name or the address is enough, where there are conditions on both.
    pub either: bool,
    /// Whether it all holds when this does not.
    pub invert: bool,
}

/// A version of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A list of domain entries.
#[derive(Debug, Clone)]
pub struct DomainList<'a> {
    /// What the rule calls it, for explanations: `geosite:cn`. `None` for entries that stand in the
    /// rule itself; they may all be in one list.
    pub label: Option<Cow<'a, str>>,
    /// Its entries.
    pub entries: Vec<(EntryKind, &'a str)>,
}

/// A list of addresses.
#[derive(Debug, Clone)]
pub struct IpList<'a> {
    /// What the rule calls it, for explanations: `geoip:cn`. `None` for prefixes that stand in the
    /// rule itself; those that are inverse may all be in one list, and so may those that are not.
    pub label: Option<Cow<'a, str>>,
    /// Whether it holds for addresses that are *not* in the list. All inverse lists of a condition
    /// together hold for addresses that none of them has.
    pub inverse: bool,
    /// What is in it.
    pub addresses: Addresses<'a>,
}

/// The addresses of a list.
#[derive(Debug, Clone)]
pub enum Addresses<'a> {
    /// All that have one of these prefixes.
    Prefixes(Cow<'a, [IpNet]>),
    /// All from the first to the last of a pair, both included. A wide range costs no more than one
    /// prefix.
    Ranges(Vec<(IpAddr, IpAddr)>),
}

impl From<Vec<IpNet>> for Addresses<'_> {
    fn from(prefixes: Vec<IpNet>) -> Self {
        Self::Prefixes(prefixes.into())
    }
}

/// One alternative of a user condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserPattern<'a> {
    /// Exactly this user.
    Exact(Cow<'a, str>),
    /// An expression in Go's syntax that is found in the user.
    Regexp(Cow<'a, str>),
}

/// One requirement on the HTTP attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeCondition<'a> {
    /// The key, in lower case; an absent key fails.
    pub key: Cow<'a, str>,
    /// What its value has to be.
    pub test: AttributeTest<'a>,
}

/// What the value of an attribute has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeTest<'a> {
    /// Equal to this.
    Equals(Cow<'a, str>),
    /// Beginning with this.
    StartsWith(Cow<'a, str>),
    /// Holding this.
    Contains(Cow<'a, str>),
    /// Matching this expression in Go's syntax somewhere.
    Regexp(Cow<'a, str>),
}

/// One alternative of a process condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessPattern {
    /// The file name of the executable.
    Name(Box<str>),
    /// The absolute path of the executable.
    Path(Box<str>),
    /// A folder, ending with `/`, that the executable is in or below.
    Folder(Box<str>),
    /// An expression in Go's syntax that is found in the absolute path of the executable.
    Regexp(Box<str>),
    /// The name of the user that it runs as.
    User(Box<str>),
    /// The number of the user that it runs as.
    UserId(u32),
}

/// The process that opened a connection, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// The absolute path of its executable.
    pub path: Option<Box<str>>,
    /// The name of the user that it runs as.
    pub user: Option<Box<str>>,
    /// The number of that user.
    pub user_id: Option<u32>,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path.as_deref().unwrap_or("unknown program"))?;
        match (&self.user, self.user_id) {
            (Some(user), _) => write!(f, " of {user}"),
            (None, Some(id)) => write!(f, " of user {id}"),
            (None, None) => Ok(()),
        }
    }
}
