//! Groups of outbounds, which both dialects read from the same keys.

pub(crate) mod load_balance;
mod members;
pub(crate) mod selector;
pub(crate) mod urltest;

use waypost_net::Tag;

pub(crate) use self::members::check_members;
use crate::{
    Spanned,
    model::OutboundProtocol,
    names::{GroupKind, Names},
    object::Object,
    report::Report,
};

/// The object with the keys of a group where they stand in `settings`.
pub(crate) fn settings<'a>(
    outbound: &Object<'a>,
    kind: GroupKind,
    report: &mut Report<'_>,
) -> Option<Object<'a>> {
    let (table, name, members) = match kind {
        GroupKind::LoadBalance => (&load_balance::keys::SETTINGS, "loadbalance", "primary_outbounds"),
        GroupKind::Selector => (&selector::SETTINGS, "selector", "outbounds"),
        GroupKind::UrlTest => (&urltest::SETTINGS, "urltest", "outbounds"),
    };
    if !outbound.has("settings") {
        members::report_none(outbound.span, name, members, report);
        return None;
    }
    outbound.object("settings", table, report)
}

/// Reads a group from the object that has its keys. Whether its members exist is checked by
/// [`check_members`].
pub(crate) fn read(
    settings: &Object<'_>,
    kind: GroupKind,
    tag: Option<&Spanned<Tag>>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<OutboundProtocol> {
    Some(match kind {
        GroupKind::LoadBalance => {
            OutboundProtocol::LoadBalance(Box::new(load_balance::read(settings, tag, names, report)?))
        }
        GroupKind::Selector => {
            OutboundProtocol::Selector(Box::new(selector::read(settings, tag, names, report)?))
        }
        GroupKind::UrlTest => {
            OutboundProtocol::UrlTest(Box::new(urltest::read(settings, tag, names, report)?))
        }
    })
}
