use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader};

use crate::MmdbError;
use crate::geoip::network;

/// IPv4 lies in an IPv6 tree below `::/96` (MaxMind DB specification, "IPv4 addresses in an IPv6
/// tree").
const V4_DEPTH: u8 = 96;
/// A sound tree reaches each node once, and leaves out the aliases of its IPv4 part. Some room is
/// left for writers that share equal branches.
const VISITS_PER_NODE: u64 = 4;

/// Where a record may keep its country code, in order of preference.
const CODE_PATHS: [&[PathElement<'static>]; 3] = [
    &[PathElement::Key("country_code")],
    &[PathElement::Key("country"), PathElement::Key("iso_code")],
    &[PathElement::Key("registered_country"), PathElement::Key("iso_code")],
];

/// An MMDB file that tells the country of an address.
///
/// Understood are the records of MaxMind and DB-IP (`country.iso_code`, else
/// `registered_country.iso_code`), flat ones (`country_code`), and those that are themselves a
/// code (sing-geoip) or an array of codes (the `Meta-geoip0` files of mihomo). Codes are made
/// upper-case and compared ignoring ASCII case.
///
/// ```
/// use waypost_geodata::{CountryMmdb, write_country_mmdb};
///
/// let bytes = write_country_mmdb(&[("192.0.2.0/24".parse()?, "JP"), ("2001:db8::/32".parse()?, "US")], 0);
/// let database = CountryMmdb::new(bytes)?;
/// assert_eq!(database.lookup("192.0.2.7".parse()?)?.as_deref(), Some("JP"));
/// assert_eq!(database.prefixes(&["us"])?["US"], ["2001:db8::/32".parse()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CountryMmdb {
    reader: Reader<Bytes>,
    bytes: Bytes,
    node_count: u32,
    record_size: u16,
    /// The number of levels of the tree.
    bits: u8,
}

/// The file, shared with the reader so that the tree can be walked here: the walk of the
/// `maxminddb` crate has no limit, and drops networks whose record is also that of `::/96`.
#[derive(Clone)]
struct Bytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A record of the search tree, and the network it stands for.
#[derive(Clone, Copy, Debug)]
struct Branch {
    /// Below the node count a node, equal to it no data, above it a pointer to data.
    record: u32,
    address: u128,
    depth: u8,
}

impl CountryMmdb {
    /// Takes a file and checks its metadata and the size of its search tree.
    ///
    /// # Errors
    ///
    /// If this is not an MMDB file, or if its tree does not fit into it.
    pub fn new(bytes: Vec<u8>) -> Result<CountryMmdb, MmdbError> {
        let bytes = Bytes(Arc::new(bytes));
        let reader = Reader::from_source(bytes.clone())
            .map_err(|error| MmdbError::Invalid { message: error.to_string() })?;
        let metadata = reader.metadata();
        let (node_count, record_size) = (metadata.node_count, metadata.record_size);
        let bits = if metadata.ip_version == 4 { 32 } else { 128 };
        Ok(CountryMmdb { reader, bytes, node_count, record_size, bits })
    }

    /// Returns the country of an address, or `None` if the file knows none.
    ///
    /// Where a record has several codes, this is the first.
    ///
    /// # Errors
    ///
    /// If the record of the address is broken.
    pub fn lookup(&self, address: IpAddr) -> Result<Option<String>, MmdbError> {
        let address = address.to_canonical();
        if address.is_ipv6() && self.bits == 32 {
            return Ok(None);
        }
        let codes = self
            .record_codes(address)
            .map_err(|error| MmdbError::Record { network: address.into(), message: error.to_string() })?;
        Ok(codes.into_iter().next())
    }

    /// Returns all codes in order, each with the number of its prefixes.
    ///
    /// # Errors
    ///
    /// If the tree or one of its records is broken.
    pub fn countries(&self) -> Result<BTreeMap<String, usize>, MmdbError> {
        let prefixes = self.collect(|_| true)?;
        Ok(prefixes.into_iter().map(|(code, prefixes)| (code, prefixes.len())).collect())
    }

    /// Returns the prefixes of these countries, sorted and without duplicates, by upper-case code.
    ///
    /// A code that the file does not have is missing from the result. The tree is walked once.
    /// IPv4 comes out as IPv4, and the copies that IPv6 trees have of it below `::ffff:0:0/96`,
    /// `2002::/16` and `2001::/32` are left out.
    ///
    /// # Errors
    ///
    /// If the tree or one of its records is broken, even if that concerns another country.
    pub fn prefixes(&self, codes: &[&str]) -> Result<BTreeMap<String, Vec<IpNet>>, MmdbError> {
        self.collect(|code| codes.iter().any(|wanted| wanted.eq_ignore_ascii_case(code)))
    }

