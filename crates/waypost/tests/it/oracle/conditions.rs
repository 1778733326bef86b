//! Conditions as a configuration writes them, each with facts that make it hold.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use ipnet::IpNet;
use rand::{
    RngExt,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};
use serde_json::{Value, json};
use waypost_geodata::{DomainKind, GeoipFile, GeositeFile, IpEntry, write_geoip};
use waypost_net::Network;
use waypost_testkit::workspace_root;

use super::case::{ACCOUNTS, INBOUNDS, Request};

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Domain,
    Ip,
    Port,
    SourcePort,
    Source,
    Network,
    User,
    InboundTag,
    Protocol,
    Attrs,
}

pub(crate) const KINDS: [Kind; 10] = [
    Kind::Domain,
    Kind::Ip,
    Kind::Port,
    Kind::SourcePort,
    Kind::Source,
    Kind::Network,
    Kind::User,
    Kind::InboundTag,
    Kind::Protocol,
    Kind::Attrs,
];

/// One condition of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) key: &'static str,
    pub(crate) value: Value,
    /// Any of these makes it hold; none for what nobody can arrange.
    pub(crate) facts: Vec<Fact>,
    /// Some of these make it hold and some just do not.
    pub(crate) near: Vec<Fact>,
}

/// Something about a connection.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    Name(String),
    Address(IpAddr),
    Port(u16),
    Source(Ipv4Addr),
    Network(Network),
    User(usize),
    Inbound(usize),
    Request(Request),
}

impl Condition {
    fn new(key: &'static str, value: Value, facts: Vec<Fact>) -> Self {
        let near = facts.iter().flat_map(Fact::neighbours).collect();
        Self { key, value, facts, near }
    }
}

impl Fact {
    /// Facts that differ as little as can be.
    fn neighbours(&self) -> Vec<Self> {
        match self {
            Self::Name(name) => {
                let parent = name.split_once('.').map_or("short", |(_, parent)| parent);
                let names = [format!("x{name}"), format!("{name}.evil.org"), parent.to_owned()];
                names.map(Self::Name).to_vec()
            }
            Self::Address(IpAddr::V4(address)) => [1, u32::MAX]
                .map(|step| Self::Address(Ipv4Addr::from_bits(address.to_bits().wrapping_add(step)).into()))
                .to_vec(),
            Self::Address(IpAddr::V6(address)) => [1, u128::MAX]
                .map(|step| Self::Address(Ipv6Addr::from_bits(address.to_bits().wrapping_add(step)).into()))
                .to_vec(),
            Self::Port(port) => {
                [port.saturating_sub(1).max(1), port.saturating_add(1)].map(Self::Port).to_vec()
            }
            Self::Source(address) => [1, 2, u32::MAX]
                .map(|step| Self::Source(Ipv4Addr::from_bits(address.to_bits().wrapping_add(step))))
                .to_vec(),
            Self::Network(_) => [Network::Tcp, Network::Udp].map(Self::Network).to_vec(),
            Self::User(_) => (0..ACCOUNTS.len()).map(Self::User).collect(),
            Self::Inbound(_) => (0..INBOUNDS.len()).map(Self::Inbound).collect(),
            Self::Request(_) => NEAR_REQUESTS.map(Self::Request).to_vec(),
        }
    }
}

/// What conditions are made of.
pub(crate) struct Vocabulary {
    sites: GeositeFile,
    ips: GeoipFile,
}

