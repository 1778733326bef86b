//! `loadbalance` outbounds and balancers of the configuration → groups.

use std::{collections::HashMap, num::NonZeroU16, time::Duration};

use waypost_balance::{
    EmptyPoolAction, GroupId, GroupSpec, Groups, GroupsError, HashSpec, Hysteresis, KeyPart, KeySpec,
    LeastLoadSpec, MemberSpec, MemberTarget, OnEmptyKey, SelectorSpec, Strategy, TopN, select,
};
use waypost_config::{
    Diagnostic,
    model::{
        self, BalancerStrategy, Config, HashAlgorithm, LoadBalance, LoadBalanceStrategy, Observatory,
        OutboundProtocol,
    },
};
use waypost_health::{CheckId, CheckSettings, MemberId, Monitor};
use waypost_net::{Networks, Tag};
use waypost_ring::Algorithm;

mod chosen;

use super::{failure, leaf::Leaf, observatory};
use crate::{
    pools::{PoolSettings, Pools, ProbeSettings},
    probe::{ProbeMethod, ProbeTarget, host_header},
};

/// What the first entry of a file is called if it is a group without a tag.
const NAMELESS: &str = "group";

/// Observatories probe for ever, whether anybody connects or not.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Joins the groups of `config`. `leaves` are the outbounds that dial, with what they are.
pub(super) fn pools(config: &Config, leaves: &[Leaf], problems: &mut Vec<Diagnostic>) -> Option<Pools> {
    let mut lowering = Lowering::new(config, leaves);
    let mut specs = Vec::new();
    let mut spans = Vec::new();
    for outbound in &config.outbounds {
        let tag = outbound.tag.as_ref().map_or_else(|| Tag::from(NAMELESS), |tag| tag.value.clone());
        let Some(spec) = lowering.group(&tag, &outbound.protocol) else { continue };
        specs.push(spec);
        spans.push(outbound.span);
    }
    let selectable =
        config.outbounds.iter().filter(|outbound| !matches!(outbound.protocol, OutboundProtocol::Api));
    let tags: Vec<Tag> =
        selectable.filter_map(|outbound| Some(outbound.tag.as_ref()?.value.clone())).collect();
    for balancer in &config.routing.balancers {
        specs.push(lowering.balancer(balancer, &tags, problems));
        spans.push(balancer.span);
    }
    let place = |error: &GroupsError| match error {
        GroupsError::UnknownGroup { group } | GroupsError::Placement { group, .. } => Some(group.clone()),
        GroupsError::Cycle { path } => path.first().cloned(),
        _ => None,
    };
    let names: Vec<Tag> = specs.iter().map(|spec| spec.tag.clone()).collect();
    match Groups::try_new(specs) {
        Ok(groups) => Some(lowering.finish(groups)),
        Err(error) => {
            let index =
                names.iter().position(|name| Some(name) == place(&error).as_ref()).unwrap_or_default();
            problems.extend(spans.get(index).map(|span| failure(*span, &error)));
            None
        }
    }
}

struct Lowering<'a> {
    leaves: HashMap<Tag, (MemberId, &'a Leaf)>,
    groups: HashMap<Tag, GroupId>,
    monitor: Monitor,
    probes: Vec<ProbeSettings>,
    settings: Vec<Draft>,
    observatories: &'a [Observatory],
}

