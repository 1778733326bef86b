//! What can be seen of outbounds and rules while they run.

use std::{sync::Arc, time::Duration};

use waypost_config::{
    model::{OutboundProtocol, Rule, RuleAction, RuleTarget},
    rule_text,
};
use waypost_health::State;
use waypost_net::{Networks, Tag};

use super::Control;
use crate::{
    MemberFault,
    health::{DelayClasses, DelaySample},
    totals::MemberTotals,
    traffic::Volume,
};

/// What an outbound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboundKind {
    /// It goes to targets itself.
    Direct,
    /// It refuses.
    Block,
    /// It answers DNS questions.
    Dns,
    /// It leads back into the rules.
    Loopback,
    /// The remote control over gRPC.
    Api,
    /// A SOCKS server.
    Socks,
    /// An HTTP proxy.
    Http,
    /// A Shadowsocks server.
    Shadowsocks,
    /// A VMess server.
    Vmess,
    /// A VLESS server.
    Vless,
    /// A Trojan server.
    Trojan,
}

impl OutboundKind {
    /// The name that sing-box has for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Block => "block",
            Self::Dns => "dns",
            Self::Loopback => "loopback",
            Self::Api => "api",
            Self::Socks => "socks",
            Self::Http => "http",
            Self::Shadowsocks => "shadowsocks",
            Self::Vmess => "vmess",
            Self::Vless => "vless",
            Self::Trojan => "trojan",
        }
    }

    fn of(protocol: &OutboundProtocol) -> Option<Self> {
        match protocol {
            OutboundProtocol::Freedom { .. } => Some(Self::Direct),
            OutboundProtocol::Blackhole { .. } => Some(Self::Block),
            OutboundProtocol::Dns(_) => Some(Self::Dns),
            OutboundProtocol::Loopback { .. } => Some(Self::Loopback),
            OutboundProtocol::Api => Some(Self::Api),
            OutboundProtocol::Socks(_) => Some(Self::Socks),
            OutboundProtocol::Http(_) => Some(Self::Http),
            OutboundProtocol::Shadowsocks(_) => Some(Self::Shadowsocks),
            OutboundProtocol::Vmess(_) => Some(Self::Vmess),
            OutboundProtocol::Vless(_) => Some(Self::Vless),
            OutboundProtocol::Trojan(_) => Some(Self::Trojan),
            OutboundProtocol::LoadBalance(_)
            | OutboundProtocol::Selector(_)
            | OutboundProtocol::UrlTest(_) => None,
        }
    }
}

/// What is known of an outbound that dials, at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboundReport {
    /// The tag; only the first outbound can do without.
    pub tag: Option<Tag>,
    /// What it is.
    pub kind: OutboundKind,
    /// What it carries.
    pub networks: Networks,
    /// Whether it can be used: the best that a group says of it.
    pub state: State,
    /// How many connections it carries.
    pub live: usize,
    /// What it has done since the start.
    pub totals: MemberTotals,
    /// How the last requests through it went that were made to find out, oldest first, at most ten.
    pub history: Vec<DelaySample>,
    /// How long all of them took.
    pub delays: DelayClasses,
    /// All bytes since the start.
    pub volume: Volume,
    /// How often it came into each state, by the state's word.
    pub transitions: Vec<(&'static str, u64)>,
    /// How long its dials usually take; `None` before one succeeded in a group.
    pub usual_dial: Option<Duration>,
    /// What was wrong when it last failed.
    pub last_fault: Option<MemberFault>,
}

/// A rule, and how often it decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleReport {
    /// Its position, from 0.
    pub index: usize,
    /// What it is called in logs.
    pub label: Arc<str>,
    /// The line that it begins in.
    pub line: usize,
    /// The file, where there are several.
    pub file: Option<Box<str>>,
    /// Whether it is made of other rules.
    pub is_logical: bool,
    /// What has to hold; see [`rule_text`].
    pub text: String,
    /// What is done, such as `route(proxy)` or `reject`.
    pub action: String,
    /// Where it leads; `None` if that is nowhere, or the next rule is tried.
    pub to: Option<Tag>,
    /// How often it decided since the start; a reload that leaves the rule as it is does not begin anew.
    pub hits: u64,
}

