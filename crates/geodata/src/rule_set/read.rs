//! Reads `.srs` files. No length that a file states is believed.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    AddressRanges, DefaultRule, DomainMatch, Domains, HeadlessRule, LogicalMode, LogicalRule,
    MAX_NAMES_BYTES, MAX_NESTING, MAX_RULES, MAX_TEXTS, NEWEST_VERSION, NetworkType, RuleSet, SrsError,
    SrsPlace, SrsProblem, adguard,
    input::{Inflater, Input},
    item::{ANY_LABEL, DEFAULT, END, Item, LOGICAL, ROOT_LABEL},
    trie::{Key, Pairs, Trie, count},
};

const MAGIC: [u8; 3] = *b"SRS";
/// The only form of IP sets.
const IP_SET_FORM: u8 = 1;

/// Reads one `.srs` file; [`SrsReader`] reads many with less work.
///
/// # Errors
///
/// See [`SrsProblem`]; whatever the bytes are, memory and time are bounded by the limits of this
/// module.
///
/// ```
/// use waypost_geodata::rule_set::{DefaultRule, DomainMatch, HeadlessRule, RuleSet, read_srs, write_srs};
///
/// let mut rule = DefaultRule::default();
/// rule.domains.push(DomainMatch::Suffix, "example.org")?;
/// let set = RuleSet { version: 2, rules: vec![HeadlessRule::Default(Box::new(rule))] };
/// assert_eq!(read_srs(&write_srs(&set)?)?, set);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_srs(file: &[u8]) -> Result<RuleSet, SrsError> {
    SrsReader::default().read(file)
}

/// Reads `.srs` files one after the other with the same working memory.
#[derive(Debug, Default)]
pub struct SrsReader {
    inflater: Inflater,
    trie: Trie,
}

impl SrsReader {
    /// Reads one file.
    ///
    /// # Errors
    ///
    /// As those of [`read_srs`].
    pub fn read(&mut self, file: &[u8]) -> Result<RuleSet, SrsError> {
        let wrong = |offset, problem| SrsError { place: SrsPlace::File(offset), problem };
        if file.get(..MAGIC.len()) != Some(&MAGIC) {
            return Err(wrong(0, SrsProblem::Magic));
        }
        let version = *file.get(3).ok_or_else(|| wrong(3, SrsProblem::FileEnds))?;
        if !(1..=NEWEST_VERSION).contains(&version) {
            return Err(wrong(3, SrsProblem::Version(version)));
        }
        let input = Input::new(&mut self.inflater, file, MAGIC.len() + 1);
        let mut rules =
            Rules { input, trie: &mut self.trie, n_rules: 0, n_texts: 0, names_bytes: 0, text: Vec::new() };
        let result = rules.set().and_then(|set| rules.input.finish().map(|()| set));
        self.trie.trim();
        Ok(RuleSet { version, rules: result? })
    }
}

/// The rules of one file, with what was read of them so far.
struct Rules<'a> {
    input: Input<'a>,
    trie: &'a mut Trie,
    n_rules: usize,
    n_texts: usize,
    names_bytes: usize,
    text: Vec<u8>,
}