/// Who probes a member.
#[derive(Clone, Copy)]
enum Probed<'a> {
    Never,
    /// Its group.
    Every(&'a model::Probe),
    /// The observatory with this number, if that watches it.
    Seen(usize, &'a Observatory),
}

/// The settings of a group, but for its pool, which needs all groups.
struct Draft {
    idle_timeout: Duration,
    pace: Option<model::DialPace>,
    interrupts: bool,
    needs_rule_set: bool,
    is_balancer: bool,
}

impl<'a> Lowering<'a> {
    fn new(config: &'a Config, leaves: &'a [Leaf]) -> Self {
        let mut monitor = Monitor::new();
        let members = leaves.iter().map(|leaf| (monitor.add_member(), leaf));
        let tagged = members.filter_map(|(member, leaf)| Some((leaf.tag.clone()?, (member, leaf))));
        let leaves = tagged.collect();
        let groups = config.outbounds.iter().filter(|outbound| outbound.protocol.is_group()).enumerate();
        let groups = groups
            .filter_map(|(index, group)| Some((group.tag.as_ref()?.value.clone(), GroupId::new(index))));
        let groups = groups.collect();
        let observatories = &config.observatories;
        Self { leaves, groups, monitor, probes: Vec::new(), settings: Vec::new(), observatories }
    }

    /// A group, if the outbound is one. They are numbered in the order of the file.
    fn group(&mut self, tag: &Tag, protocol: &OutboundProtocol) -> Option<GroupSpec> {
        match protocol {
            OutboundProtocol::LoadBalance(settings) => Some(self.load_balance(tag, settings)),
            OutboundProtocol::Selector(settings) => Some(self.selector(tag, settings)),
            OutboundProtocol::UrlTest(settings) => Some(self.url_test(tag, settings)),
            OutboundProtocol::Freedom { .. }
            | OutboundProtocol::Blackhole { .. }
            | OutboundProtocol::Socks(_)
            | OutboundProtocol::Http(_)
            | OutboundProtocol::Shadowsocks(_)
            | OutboundProtocol::Vmess(_)
            | OutboundProtocol::Vless(_)
            | OutboundProtocol::Trojan(_)
            | OutboundProtocol::Dns(_)
            | OutboundProtocol::Api
            | OutboundProtocol::Loopback { .. } => None,
        }
    }

    fn load_balance(&mut self, tag: &Tag, settings: &LoadBalance) -> GroupSpec {
        let weight = |tag: &Tag| {
            settings
                .weights
                .iter()
                .find(|(weighted, _)| weighted == tag)
                .map_or(NonZeroU16::MIN, |(_, weight)| *weight)
        };
        let mut members = |tags: &[waypost_config::Spanned<Tag>]| -> Vec<MemberSpec> {
            tags.iter()
                .filter_map(|tag| self.member(&tag.value, weight(&tag.value), Probed::Every(&settings.probe)))
                .collect()
        };
        let (primary, backup) = (members(&settings.primary), members(&settings.backup));
        let parts: Vec<KeyPart> = settings.hash.key_parts.iter().copied().map(key_part).collect();
        let needs_rule_set = settings.strategy == LoadBalanceStrategy::ConsistentHash
            && parts
                .iter()
                .any(|part| matches!(part, KeyPart::MatchedRuleset | KeyPart::MatchedRulesetOrEtld));
        self.settings.push(Draft {
            idle_timeout: settings.probe.idle_timeout,
            pace: Some(settings.dial),
            interrupts: settings.interrupt_exist_connections,
            needs_rule_set,
            is_balancer: false,
        });
        GroupSpec {
            tag: tag.clone(),
            primary,
            backup,
            strategy: strategy(settings.strategy),
            top_n: TopN {
                primary: settings.top_n.primary,
                backup: settings.top_n.backup,
                tolerance: settings.top_n.tolerance,
            },
            hash: hash(&settings.hash, parts),
            least_load: LeastLoadSpec::default(),
            selector: SelectorSpec::default(),
            hysteresis: Hysteresis {
                primary_failures: settings.hysteresis.primary_failures,
                backup_hold_time: settings.hysteresis.backup_hold_time,
            },
            empty_pool: match settings.empty_pool_action {
                model::EmptyPoolAction::Error => EmptyPoolAction::Error,
                model::EmptyPoolAction::FallbackAll => EmptyPoolAction::FallbackAll,
            },
            fallback: None,
            takes_choice: false,
        }
    }

    /// A balancer of V2Ray. All of its members are tried when nobody stands: what an observatory says
    /// never keeps a connection from being made.
    fn balancer(
        &mut self,
        balancer: &model::Balancer,
        tags: &[Tag],
        problems: &mut Vec<Diagnostic>,
    ) -> GroupSpec {
        let prefixes: Vec<&str> = balancer.selector.iter().map(|prefix| &*prefix.value).collect();
        let observatory = balancer.observer.and_then(|index| Some((index, self.observatories.get(index)?)));
        let probed = observatory.map_or(Probed::Never, |(index, seen)| Probed::Seen(index, seen));
        let members = select(&prefixes, tags).into_iter();
        let members: Vec<MemberSpec> =
            members.filter_map(|tag| self.member(&tag, NonZeroU16::MIN, probed)).collect();
        let names: Vec<Tag> = members.iter().map(|member| member.tag.clone()).collect();
        let mut least_load = LeastLoadSpec::default();
        let strategy = match &balancer.strategy {
            BalancerStrategy::Random => Strategy::Random,
            BalancerStrategy::RoundRobin => Strategy::RoundRobin,
            BalancerStrategy::LeastPing => Strategy::LeastPing,
            BalancerStrategy::LeastLoad(settings) => {
                least_load = observatory::least_load(settings, &names, problems);
                Strategy::LeastLoad
            }
        };
        // V2Ray takes the fastest at any moment, by however little.
        let top_n = TopN { tolerance: Duration::ZERO, ..TopN::default() };
        let fallback = balancer.fallback.as_ref();
        let fallback = fallback.and_then(|tag| self.member(&tag.value, NonZeroU16::MIN, Probed::Never));
        self.settings.push(Draft {
            idle_timeout: FOREVER,
            pace: Some(model::DialPace::default()),
            interrupts: false,
            needs_rule_set: false,
            is_balancer: true,
        });
        let spec = GroupSpec::new(balancer.tag.value.clone(), members, strategy);
        GroupSpec {
            fallback,
            top_n,
            least_load,
            empty_pool: EmptyPoolAction::FallbackAll,
            takes_choice: true,
            ..spec
        }
    }

    /// A member by its tag. A checked configuration names only members that exist.
    fn member(&mut self, tag: &Tag, weight: NonZeroU16, probed: Probed<'_>) -> Option<MemberSpec> {
        if let Some(&group) = self.groups.get(tag) {
            let target = MemberTarget::Group(group);
            let identity = format!("group|{tag}").into_bytes().into();
            return Some(MemberSpec { tag: tag.clone(), target, identity, weight, networks: Networks::ALL });
        }
        let &(member, leaf) = self.leaves.get(tag)?;
        let check = match probed {
            Probed::Every(probe) => Some(self.check(member, probe)),
            Probed::Seen(index, observatory) if observatory.watches(tag) => {
                Some(observatory::check(observatory, index, member, &mut self.monitor, &mut self.probes))
            }
            Probed::Seen(..) | Probed::Never => None,
        };
        Some(MemberSpec {
            tag: tag.clone(),
            target: MemberTarget::Leaf { member, check },
            identity: leaf.identity.clone(),
            weight,
            networks: leaf.networks,
        })
    }

    fn check(&mut self, member: MemberId, probe: &model::Probe) -> CheckId {
        // Two groups share a check if all that tells a good answer from a bad one is the same.
        let name = format!("{:?} {} {:?}", probe.method, probe.url.text, probe.expected_status);
        let settings = CheckSettings { interval: probe.interval, rise: probe.rise, fall: probe.fall };
        let check = self.monitor.add_check(member, &name, settings);
        if let Some(shared) = self.probes.get_mut(check.index()) {
            shared.timeout = shared.timeout.max(probe.timeout);
        } else {
            let target = probe_target(&probe.url, probe.method, &probe.expected_status);
            self.probes.push(ProbeSettings { target, timeout: probe.timeout, connectivity: None });
        }
        check
    }

    fn finish(mut self, groups: Groups) -> Pools {
        // What a group needs to know of a flow, those need that lead to it.
        let needs: Vec<bool> = self.settings.iter().map(|draft| draft.needs_rule_set).collect();
        let needs = |id: &GroupId| needs.get(id.index()).copied().unwrap_or_default();
        let settings = self.settings.into_iter().enumerate().map(|(index, draft)| {
            let id = GroupId::new(index);
            let pool = self.monitor.add_pool(&groups.leaves(id), draft.idle_timeout);
            let Draft { pace, interrupts, is_balancer, .. } = draft;
            let needs_rule_set = groups.reaches(id).iter().any(needs);
            PoolSettings { pool, pace, interrupts, needs_rule_set, is_balancer }
        });
        let settings = settings.collect();
        Pools::new(groups, settings, self.monitor, self.probes)
    }
}

pub(super) fn probe_target(
    url: &model::ProbeUrl,
    method: model::ProbeMethod,
    expected: &[(u16, u16)],
) -> ProbeTarget {
    ProbeTarget {
        https: url.https,
        target: url.target.clone(),
        path: url.path.clone(),
        host_header: host_header(url),
        method: match method {
            model::ProbeMethod::Head => ProbeMethod::Head,
            model::ProbeMethod::Get => ProbeMethod::Get,
        },
        expected: expected.into(),
    }
}

fn strategy(strategy: LoadBalanceStrategy) -> Strategy {
    match strategy {
        LoadBalanceStrategy::Random => Strategy::Random,
        LoadBalanceStrategy::ConsistentHash => Strategy::ConsistentHash,
        LoadBalanceStrategy::RoundRobin => Strategy::RoundRobin,
        LoadBalanceStrategy::LeastConn => Strategy::LeastConn,
        LoadBalanceStrategy::LeastPing => Strategy::LeastPing,
        LoadBalanceStrategy::Failover => Strategy::Failover,
    }
}

fn hash(hash: &model::Hash, parts: Vec<KeyPart>) -> HashSpec {
    HashSpec {
        key: KeySpec::new(parts, hash.salt.clone()),
        on_empty_key: match hash.on_empty_key {
            model::OnEmptyKey::Random => OnEmptyKey::Random,
            model::OnEmptyKey::HashEmpty => OnEmptyKey::HashEmpty,
            model::OnEmptyKey::Error => OnEmptyKey::Error,
        },
        algorithm: match hash.algorithm {
            HashAlgorithm::Ring => Algorithm::Ring,
            HashAlgorithm::Rendezvous => Algorithm::Rendezvous,
            HashAlgorithm::Maglev => Algorithm::Maglev,
        },
        virtual_nodes: hash.virtual_nodes,
        probes: hash.probes,
        balance_factor: hash.balance_factor.and_then(std::num::NonZeroU32::new),
    }
}

fn key_part(part: model::KeyPart) -> KeyPart {
    match part {
        model::KeyPart::SrcIp => KeyPart::SrcIp,
        model::KeyPart::SrcPort => KeyPart::SrcPort,
        model::KeyPart::DstIp => KeyPart::DstIp,
        model::KeyPart::DstPort => KeyPart::DstPort,
        model::KeyPart::Network => KeyPart::Network,
        model::KeyPart::Domain => KeyPart::Domain,
        model::KeyPart::InboundTag => KeyPart::InboundTag,
        model::KeyPart::User => KeyPart::User,
        model::KeyPart::MatchedRuleset => KeyPart::MatchedRuleset,
        model::KeyPart::EtldPlusOne => KeyPart::EtldPlusOne,
        model::KeyPart::MatchedRulesetOrEtld => KeyPart::MatchedRulesetOrEtld,
        model::KeyPart::Salt => KeyPart::Salt,
    }
}