const WORDS: [&str; 8] = ["banner", "stats", "pix", "upload-", "v2", "cdn.", "mail", "-api"];
const DOMAINS: [&str; 8] = [
    "alpha.org",
    "beta.co.uk",
    "gamma.alpha.org",
    "delta-corp.net",
    "xn--fsq.example.org",
    "one",
    "a.b.c.d.net",
    "epsilon.io",
];
const REGEXPS: [(&str, &[&str]); 6] = [
    (r"^api[0-9]{1,3}\.", &["api1.zeta.org", "api123.eta.net", "api77.alpha.org"]),
    (r"\.(jp|kr)$", &["shop.jp", "a.b.kr", "news.co.jp"]),
    (r"(^|\.)img-[a-z]+\.", &["img-x.theta.org", "a.img-large.theta.org"]),
    (r"^[^.]+$", &["router", "printer-2"]),
    (r"goo+gle|yah(o){2}", &["gooooogle.net", "my-yahoo.org"]),
    (r"^\d+-\w+\.node\.net$", &["12-ab.node.net", "7-x.node.net"]),
];
const SITES: [&str; 12] = [
    "geosite:cn",
    "geosite:google",
    "geosite:google@cn",
    "geosite:GOOGLE@ads",
    "geosite:geolocation-!cn",
    "geosite:category-ads-all@ads",
    "geosite:telegram",
    "geosite:private",
    "ext:geosite.dat:test@ads",
    "ext:geosite.dat:test@!cn",
    "ext:geosite.dat:TEST@ads@cn",
    "ext-domain:geosite.dat:cn-media@!cn",
];
/// Names that regular expressions of the lists above match.
const LISTED: [(&str, &[&str]); 5] = [
    ("cn", &["img7.cdn-example.com", "img12345.cdn-example.com"]),
    ("google", &["r3---sn-abc123.googlevideo.com"]),
    ("geolocation-!cn", &["edge-abc.example.org"]),
    ("category-ads-all", &["ad12.example.com", "ad3.example.net"]),
    ("test", &["ads-xyz.regexp.test", "a.foreign.regexp.test", "foreign.regexp.test", "host12.regexp.test"]),
];
/// Prefixes that do not overlap.
const PREFIXES: [&str; 14] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.1.0/24",
    "192.168.2.128/25",
    "203.0.113.7",
    "198.51.100.0/30",
    "91.108.4.0/22",
    "45.0.0.0/9",
    "45.128.0.0/9",
    "2001:db8:1::/48",
    "2001:db8:2::1",
    "fd00::/8",
    "2606:4700::/32",
    "2a00:1450:4000::/37",
];
const IP_LISTS: [&str; 6] =
    ["geoip:cn", "geoip:US", "geoip:telegram", "geoip:private", "ext:geoip.dat:jp", "ext-ip:geoip.dat:test"];
const PORTS: [(&str, &[u16]); 7] = [
    ("22", &[22]),
    ("53,443", &[53, 443]),
    ("1000-2000", &[1000, 1500, 2000]),
    ("8000-8100, 9000", &[8000, 8050, 8100, 9000]),
    ("65535", &[65535]),
    ("1-21,110", &[1, 21, 110]),
    ("30000-60000", &[30000, 60000]),
];
const SOURCE_PORTS: [&str; 3] = ["32768-40000", "40001-50000,60000", "50001-65535"];
const SOURCES: [(&str, [u8; 4]); 5] = [
    ("127.1.0.0/16", [127, 1, 200, 3]),
    ("127.2.3.4", [127, 2, 3, 4]),
    ("127.64.0.0/10", [127, 100, 0, 1]),
    ("127.2.3.0/30", [127, 2, 3, 1]),
    ("127.250.0.0/15", [127, 251, 255, 255]),
];
const GET: Request = Request { method: "GET", path: "/", plain_path: "/", headers: &[] };
/// Starlark expressions with requests that make them true.
const EXPRESSIONS: [(&str, &[Request]); 8] = [
    (
        "attrs[':path'].startswith('/api/')",
        &[
            Request { path: "/api/x?y=1", plain_path: "/api/x", ..GET },
            Request { method: "POST", path: "/api/", plain_path: "/api/", ..GET },
        ],
    ),
    ("attrs[':method'] == 'GET'", &[GET, Request { path: "/a%20b", plain_path: "/a b", ..GET }]),
    (
        "attrs[':method'] == 'DELETE'",
        &[Request { method: "DELETE", path: "/thing", plain_path: "/thing", ..GET }],
    ),
    (
        "attrs['x-kind'] == 'bulk' and attrs[':path'].startswith('/up')",
        &[Request { method: "PUT", path: "/up/1", plain_path: "/up/1", headers: &[("X-Kind", "bulk")] }],
    ),
    (
        "attrs['accept'].find('html') >= 0",
        &[Request { headers: &[("Accept", "text/html, */*")], path: "/index", plain_path: "/index", ..GET }],
    ),
    (
        "'curl' in attrs['user-agent']",
        &[Request { headers: &[("User-Agent", "curl/7.88")], path: "/c", plain_path: "/c", ..GET }],
    ),
    (
        "attrs[\"x-two\"].index('b') >= 0",
        &[Request { method: "PATCH", headers: &[("x-two", "abc"), ("X-Two", "d")], ..GET }],
    ),
    (
        "attrs[':path'] == '/a b'",
        &[Request { method: "OPTIONS", path: "/a%20b?q", plain_path: "/a b", ..GET }],
    ),
];
/// Requests that miss an expression by little.
const NEAR_REQUESTS: [Request; 5] = [
    Request { path: "/apiary", plain_path: "/apiary", ..GET },
    Request { method: "PUT", path: "/up/1", plain_path: "/up/1", headers: &[("X-Kind", "bulky")] },
    Request { method: "PUT", path: "/down/1", plain_path: "/down/1", headers: &[("X-Kind", "bulk")] },
    Request { method: "POST", path: "/a+b", plain_path: "/a+b", headers: &[("User-Agent", "Curl/7")] },
    Request {
        method: "POST",
        path: "/b",
        plain_path: "/b",
        headers: &[("Accept", "text/plain"), ("x-two", "c")],
    },
];
const PROTOCOLS: [&[&str]; 4] = [&["http"], &["http/1.1"], &["tls", "http/1"], &["bittorrent", "http/1.1"]];

