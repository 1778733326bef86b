//! What is allowed, but probably not meant.

use super::{names::Names, rule::is_catch_all};
use crate::{
    Spanned,
    model::{DomainStrategy, Rule},
    report::{Report, quote},
};

/// Warns of rules behind one that takes every connection, and of look-ups that such a rule
/// prevents.
pub(super) fn find_unreachable(
    rules: &[Rule],
    strategy: Option<Spanned<DomainStrategy>>,
    report: &mut Report<'_>,
) {
    let Some(index) = rules.iter().position(|rule| rule.matcher.one().is_some_and(is_catch_all)) else {
        return;
    };
    let (before, from) = rules.split_at(index);
    let Some((catch_all, behind)) = from.split_first() else { return };
    let line = report.line(catch_all.span);
    if let Some(first) = behind.first() {
        let message = match behind.len() {
            1 => format!("this rule is never reached, the rule on line {line} takes every connection"),
            n => format!(
                "this rule and the {} after it are never reached, the rule on line {line} takes every connection",
                n - 1
            ),
        };
        report.warning(first.span, message).help("move the rule for everything to the end");
    }
    let needs_addresses =
        before.iter().any(|rule| rule.matcher.one().is_some_and(|conditions| conditions.ip.is_some()));
    if let Some(strategy) = strategy
        && strategy.value == DomainStrategy::IpIfNonMatch
        && needs_addresses
    {
        let message = format!(
            "no connection is left unmatched, because of the rule on line {line}, so `IPIfNonMatch` never looks names up"
        );
        report
            .warning(strategy.span, message)
            .help("write `IPOnDemand`, or remove that rule; what no rule matches goes to the first outbound");
    }
}

/// Warns of outbounds and balancers that no connection can get to.
pub(super) fn find_unused(names: &Names, report: &mut Report<'_>) {
    for tag in names.outbounds.unused() {
        report
            .warning(tag.span, format!("nothing uses the outbound {}", quote(&tag.value)))
            .help("no rule, balancer or group names it, and it is not the first");
    }
    for tag in names.balancers.unused() {
        report
            .warning(tag.span, format!("nothing uses the balancer {}", quote(&tag.value)))
            .help("no rule names it");
    }
    for &span in &names.nameless {
        report
            .warning(span, "nothing can use this outbound, it has no tag and is not the first")
            .help("add a `tag`, and a rule that names it");
    }
}
