//! What comes of a decision, step by step.

use std::net::IpAddr;

use waypost_net::{DomainName, Flow};

use crate::{
    Effect, Process, RouteOptions, Router, Rule,
    explain::{Pass, Silent},
};

/// What a step of a decision comes to.
#[derive(Debug)]
pub enum Step<'r> {
    /// The decision is made.
    Decided(Decision<'r>),
    /// Something has to be found out first.
    Ask(Pending<'r>),
    /// Something has to be done before the next rule is tried.
    Perform(Performing<'r>),
}

/// A decision.
#[derive(Debug, Clone)]
pub struct Decision<'r> {
    /// The rule whose every condition holds; `None` sends the connection to the default outbound.
    pub rule: Option<&'r Rule>,
    /// The addresses of the target's name that the rule's IP condition holds for. Empty if no name
    /// was resolved for it. Whoever dials should try these first.
    pub matched_addresses: Vec<IpAddr>,
}

/// What a decision has to know to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The addresses of this name.
    Addresses(DomainName),
    /// The process that opened the connection.
    Process,
}

/// A decision that waits for an answer.
#[derive(Debug)]
pub struct Pending<'r> {
    pub(crate) router: &'r Router,
    pub(crate) position: Position,
    pub(crate) facts: Facts,
    pub(crate) question: Question,
}

/// A decision that waits until something is done.
#[derive(Debug)]
pub struct Performing<'r> {
    pub(crate) router: &'r Router,
    pub(crate) pass: Pass,
    pub(crate) facts: Facts,
    pub(crate) rule: &'r Rule,
    pub(crate) effect: &'r Effect,
}

impl<'r> Performing<'r> {
    /// The rule that wants it.
    #[must_use]
    pub fn rule(&self) -> &'r Rule {
        self.rule
    }

    /// What has to be done.
    #[must_use]
    pub fn effect(&self) -> &'r Effect {
        self.effect
    }

    /// Goes on with the rule behind it. `flow` is the one that the decision began with, with what has
    /// changed of it.
    #[must_use]
    pub fn done(self, flow: &Flow) -> Step<'r> {
        let position = self.position();
        self.router.run(flow, self.into_facts(), position, &mut Silent)
    }

    pub(crate) fn position(&self) -> Position {
        Position { pass: self.pass, rule: self.rule.index + 1 }
    }

    /// What is still known: addresses are those of a name that may not be the target any more.
    pub(crate) fn into_facts(self) -> Facts {
        let addresses = match self.effect {
            Effect::Options(RouteOptions { host: None, .. }) => self.facts.addresses,
            Effect::Options(RouteOptions { host: Some(_), .. }) | Effect::Sniff(_) | Effect::Resolve(_) => {
                None
            }
        };
        Facts { addresses, ..self.facts }
    }
}

/// What has been found out; a failed look-up is an empty list and is not repeated.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) addresses: Option<Vec<IpAddr>>,
    pub(crate) process: Option<Option<Process>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) pass: Pass,
    pub(crate) rule: usize,
}

impl<'r> Pending<'r> {
    /// What has to be found out.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// Goes on with the addresses of the name; none if it cannot be resolved, which makes every IP
    /// condition of this decision false. `flow` is the one that the decision began with.
    #[must_use]
    pub fn with_addresses(mut self, flow: &Flow, addresses: Vec<IpAddr>) -> Step<'r> {
        self.facts.addresses = Some(addresses.into_iter().map(waypost_net::canonical_ip).collect());
        self.router.run(flow, self.facts, self.position, &mut Silent)
    }

    /// Goes on with the process, or with `None` if it cannot be told. `flow` is the one that the
    /// decision began with.
    #[must_use]
    pub fn with_process(mut self, flow: &Flow, process: Option<Process>) -> Step<'r> {
        self.facts.process = Some(process);
        self.router.run(flow, self.facts, self.position, &mut Silent)
    }
}

/// The answer to a [`Question`], for [`Router::explain`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The addresses of the name; none if it cannot be resolved.
    Addresses(Vec<IpAddr>),
    /// The process, if it can be told.
    Process(Option<Process>),
}
