//! Servers of `dns` that nobody is asked through: fixed answers, and made-up addresses.

use waypost_net::Tag;

use crate::{
    json::Value,
    keys::{Form, Key, KeyTable},
    object::Object,
    report::{Report, quote},
};

pub(super) static FAKEIP: KeyTable = KeyTable {
    name: "FakeIpDnsServer",
    path: "dns.servers[] with the type `fakeip`",
    doc: "Made-up addresses, which do not exist here: rules that name such a server are passed over, as they are in sing-box whenever it looks up a name for itself.",
    keys: &[
        Key::new("type", Form::Word(&["fakeip"]), "Who is asked."),
        Key::new("tag", Form::Text, "The name for rules."),
        Key::new("inet4_range", Form::Text, "Where made-up addresses are taken from."),
        Key::new("inet6_range", Form::Text, "Where made-up addresses are taken from."),
    ],
};

/// What a server stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// Names are refused.
    Refuses,
    /// Rules that name it are passed over.
    MakesUp,
}

/// The servers that nobody is asked through. Only DNS rules can name them.
#[derive(Default)]
pub(super) struct Specials(Vec<(Tag, Special)>);

impl Specials {
    pub(super) fn find(&self, tag: &str) -> Option<Special> {
        self.0.iter().find(|(known, _)| known.as_str() == tag).map(|(_, special)| *special)
    }

    /// Reads a server, if it is of this kind; says whether it is.
    pub(super) fn read(&mut self, value: &Value, legacy: &'static KeyTable, report: &mut Report<'_>) -> bool {
        let text = |name: &str| value.member(name).and_then(|member| member.value.text());
        let kind = text("type").unwrap_or_default();
        let address = text("address").unwrap_or_default();
        let (special, table) = if kind.eq_ignore_ascii_case("fakeip") {
            (Special::MakesUp, &FAKEIP)
        } else if matches!(kind, "" | "legacy") && address == "fakeip" {
            (Special::MakesUp, legacy)
        } else if matches!(kind, "" | "legacy") && address.starts_with("rcode://") {
            (Special::Refuses, legacy)
        } else {
            return false;
        };
        let Some(object) = Object::read(value, "dns.servers[]", table, report) else { return true };
        if let Some(tag) = object.text("tag", report).filter(|tag| !tag.value.is_empty()) {
            self.0.push((tag.value.into(), special));
        }
        match special {
            Special::MakesUp => report
                .warning(
                    object.span,
                    "there are no fake addresses, so DNS rules that name this server are passed over",
                )
                .help(
                    "names then have the addresses that other servers say; remove the server and its rules",
                ),
            Special::Refuses => report
                .warning(
                    object.span,
                    format!(
                        "{} is the old form, which sing-box 1.14 no longer has: names are refused",
                        quote(address)
                    ),
                )
                .help("write `\"action\": \"reject\"` into the rules that name it"),
        };
        true
    }
}