    fn collect(&self, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Vec<IpNet>>, MmdbError> {
        let mut prefixes: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
        let mut codes_of_record: HashMap<u32, Vec<String>> = HashMap::new();
        self.walk(|record, network| {
            let codes = match codes_of_record.entry(record) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let mut codes = self
                        .record_codes(network.addr())
                        .map_err(|error| MmdbError::Record { network, message: error.to_string() })?;
                    codes.retain(|code| wanted(code));
                    entry.insert(codes)
                }
            };
            for code in codes {
                match prefixes.get_mut(code) {
                    Some(prefixes) => prefixes.push(network),
                    None => {
                        prefixes.insert(code.clone(), vec![network]);
                    }
                }
            }
            Ok(())
        })?;
        for prefixes in prefixes.values_mut() {
            prefixes.sort_unstable();
            prefixes.dedup();
        }
        Ok(prefixes)
    }

    /// Calls `visit` with every data record and its network.
    fn walk(&self, mut visit: impl FnMut(u32, IpNet) -> Result<(), MmdbError>) -> Result<(), MmdbError> {
        let v4_root = self.v4_root();
        let limit = u64::from(self.node_count).saturating_mul(VISITS_PER_NODE);
        let mut visits = 0_u64;
        let mut stack = vec![Branch { record: 0, address: 0, depth: 0 }];
        while let Some(branch) = stack.pop() {
            if branch.record > self.node_count {
                for network in self.networks(branch) {
                    visit(branch.record, network)?;
                }
            }
            let is_alias = v4_root == Some(branch.record) && branch.address != 0;
            if branch.record >= self.node_count || is_alias {
                continue;
            }
            if branch.depth == self.bits {
                return Err(MmdbError::TreeTooDeep { node: branch.record, bits: self.bits });
            }
            visits += 1;
            if visits > limit {
                return Err(MmdbError::TreeTooWide { nodes: self.node_count, limit });
            }
            let (left, right) = self.node(branch.record)?;
            let depth = branch.depth + 1;
            let bit = 1_u128 << (self.bits - depth);
            stack.push(Branch { record: right, address: branch.address | bit, depth });
            stack.push(Branch { record: left, address: branch.address, depth });
        }
        Ok(())
    }

    /// Returns the node that `::/96` leads to, unless there is none or the tree has only IPv4.
    fn v4_root(&self) -> Option<u32> {
        if self.bits == 32 {
            return None;
        }
        let mut record = 0;
        for _ in 0..V4_DEPTH {
            record = self.node(record).ok()?.0;
            if record >= self.node_count {
                return None;
            }
        }
        Some(record)
    }

    /// Returns the network of a branch; a record above `::/96` covers both families.
    fn networks(&self, branch: Branch) -> impl Iterator<Item = IpNet> + use<> {
        let Branch { address, depth, .. } = branch;
        let covers_v4 = self.bits == 128 && address == 0 && depth < V4_DEPTH;
        let everything_v4 = IpNet::new(Ipv4Addr::UNSPECIFIED.into(), 0).ok().filter(|_| covers_v4);
        let own = match (u32::try_from(address), self.bits) {
            (Ok(v4), 32) => network(Ipv4Addr::from_bits(v4).into(), depth),
            (Ok(v4), _) if depth >= V4_DEPTH => network(Ipv4Addr::from_bits(v4).into(), depth - V4_DEPTH),
            (Ok(_) | Err(_), _) => network(Ipv6Addr::from_bits(address).into(), depth),
        };
        everything_v4.into_iter().chain(own)
    }

    /// Reads both records of a node (MaxMind DB specification, "Node Layout").
    fn node(&self, node: u32) -> Result<(u32, u32), MmdbError> {
        let size = usize::from(self.record_size) / 4;
        let bytes = (node as usize)
            .checked_mul(size)
            .and_then(|start| self.bytes.as_ref().get(start..start.checked_add(size)?));
        match bytes {
            Some(&[a, b, c, d, e, f]) => {
                Ok((u32::from_be_bytes([0, a, b, c]), u32::from_be_bytes([0, d, e, f])))
            }
            Some(&[a, b, c, high, d, e, f]) => {
                Ok((u32::from_be_bytes([high >> 4, a, b, c]), u32::from_be_bytes([high & 0xf, d, e, f])))
            }
            Some(&[a, b, c, d, e, f, g, h]) => {
                Ok((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
            }
            Some(_) | None => {
                Err(MmdbError::Invalid { message: format!("node {node} lies outside of the search tree") })
            }
        }
    }

    fn record_codes(&self, address: IpAddr) -> Result<Vec<String>, MaxMindDbError> {
        let result = self.reader.lookup(address)?;
        let mut codes: Vec<String> =
            decode_codes(&result)?.into_iter().map(str::to_ascii_uppercase).collect();
        codes.retain(|code| !code.is_empty());
        Ok(codes)
    }
}

/// Returns the codes of a record, whichever of the known shapes it has. A record of another shape
/// has none.
fn decode_codes<'a>(result: &LookupResult<'a, Bytes>) -> Result<Vec<&'a str>, MaxMindDbError> {
    if let Some(code) = if_of_this_type(result.decode::<&str>())? {
        return Ok(vec![code]);
    }
    if let Some(codes) = if_of_this_type(result.decode::<Vec<&str>>())? {
        return Ok(codes);
    }
    for path in CODE_PATHS {
        if let Some(code) = if_of_this_type(result.decode_path::<&str>(path))? {
            return Ok(vec![code]);
        }
    }
    Ok(Vec::new())
}

/// Turns the error "this value has another type" into `None`.
fn if_of_this_type<T>(result: Result<Option<T>, MaxMindDbError>) -> Result<Option<T>, MaxMindDbError> {
    match result {
        Err(MaxMindDbError::Decoding { .. }) => Ok(None),
        other => other,
    }
}