/// What is counted of the whole proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Connections and sessions of datagrams entered since the start.
    pub entered: u64,
    /// Those that are live.
    pub live: usize,
    /// Connections that no rule matched.
    pub unmatched: u64,
    /// Dials that began beside one that was under way, because that was slow.
    pub hedges: u64,
    /// First flights that were sent once more, through another member.
    pub replays: u64,
    /// Configurations that were taken while running.
    pub reloads: u64,
    /// Configurations that were refused while running.
    pub failed_reloads: u64,
}

impl Control {
    /// The outbounds that dial, in the order of the file.
    #[must_use]
    pub fn outbounds(&self) -> Vec<OutboundReport> {
        let (config, snapshot, volumes) = (self.config(), self.snapshot(), self.volumes());
        let (health, view) = (snapshot.health(), snapshot.health().view());
        let kinds = config.outbounds.iter().filter_map(|outbound| OutboundKind::of(&outbound.protocol));
        let known = snapshot.outbounds().iter().zip(kinds).enumerate();
        let reports = known.filter_map(|(index, (outbound, kind))| {
            let member = snapshot.pools().member(index)?;
            let figures = health.member(member)?;
            let volume = outbound.tag.as_ref().and_then(|tag| volumes.outbounds.get(tag));
            Some(OutboundReport {
                tag: outbound.tag.clone(),
                kind,
                networks: outbound.allowed,
                state: view.leaf(member),
                live: health.live(member),
                totals: health.totals(member),
                history: figures.history(),
                delays: figures.delay_classes(),
                volume: volume.copied().unwrap_or_default(),
                transitions: figures.transitions().collect(),
                usual_dial: health.usual_dial(member),
                last_fault: figures.last_fault(),
            })
        });
        reports.collect()
    }

    /// The rules, in their order.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleReport> {
        let (config, snapshot) = (self.config(), self.snapshot());
        let rules = snapshot.router().rules().iter().zip(&config.routing.rules);
        let reports = rules.map(|(compiled, rule)| {
            let (action, to) = rule_action(rule);
            RuleReport {
                index: compiled.index(),
                label: snapshot.label(compiled),
                line: compiled.line(),
                file: compiled.file().map(Into::into),
                is_logical: rule.matcher.one().is_none(),
                text: rule_text(rule),
                action,
                to,
                hits: snapshot.hits().of(compiled.index()),
            }
        });
        reports.collect()
    }

    /// What is counted of the whole proxy.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let counts = &self.0.core.counts;
        Figures {
            entered: self.connections().n_entered(),
            live: self.connections().len(),
            unmatched: self.snapshot().hits().unmatched(),
            hedges: counts.hedges.get(),
            replays: counts.replays.get(),
            reloads: counts.reloads.get(),
            failed_reloads: counts.failed_reloads.get(),
        }
    }
}

/// What a rule does, in the words of sing-box, and where it leads.
pub(crate) fn rule_action(rule: &Rule) -> (String, Option<Tag>) {
    match &rule.action {
        RuleAction::Route { target: RuleTarget::Outbound(tag) | RuleTarget::Balancer(tag), .. } => {
            (format!("route({})", tag.value), Some(tag.value.clone()))
        }
        RuleAction::Reject(reject) => {
            let method = match reject.method {
                waypost_config::model::RejectMethod::Default => "reject",
                waypost_config::model::RejectMethod::Drop => "reject(drop)",
            };
            (method.to_owned(), None)
        }
        RuleAction::HijackDns => ("hijack-dns".to_owned(), None),
        RuleAction::RouteOptions(_) => ("route-options".to_owned(), None),
        RuleAction::Sniff(_) => ("sniff".to_owned(), None),
        RuleAction::Resolve(_) => ("resolve".to_owned(), None),
    }
}
