//! Conformance vectors taken from V2Ray and Xray (`testdata/vectors/routing.json`), from the text
//! of a configuration to the outbound. Where V2Ray 5 and Xray differ, `docs/reference/routing.md`
//! decides, and V2Ray 5 where that is silent.

mod matchers;
mod routes;
mod rules;
mod sniffing;
mod strategies;

use std::{collections::BTreeMap, fmt, sync::LazyLock};

use serde_json::{Value, json};
use waypost_config::{Options, Source, Style, render};
use waypost_net::{Flow, Host, Network, Tag, Target};
use waypost_proxy::build::{Assets, Loaded, load};

/// A vector: its identifier, and everything about it.
struct Vector {
    id: &'static str,
    data: &'static Value,
}

/// What a vector of one kind comes to.
type Run = fn(&Vector) -> Verdict;

/// What came of a vector.
enum Verdict {
    /// What the vector expects.
    AsExpected,
    /// The other one of two possible results.
    Opposite,
    /// The configuration is refused, with these diagnostics.
    Refused(String),
    /// Something that no vector of this kind may come to.
    Wrong(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsExpected => f.write_str("as expected"),
            Self::Opposite => f.write_str("the opposite"),
            Self::Refused(diagnostics) => write!(f, "refused:\n{diagnostics}"),
            Self::Wrong(found) => write!(f, "wrong, {found}"),
        }
    }
}

/// What we do in place of what a vector expects.
#[derive(Debug, Clone, Copy)]
enum Ours {
    Opposite,
    /// The configuration is refused, and a message says this.
    Refused(&'static str),
}

/// The kinds that are run here, with the number of their vectors.
const KINDS: &[(&str, usize, Run)] = &[
    ("rule_match", 165, rules::run),
    ("route", 24, routes::run),
    ("balancer_select", 4, matchers::balancer_select),
    ("round_robin", 1, matchers::round_robin),
    ("leastload_select", 8, strategies::leastload_select),
    ("weight", 6, strategies::weight),
    ("health_stats", 1, strategies::health_stats),
    ("observer_prune", 2, strategies::observer_prune),
    ("regex_dialect", 12, matchers::regex_dialect),
    ("index_match", 14, matchers::index_match),
    ("parse_host", 1, matchers::parse_host),
    ("parse_address", 1, matchers::parse_address),
    ("sniff", 19, sniffing::run),
];

/// The kinds that are run elsewhere, with the file that names them.
const ELSEWHERE: &[(&str, usize, &str)] = &[
    ("port_list", 15, CONFIG),
    ("port_range", 7, CONFIG),
    ("string_list", 5, CONFIG),
    ("network_list", 5, CONFIG),
    ("parse_ip_rule", 32, CONFIG),
    ("parse_domain_rule", 11, CONFIG),
    ("to_domain", 5, CONFIG),
    ("config_build", 14, CONFIG),
    ("domain_strategy", 3, CONFIG),
    ("json_comments", 5, CONFIG),
    ("geodata_decode", 2, "crates/geodata/tests/it/dat.rs"),
    ("should_override", 6, "crates/proxy/src/sniffing/tests.rs"),
    ("dest_override_parse", 2, CONFIG),
];
const CONFIG: &str = "crates/config/tests/it/vectors.rs";

/// The kinds that are not run, with the reason.
const NOT_RUN: &[(&str, usize, &str)] = &[
    ("dns_hosts", 4, "each gives one name both addresses and an alias, which JSON cannot; see crates/dns"),
    ("sniff_ref", 12, "this version does not recognise QUIC"),
    ("field_selector", 1, "this version has no routing statistics to subscribe to"),
];

/// Vectors whose expectation we do not meet on purpose, with what we do and why.
const DIFFERENT: &[(&str, Ours, &str)] = &[
    ("rule_match-176", Ours::Opposite, FOLDED),
    ("rule_match-179", Ours::Opposite, FOLDED),
    ("rule_match-181", Ours::Opposite, FOLDED),
    ("rule_match-183", Ours::Opposite, FOLDED),
    ("rule_match-184", Ours::Opposite, FOLDED),
    ("rule_match-189", Ours::Opposite, FOLDED),
    ("rule_match-192", Ours::Opposite, FOLDED),
    ("rule_match-193", Ours::Opposite, FOLDED),
    ("rule_match-196", Ours::Opposite, FOLDED),
    ("rule_match-197", Ours::Opposite, FOLDED),
    ("rule_match-201", Ours::Opposite, FOLDED),
    (
        "rule_match-230",
        Ours::Opposite,
        "`domain` and `domains` are one list, as in V2Ray; Xray drops `domain`",
    ),
    ("rule_match-247", Ours::Opposite, "a filter that leaves nothing must not make the rule wider; as Xray"),
    (
        "rule_match-280",
        Ours::Opposite,
        "an address of a family that the list lacks is not in the list; as V2Ray",
    ),
    ("rule_match-281", Ours::Opposite, BOTH_INVERSE),
    ("rule_match-282", Ours::Opposite, BOTH_INVERSE),
    ("rule_match-418", Ours::Refused("port 70000 is above 65535"), "a number cut to 16 bits is never meant"),
    ("rule_match-434", Ours::Opposite, "`regexp:` works in `user`, as in Xray; no address begins like that"),
    ("route-077", Ours::Refused("no outbound with the tag `nope`"), "a tag that names nothing never starts"),
    ("route-078", Ours::Refused("begins with `zz`, so this balancer is empty"), NOBODY),
    ("sniff-538", Ours::Opposite, NAMELESS),
    ("sniff-544", Ours::Opposite, "a hello is read in however many records it comes"),
    (
        "sniff-551",
        Ours::Opposite,
        "a head ends with its empty line: nobody else takes what follows for a header",
    ),
    ("sniff-563", Ours::Opposite, "the first packet of uTP is recognised, as Xray meant it"),
    (
        "observer_prune-509",
        Ours::Refused("an observatory needs a `subjectSelector`"),
        "an observatory that watches nobody is a mistake",
    ),
    (
        "parse_address-519",
        Ours::Refused("not '+'"),
        "a URL is not a host, and there are no DNS servers by URL",
    ),
];
const NAMELESS: &str = "what is certainly HTTP or TLS has its label without a name, too";
const FOLDED: &str = "names and entries are both compared in lower case, as in Xray";
const BOTH_INVERSE: &str = "inverse entries hold together, or two of them would take everything; as Xray";
const NOBODY: &str = "a balancer that is always empty would refuse every connection, so it never starts";

static FILE: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../testdata/vectors/routing.json");
    serde_json::from_str(text).expect("the vectors are JSON")
});

