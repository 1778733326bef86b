//! What explanations call the lists of a rule.

use crate::{Addresses, Conditions, DomainList, IpList, rule::ListLabels};

pub(crate) fn labels(conditions: &Conditions<'_>) -> ListLabels {
    ListLabels {
        domain: domain_labels(conditions.domain.as_deref()),
        ip: ip_labels(conditions.ip.as_deref()),
        source: ip_labels(conditions.source.as_deref()),
        local: ip_labels(conditions.local_ip.as_deref()),
    }
}

fn domain_labels(lists: Option<&[DomainList<'_>]>) -> Box<str> {
    let mut labels = Labels::default();
    for list in lists.unwrap_or_default() {
        match &list.label {
            Some(label) => labels.push(|| label.to_string()),
            None => list
                .entries
                .iter()
                .for_each(|(kind, text)| labels.push(|| format!("{}:{text}", kind.as_str()))),
        }
    }
    labels.finish()
}

fn ip_labels(lists: Option<&[IpList<'_>]>) -> Box<str> {
    let mut labels = Labels::default();
    for list in lists.unwrap_or_default() {
        let not = if list.inverse { "!" } else { "" };
        match &list.label {
            Some(label) => labels.push(|| format!("{not}{label}")),
            None => match &list.addresses {
                Addresses::Prefixes(nets) => {
                    nets.iter().for_each(|net| labels.push(|| format!("{not}{net}")));
                }
                Addresses::Ranges(ranges) => {
                    ranges.iter().for_each(|(first, last)| labels.push(|| format!("{not}{first}-{last}")));
                }
            },
        }
    }
    labels.finish()
}

/// How many entries an explanation names before it only counts the rest.
const LABELS_SHOWN: usize = 8;

#[derive(Default)]
pub(crate) struct Labels {
    shown: Vec<String>,
    more: usize,
}

impl Labels {
    pub(crate) fn push(&mut self, label: impl FnOnce() -> String) {
        if self.shown.len() < LABELS_SHOWN {
            self.shown.push(label());
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn finish(self) -> Box<str> {
        let mut text = self.shown.join(", ");
        if self.more > 0 {
            text.push_str(&format!(" and {} more", self.more));
        }
        text.into()
    }
}
