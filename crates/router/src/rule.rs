//! A compiled rule.

use waypost_net::Tag;

use crate::{ProcessPattern, Way, condition::FlowCondition};

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    pub(crate) index: usize,
    pub(crate) tag: Option<Tag>,
    pub(crate) line: usize,
    pub(crate) way: Way,
    /// In the order in which they are tried.
    pub(crate) conditions: Box<[FlowCondition]>,
    pub(crate) process: Option<Box<[ProcessPattern]>>,
    pub(crate) on: ListConditions,
    /// Whether conditions on the target's name and address are all there are.
    pub(crate) only_lists: bool,
    /// What the rule's lists are called, by kind of condition.
    pub(crate) lists: ListLabels,
}

/// Which conditions on lists a rule has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ListConditions {
    pub(crate) domain: bool,
    pub(crate) ip: bool,
    pub(crate) source: bool,
    pub(crate) local: bool,
}

#[derive(Debug, Default)]
pub(crate) struct ListLabels {
    pub(crate) domain: Box<str>,
    pub(crate) ip: Box<str>,
    pub(crate) source: Box<str>,
    pub(crate) local: Box<str>,
}

impl Rule {
    /// The position of the rule, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The rule's name, if it has one.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The line of the file that the rule begins in.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Where the rule sends a connection.
    #[must_use]
    pub fn way(&self) -> &Way {
        &self.way
    }
}