fn vectors(kind: &str) -> Vec<Vector> {
    let all = FILE["vectors"].as_array().expect("a list");
    let of_kind = all.iter().filter(|vector| vector["kind"] == kind);
    of_kind.map(|data| Vector { id: data["id"].as_str().expect("an id"), data }).collect()
}

impl Vector {
    fn get(&self, key: &str) -> &'static Value {
        self.data.get(key).unwrap_or_else(|| panic!("{}: no `{key}`", self.id))
    }

    /// What V2Ray 5 does, or the nearest to it that is known.
    fn expected(&self) -> &'static Value {
        let by = self.data.get("expect_by");
        let by = by.and_then(|by| by.get("v5").or_else(|| by.get("v4")).or_else(|| by.get("xray")));
        by.unwrap_or_else(|| self.get("expect"))
    }

    /// Loads a file that has these sections, with the vector's geo files.
    fn load(&self, outbounds: &Value, routing: &Value) -> Result<Loaded, Verdict> {
        self.load_file(&json!({"outbounds": outbounds, "routing": routing}))
    }

    /// Loads a file that has these sections besides an inbound, with the vector's geo files.
    fn load_file(&self, file: &Value) -> Result<Loaded, Verdict> {
        let folder = tempfile::tempdir().unwrap();
        for (name, lists) in self.data.get("geo").and_then(Value::as_object).into_iter().flatten() {
            let bytes = if name == "geosite.dat" { rules::geosite(lists) } else { rules::geoip(lists) };
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let inbound = json!({"protocol": "socks", "listen": "127.0.0.1", "port": 1080});
        let mut file = file.clone();
        file["inbounds"] = json!([inbound]);
        let source = Source::new(format!("{}.json", self.id), format!("{file:#}")).unwrap();
        let assets = Assets::new(Some(folder.path()), &|_| None);
        let loaded = load(&source, &Options::default(), &assets);
        if loaded.ready.is_some() {
            return Ok(loaded);
        }
        Err(Verdict::Refused(render(&source, &loaded.diagnostics, Style::Plain)))
    }

    /// The connection of a vector. What a vector does not say of it is unknown, but a flow always
    /// has a network and a target: TCP, as nearly everywhere, and a name and a port that no
    /// condition of these vectors is about.
    fn flow(&self) -> Flow {
        let conn = self.get("conn");
        let text = |key: &str| conn.get(key).and_then(Value::as_str);
        let port = |key: &str| conn.get(key).map_or(0, |port| u16::try_from(port.as_u64().unwrap()).unwrap());
        let host = Host::parse(text("host").unwrap_or("absent.invalid")).unwrap();
        let network = text("network").map_or(Network::Tcp, |network| network.parse().unwrap());
        let end = |address: &str, port| text(address).map(|address| (host_address(address), port).into());
        let mut flow = Flow::new(network, Target::new(host, port("port")));
        flow.source = end("source", port("sourcePort"));
        flow.local = end("localIP", port("localPort"));
        flow.inbound = text("inboundTag").map(Tag::from);
        flow.user = text("user").map(Into::into);
        flow.protocol = text("protocol").map(|label| label.to_owned().into());
        for (key, value) in conn.get("attrs").and_then(Value::as_object).into_iter().flatten() {
            flow.attributes.insert(key, value.as_str().unwrap());
        }
        flow
    }
}

