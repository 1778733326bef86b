//! What a router is made from.

use std::borrow::Cow;

use ipnet::IpNet;
use waypost_geosite::EntryKind;
use waypost_net::{Networks, PortSet, Tag};

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

/// Where a rule sends a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Through this outbound.
    Outbound(Tag),
    /// Through a member of this balancer.
    Balancer(Tag),
}

impl Way {
    /// The tag of the outbound or balancer.
    #[must_use]
    pub fn tag(&self) -> &Tag {
        match self {
            Self::Outbound(tag) | Self::Balancer(tag) => tag,
        }
    }
}

/// One rule. Texts of lists are borrowed until the router is built.
#[derive(Debug, Clone)]
pub struct RuleSpec<'a> {
    /// A name for logs.
    pub tag: Option<Tag>,
    /// The line of the file that the rule begins in; 0 where there is none.
    pub line: usize,
    /// Where it sends a connection.
    pub way: Way,
    /// What has to hold.
    pub conditions: Conditions<'a>,
}

/// The conditions of a rule, all of which must hold. `None` is absent; an empty set never holds.
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
    /// The process behind the connection is one of these.
    pub process: Option<Vec<ProcessPattern>>,
    /// Whether the operating system is one that the rule names; decided before the router is made.
    pub operating_system: Option<bool>,
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

/// A list of prefixes.
#[derive(Debug, Clone)]
pub struct IpList<'a> {
    /// What the rule calls it, for explanations: `geoip:cn`. `None` for prefixes that stand in the
    /// rule itself; those that are inverse may all be in one list, and so may those that are not.
    pub label: Option<Cow<'a, str>>,
    /// Whether it holds for addresses that are *not* in the list. All inverse lists of a condition
    /// together hold for addresses that none of them has.
    pub inverse: bool,
    /// Its prefixes.
    pub prefixes: Cow<'a, [IpNet]>,
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
}

/// The process that opened a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The absolute path of its executable.
    pub path: Box<str>,
}

impl ProcessPattern {
    /// The pattern as rules write it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Name(text) | Self::Path(text) | Self::Folder(text) => text,
        }
    }

    /// Whether `process` is meant.
    #[must_use]
    pub fn matches(&self, process: &Process) -> bool {
        match self {
            Self::Name(name) => process.path.rsplit('/').next() == Some(name),
            Self::Path(path) => process.path == *path,
            Self::Folder(folder) => process.path.starts_with(&**folder),
        }
    }
}
