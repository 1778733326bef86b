//! The conditions of a compiled rule, in the order in which they are tried.
//!
//! A new kind of condition is a field of [`crate::Conditions`], a variant here with its test and
//! its text, and a line in `build.rs`.

use std::fmt;

use regex::Regex;
use waypost_net::{Flow, Networks, PortSet, Tag};

use crate::{IpVersion, Process, Words};

/// A condition that the flow alone decides.
#[derive(Debug)]
pub(crate) enum FlowCondition {
    OperatingSystem(bool),
    Network(Networks),
    Inbound(Box<[Tag]>),
    Port(PortSet),
    SourcePort(PortSet),
    LocalPort(PortSet),
    User(Box<[UserTest]>),
    Protocol(Box<[Box<str>]>),
    Attributes(Box<[AttributeRule]>),
    IpVersion(IpVersion),
    Mode(Box<str>),
    Client(Box<[Box<str>]>),
}

/// One alternative of a process condition.
#[derive(Debug)]
pub(crate) enum ProcessTest {
    Name(Box<str>),
    Path(Box<str>),
    Folder(Box<str>),
    Regexp(Regex),
    User(Box<str>),
    UserId(u32),
}

#[derive(Debug)]
pub(crate) enum UserTest {
    Exact(Box<str>),
    Regexp(Regex),
}

#[derive(Debug)]
pub(crate) struct AttributeRule {
    pub(crate) key: Box<str>,
    pub(crate) test: ValueTest,
}

#[derive(Debug)]
pub(crate) enum ValueTest {
    Equals(Box<str>),
    StartsWith(Box<str>),
    Contains(Box<str>),
    Regexp(Regex),
}

impl FlowCondition {
    pub(crate) fn holds(&self, flow: &Flow) -> bool {
        match self {
            Self::OperatingSystem(holds) => *holds,
            Self::Network(networks) => networks.contains(flow.network),
            Self::Inbound(tags) => flow.inbound.as_ref().is_some_and(|inbound| tags.contains(inbound)),
            Self::Port(ports) => ports.contains(flow.target.port),
            Self::SourcePort(ports) => flow.source.is_some_and(|source| ports.contains(source.port())),
            Self::LocalPort(ports) => flow.local.is_some_and(|local| ports.contains(local.port())),
            Self::User(tests) => {
                flow.user.as_ref().is_some_and(|user| tests.iter().any(|test| test.holds(user)))
            }
            Self::Protocol(prefixes) => flow.protocol.as_ref().is_some_and(|label| {
                prefixes.iter().any(|prefix| !prefix.is_empty() && label.starts_with(&**prefix))
            }),
            Self::Attributes(rules) => rules
                .iter()
                .all(|rule| flow.attributes.get(&rule.key).is_some_and(|value| rule.test.holds(value))),
            Self::IpVersion(version) => match (flow.target.host.ip(), version) {
                (Some(address), IpVersion::V4) => address.is_ipv4(),
                (Some(address), IpVersion::V6) => address.is_ipv6(),
                (None, _) => false,
            },
            Self::Mode(wanted) => flow.mode.as_ref().is_some_and(|mode| mode.eq_ignore_ascii_case(wanted)),
            Self::Client(clients) => {
                flow.client.as_ref().is_some_and(|client| clients.iter().any(|wanted| **wanted == **client))
            }
        }
    }