impl Vocabulary {
    /// Copies the geo data of the repository to `folder`. The lists of prefixes are aggregated on the
    /// way, because V2Ray 4.34 loses matches when prefixes inside one list overlap.
    pub(crate) fn prepare(folder: &Path) -> Self {
        let geo = workspace_root().join("testdata/geo");
        let sites = std::fs::read(geo.join("geosite.dat")).unwrap();
        std::fs::write(folder.join("geosite.dat"), &sites).unwrap();
        let ips = GeoipFile::new(std::fs::read(geo.join("geoip.dat")).unwrap()).unwrap();
        let entries = ips
            .codes()
            .map(|code| IpEntry { code: code.to_owned(), prefixes: IpNet::aggregate(&prefixes(&ips, code)) });
        let ips = write_geoip(&entries.collect::<Vec<_>>());
        std::fs::write(folder.join("geoip.dat"), &ips).unwrap();
        Self { sites: GeositeFile::new(sites).unwrap(), ips: GeoipFile::new(ips).unwrap() }
    }

    /// One condition for each element of the vocabulary, those that take little before those that
    /// take more of the same.
    pub(crate) fn catalogue(&self, rng: &mut StdRng) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let own = |entry: String, names: &[&str]| {
            (entry, names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
        };
        for domain in DOMAINS {
            conditions.push(self.domain_condition(vec![own(format!("full:{domain}"), &[domain])], rng));
        }
        for domain in DOMAINS {
            let names = [domain, &format!("w.{domain}"), &format!("a.b.{domain}")];
            conditions.push(self.domain_condition(vec![own(format!("domain:{domain}"), &names)], rng));
        }
        for (expression, names) in REGEXPS {
            conditions.push(self.domain_condition(vec![own(format!("regexp:{expression}"), names)], rng));
        }
        let (narrow, wide): (Vec<&str>, Vec<&str>) = SITES.iter().partition(|entry| entry.contains('@'));
        for entry in narrow.into_iter().chain(wide) {
            let names = self.site_names(entry, rng);
            conditions.push(self.domain_condition(vec![(entry.to_owned(), names)], rng));
        }
        for entry in PREFIXES.iter().chain(&IP_LISTS) {
            conditions.push(Condition::new("ip", json!([entry]), self.addresses(entry, rng)));
        }
        conditions.extend(EXPRESSIONS.iter().map(|(text, requests)| expression_condition(text, requests)));
        conditions.extend(PORTS.iter().map(|(text, ports)| port_condition(text, ports)));
        conditions.extend(SOURCES.iter().map(|(prefix, address)| source_condition(prefix, *address)));
        for word in WORDS {
            let names = [&*format!("x{word}x.plain.org"), &*format!("a.{word}y.net")];
            conditions.push(self.domain_condition(vec![own(word.to_owned(), &names)], rng));
        }
        conditions
    }

