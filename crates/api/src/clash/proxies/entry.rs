//! One outbound or group, with every field that a dashboard cannot do without.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use waypost_net::Tag;
use waypost_proxy::{
    Control, DelaySample, GroupKind, GroupReport, MemberReport, MemberTotals, OutboundKind, OutboundReport,
    Role, State,
};

use crate::{own::UNTAGGED, time::Time};

/// What dashboards call what takes everything in the mode `Global`.
const GLOBAL: &str = "GLOBAL";

/// An outbound or a group.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    alive: bool,
    udp: bool,
    xudp: bool,
    tfo: bool,
    history: Vec<Sample>,
    extra: BTreeMap<(), ()>,
    /// What is known of an outbound.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// How many dials there were since the start.
    attempts: u64,
    #[serde(flatten)]
    group: Option<Grouped>,
}

/// What groups have besides.
#[derive(Debug, Clone, Serialize)]
struct Grouped {
    now: String,
    all: Vec<String>,
    /// The member that somebody chose where the group would choose by itself.
    fixed: String,
    #[serde(rename = "testUrl")]
    test_url: String,
    hidden: bool,
    icon: &'static str,
    strategy: String,
    tier: String,
    candidates: Vec<String>,
    ejected: Vec<String>,
}

/// A request through an outbound; a delay of 0 says that it failed.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    time: Time,
    delay: u64,
}

/// All outbounds and groups, in the order of the file.
pub(crate) struct Catalogue {
    pub(crate) entries: Vec<Entry>,
    /// What takes what no rule matches.
    default: String,
    /// Those that people choose among: groups, and servers.
    choices: Vec<String>,
}

impl Catalogue {
    pub(crate) fn of(control: &Control) -> Self {
        let (outbounds, groups) = (control.outbounds(), control.groups());
        let config = control.config();
        // Tags of balancers and of outbounds may be the same; rules mean the outbound then.
        let mut known: BTreeMap<String, (Entry, bool)> = BTreeMap::new();
        for outbound in &outbounds {
            let is_choice = is_server(outbound.kind);
            let entry = Entry::of_outbound(outbound);
            known.entry(entry.name.clone()).or_insert((entry, is_choice));
        }
        for group in &groups {
            let entry = Entry::of_group(group, &groups, &outbounds);
            known.entry(entry.name.clone()).or_insert((entry, true));
        }
        let of_outbounds = config
            .outbounds
            .iter()
            .map(|outbound| outbound.tag.as_ref().map_or(UNTAGGED, |tag| tag.value.as_str()));
        let of_balancers = config.routing.balancers.iter().map(|balancer| balancer.tag.value.as_str());
        let (mut entries, mut choices) = (Vec::with_capacity(known.len()), Vec::new());
        for name in of_outbounds.chain(of_balancers) {
            let Some((entry, is_choice)) = known.remove(name) else { continue };
            if is_choice {
                choices.push(entry.name.clone());
            }
            entries.push(entry);
        }
        let default = control.default_way().map_or_else(|| UNTAGGED.to_owned(), |tag| tag.to_string());
        // Dashboards show what is in force first.
        choices.sort_by_key(|name| *name != default);
        Self { entries, default, choices }
    }

    pub(crate) fn find(&self, name: &str) -> Option<Entry> {
        let found = self.entries.iter().find(|entry| entry.name == name).cloned();
        found.or_else(|| Some(self.global()).filter(|global| global.name == name))
    }

    /// What a test of this name is made through: for `GLOBAL` what takes what no rule matches.
    pub(crate) fn tested(&self, name: &str) -> Option<Entry> {
        let entry_of = |name: &str| self.entries.iter().find(|entry| entry.name == name).cloned();
        entry_of(name).or_else(|| (name == GLOBAL).then(|| entry_of(&self.default)).flatten())
    }

    /// The group that dashboards show in the mode `Global`: what takes what no rule matches.
    pub(crate) fn global(&self) -> Entry {
        let serving = self.entries.iter().find(|entry| entry.name == self.default);
        Entry {
            name: GLOBAL.to_owned(),
            kind: "Fallback",
            alive: serving.is_none_or(|entry| entry.alive),
            udp: true,
            xudp: false,
            tfo: false,
            history: Vec::new(),
            extra: BTreeMap::new(),
            state: None,
            attempts: serving.map_or(0, |entry| entry.attempts),
            group: Some(Grouped {
                now: self.default.clone(),
                all: self.choices.clone(),
                fixed: String::new(),
                test_url: String::new(),
                hidden: false,
                icon: "",
                strategy: String::new(),
                tier: String::new(),
                candidates: Vec::new(),
                ejected: Vec::new(),
            }),
        }
    }
}

impl Entry {
    pub(crate) fn is_group(&self) -> bool {
        self.group.is_some()
    }

