use std::{
    num::{NonZeroU8, NonZeroU16, NonZeroU32},
    time::Duration,
};

use waypost_net::{Tag, Target};

use crate::Spanned;

const DEFAULT_VIRTUAL_NODES: NonZeroU16 = NonZeroU16::MIN.saturating_add(9);
const DEFAULT_PROBES: NonZeroU8 = NonZeroU8::MIN.saturating_add(20);
const DEFAULT_PRIMARY_FAILURES: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);
const DEFAULT_MAX_IN_FLIGHT: NonZeroU8 = NonZeroU8::MIN.saturating_add(2);

/// The settings of an outbound with the protocol `loadbalance`: a group of other outbounds.
///
/// Every member exists, is no balancer and is there once; no group is a member of itself, directly
/// or by way of other groups.
#[derive(Debug, Clone)]
pub struct LoadBalance {
    /// `primary_outbounds`; never empty.
    pub primary: Vec<Spanned<Tag>>,
    /// `backup_outbounds`: they serve only when no primary can.
    pub backup: Vec<Spanned<Tag>>,
    /// `weights`: the share of a member relative to the others; a member that is not here has 1.
    pub weights: Vec<(Tag, NonZeroU16)>,
    /// `strategy`.
    pub strategy: LoadBalanceStrategy,
    /// `url`, `interval`, `timeout`, `idle_timeout` and `probe`.
    pub probe: Probe,
    /// `top_n`.
    pub top_n: TopN,
    /// `hash`.
    pub hash: Hash,
    /// `hysteresis`.
    pub hysteresis: Hysteresis,
    /// `empty_pool_action`.
    pub empty_pool_action: EmptyPoolAction,
    /// `interrupt_exist_connections`: close inbound connections when the candidates change.
    pub interrupt_exist_connections: bool,
    /// `dial`.
    pub dial: DialPace,
}

/// `strategy` of a `loadbalance` outbound: which candidate comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoadBalanceStrategy {
    /// `random`: uniformly random, by weight.
    #[default]
    Random,
    /// `consistent_hash`: the same key goes to the same member.
    ConsistentHash,
    /// `round_robin`: one after the other.
    RoundRobin,
    /// `least_conn`: of two random ones the one with fewer connections.
    LeastConn,
    /// `least_ping`: the one with the shortest delay.
    LeastPing,
    /// `failover`: the first of the list that works.
    Failover,
}

/// How members are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `url`: what is asked for through the member.
    pub url: ProbeUrl,
    /// `interval`: the time between two probes of one member; at least 100 ms.
    pub interval: Duration,
    /// `timeout`: when a probe without an answer has failed; never zero.
    pub timeout: Duration,
    /// `idle_timeout`: how long after its last connection a group is still probed; not less than
    /// `interval`.
    pub idle_timeout: Duration,
    /// `probe.method`.
    pub method: ProbeMethod,
    /// `probe.expected_status`: closed ranges of HTTP status codes, in the order of the file;
    /// empty means that any status is good.
    pub expected_status: Vec<(u16, u16)>,
    /// `probe.rise`: good probes in a row until a member that was down is up.
    pub rise: NonZeroU8,
    /// `probe.fall`: bad probes in a row until a member that was up is down.
    pub fall: NonZeroU8,
}

/// The URL of a probe, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeUrl {
    /// Whether the scheme is `https` and not `http`.
    pub https: bool,
    /// The host and the port, which is that of the scheme if the URL has none.
    pub target: Target,
    /// The path with the query, beginning with `/`; without the fragment.
    pub path: Box<str>,
    /// The URL as written.
    pub text: Box<str>,
}

/// `probe.method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeMethod {
    /// `HEAD`.
    #[default]
    Head,
    /// `GET`.
    Get,
}

/// `top_n`: only the fastest members of a tier are candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopN {
    /// `primary`: how many primaries; 0 means all.
    pub primary: usize,
    /// `backup`: how many backups; 0 means all.
    pub backup: usize,
    /// `tolerance`: how much faster a member has to be to replace one of the chosen; zero means
    /// that the ranking is strict.
    pub tolerance: Duration,
}

