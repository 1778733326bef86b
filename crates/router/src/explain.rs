//! The record of a decision.

use std::borrow::Cow;

use crate::{Question, Rule};

/// Which time the rules are gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The first time.
    First,
    /// The second time, with look-ups, after no rule matched (`IPIfNonMatch`).
    Resolving,
}

/// What came of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// It would have had to ask for something, and another condition failed already.
    NotNeeded,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }
}

/// One condition of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionTrace {
    /// The field of the rule, or the way to it: `rules[1].domain`.
    pub name: Cow<'static, str>,
    /// What the rule wants.
    pub wanted: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What the flow shows: the value, or the entry of the list that it matches.
    pub seen: Option<String>,
}

/// One rule that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTrace {
    /// The position of the rule, from 0.
    pub index: usize,
    /// Which time it was tried.
    pub pass: Pass,
    /// Its conditions in the order in which they were tried.
    pub conditions: Vec<ConditionTrace>,
    /// Whether it matches.
    pub holds: bool,
    /// Whether the next rule is tried although it matches.
    pub goes_on: bool,
    /// What was asked while it was tried.
    pub questions: Vec<Question>,
}

/// Every rule that was tried, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// The rules; the last one decided if it holds and does not go on, else none did.
    pub rules: Vec<RuleTrace>,
}

/// Watches a decision. The silent one compiles to nothing.
pub(crate) trait Trace {
    /// Whether every condition of every rule is tried, although the outcome is clear already.
    const EVERY_CONDITION: bool;

    fn rule(&mut self, pass: Pass, rule: &Rule);
    fn condition(&mut self, name: Cow<'static, str>, wanted: String, verdict: Verdict, seen: Option<String>);
    fn rule_ends(&mut self, holds: bool);
    /// The rule asked for something and is tried again from its beginning.
    fn rule_is_tried_again(&mut self);
}

pub(crate) struct Silent;

impl Trace for Silent {
    const EVERY_CONDITION: bool = false;

    fn rule(&mut self, _pass: Pass, _rule: &Rule) {}
    fn condition(
        &mut self,
        _name: Cow<'static, str>,
        _wanted: String,
        _verdict: Verdict,
        _seen: Option<String>,
    ) {
    }
    fn rule_ends(&mut self, _holds: bool) {}
    fn rule_is_tried_again(&mut self) {}
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    explanation: Explanation,
    questions: Vec<Question>,
    /// Whether the rule that is tried lets the next one be tried.
    goes_on: bool,
}

impl Recorder {
    pub(crate) fn asked(&mut self, question: &Question) {
        self.questions.push(question.clone());
    }

    pub(crate) fn finish(self) -> Explanation {
        self.explanation
    }
}

impl Trace for Recorder {
    const EVERY_CONDITION: bool = true;

    fn rule(&mut self, pass: Pass, rule: &Rule) {
        let questions = std::mem::take(&mut self.questions);
        let trace = RuleTrace {
            index: rule.index(),
            pass,
            conditions: Vec::new(),
            holds: false,
            goes_on: false,
            questions,
        };
        self.explanation.rules.push(trace);
        self.goes_on = rule.way().is_none();
    }

    fn condition(&mut self, name: Cow<'static, str>, wanted: String, verdict: Verdict, seen: Option<String>) {
        if let Some(rule) = self.explanation.rules.last_mut() {
            rule.conditions.push(ConditionTrace { name, wanted, verdict, seen });
        }
    }

    fn rule_ends(&mut self, holds: bool) {
        if let Some(rule) = self.explanation.rules.last_mut() {
            rule.holds = holds;
            rule.goes_on = holds && self.goes_on;
        }
    }

    fn rule_is_tried_again(&mut self) {
        if let Some(rule) = self.explanation.rules.pop() {
            self.questions = rule.questions;
        }
    }
}
