use std::{collections::BTreeMap, time::Duration};

use crate::{
    keys::{Form, Key, KeyTable},
    model::{Policy, Stats},
    object::{Object, read_map},
    report::{Report, quote},
};

/// A day. V2Ray's manual never goes beyond some minutes.
const MAX_SECONDS: u32 = 86_400;
/// V2Ray counts in KiB; a gigabyte for a connection is a mistake.
const MAX_BUFFER_KIB: u32 = 1024 * 1024;

const USER_STATS: &str = "traffic is not counted by user in this version";

pub(super) static POLICY: KeyTable = KeyTable {
    name: "Policy",
    path: "policy",
    doc: "Time-outs by level, and what traffic is counted for. An inbound names its level by `userLevel` in its settings; without it the level is 0.",
    keys: &[
        Key::new(
            "levels",
            Form::MapOf(&Form::Object("PolicyLevel")),
            "Levels by their number, such as `\"0\": {\"connIdle\": 300}`.",
        ),
        Key::new("system", Form::Object("PolicySystem"), "What traffic is counted for."),
    ],
};

pub(super) static LEVEL: KeyTable = KeyTable {
    name: "PolicyLevel",
    path: "policy.levels.N",
    doc: "What connections of a level are carried under.",
    keys: &[
        Key::new(
            "handshake",
            Form::Number,
            "Seconds that a client may take to say where it wants to go; 10 without it.",
        ),
        Key::new(
            "connIdle",
            Form::Number,
            "Seconds for which nothing moves before a connection ends; 300 without it.",
        ),
        Key::new(
            "uplinkOnly",
            Form::Number,
            "Seconds for which a client may be silent after its target has closed; `connIdle` without it.",
        ),
        Key::new(
            "downlinkOnly",
            Form::Number,
            "Seconds for which a target may be silent after its client has closed; `connIdle` without it.",
        ),
        Key::new(
            "connTotal",
            Form::Number,
            "Seconds that a connection may last, whatever moves; without it, or with 0, as long as it likes.",
        )
        .alias(&["conn_total"]),
        Key::new("bufferSize", Form::Number, "How much is read at once, in KiB; 64 without it, 4 at least."),
        Key::new("statsUserUplink", Form::Flag, "Counts what users send.").no_effect(USER_STATS),
        Key::new("statsUserDownlink", Form::Flag, "Counts what users receive.").no_effect(USER_STATS),
        Key::new("statsUserOnline", Form::Flag, "Counts the addresses of users.").no_effect(USER_STATS),
    ],
};

pub(super) static SYSTEM: KeyTable = KeyTable {
    name: "PolicySystem",
    path: "policy.system",
    doc: "What traffic is counted for, if the file has `stats`. The totals are logged when the proxy stops.",
    keys: &[
        Key::new("statsInboundUplink", Form::Flag, "Counts what clients of each inbound send."),
        Key::new("statsInboundDownlink", Form::Flag, "Counts what clients of each inbound receive."),
        Key::new("statsOutboundUplink", Form::Flag, "Counts what goes out by each outbound."),
        Key::new("statsOutboundDownlink", Form::Flag, "Counts what comes back by each outbound."),
        Key::new("overrideAccessLogDest", Form::Flag, "Logs the sniffed name.")
            .no_effect("the log names the target that is dialled"),
    ],
};

pub(super) static STATS: KeyTable =
    KeyTable { name: "Stats", path: "stats", doc: "Switches the counting of traffic on; empty.", keys: &[] };

/// The levels of a file.
#[derive(Debug, Default)]
pub(super) struct Policies(BTreeMap<u32, Policy>);

impl Policies {
    /// What connections of the level that the settings of an inbound name are carried under.
    pub(super) fn of(&self, settings: Option<&Object<'_>>, report: &mut Report<'_>) -> Policy {
        let level = settings.and_then(|settings| settings.count("userLevel", 0..=u32::MAX, report));
        self.at(level.unwrap_or(0))
    }

    /// What connections of a level are carried under. As in V2Ray, a level that does not exist has the
    /// defaults.
    pub(super) fn at(&self, level: u32) -> Policy {
        self.0.get(&level).copied().unwrap_or_default()
    }
}

/// Reads `policy` and `stats`.
pub(super) fn read(file: &Object<'_>, report: &mut Report<'_>) -> (Policies, Stats) {
    let counts = file.object("stats", &STATS, report).is_some();
    let Some(policy) = file.object("policy", &POLICY, report) else { return Default::default() };
    let mut levels = BTreeMap::new();
    let written = policy.get("levels").map(|field| read_map(field, report)).unwrap_or_default();
    for member in written {
        let Ok(number) = member.key.parse::<u32>() else {
            let message = format!("not the number of a level: {}", quote(&member.key));
            report.error(member.key_span, message).help("expected a number such as `\"0\"`");
            continue;
        };
        if let Some(level) = Object::read(&member.value, "levels", &LEVEL, report) {
            levels.insert(number, read_level(&level, report));
        }
    }
    let system = policy.object("system", &SYSTEM, report);
    let mut switch = |name| {
        let on = system.as_ref().and_then(|system| system.flag(name, report));
        counts && on.is_some_and(|on| on.value)
    };
    let stats = Stats {
        inbound_up: switch("statsInboundUplink"),
        inbound_down: switch("statsInboundDownlink"),
        outbound_up: switch("statsOutboundUplink"),
        outbound_down: switch("statsOutboundDownlink"),
    };
    (Policies(levels), stats)
}

fn read_level(level: &Object<'_>, report: &mut Report<'_>) -> Policy {
    let mut seconds = |name| {
        let seconds = level.count(name, 0..=MAX_SECONDS, report)?;
        Some(Duration::from_secs(u64::from(seconds)))
    };
    let (handshake, idle) = (seconds("handshake"), seconds("connIdle"));
    let (uplink_only, downlink_only) = (seconds("uplinkOnly"), seconds("downlinkOnly"));
    let total = seconds("connTotal");
    let buffer = level.count("bufferSize", 0..=MAX_BUFFER_KIB, report);
    // Nought seconds for a handshake or for idleness would end every connection at its beginning.
    let positive = |duration: &Duration| !duration.is_zero();
    Policy {
        handshake: handshake.filter(positive),
        idle: idle.filter(positive),
        uplink_only,
        downlink_only,
        total: total.filter(positive),
        buffer: buffer.map(|kib| kib as usize * 1024),
    }
}
