use crate::keys::{Form, Key, KeyTable};

pub(crate) static SETTINGS: KeyTable = KeyTable {
    name: "LoadBalanceSettings",
    path: "the settings of a `loadbalance` outbound",
    doc: "Settings of an outbound with the protocol `loadbalance`; see [Load balancing](loadbalance.md).",
    keys: &KEYS,
};

/// The keys of a `loadbalance` outbound, which stand elsewhere in the other dialect.
pub(crate) const KEYS: [Key; 15] = [
    Key::new("primary_outbounds", Form::Strings, "The tags of the members; at least one."),
    Key::new("backup_outbounds", Form::Strings, "The tags of members that serve only when no primary can."),
    Key::new(
        "strategy",
        Form::Word(&["random", "consistent_hash", "round_robin", "least_conn", "least_ping", "failover"]),
        "Which member comes first; the default is `random`.",
    ),
    Key::new(
        "weights",
        Form::MapOf(&Form::Count { least: 1, most: 65_535 }),
        "The share of a member by its tag, from 1 to 65535; the default is 1.",
    ),
    Key::new(
        "url",
        Form::Text,
        "What probes ask for through a member; the default is `https://www.gstatic.com/generate_204`.",
    ),
    Key::new(
        "interval",
        Form::Duration,
        "The time between two probes of a member, a duration; the default is `3m`.",
    ),
    Key::new(
        "timeout",
        Form::Duration,
        "The time after which a probe has failed, a duration; the default is `5s`.",
    ),
    Key::new(
        "idle_timeout",
        Form::Duration,
        "How long probes go on after the last connection of the group, a duration; the default is `30m`.",
    ),
    Key::new("probe", Form::Object("Probe"), "How members are probed."),
    Key::new("top_n", Form::Object("TopN"), "Uses only the fastest members of a tier."),
    Key::new("hash", Form::Object("Hash"), "How `consistent_hash` finds a member."),
    Key::new("hysteresis", Form::Object("Hysteresis"), "When the backups serve, and for how long."),
    Key::new(
        "empty_pool_action",
        Form::Word(&["error", "fallback_all", "random"]),
        "What happens when no member is usable: refuse (`error`, the default), or try all; `random` is another word for `fallback_all`.",
    ),
    Key::new(
        "interrupt_exist_connections",
        Form::Flag,
        "Whether connections of clients end when their member is no candidate any more; the default is `false`.",
    ),
    Key::new("dial", Form::Object("Dial"), "How members are tried for one connection."),
];

pub(crate) static PROBE: KeyTable = KeyTable {
    name: "Probe",
    path: "probe",
    doc: "How the members of a `loadbalance` outbound are probed.",
    keys: &[
        Key::new("method", Form::Word(&["head", "get"]), "The method of the request; the default is `head`."),
        Key::new(
            "expected_status",
            Form::OneOf(&[Form::Text, Form::Count { least: 100, most: 599 }]),
            "Good status codes, such as `204` or `200-299/304`; any without it, or with `*`.",
        ),
        Key::new(
            "rise",
            Form::Count { least: 1, most: 255 },
            "Good probes in a row until a member is up again; the default is 1.",
        ),
        Key::new(
            "fall",
            Form::Count { least: 1, most: 255 },
            "Bad probes in a row until a member is down; the default is 2.",
        ),
    ],
};

pub(crate) static TOP_N: KeyTable = KeyTable {
    name: "TopN",
    path: "top_n",
    doc: "How many of the fastest members of a tier are used.",
    keys: &[
        Key::new("primary", Form::up_to(0xffff_ffff), "How many primaries; 0, the default, means all."),
        Key::new("backup", Form::up_to(0xffff_ffff), "How many backups; 0, the default, means all."),
        Key::new(
            "tolerance",
            Form::Duration,
            "How much faster a member has to be to replace one that is used, a duration; the default is `10ms`, and `0s` is strict.",
        ),
    ],
};

pub(crate) static HASH: KeyTable = KeyTable {
    name: "Hash",
    path: "hash",
    doc: "How the strategy `consistent_hash` finds a member.",
    keys: &[
        Key::new(
            "key_parts",
            Form::Strings,
            "What the key is made of: `src_ip`, `src_port`, `dst_ip`, `dst_port`, `network`, `domain`, `inbound_tag`, `user`, `matched_ruleset`, `etld_plus_one`, `matched_ruleset_or_etld`, `salt`.",
        ),
        Key::new(
            "virtual_nodes",
            Form::up_to(65_535),
            "The points of a member on the ring, from 1 to 65535; the default is 10, also for 0.",
        ),
        Key::new(
            "on_empty_key",
            Form::Word(&["random", "hash_empty", "error"]),
            "What happens to a connection without a key: a random member (the default), always the same, or none.",
        ),
        Key::new("salt", Form::Text, "A text that changes which key goes where.").alias(&["key_salt"]),
        Key::new(
            "probes",
            Form::Count { least: 1, most: 64 },
            "The points of a key on the ring, from 1 to 64; the default is 21.",
        ),
        Key::new(
            "algorithm",
            Form::Word(&["ring", "rendezvous", "maglev"]),
            "How a key finds its member; the default is `ring`.",
        ),
        Key::new(
            "balance_factor",
            Form::up_to(1000),
            "The most that a member carries, in percent of the mean, from 101 to 1000; 0, the default, sets no bound.",
        ),
    ],
};

pub(crate) static HYSTERESIS: KeyTable = KeyTable {
    name: "Hysteresis",
    path: "hysteresis",
    doc: "When the backups of a `loadbalance` outbound serve.",
    keys: &[
        Key::new(
            "primary_failures",
            Form::up_to(0xffff_ffff),
            "Rounds without a usable primary in a row until the backups serve; the default is 3, also for 0.",
        ),
        Key::new(
            "backup_hold_time",
            Form::Duration,
            "The least time on the backups, a duration; the default is `30s`, and `0s` is none.",
        ),
    ],
};

pub(crate) static DIAL: KeyTable = KeyTable {
    name: "Dial",
    path: "dial",
    doc: "How the members of a `loadbalance` outbound are tried for one connection.",
    keys: &[
        Key::new(
            "attempt_timeout",
            Form::Duration,
            "How long one member may take to connect and shake hands, a duration; the default is `3s`.",
        ),
        Key::new(
            "total_timeout",
            Form::Duration,
            "How long all attempts together may take, a duration; the default is `10s`.",
        ),
        Key::new(
            "hedge_delay",
            Form::Duration,
            "The least time before the next member is tried beside a slow one, a duration; the default is `200ms`.",
        ),
        Key::new(
            "max_in_flight",
            Form::Count { least: 1, most: 255 },
            "How many members are tried at the same time, at most; the default is 3.",
        ),
        Key::new(
            "first_flight_replay",
            Form::Flag,
            "Whether first bytes that are safe to send twice go through the next member if nothing comes back; the default is `true`.",
        ),
        Key::new(
            "replay_delay",
            Form::Duration,
            "The least time without an answer before that, a duration; the default is `1s`.",
        ),
    ],
};
