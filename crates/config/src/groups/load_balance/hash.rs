use std::num::{NonZeroU8, NonZeroU16};

use super::keys;
use crate::{
    Spanned,
    model::{Hash, HashAlgorithm, KeyPart, LoadBalanceStrategy, OnEmptyKey},
    object::{Object, choose},
    report::{Report, quote},
};

const KEY_PARTS: [(&str, KeyPart); 12] = [
    ("src_ip", KeyPart::SrcIp),
    ("src_port", KeyPart::SrcPort),
    ("dst_ip", KeyPart::DstIp),
    ("dst_port", KeyPart::DstPort),
    ("network", KeyPart::Network),
    ("domain", KeyPart::Domain),
    ("inbound_tag", KeyPart::InboundTag),
    ("user", KeyPart::User),
    ("matched_ruleset", KeyPart::MatchedRuleset),
    ("etld_plus_one", KeyPart::EtldPlusOne),
    ("matched_ruleset_or_etld", KeyPart::MatchedRulesetOrEtld),
    ("salt", KeyPart::Salt),
];

/// Key parts of other programs.
const FOREIGN: [(&str, &str); 2] =
    [("dst_asn", "use `dst_ip` instead"), ("dst_geosite", "use `matched_ruleset` instead")];

const ON_EMPTY_KEY: [(&str, OnEmptyKey); 3] =
    [("random", OnEmptyKey::Random), ("hash_empty", OnEmptyKey::HashEmpty), ("error", OnEmptyKey::Error)];

const ALGORITHMS: [(&str, HashAlgorithm); 3] = [
    ("ring", HashAlgorithm::Ring),
    ("rendezvous", HashAlgorithm::Rendezvous),
    ("maglev", HashAlgorithm::Maglev),
];

const MAX_PROBES: u8 = 64;
const MAX_BALANCE_FACTOR: u32 = 1000;

/// Reads `hash`. `strategy` is the one that is in force, if it is known.
pub(super) fn read(
    settings: &Object<'_>,
    strategy: Option<Spanned<LoadBalanceStrategy>>,
    report: &mut Report<'_>,
) -> Hash {
    let object = settings.object("hash", &keys::HASH, report);
    let errors = report.n_errors();
    let hash = object.as_ref().map(|object| read_object(object, report)).unwrap_or_default();
    let Some(strategy) = strategy.filter(|_| report.n_errors() == errors) else { return hash };
    if strategy.value == LoadBalanceStrategy::ConsistentHash {
        warn_of_empty_keys(&hash, strategy, report);
    } else if let Some(field) = settings.get("hash")
        && hash != Hash::default()
    {
        report
            .warning(field.key_span, "`hash` has no effect, the strategy is not `consistent_hash`")
            .help("write `\"strategy\": \"consistent_hash\"`, or remove `hash`");
    }
    hash
}

fn read_object(object: &Object<'_>, report: &mut Report<'_>) -> Hash {
    let default = Hash::default();
    let key_parts = read_key_parts(object, report);
    let salt = object.text("salt", report).map(|salt| salt.value).unwrap_or_default();
    if let Some(part) = key_parts.iter().find(|part| part.value == KeyPart::Salt)
        && salt.is_empty()
    {
        report
            .warning(part.span, "the key part `salt` adds nothing, because `salt` is empty")
            .help("add `\"salt\": \"…\"`, or remove the key part");
    }
    let virtual_nodes = object.count("virtual_nodes", 0..=u16::MAX, report);
    let hash = Hash {
        key_parts: key_parts.into_iter().map(|part| part.value).collect(),
        virtual_nodes: virtual_nodes.and_then(NonZeroU16::new).unwrap_or(default.virtual_nodes),
        on_empty_key: read_word(object, "on_empty_key", &ON_EMPTY_KEY, report),
        salt: salt.into(),
        probes: object
            .count("probes", 1..=MAX_PROBES, report)
            .and_then(NonZeroU8::new)
            .unwrap_or(default.probes),
        algorithm: read_word(object, "algorithm", &ALGORITHMS, report),
        balance_factor: read_balance_factor(object, report),
    };
    let for_ring = [
        ("virtual_nodes", hash.virtual_nodes != default.virtual_nodes),
        ("probes", hash.probes != default.probes),
    ];
    for (name, differs) in for_ring {
        if let Some(field) = object.get(name)
            && differs
            && hash.algorithm != HashAlgorithm::Ring
        {
            report
                .warning(field.key_span, format!("`{name}` has no effect, the algorithm is not `ring`"))
                .help("remove it");
        }
    }
    hash
}

fn read_word<T: Copy + Default>(
    object: &Object<'_>,
    name: &str,
    choices: &[(&str, T)],
    report: &mut Report<'_>,
) -> T {
    let written = object.text(name, report).filter(|word| !word.value.is_empty());
    written.and_then(|word| choose(name, word, choices, report)).unwrap_or_default()
}

fn read_key_parts(object: &Object<'_>, report: &mut Report<'_>) -> Vec<Spanned<KeyPart>> {
    if object.get("key_parts").is_some_and(|field| field.is_empty_list()) {
        return Vec::new();
    }
    let written = object.strings("key_parts", report).unwrap_or_default();
    written.into_iter().filter_map(|part| read_key_part(part, report)).collect()
}

fn read_key_part(written: Spanned<&str>, report: &mut Report<'_>) -> Option<Spanned<KeyPart>> {
    if let Some((name, help)) = FOREIGN.iter().find(|(name, _)| written.value.eq_ignore_ascii_case(name)) {
        let message = format!("the key part `{name}` is not available in this version");
        report.error(written.span, message).help(*help);
        return None;
    }
    choose("key_parts", written, &KEY_PARTS, report).map(|part| Spanned::new(part, written.span))
}

fn read_balance_factor(object: &Object<'_>, report: &mut Report<'_>) -> Option<u32> {
    let field = object.get("balance_factor").filter(|field| !field.value.is_off())?;
    let errors = report.n_errors();
    let factor = field.count(101..=MAX_BALANCE_FACTOR, report);
    if report.n_errors() > errors {
        report.help("it is in percent of the mean: `125` is a quarter more, and `0` sets no bound");
    }
    factor
}

/// Warns of keys that are empty whatever the connection is.
fn warn_of_empty_keys(hash: &Hash, strategy: Spanned<LoadBalanceStrategy>, report: &mut Report<'_>) {
    if hash.key_parts.iter().any(|part| *part != KeyPart::Salt) {
        return;
    }
    let effect = match hash.on_empty_key {
        OnEmptyKey::Random => "goes to a random member",
        OnEmptyKey::HashEmpty => "goes to the same member",
        OnEmptyKey::Error => "is refused",
    };
    let cause = if hash.key_parts.is_empty() { "without `key_parts`" } else { "with `salt` alone" };
    let message = format!("{cause} every key is empty, so every connection {effect}");
    report
        .warning(strategy.span, message)
        .help(format!("add {} to `hash`", quote("\"key_parts\": [\"src_ip\"]")));
}