impl Rules<'_> {
    fn set(&mut self) -> Result<Vec<HeadlessRule>, SrsError> {
        self.list(0, "the number of rules")
    }

    fn list(&mut self, depth: usize, what: &'static str) -> Result<Vec<HeadlessRule>, SrsError> {
        let offset = self.input.offset();
        let count = self.input.varint(what)?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.n_rules = self.n_rules.saturating_add(count);
        if self.n_rules > MAX_RULES {
            let problem = SrsProblem::TooMany { what: "rules", limit: MAX_RULES as u64 };
            return Err(Input::wrong_at(offset, problem));
        }
        let mut rules = Vec::new();
        for _ in 0..count {
            rules.push(self.rule(depth)?);
        }
        rules.shrink_to_fit();
        Ok(rules)
    }

    fn rule(&mut self, depth: usize) -> Result<HeadlessRule, SrsError> {
        let offset = self.input.offset();
        match self.input.byte("the type of a rule")? {
            DEFAULT => Ok(HeadlessRule::Default(Box::new(self.default_rule(offset)?))),
            LOGICAL if depth >= MAX_NESTING => {
                let (what, limit) = ("logical rules in each other", MAX_NESTING as u64);
                Err(Input::wrong_at(offset, SrsProblem::TooMany { what, limit }))
            }
            LOGICAL => Ok(HeadlessRule::Logical(self.logical_rule(depth)?)),
            found => {
                let problem = SrsProblem::Byte { expected: "the type of a rule, 0 or 1", found };
                Err(Input::wrong_at(offset, problem))
            }
        }
    }

    fn logical_rule(&mut self, depth: usize) -> Result<LogicalRule, SrsError> {
        let offset = self.input.offset();
        let mode = match self.input.byte("the mode of a logical rule")? {
            0 => LogicalMode::And,
            1 => LogicalMode::Or,
            found => {
                let problem = SrsProblem::Byte { expected: "the mode of a logical rule, 0 or 1", found };
                return Err(Input::wrong_at(offset, problem));
            }
        };
        let rules = self.list(depth + 1, "the number of rules in a logical rule")?;
        if rules.is_empty() {
            return Err(Input::wrong_at(offset, SrsProblem::NoConditions));
        }
        Ok(LogicalRule { mode, rules, invert: self.input.flag("`invert`")? })
    }

    fn default_rule(&mut self, start: u64) -> Result<DefaultRule, SrsError> {
        let mut rule = DefaultRule::default();
        let mut seen = 0_u32;
        loop {
            let offset = self.input.offset();
            let number = self.input.byte("an item of a rule")?;
            if number == END {
                rule.invert = self.input.flag("`invert`")?;
                return if seen == 0 {
                    Err(Input::wrong_at(start, SrsProblem::NoConditions))
                } else {
                    Ok(rule)
                };
            }
            let item = Item::of_number(number)
                .ok_or_else(|| Input::wrong_at(offset, SrsProblem::UnknownItem(number)))?;
            if seen >> number & 1 == 1 {
                return Err(Input::wrong_at(offset, SrsProblem::Twice(item.word())));
            }
            seen |= 1 << number;
            self.item(item, &mut rule)?;
        }
    }

    fn item(&mut self, item: Item, rule: &mut DefaultRule) -> Result<(), SrsError> {
        match item {
            Item::QueryType => rule.query_types = self.numbers(item)?,
            Item::Network => rule.networks = self.texts(item)?,
            Item::Domain => rule.domains = self.domains()?,
            Item::DomainKeyword => rule.domain_keywords = self.texts(item)?,
            Item::DomainRegex => rule.domain_regexps = self.texts(item)?,
            Item::SourceIp => rule.source_ip = self.ranges(item)?,
            Item::Ip => rule.ip = self.ranges(item)?,
            Item::SourcePort => rule.source_ports = self.numbers(item)?,
            Item::SourcePortRange => rule.source_port_ranges = self.port_ranges(item)?,
            Item::Port => rule.ports = self.numbers(item)?,
            Item::PortRange => rule.port_ranges = self.port_ranges(item)?,
            Item::ProcessName => rule.process_names = self.texts(item)?,
            Item::ProcessPath => rule.process_paths = self.texts(item)?,
            Item::ProcessPathRegex => rule.process_path_regexps = self.texts(item)?,
            Item::PackageName => rule.package_names = self.texts(item)?,
            Item::PackageNameRegex => rule.package_name_regexps = self.texts(item)?,
            Item::WifiSsid => rule.wifi_ssids = self.texts(item)?,
            Item::WifiBssid => rule.wifi_bssids = self.texts(item)?,
            Item::AdGuard => rule.adguard = self.adguard()?,
            Item::NetworkType => rule.network_types = self.network_types(item)?,
            Item::NetworkIsExpensive => rule.network_is_expensive = true,
            Item::NetworkIsConstrained => rule.network_is_constrained = true,
            Item::NetworkInterfaceAddress => {
                for _ in 0..self.entries(item)? {
                    let kind = self.network_type()?;
                    rule.network_interface_addresses.push((kind, self.prefixes(item)?));
                }
            }
            Item::DefaultInterfaceAddress => rule.default_interface_addresses = self.prefixes(item)?,
        }
        Ok(())
    }

    /// The number of entries of an item: at least one, and not more than all items together may have.
    fn entries(&mut self, item: Item) -> Result<usize, SrsError> {
        let offset = self.input.offset();
        let entries = count(&mut self.input, MAX_TEXTS, item.word())?;
        if entries == 0 {
            return Err(Input::wrong_at(offset, SrsProblem::NoEntries(item.word())));
        }
        self.n_texts += entries;
        if self.n_texts > MAX_TEXTS {
            let problem =
                SrsProblem::TooMany { what: "entries besides domain names", limit: MAX_TEXTS as u64 };
            return Err(Input::wrong_at(offset, problem));
        }
        Ok(entries)
    }

    fn numbers(&mut self, item: Item) -> Result<Vec<u16>, SrsError> {
        let mut numbers = Vec::new();
        for _ in 0..self.entries(item)? {
            numbers.push(u16::from_be_bytes(self.input.array(item.word())?));
        }
        numbers.shrink_to_fit();
        Ok(numbers)
    }

    fn texts(&mut self, item: Item) -> Result<Vec<Box<str>>, SrsError> {
        let mut texts = Vec::new();
        for _ in 0..self.entries(item)? {
            let offset = self.input.offset();
            let length = usize::try_from(self.input.varint(item.word())?).unwrap_or(usize::MAX);
            self.text.clear();
            self.input.append(length, &mut self.text, item.word())?;
            match std::str::from_utf8(&self.text) {
                Ok(text) if !text.is_empty() => texts.push(text.into()),
                Ok(_) | Err(_) => return Err(Input::wrong_at(offset, SrsProblem::Text(item.word()))),
            }
        }
        texts.shrink_to_fit();
        Ok(texts)
    }

    fn port_ranges(&mut self, item: Item) -> Result<Vec<Box<str>>, SrsError> {
        let offset = self.input.offset();
        let ranges = self.texts(item)?;
        if ranges.iter().all(|range| parse_port_range(range).is_some()) {
            return Ok(ranges);
        }
        Err(Input::wrong_at(offset, SrsProblem::PortRange(item.word())))
    }

    fn network_types(&mut self, item: Item) -> Result<Vec<NetworkType>, SrsError> {
        let mut types = Vec::new();
        for _ in 0..self.entries(item)? {
            types.push(self.network_type()?);
        }
        Ok(types)
    }

    fn network_type(&mut self) -> Result<NetworkType, SrsError> {
        let offset = self.input.offset();
        let found = self.input.byte("a type of network")?;
        let problem = SrsProblem::Byte { expected: "a type of network, 0 to 3", found };
        NetworkType::of_number(found).ok_or_else(|| Input::wrong_at(offset, problem))
    }

    fn prefixes(&mut self, item: Item) -> Result<Vec<IpNet>, SrsError> {
        let mut prefixes = Vec::new();
        for _ in 0..self.entries(item)? {
            prefixes.push(self.prefix(item)?);
        }
        Ok(prefixes)
    }

    fn prefix(&mut self, item: Item) -> Result<IpNet, SrsError> {
        let (start, length) = (self.input.offset(), self.input.varint(item.word())?);
        let address = match length {
            4 => IpAddr::from(self.input.array::<4>(item.word())?),
            16 => IpAddr::from(self.input.array::<16>(item.word())?),
            found => {
                let problem = SrsProblem::AddressLength { expected: "4 or 16", found };
                return Err(Input::wrong_at(start, problem));
            }
        };
        let (offset, found) = (self.input.offset(), self.input.byte("a prefix length")?);
        let max = if address.is_ipv4() { 32 } else { 128 };
        let wrong = |_| Input::wrong_at(offset, SrsProblem::PrefixLength { max, found });
        IpNet::new(address, found).map_err(wrong)
    }

    fn domains(&mut self) -> Result<Domains, SrsError> {
        let offset = self.input.offset();
        self.trie.read(&mut self.input, Item::Domain)?;
        let (mut domains, allowed) = (Domains::default(), MAX_NAMES_BYTES - self.names_bytes);
        let read = self.trie.for_each_key(Pairs::Join, |key| {
            push_name(&mut domains, key)?;
            names_fit(domains.text_bytes(), allowed)
        });
        read.map_err(|problem| Input::wrong_at(offset, problem))?;
        self.names_bytes += domains.text_bytes();
        domains.shrink_to_fit();
        Ok(domains)
    }

    fn adguard(&mut self) -> Result<Vec<Box<str>>, SrsError> {
        let offset = self.input.offset();
        self.trie.read(&mut self.input, Item::AdGuard)?;
        let (mut lines, mut bytes, allowed) = (Vec::new(), 0, MAX_NAMES_BYTES - self.names_bytes);
        let room = MAX_TEXTS - self.n_texts;
        let read = self.trie.for_each_key(Pairs::Keep, |key| {
            let line = adguard::line_of_key(key.bytes);
            let line = line.ok_or_else(|| malformed(Item::AdGuard, NOT_A_NAME))?;
            bytes += line.len();
            lines.push(line.into_boxed_str());
            if lines.len() > room {
                let what = "entries besides domain names";
                return Err(SrsProblem::TooMany { what, limit: MAX_TEXTS as u64 });
            }
            names_fit(bytes, allowed)
        });
        read.map_err(|problem| Input::wrong_at(offset, problem))?;
        self.names_bytes += bytes;
        self.n_texts += lines.len();
        Ok(lines)
    }

    fn ranges(&mut self, item: Item) -> Result<AddressRanges, SrsError> {
        let offset = self.input.offset();
        let found = self.input.byte(item.word())?;
        if found != IP_SET_FORM {
            let problem = SrsProblem::Byte { expected: "the form 1 of an address set", found };
            return Err(Input::wrong_at(offset, problem));
        }
        let count = u64::from_be_bytes(self.input.array(item.word())?);
        if count == 0 {
            return Err(Input::wrong_at(offset, SrsProblem::NoEntries(item.word())));
        }
        let mut ranges = AddressRanges::default();
        for _ in 0..count {
            self.range(item, &mut ranges)?;
        }
        ranges.v4.shrink_to_fit();
        ranges.v6.shrink_to_fit();
        Ok(ranges)
    }

    fn range(&mut self, item: Item, ranges: &mut AddressRanges) -> Result<(), SrsError> {
        let (start, word) = (self.input.offset(), item.word());
        let in_order = match self.input.varint(word)? {
            4 => {
                let first = u32::from_be_bytes(self.input.array(word)?);
                self.second_address(4, word)?;
                let last = u32::from_be_bytes(self.input.array(word)?);
                let follows = ranges.v4.last().is_none_or(|before| before.1 < first);
                ranges.v4.push((first, last));
                first <= last && follows && ranges.v6.is_empty()
            }
            16 => {
                let first = u128::from_be_bytes(self.input.array(word)?);
                self.second_address(16, word)?;
                let last = u128::from_be_bytes(self.input.array(word)?);
                let follows = ranges.v6.last().is_none_or(|before| before.1 < first);
                ranges.v6.push((first, last));
                first <= last && follows
            }
            found => {
                let problem = SrsProblem::AddressLength { expected: "4 or 16", found };
                return Err(Input::wrong_at(start, problem));
            }
        };
        if in_order { Ok(()) } else { Err(Input::wrong_at(start, SrsProblem::Order(word))) }
    }

    /// Reads the length of the second address of a range, which has to be that of the first.
    fn second_address(&mut self, length: u64, word: &'static str) -> Result<(), SrsError> {
        let offset = self.input.offset();
        let found = self.input.varint(word)?;
        let expected = if length == 4 { "4" } else { "16" };
        if found == length {
            return Ok(());
        }
        Err(Input::wrong_at(offset, SrsProblem::AddressLength { expected, found }))
    }
}