/// `hash`: how `consistent_hash` finds a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash {
    /// `key_parts` in the order of the file; empty means that every key is empty.
    pub key_parts: Vec<KeyPart>,
    /// `virtual_nodes` of a member with the weight 1.
    pub virtual_nodes: NonZeroU16,
    /// `on_empty_key`.
    pub on_empty_key: OnEmptyKey,
    /// `salt`; may be empty.
    pub salt: Box<str>,
    /// `probes`: points of a key on the ring, 1 to 64.
    pub probes: NonZeroU8,
    /// `algorithm`.
    pub algorithm: HashAlgorithm,
    /// `balance_factor`: the most that a member may carry, in percent of the mean, 101 to 1000;
    /// `None` sets no bound.
    pub balance_factor: Option<u32>,
}

/// One of `hash.key_parts`: what a key is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPart {
    /// `src_ip`: the address of the client.
    SrcIp,
    /// `src_port`: the port of the client.
    SrcPort,
    /// `dst_ip`: the address of the target.
    DstIp,
    /// `dst_port`: the port of the target.
    DstPort,
    /// `network`: `tcp` or `udp`.
    Network,
    /// `domain`: the name of the target.
    Domain,
    /// `inbound_tag`: the inbound that the client came in by.
    InboundTag,
    /// `user`: the login name of the client.
    User,
    /// `matched_ruleset`: the list that the deciding rule matched by.
    MatchedRuleset,
    /// `etld_plus_one`: the registrable part of the name of the target.
    EtldPlusOne,
    /// `matched_ruleset_or_etld`: the list if one matched, else the registrable part.
    MatchedRulesetOrEtld,
    /// `salt`: the text of `hash.salt`.
    Salt,
}

/// `hash.on_empty_key`: what happens to a connection that has none of the key parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnEmptyKey {
    /// `random`: a random member.
    #[default]
    Random,
    /// `hash_empty`: the member of the empty key, always the same.
    HashEmpty,
    /// `error`: the connection is refused.
    Error,
}

/// `hash.algorithm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashAlgorithm {
    /// `ring`: virtual nodes on a ring, with several probes for a key.
    #[default]
    Ring,
    /// `rendezvous`: the highest score of a member and the key.
    Rendezvous,
    /// `maglev`: a look-up table.
    Maglev,
}

/// `hysteresis`: when the tiers change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hysteresis {
    /// `primary_failures`: rounds without a usable primary in a row before the backups serve.
    pub primary_failures: NonZeroU32,
    /// `backup_hold_time`: the least time on the backups; may be zero.
    pub backup_hold_time: Duration,
}

/// `empty_pool_action`: what happens when no member is usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmptyPoolAction {
    /// `error`: connections are refused.
    #[default]
    Error,
    /// `fallback_all`, or `random`: every member is tried.
    FallbackAll,
}

/// `dial`: how the members are tried for one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialPace {
    /// `attempt_timeout`: how long one member may take to connect and to shake hands; never zero.
    pub attempt_timeout: Duration,
    /// `total_timeout`: how long all attempts together may take; not less than `attempt_timeout`.
    pub total_timeout: Duration,
    /// `hedge_delay`: the least time before the next member is tried beside a slow one.
    pub hedge_delay: Duration,
    /// `max_in_flight`: attempts that run at the same time.
    pub max_in_flight: NonZeroU8,
    /// `first_flight_replay`: whether the first bytes of a client, if they are safe to send twice,
    /// go through the next member while nothing has come back.
    pub first_flight_replay: bool,
    /// `replay_delay`: the least time without an answer before that.
    pub replay_delay: Duration,
}

impl Default for TopN {
    /// All members are candidates; the tolerance is 10 ms.
    fn default() -> Self {
        Self { primary: 0, backup: 0, tolerance: Duration::from_millis(10) }
    }
}

impl Default for Hash {
    /// No key parts and no salt, 10 virtual nodes, 21 probes, no bound.
    fn default() -> Self {
        Self {
            key_parts: Vec::new(),
            virtual_nodes: DEFAULT_VIRTUAL_NODES,
            on_empty_key: OnEmptyKey::default(),
            salt: Box::default(),
            probes: DEFAULT_PROBES,
            algorithm: HashAlgorithm::default(),
            balance_factor: None,
        }
    }
}

impl Default for Hysteresis {
    /// Three failures, 30 seconds.
    fn default() -> Self {
        Self { primary_failures: DEFAULT_PRIMARY_FAILURES, backup_hold_time: Duration::from_secs(30) }
    }
}

impl Default for DialPace {
    /// 3 s for an attempt and 10 s for all, the next after 200 ms, 3 at a time, replay after 1 s.
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(10),
            hedge_delay: Duration::from_millis(200),
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            first_flight_replay: true,
            replay_delay: Duration::from_secs(1),
        }
    }
}