    /// A condition by chance.
    pub(crate) fn condition(&self, kind: Kind, rng: &mut StdRng) -> Condition {
        let several = |rng: &mut StdRng| rng.random_range(1..4);
        match kind {
            Kind::Domain => {
                let n_entries = several(rng);
                let entries = (0..n_entries).map(|_| self.domain(rng)).collect();
                self.domain_condition(entries, rng)
            }
            Kind::Ip => {
                let n_plain = rng.random_range(0..4);
                let mut entries: Vec<&str> = PREFIXES.sample(rng, n_plain).copied().collect();
                entries.extend(IP_LISTS.sample(rng, 1.max(2 - n_plain.min(2))));
                let facts = entries.iter().flat_map(|entry| self.addresses(entry, rng)).collect();
                Condition::new("ip", json!(entries), facts)
            }
            Kind::Port => {
                let (text, ports) = PORTS.choose(rng).unwrap();
                port_condition(text, ports)
            }
            Kind::SourcePort => {
                let ports = SOURCE_PORTS.choose(rng).unwrap();
                Condition::new("sourcePort", json!(ports), Vec::new())
            }
            Kind::Source => {
                let (prefix, address) = SOURCES.choose(rng).unwrap();
                source_condition(prefix, *address)
            }
            Kind::Network => {
                let (value, network) = if rng.random_bool(0.5) {
                    (json!(["udp"]), Network::Udp)
                } else {
                    (json!("tcp"), Network::Tcp)
                };
                Condition::new("network", value, vec![Fact::Network(network)])
            }
            Kind::User => {
                let user = rng.random_range(0..ACCOUNTS.len());
                let value = json!([ACCOUNTS[user].0, "nobody"]);
                Condition::new("user", value, vec![Fact::User(user)])
            }
            Kind::InboundTag => {
                let inbounds = [several(rng), several(rng)].map(|inbound| inbound % INBOUNDS.len());
                let value = json!(inbounds.map(|inbound| INBOUNDS[inbound].0));
                Condition::new("inboundTag", value, inbounds.map(Fact::Inbound).to_vec())
            }
            Kind::Protocol => {
                let protocols = PROTOCOLS.choose(rng).unwrap();
                Condition::new("protocol", json!(protocols), vec![Fact::Request(GET)])
            }
            Kind::Attrs => {
                let (expression, requests) = EXPRESSIONS.choose(rng).unwrap();
                expression_condition(expression, requests)
            }
        }
    }

    /// Names and addresses that lists and prefixes hold, whatever their attributes are.
    pub(crate) fn listed(&self, rng: &mut StdRng) -> Vec<Fact> {
        let codes = ["cn", "google", "geolocation-!cn", "category-ads-all", "telegram", "private", "test"];
        let names: Vec<_> =
            codes.iter().flat_map(|code| self.site_names(code, rng)).map(Fact::Name).collect();
        let entries = PREFIXES.iter().chain(&IP_LISTS);
        let addresses: Vec<_> = entries.flat_map(|entry| self.addresses(entry, rng)).collect();
        names.into_iter().chain(addresses).collect()
    }

    /// A condition from entries, each with names that it matches.
    fn domain_condition(&self, entries: Vec<(String, Vec<String>)>, rng: &mut StdRng) -> Condition {
        let facts = entries.iter().flat_map(|(_, names)| names.iter().cloned().map(Fact::Name)).collect();
        let lists = entries.iter().filter_map(|(entry, _)| entry.split_once('@'));
        let near: Vec<_> = lists.flat_map(|(list, _)| self.site_names(list, rng)).collect();
        let entries: Vec<String> = entries.into_iter().map(|(entry, _)| entry).collect();
        let key = if rng.random_bool(0.8) { "domain" } else { "domains" };
        let mut condition = Condition::new(key, json!(entries), facts);
        condition.near.extend(near.into_iter().map(Fact::Name));
        condition
    }