const NOT_A_NAME: &str = "a name is empty, not UTF-8 or has control characters";

fn malformed(item: Item, flaw: &'static str) -> SrsProblem {
    SrsProblem::Tree { item: item.word(), flaw }
}

fn names_fit(bytes: usize, allowed: usize) -> Result<(), SrsProblem> {
    let problem = SrsProblem::TooMany { what: "bytes in all names", limit: MAX_NAMES_BYTES as u64 };
    if bytes <= allowed { Ok(()) } else { Err(problem) }
}

fn push_name(domains: &mut Domains, key: Key<'_>) -> Result<(), SrsProblem> {
    let (how, name) = match key.bytes {
        [name @ .., b'.', ANY_LABEL] => (DomainMatch::Below, name),
        [.., ANY_LABEL] => return Err(malformed(Item::Domain, "a wildcard has no dot in front")),
        [name @ .., ROOT_LABEL] => (DomainMatch::Suffix, name),
        name if key.and_below => (DomainMatch::Suffix, name),
        name => (DomainMatch::Full, name),
    };
    domains.push_reversed(how, name).map_err(|_| malformed(Item::Domain, NOT_A_NAME))
}

/// Reads a port range as rule sets write one: `1000:2000`, `:3000` or `4000:`; `None` if it is none.
#[must_use]
pub fn parse_port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once(':')?;
    let port = |text: &str, absent: u16| match text {
        "" => Some(absent),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    Some((port(first, 0)?, port(last, u16::MAX)?))
}
