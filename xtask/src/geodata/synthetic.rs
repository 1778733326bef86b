//! Made-up data of real size, the same for the same [`Size`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use waypost_geodata::{DomainKind, IpEntry, SiteDomain, SiteEntry};

/// How much to make.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) n_site_lists: usize,
    pub(crate) n_domains: usize,
    pub(crate) n_ip_lists: usize,
    pub(crate) n_prefixes: usize,
}

impl Default for Size {
    /// The size of the public files, with more prefixes than any of them.
    fn default() -> Self {
        Size { n_site_lists: 1_500, n_domains: 110_000, n_ip_lists: 250, n_prefixes: 1_000_000 }
    }
}

#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) sites: Vec<SiteEntry>,
    pub(crate) ips: Vec<IpEntry>,
}

/// Codes that configurations name most often come first and get the longest lists.
const SITE_CODES: [&str; 6] = ["GEOLOCATION-!CN", "CN", "CATEGORY-ADS-ALL", "GOOGLE", "APPLE", "PRIVATE"];
const IP_CODES: [&str; 6] = ["US", "CN", "JP", "DE", "GB", "RU"];
const SYLLABLES: [&str; 20] = [
    "ba", "co", "di", "fu", "ga", "hel", "in", "jo", "ka", "lu", "mo", "net", "or", "pix", "qua", "ri",
    "sta", "tec", "ve", "zo",
];
const TOP_LEVELS: [&str; 10] = ["com", "com", "com", "com", "net", "org", "cn", "io", "com.cn", "co.jp"];
const ATTRIBUTES: [&str; 3] = ["ads", "cn", "!cn"];
/// In the public list 38,250 of 109,236 entries differ, as lists include one another.
const ENTRIES_PER_PATTERN: usize = 3;

/// A prefix length, and how many in a thousand have it.
type Lengths = [(u8, u64)];
/// Roughly the mix of the public IPv4 files: more than half of it /24.
const V4_LENGTHS: [(u8, u64); 9] =
    [(24, 560), (23, 120), (22, 120), (21, 70), (20, 60), (19, 35), (18, 20), (17, 10), (16, 5)];
const V6_LENGTHS: [(u8, u64); 5] = [(48, 420), (32, 380), (40, 100), (36, 50), (29, 50)];

pub(crate) fn generate(size: &Size) -> Data {
    Data { sites: sites(size), ips: ips(size) }
}

fn sites(size: &Size) -> Vec<SiteEntry> {
    let mut random = Random(0x5157_4950_4f53_5431);
    let patterns: Vec<SiteDomain> =
        (0..size.n_domains / ENTRIES_PER_PATTERN + 1).map(|number| pattern(&mut random, number)).collect();
    let mut sites = Vec::new();
    for (index, n_domains) in shares(size.n_domains, size.n_site_lists).into_iter().enumerate() {
        let mut domains = BTreeSet::new();
        while domains.len() < n_domains.min(patterns.len()) {
            domains.extend(patterns.get(random.below(patterns.len())).cloned());
        }
        let code =
            SITE_CODES.get(index).map_or_else(|| format!("LIST-{index:04}"), |code| (*code).to_owned());
        sites.push(SiteEntry { code, domains: domains.into_iter().collect() });
    }
    sites.sort_by(|left, right| left.code.cmp(&right.code));
    sites
}

/// The number makes each pattern different from all others.
fn pattern(random: &mut Random, number: usize) -> SiteDomain {
    let label = |random: &mut Random| {
        let n_syllables = 2 + random.below(3);
        (0..n_syllables).map(|_| random.pick(&SYLLABLES)).collect::<String>()
    };
    let name = format!("{}{number}", label(random));
    let domain = format!("{name}.{}", random.pick(&TOP_LEVELS));
    let (kind, value) = match random.below(1_000) {
        0..4 => (DomainKind::Regexp, format!(r"^(.+\.)?{name}[0-9]+\.(com|net)$")),
        4..14 => (DomainKind::Keyword, name),
        14..200 => (DomainKind::Full, format!("{}.{domain}", label(random))),
        _ => (DomainKind::Suffix, domain),
    };
    let attributes =
        if random.below(20) == 0 { vec![random.pick(&ATTRIBUTES).to_owned()] } else { Vec::new() };
    SiteDomain { kind, value, attributes }
}

fn ips(size: &Size) -> Vec<IpEntry> {
    let mut random = Random(0x4745_4f49_5044_4154);
    let codes = ip_codes(size.n_ip_lists);
    let n_v6 = size.n_prefixes * 3 / 10;
    let v4_start = u128::from(Ipv4Addr::new(1, 0, 0, 0).to_bits());
    let v4 = blocks(&mut random, size.n_prefixes - n_v6, v4_start, 32, &V4_LENGTHS);
    let v6_start = Ipv6Addr::new(0x2001, 0x200, 0, 0, 0, 0, 0, 0).to_bits();
    let v6 = blocks(&mut random, n_v6, v6_start, 128, &V6_LENGTHS);

    let mut lists: BTreeMap<&str, Vec<IpNet>> =
        codes.iter().map(|code| (code.as_str(), Vec::new())).collect();
    let mut code = "";
    for (index, prefix) in v4.into_iter().chain(v6).enumerate() {
        // Neighbouring blocks often belong to one country; the first ones give no list nothing.
        if index < codes.len() {
            code = &codes[index];
        } else if random.below(3) == 0 {
            code = &codes[random.skewed_below(codes.len())];
        }
        lists.entry(code).or_default().push(prefix);
    }
    lists.into_iter().map(|(code, prefixes)| IpEntry { code: code.to_owned(), prefixes }).collect()
}