fn host_address(text: &str) -> std::net::IpAddr {
    Host::parse(text).unwrap().ip().expect("an address")
}

fn check_kind(kind: &str) {
    let (_, n_vectors, run) = KINDS.iter().find(|(known, ..)| *known == kind).expect("a kind of the table");
    let vectors = vectors(kind);
    assert_eq!(vectors.len(), *n_vectors, "{kind}");
    let mut wrong = Vec::new();
    for vector in vectors {
        let verdict = run(&vector);
        let different = DIFFERENT.iter().find(|(id, ..)| *id == vector.id);
        let fits = match (different.map(|(_, ours, _)| ours), &verdict) {
            (None, Verdict::AsExpected) | (Some(Ours::Opposite), Verdict::Opposite) => true,
            (Some(Ours::Refused(part)), Verdict::Refused(diagnostics)) => diagnostics.contains(part),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{verdict}: {}", vector.data));
        }
    }
    assert!(wrong.is_empty(), "{} vectors:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether a result is exactly the expected one.
fn exactly(found: &Value, expected: &Value) -> Verdict {
    if found == expected { Verdict::AsExpected } else { Verdict::Wrong(found.to_string()) }
}

/// A result that is one of two, against the expected one.
fn one_of_two(found: bool, expected: &Value) -> Verdict {
    match expected.as_bool() {
        Some(expected) if found == expected => Verdict::AsExpected,
        Some(_) => Verdict::Opposite,
        None => Verdict::Wrong(format!("{expected} is neither true nor false")),
    }
}

#[test]
fn one_rule_matches_or_does_not() {
    check_kind("rule_match");
}

#[test]
fn many_rules_decide_with_no_more_lookups_than_needed() {
    check_kind("route");
}

#[test]
fn selectors_of_balancers_are_prefixes() {
    check_kind("balancer_select");
}

#[test]
fn round_robin_takes_turns() {
    check_kind("round_robin");
}

#[test]
fn least_load_selects_by_baselines_and_costs() {
    check_kind("leastload_select");
    check_kind("weight");
}

#[test]
fn observatories_know_the_last_samples_of_what_they_select() {
    check_kind("health_stats");
    check_kind("observer_prune");
}

#[test]
fn expressions_are_those_of_go() {
    check_kind("regex_dialect");
}

#[test]
fn one_index_finds_the_entries_of_all_lists() {
    check_kind("index_match");
}

#[test]
fn hosts_and_addresses_are_read() {
    check_kind("parse_host");
    check_kind("parse_address");
}

#[test]
fn protocols_are_recognised_by_their_first_bytes() {
    check_kind("sniff");
}

#[test]
fn every_vector_is_run_or_has_a_reason_not_to() {
    let mut n_vectors = BTreeMap::<&str, usize>::new();
    for vector in FILE["vectors"].as_array().unwrap() {
        *n_vectors.entry(vector["kind"].as_str().unwrap()).or_default() += 1;
    }
    let here = KINDS.iter().map(|(kind, count, _)| (*kind, *count));
    let not_here = ELSEWHERE.iter().chain(NOT_RUN).map(|(kind, count, _)| (*kind, *count));
    let listed: BTreeMap<&str, usize> = here.chain(not_here).collect();
    assert_eq!(listed, n_vectors);
    assert_eq!(listed.len(), KINDS.len() + ELSEWHERE.len() + NOT_RUN.len(), "a kind is listed twice");
    assert!(NOT_RUN.iter().all(|(_, _, reason)| !reason.is_empty()));
}

#[test]
fn what_runs_elsewhere_is_named_there() {
    let root = waypost_testkit::workspace_root();
    for (kind, _, file) in ELSEWHERE {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(text.contains(kind), "{file} does not name {kind}");
    }
}

#[test]
fn every_difference_is_one_of_a_vector_that_is_run() {
    let run: Vec<&str> = KINDS.iter().flat_map(|(kind, ..)| vectors(kind)).map(|vector| vector.id).collect();
    for (position, (id, _, reason)) in DIFFERENT.iter().enumerate() {
        assert!(run.contains(id), "no vector {id}");
        assert!(!reason.is_empty(), "{id}");
        assert!(!DIFFERENT[..position].iter().any(|(earlier, ..)| earlier == id), "{id} is there twice");
    }
}