    fn of_outbound(outbound: &OutboundReport) -> Self {
        Self {
            name: outbound.tag.as_ref().map_or(UNTAGGED, Tag::as_str).to_owned(),
            kind: display_name(outbound.kind),
            alive: is_alive(outbound),
            udp: outbound.networks.udp,
            xudp: false,
            tfo: false,
            history: samples(&outbound.history),
            extra: BTreeMap::new(),
            state: Some(outbound.state.word()),
            attempts: attempts(outbound.totals),
            group: None,
        }
    }

    fn of_group(group: &GroupReport, groups: &[GroupReport], outbounds: &[OutboundReport]) -> Self {
        let names = |wanted: &dyn Fn(&MemberReport) -> bool| {
            group
                .members
                .iter()
                .filter(|member| wanted(member))
                .map(|member| member.tag.to_string())
                .collect()
        };
        let leaf = serving_leaf(group, groups, outbounds);
        let fixed = group.chosen.as_ref().filter(|_| group.kind != GroupKind::Selector);
        Self {
            name: group.tag.to_string(),
            kind: group_name(group.kind),
            alive: group.members.iter().any(|member| member.state.is_usable()),
            udp: group.networks.udp,
            xudp: false,
            tfo: false,
            history: leaf.map(|leaf| samples(&leaf.history)).unwrap_or_default(),
            extra: BTreeMap::new(),
            state: None,
            attempts: group.members.iter().map(|member| attempts(member.totals)).sum(),
            group: Some(Grouped {
                now: group.choice.as_ref().map(ToString::to_string).unwrap_or_default(),
                all: names(&|_| true),
                fixed: fixed.map(ToString::to_string).unwrap_or_default(),
                test_url: group.test_url.as_deref().unwrap_or_default().to_owned(),
                hidden: false,
                icon: "",
                strategy: group.strategy.to_string(),
                tier: group.tier.to_string(),
                candidates: names(&|member| {
                    member.tier == group.tier && matches!(member.role, Some(Role::Candidate | Role::Selected))
                }),
                ejected: names(&|member| matches!(member.state, State::Ejected { .. })),
            }),
        }
    }
}

/// The outbound that every connection of a group is given to first, if that is one.
fn serving_leaf<'o>(
    group: &GroupReport,
    groups: &[GroupReport],
    outbounds: &'o [OutboundReport],
) -> Option<&'o OutboundReport> {
    let mut choice = group.choice.as_ref()?;
    // Groups do not lead in a circle; each step uses up one.
    for _ in 0..=groups.len() {
        match groups.iter().find(|group| group.tag == *choice) {
            Some(nested) => choice = nested.choice.as_ref()?,
            None => return outbounds.iter().find(|outbound| outbound.tag.as_ref() == Some(choice)),
        }
    }
    None
}

/// A delay in milliseconds; dashboards take 0 for a failure.
pub(crate) fn millis(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn samples(history: &[DelaySample]) -> Vec<Sample> {
    let sample =
        |sample: &DelaySample| Sample { time: Time(sample.at), delay: sample.delay.map_or(0, millis) };
    history.iter().map(sample).collect()
}

fn is_alive(outbound: &OutboundReport) -> bool {
    let has_failed = outbound.history.last().is_some_and(|sample| sample.delay.is_none());
    outbound.state.is_usable() && !has_failed
}

fn attempts(totals: MemberTotals) -> u64 {
    totals.carried.saturating_add(totals.moved_on())
}

fn is_server(kind: OutboundKind) -> bool {
    match kind {
        OutboundKind::Socks
        | OutboundKind::Http
        | OutboundKind::Shadowsocks
        | OutboundKind::Vmess
        | OutboundKind::Vless
        | OutboundKind::Trojan => true,
        OutboundKind::Direct
        | OutboundKind::Block
        | OutboundKind::Dns
        | OutboundKind::Loopback
        | OutboundKind::Api => false,
    }
}

/// What an outbound is called by mihomo, whose names every dashboard knows.
pub(crate) fn display_name(kind: OutboundKind) -> &'static str {
    match kind {
        OutboundKind::Direct => "Direct",
        OutboundKind::Block => "Reject",
        OutboundKind::Dns => "Dns",
        OutboundKind::Loopback => "Loopback",
        OutboundKind::Api => "Api",
        OutboundKind::Socks => "Socks5",
        OutboundKind::Http => "Http",
        OutboundKind::Shadowsocks => "Shadowsocks",
        OutboundKind::Vmess => "Vmess",
        OutboundKind::Vless => "Vless",
        OutboundKind::Trojan => "Trojan",
    }
}

/// What a group is called by dashboards.
pub(crate) fn group_name(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Selector => "Selector",
        GroupKind::UrlTest => "URLTest",
        GroupKind::LoadBalance => "LoadBalance",
        GroupKind::Fallback => "Fallback",
    }
}