fn ip_codes(n_codes: usize) -> Vec<String> {
    let pairs = (b'A'..=b'Z').flat_map(|first| (b'A'..=b'Z').map(move |second| [first, second]));
    let others = pairs
        .map(|pair| pair.iter().map(|byte| char::from(*byte)).collect::<String>())
        .filter(|code| !IP_CODES.contains(&code.as_str()));
    IP_CODES.map(str::to_owned).into_iter().chain(others).take(n_codes).collect()
}

/// Returns blocks of addresses, one after the other and with some gaps, as registries give them out.
fn blocks(random: &mut Random, n_blocks: usize, start: u128, bits: u8, lengths: &Lengths) -> Vec<IpNet> {
    let mut address = start;
    let mut blocks = Vec::with_capacity(n_blocks);
    while blocks.len() < n_blocks {
        let length = random.weighted(lengths);
        let size = 1_u128 << (bits - length);
        address = address.next_multiple_of(size);
        let ip = match u32::try_from(address) {
            Ok(v4) if bits == 32 => Ipv4Addr::from_bits(v4).into(),
            // No room is left, which the sizes in use never reach.
            Err(_) if bits == 32 => break,
            Ok(_) | Err(_) => Ipv6Addr::from_bits(address).into(),
        };
        if random.below(8) != 0 {
            blocks.extend(IpNet::new(ip, length));
        }
        address += size;
    }
    blocks
}

/// Splits a total so that the n-th list gets about 1/n of the longest, and each at least one.
fn shares(total: usize, n_lists: usize) -> Vec<usize> {
    let weight_of_all: f64 = (1..=n_lists).map(|rank| 1.0 / rank as f64).sum();
    let mut left = total;
    let mut shares = Vec::with_capacity(n_lists);
    for rank in (1..=n_lists).rev() {
        #[expect(clippy::cast_possible_truncation, reason = "a share is not larger than the total")]
        let share = if rank == 1 { left } else { (total as f64 / rank as f64 / weight_of_all) as usize };
        let share = share.max(1).min(left);
        left -= share;
        shares.push(share);
    }
    shares.reverse();
    shares
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): small, and the same in every version of every crate.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is smaller than a `usize`")]
        let number = (self.next() % limit.max(1) as u64) as usize;
        number
    }

    /// Prefers small numbers, as the lists of a few countries are far longer than the others.
    fn skewed_below(&mut self, limit: usize) -> usize {
        let limit = self.below(limit) + 1;
        let limit = self.below(limit) + 1;
        self.below(limit)
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices.get(self.below(choices.len())).copied().unwrap_or_default()
    }

    fn weighted(&mut self, lengths: &Lengths) -> u8 {
        let mut left = self.next() % lengths.iter().map(|(_, weight)| weight).sum::<u64>().max(1);
        for (length, weight) in lengths {
            if left < *weight {
                return *length;
            }
            left -= weight;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use waypost_geodata::{write_geoip, write_geosite};

    use super::*;

    const SMALL: Size = Size { n_site_lists: 50, n_domains: 2_000, n_ip_lists: 20, n_prefixes: 5_000 };

    #[test]
    fn makes_as_much_as_it_is_asked_for() {
        let data = generate(&SMALL);
        assert_eq!((data.sites.len(), data.ips.len()), (50, 20));
        assert!(data.ips.iter().all(|entry| !entry.prefixes.is_empty()));
        assert_eq!(data.ips.iter().map(|entry| entry.prefixes.len()).sum::<usize>(), 5_000);
        assert_eq!(data.sites.iter().map(|entry| entry.domains.len()).sum::<usize>(), 2_000);
        let domains = || data.sites.iter().flat_map(|entry| &entry.domains);
        for kind in [DomainKind::Keyword, DomainKind::Regexp, DomainKind::Suffix, DomainKind::Full] {
            assert!(domains().any(|domain| domain.kind == kind), "{kind:?}");
        }
        assert!(domains().any(|domain| !domain.attributes.is_empty()));
    }

    #[test]
    fn the_address_space_is_large_enough_for_the_real_size() {
        let data = generate(&Size { n_domains: 10, n_site_lists: 1, ..Size::default() });
        assert_eq!(data.ips.len(), 250);
        assert_eq!(data.ips.iter().map(|entry| entry.prefixes.len()).sum::<usize>(), 1_000_000);
    }

    #[test]
    fn makes_the_same_each_time() {
        let (first, second) = (generate(&SMALL), generate(&SMALL));
        assert!(write_geosite(&first.sites) == write_geosite(&second.sites));
        assert!(write_geoip(&first.ips) == write_geoip(&second.ips));
    }

    #[test]
    fn shares_add_up_and_fall() {
        let shares = shares(110_000, 1_500);
        assert_eq!(shares.iter().sum::<usize>(), 110_000);
        assert!(shares.is_sorted_by(|left, right| left >= right) && shares[1_499] >= 1);
    }
}
