//! `selector` and `urltest` outbounds → groups.

use std::num::NonZeroU16;

use waypost_balance::{EmptyPoolAction, GroupSpec, MemberSpec, SelectorSpec, Strategy, TopN};
use waypost_config::{
    Spanned,
    model::{Selector, UrlTest},
};
use waypost_net::Tag;

use super::{Draft, FOREVER, Lowering, Probed};

impl Lowering<'_> {
    /// A selector has nobody probed: who serves is not decided by what is known of the members.
    pub(super) fn selector(&mut self, tag: &Tag, settings: &Selector) -> GroupSpec {
        let members = self.members(&settings.members, Probed::Never);
        self.settings.push(Draft {
            idle_timeout: FOREVER,
            pace: None,
            interrupts: settings.interrupt_exist_connections,
            needs_rule_set: false,
            is_balancer: false,
        });
        let selector = SelectorSpec { initial: settings.initial, others_follow: settings.fallback };
        let spec = GroupSpec::new(tag.clone(), members, Strategy::Selector);
        GroupSpec { selector, empty_pool: EmptyPoolAction::FallbackAll, ..spec }
    }

    /// As with sing-box, connections are tried even if no probe succeeds: a URL that is blocked must
    /// not keep everything from working.
    pub(super) fn url_test(&mut self, tag: &Tag, settings: &UrlTest) -> GroupSpec {
        let members = self.members(&settings.members, Probed::Every(&settings.probe));
        self.settings.push(Draft {
            idle_timeout: settings.probe.idle_timeout,
            pace: Some(settings.dial),
            interrupts: settings.interrupt_exist_connections,
            needs_rule_set: false,
            is_balancer: false,
        });
        let top_n = TopN { tolerance: settings.tolerance, ..TopN::default() };
        let spec = GroupSpec::new(tag.clone(), members, Strategy::UrlTest);
        GroupSpec { top_n, empty_pool: EmptyPoolAction::FallbackAll, ..spec }
    }

    fn members(&mut self, tags: &[Spanned<Tag>], probed: Probed<'_>) -> Vec<MemberSpec> {
        tags.iter().filter_map(|tag| self.member(&tag.value, NonZeroU16::MIN, probed)).collect()
    }
}
