//! A compiled rule.

use std::sync::Arc;

use waypost_net::Tag;

use crate::{
    Action, Way,
    condition::{FlowCondition, ProcessTest},
    tree::Node,
};

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    pub(crate) index: usize,
    pub(crate) tag: Option<Tag>,
    pub(crate) line: usize,
    pub(crate) file: Option<Arc<str>>,
    pub(crate) action: Action,
    /// What has to hold, if it is more than the fields below can say; they are empty then.
    pub(crate) tree: Option<Box<Node>>,
    /// In the order in which they are tried.
    pub(crate) conditions: Box<[FlowCondition]>,
    /// One test of each group has to hold.
    pub(crate) process: Box<[Box<[ProcessTest]>]>,
    /// The rule sets that it names, whose lists are among its own.
    pub(crate) sets: Box<[usize]>,
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
    /// Whether one of `domain` and `ip` is enough.
    pub(crate) either: bool,
}

#[derive(Debug, Default)]
pub(crate) struct ListLabels {
    pub(crate) domain: Box<str>,
    pub(crate) ip: Box<str>,
    pub(crate) source: Box<str>,
    pub(crate) local: Box<str>,
}

impl Rule {
    pub(crate) fn empty(index: usize, tag: Option<Tag>, line: usize, action: Action) -> Self {
        Self {
            index,
            tag,
            line,
            file: None,
            action,
            tree: None,
            conditions: Box::default(),
            process: Box::default(),
            sets: Box::default(),
            on: ListConditions::default(),
            only_lists: false,
            lists: ListLabels::default(),
        }
    }

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

    /// The name of that file, where there are several.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// What is done with a connection that it matches.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// Where the rule sends a connection; `None` if the next rule is tried.
    #[must_use]
    pub fn way(&self) -> Option<&Way> {
        self.action.way()
    }
}