    pub(crate) fn name(&self, words: Words) -> &'static str {
        let [v2ray, sing_box] = match self {
            Self::OperatingSystem(_) => ["localOS"; 2],
            Self::Network(_) => ["network"; 2],
            Self::Inbound(_) => ["inboundTag", "inbound"],
            Self::Port(_) => ["port"; 2],
            Self::SourcePort(_) => ["sourcePort", "source_port"],
            Self::LocalPort(_) => ["localPort"; 2],
            Self::User(_) => ["user", "auth_user"],
            Self::Protocol(_) => ["protocol"; 2],
            Self::Attributes(_) => ["attrs"; 2],
            Self::IpVersion(_) => ["ip_version"; 2],
            Self::Mode(_) => ["clash_mode"; 2],
            Self::Client(_) => ["client"; 2],
        };
        match words {
            Words::V2ray => v2ray,
            Words::SingBox => sing_box,
        }
    }

    /// What the flow shows of that which the condition looks at.
    pub(crate) fn subject(&self, flow: &Flow) -> String {
        let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
        match self {
            Self::OperatingSystem(_) => String::new(),
            Self::Network(_) => flow.network.to_string(),
            Self::Inbound(_) => or_unknown(flow.inbound.as_ref().map(ToString::to_string)),
            Self::Port(_) => flow.target.port.to_string(),
            Self::SourcePort(_) => or_unknown(flow.source.map(|source| source.port().to_string())),
            Self::LocalPort(_) => or_unknown(flow.local.map(|local| local.port().to_string())),
            Self::User(_) => or_unknown(flow.user.as_ref().map(ToString::to_string)),
            Self::Protocol(_) => or_unknown(flow.protocol.as_ref().map(ToString::to_string)),
            Self::Attributes(rules) => {
                let shown = rules.iter().map(|rule| {
                    format!("{}={}", rule.key, flow.attributes.get(&rule.key).unwrap_or("(absent)"))
                });
                shown.collect::<Vec<_>>().join(" ")
            }
            Self::IpVersion(_) => flow.target.host.to_string(),
            Self::Mode(_) => or_unknown(flow.mode.as_ref().map(ToString::to_string)),
            Self::Client(_) => or_unknown(flow.client.as_ref().map(ToString::to_string)),
        }
    }
}

impl fmt::Display for FlowCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OperatingSystem(_) => f.write_str("this operating system"),
            Self::Network(networks) => networks.fmt(f),
            Self::Inbound(tags) => list(f, tags.iter()),
            Self::Port(ports) | Self::SourcePort(ports) | Self::LocalPort(ports) => ports.fmt(f),
            Self::User(tests) => list(f, tests.iter()),
            Self::Protocol(prefixes) => list(f, prefixes.iter()),
            Self::Attributes(rules) => list(f, rules.iter()),
            Self::IpVersion(IpVersion::V4) => f.write_str("4"),
            Self::IpVersion(IpVersion::V6) => f.write_str("6"),
            Self::Mode(mode) => f.write_str(mode),
            Self::Client(clients) => list(f, clients.iter()),
        }
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = T>) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl UserTest {
    fn holds(&self, user: &str) -> bool {
        match self {
            Self::Exact(expected) => !expected.is_empty() && **expected == *user,
            Self::Regexp(regex) => regex.is_match(user),
        }
    }
}

impl fmt::Display for UserTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(user) => f.write_str(user),
            Self::Regexp(regex) => write!(f, "regexp:{regex}"),
        }
    }
}

impl ValueTest {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Equals(expected) => value == &**expected,
            Self::StartsWith(prefix) => value.starts_with(&**prefix),
            Self::Contains(part) => value.contains(&**part),
            Self::Regexp(regex) => regex.is_match(value),
        }
    }
}

impl fmt::Display for AttributeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.test {
            ValueTest::Equals(value) => write!(f, "{key} == {value}"),
            ValueTest::StartsWith(value) => write!(f, "{key} starts with {value}"),
            ValueTest::Contains(value) => write!(f, "{key} has {value}"),
            ValueTest::Regexp(regex) => write!(f, "{key} ~ {regex}"),
        }
    }
}

impl ProcessTest {
    fn holds(&self, process: &Process) -> bool {
        let path = process.path.as_deref();
        match self {
            Self::Name(name) => path.and_then(|path| path.rsplit('/').next()) == Some(name),
            Self::Path(wanted) => path == Some(wanted),
            Self::Folder(folder) => path.is_some_and(|path| path.starts_with(&**folder)),
            Self::Regexp(regex) => path.is_some_and(|path| regex.is_match(path)),
            Self::User(user) => process.user.as_deref() == Some(user),
            Self::UserId(id) => process.user_id == Some(*id),
        }
    }
}

impl fmt::Display for ProcessTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Path(text) | Self::Folder(text) => f.write_str(text),
            Self::Regexp(regex) => write!(f, "regexp:{regex}"),
            Self::User(user) => write!(f, "user {user}"),
            Self::UserId(id) => write!(f, "user {id}"),
        }
    }
}

/// Whether `process` is meant by one test of each group.
pub(crate) fn process_holds(groups: &[Box<[ProcessTest]>], process: &Process) -> bool {
    groups.iter().all(|tests| tests.iter().any(|test| test.holds(process)))
}

/// What the groups want, in one line.
pub(crate) fn process_text(groups: &[Box<[ProcessTest]>]) -> String {
    let group = |tests: &[ProcessTest]| tests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    groups.iter().map(|tests| group(tests)).collect::<Vec<_>>().join("; ")
}
