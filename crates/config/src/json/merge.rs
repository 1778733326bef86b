//! Several files as one: objects are joined key by key, arrays one after the other, and of other
//! values the last one counts.

use std::collections::BTreeMap;

use super::{Kind, Member, Value};
use crate::{
    keys::is_comment,
    object::report_duplicate,
    report::{Report, quote},
};

/// Merges the files in their order. `None` means that an error was reported.
pub(super) fn merge(roots: Vec<Value>, report: &mut Report<'_>) -> Option<Value> {
    if roots.len() > 1 {
        let wrong: Vec<&Value> = roots.iter().filter(|root| root.members().is_none()).collect();
        for root in &wrong {
            report.error(root.span, format!("expected an object, found {}", root.found()));
        }
        if !wrong.is_empty() {
            return None;
        }
    }
    roots.into_iter().reduce(|mut whole, file| {
        join(&mut whole, file, &mut Vec::new(), report);
        whole
    })
}

/// Puts what a later file says to what was said before; `path` are the keys that lead here.
fn join(earlier: &mut Value, later: Value, path: &mut Vec<Box<str>>, report: &mut Report<'_>) {
    match (&mut earlier.kind, later.kind) {
        (Kind::Array(items), Kind::Array(more)) => items.extend(more),
        (Kind::Object(members), Kind::Object(more)) => join_members(members, more, path, report),
        (old, new) if *old == new => {}
        (old, new) => {
            let holds_more = |kind: &Kind| matches!(kind, Kind::Array(_) | Kind::Object(_));
            let differ = holds_more(old) || holds_more(&new);
            let later = Value { kind: new, span: later.span };
            let (line, name) = (report.line(earlier.span), quote(&path.join(".")));
            if differ {
                let (before, here) = (earlier.found(), later.found());
                let message = format!("{name} is {here} here, and {before} on line {line}");
                report.error(later.span, message).help("only arrays and objects of the same key are joined");
            } else {
                let message = format!("{name} is already on line {line}, this one wins");
                report.warning(later.span, message).help("remove one of the two");
            }
            *earlier = later;
        }
    }
}

fn join_members(
    members: &mut Vec<Member>,
    more: Vec<Member>,
    path: &mut Vec<Box<str>>,
    report: &mut Report<'_>,
) {
    let mut known = Known::default();
    for member in std::mem::take(members) {
        known.add(member, members, report);
    }
    let mut later = Vec::with_capacity(more.len());
    let mut known_later = Known::default();
    for member in more {
        known_later.add(member, &mut later, report);
    }
    for member in later {
        let earlier = known.find(&member).and_then(|index| members.get_mut(index));
        match earlier {
            Some(_) if member.value.is_null() => {}
            Some(earlier) if earlier.value.is_null() => *earlier = member,
            Some(earlier) => {
                path.push(earlier.key.clone());
                join(&mut earlier.value, member.value, path, report);
                path.pop();
            }
            None => members.push(member),
        }
    }
}

/// Where the keys of an object are in a list. Letter case does not count, and comments have no place.
#[derive(Default)]
struct Known(BTreeMap<String, usize>);

impl Known {
    fn find(&self, member: &Member) -> Option<usize> {
        self.0.get(&member.key.to_ascii_lowercase()).copied()
    }

    /// Adds a member to the list. Of a key that one file has twice, the last counts as it does in a
    /// file alone.
    fn add(&mut self, member: Member, list: &mut Vec<Member>, report: &mut Report<'_>) {
        let earlier = self.find(&member).and_then(|index| list.get_mut(index));
        if let Some(earlier) = earlier {
            report_duplicate(&member.key, earlier.key_span, member.key_span, report);
            *earlier = member;
            return;
        }
        if !is_comment(&member.key) {
            self.0.insert(member.key.to_ascii_lowercase(), list.len());
        }
        list.push(member);
    }
}