    /// One entry of a domain condition with names that it matches.
    fn domain(&self, rng: &mut StdRng) -> (String, Vec<String>) {
        let word = WORDS.choose(rng).unwrap();
        let domain = DOMAINS.choose(rng).unwrap();
        let number = rng.random_range(0..100);
        match rng.random_range(0..6) {
            0 => ((*word).to_owned(), vec![format!("x{word}x.plain{number}.org"), format!("a.{word}y.net")]),
            1 => (format!("keyword:{word}"), vec![format!("k{word}{number}.words.org")]),
            2 => (
                format!("domain:{domain}"),
                vec![(*domain).to_owned(), format!("w{number}.{domain}"), format!("a.b.{domain}")],
            ),
            3 => (format!("full:{domain}"), vec![(*domain).to_owned()]),
            4 => {
                let (expression, names) = REGEXPS.choose(rng).unwrap();
                (format!("regexp:{expression}"), names.iter().map(|&name| name.to_owned()).collect())
            }
            _ => {
                let entry = SITES.choose(rng).unwrap();
                ((*entry).to_owned(), self.site_names(entry, rng))
            }
        }
    }

    /// Names that a geosite entry matches.
    fn site_names(&self, entry: &str, rng: &mut StdRng) -> Vec<String> {
        let mut parts = entry.rsplit(':').next().unwrap().split('@');
        let code = parts.next().unwrap().to_lowercase();
        let attributes: Vec<&str> = parts.collect();
        let mut names = Vec::new();
        for domain in self.sites.list(&code).expect(entry).domains() {
            let domain = domain.unwrap();
            if !attributes.iter().all(|attribute| domain.has_attribute(attribute)) {
                continue;
            }
            match domain.kind {
                DomainKind::Full => names.push(domain.value.to_owned()),
                DomainKind::Suffix => {
                    names.extend([domain.value.to_owned(), format!("www.{}", domain.value)]);
                }
                DomainKind::Keyword => names.push(format!("a{}b.kw.org", domain.value)),
                DomainKind::Regexp => {}
            }
        }
        let mut names: Vec<String> = names.into_iter().sample(rng, 40);
        if attributes.is_empty() || code == "test" {
            let listed = LISTED.iter().find(|(list, _)| *list == code);
            names.extend(listed.into_iter().flat_map(|(_, names)| names.iter().map(|&name| name.to_owned())));
        }
        names
    }

    /// Addresses in the middle and at the edges of what an IP entry names.
    fn addresses(&self, entry: &str, rng: &mut StdRng) -> Vec<Fact> {
        let nets = if entry.starts_with(['g', 'e']) {
            prefixes(&self.ips, entry.rsplit(':').next().unwrap())
        } else {
            let net = entry.parse::<IpNet>();
            vec![net.or_else(|_| entry.parse::<IpAddr>().map(IpNet::from)).unwrap()]
        };
        let nets = nets.into_iter().sample(rng, 20);
        nets.into_iter()
            .flat_map(|net| [net.network(), net.broadcast(), inside(net, rng)])
            .filter(|address| !address.is_unspecified() && !address.is_multicast())
            .map(Fact::Address)
            .collect()
    }
}

fn port_condition(text: &str, ports: &[u16]) -> Condition {
    let value = text.parse::<u16>().map_or_else(|_| json!(text), |port| json!(port));
    Condition::new("port", value, ports.iter().map(|&port| Fact::Port(port)).collect())
}

fn source_condition(prefix: &str, address: [u8; 4]) -> Condition {
    let facts = vec![Fact::Source(Ipv4Addr::from(address))];
    Condition::new("source", json!([prefix, "10.0.0.0/8"]), facts)
}

fn expression_condition(expression: &str, requests: &[Request]) -> Condition {
    let facts = requests.iter().map(|&request| Fact::Request(request)).collect();
    Condition::new("attrs", json!(expression), facts)
}

fn prefixes(file: &GeoipFile, code: &str) -> Vec<IpNet> {
    file.list(code).expect(code).prefixes().map(Result::unwrap).collect()
}

/// Any address of a prefix.
fn inside(net: IpNet, rng: &mut StdRng) -> IpAddr {
    match net {
        IpNet::V4(net) => {
            let host = rng.random::<u32>() & net.hostmask().to_bits();
            Ipv4Addr::from_bits(net.network().to_bits() | host).into()
        }
        IpNet::V6(net) => {
            let host = rng.random::<u128>() & net.hostmask().to_bits();
            Ipv6Addr::from_bits(net.network().to_bits() | host).into()
        }
    }
}
