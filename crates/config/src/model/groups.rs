use std::time::Duration;

use waypost_net::Tag;

use super::{DialPace, Probe};
use crate::Spanned;

/// A `selector` outbound: a group whose member somebody chooses.
///
/// Every member exists, is no balancer and is there once; no group is a member of itself, directly
/// or by way of other groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// `outbounds`; never empty.
    pub members: Vec<Spanned<Tag>>,
    /// `default`: the member that serves until one is chosen, by its place.
    pub initial: usize,
    /// `interrupt_exist_connections`: close connections when another member is chosen.
    pub interrupt_exist_connections: bool,
    /// `fallback`: try the other members when the choice fails.
    pub fallback: bool,
}

/// A `urltest` outbound: a group that uses the fastest of its members.
///
/// For its members holds what holds for those of a [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTest {
    /// `outbounds`; never empty.
    pub members: Vec<Spanned<Tag>>,
    /// `url`, `interval`, `idle_timeout`, `timeout` and `probe`.
    pub probe: Probe,
    /// `tolerance`: how much faster a member has to be to replace the one that is used; never zero.
    pub tolerance: Duration,
    /// `interrupt_exist_connections`: close connections when another member is used.
    pub interrupt_exist_connections: bool,
    /// `dial`.
    pub dial: DialPace,
}
