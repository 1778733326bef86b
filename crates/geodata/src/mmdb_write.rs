use std::collections::BTreeMap;

use ipnet::IpNet;

/// IPv4 lies in an IPv6 tree below `::/96` (MaxMind DB specification, "IPv4 addresses in an IPv6
/// tree").
const V4_DEPTH: u8 = 96;
/// Zero bytes between the search tree and the data.
const SEPARATOR: [u8; 16] = [0; 16];
const METADATA_MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// Type numbers of the data format (MaxMind DB specification, "Output Data Section").
const STRING: u8 = 2;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
const UINT64: u8 = 9;
const ARRAY: u8 = 11;

/// Writes an MMDB database with one `{country: {iso_code}}` record per code.
///
/// The tree is an IPv6 one with IPv4 below `::/96` and no aliases of it. Where prefixes overlap,
/// the longest wins; of equal ones, the last. Because of the way the format keeps IPv4, an IPv6
/// prefix that contains `::/96` is also found for IPv4 addresses.
///
/// `build_epoch` is the time of the build in seconds since 1970: the crate reads no clock.
///
/// ```
/// use waypost_geodata::{CountryMmdb, write_country_mmdb};
///
/// let nested = [("10.1.0.0/16".parse()?, "CN"), ("10.0.0.0/8".parse()?, "US")];
/// let database = CountryMmdb::new(write_country_mmdb(&nested, 1_700_000_000))?;
/// assert_eq!(database.lookup("10.1.2.3".parse()?)?.as_deref(), Some("CN"));
/// assert_eq!(database.lookup("10.2.2.3".parse()?)?.as_deref(), Some("US"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_country_mmdb<C: AsRef<str>>(networks: &[(IpNet, C)], build_epoch: u64) -> Vec<u8> {
    let mut data = Vec::new();
    let mut offset_of_code: BTreeMap<&str, u64> = BTreeMap::new();
    let mut tree = Tree::default();
    let mut ordered: Vec<(&IpNet, &str)> = networks.iter().map(|(net, code)| (net, code.as_ref())).collect();
    ordered.sort_by_key(|(net, _)| depth(net));
    for (network, code) in ordered {
        let offset = *offset_of_code.entry(code).or_insert_with(|| {
            let offset = data.len() as u64;
            put_record(&mut data, code);
            offset
        });
        tree.insert(address(network), depth(network), Record::Data(offset));
    }

    let size = tree.record_size(data.len() as u64);
    let mut file = Vec::with_capacity(tree.nodes.len() * usize::from(size) / 4 + data.len() + 512);
    tree.put(&mut file, size);
    file.extend_from_slice(&SEPARATOR);
    file.append(&mut data);
    put_metadata(&mut file, tree.nodes.len() as u64, size, build_epoch);
    file
}

fn depth(network: &IpNet) -> u8 {
    match network {
        IpNet::V4(v4) => V4_DEPTH + v4.prefix_len(),
        IpNet::V6(v6) => v6.prefix_len(),
    }
}

fn address(network: &IpNet) -> u128 {
    match network {
        IpNet::V4(v4) => u128::from(v4.addr().to_bits()),
        IpNet::V6(v6) => v6.addr().to_bits(),
    }
}

/// One half of a node.
#[derive(Clone, Copy, Debug)]
enum Record {
    Nothing,
    Node(usize),
    /// An offset into the data section.
    Data(u64),
}

/// The search tree. Prefixes are inserted from short to long, so a longer one splits a shorter one.
#[derive(Debug)]
struct Tree {
    nodes: Vec<[Record; 2]>,
}

impl Default for Tree {
    fn default() -> Self {
        Tree { nodes: vec![[Record::Nothing; 2]] }
    }
}

impl Tree {
    fn insert(&mut self, address: u128, depth: u8, data: Record) {
        if depth == 0 {
            self.nodes[0] = [data; 2];
            return;
        }
        let mut node = 0;
        for level in 0..depth - 1 {
            let side = side(address, level);
            node = match self.nodes[node][side] {
                Record::Node(next) => next,
                shorter @ (Record::Nothing | Record::Data(_)) => {
                    let next = self.nodes.len();
                    self.nodes.push([shorter; 2]);
                    self.nodes[node][side] = Record::Node(next);
                    next
                }
            };
        }
        self.nodes[node][side(address, depth - 1)] = data;
    }

    /// Returns the smallest record size that can point to the end of the data.
    fn record_size(&self, data_length: u64) -> u8 {
        match self.data_record(data_length) {
            0..0x0100_0000 => 24,
            0x0100_0000..0x1000_0000 => 28,
            _ => 32,
        }
    }

    fn data_record(&self, offset: u64) -> u64 {
        self.nodes.len() as u64 + SEPARATOR.len() as u64 + offset
    }

    /// Appends the nodes (MaxMind DB specification, "Node Layout").
    fn put(&self, out: &mut Vec<u8>, record_size: u8) {
        let value = |record: Record| match record {
            Record::Nothing => self.nodes.len() as u64,
            Record::Node(node) => node as u64,
            Record::Data(offset) => self.data_record(offset),
        };
        for [left, right] in &self.nodes {
            let [.., l3, l2, l1, l0] = value(*left).to_be_bytes();
            let [.., r3, r2, r1, r0] = value(*right).to_be_bytes();
            match record_size {
                24 => out.extend_from_slice(&[l2, l1, l0, r2, r1, r0]),
                28 => out.extend_from_slice(&[l2, l1, l0, l3 << 4 | r3, r2, r1, r0]),
                _ => out.extend_from_slice(&[l3, l2, l1, l0, r3, r2, r1, r0]),
            }
        }
    }
}

fn side(address: u128, level: u8) -> usize {
    usize::from(address >> (127 - level) & 1 == 1)
}

fn put_record(out: &mut Vec<u8>, code: &str) {
    put_control(out, MAP, 1);
    put_string(out, "country");
    put_control(out, MAP, 1);
    put_string(out, "iso_code");
    put_string(out, code);
}

fn put_metadata(out: &mut Vec<u8>, node_count: u64, record_size: u8, build_epoch: u64) {
    out.extend_from_slice(METADATA_MARKER);
    put_control(out, MAP, 9);
    put_string(out, "binary_format_major_version");
    put_integer(out, UINT16, 2);
    put_string(out, "binary_format_minor_version");
    put_integer(out, UINT16, 0);
    put_string(out, "build_epoch");
    put_integer(out, UINT64, build_epoch);
    put_string(out, "database_type");
    put_string(out, "Waypost-Country");
    put_string(out, "description");
    put_control(out, MAP, 1);
    put_string(out, "en");
    put_string(out, "Countries by IP prefix");
    put_string(out, "ip_version");
    put_integer(out, UINT16, 6);
    put_string(out, "languages");
    put_control(out, ARRAY, 1);
    put_string(out, "en");
    put_string(out, "node_count");
    put_integer(out, UINT32, node_count);
    put_string(out, "record_size");
    put_integer(out, UINT16, u64::from(record_size));
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    put_control(out, STRING, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Appends an integer without its leading zero bytes.
fn put_integer(out: &mut Vec<u8>, kind: u8, value: u64) {
    let bytes = value.to_be_bytes();
    let bytes = &bytes[value.leading_zeros() as usize / 8..];
    put_control(out, kind, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends the control byte of a value, with its extended type and its size.
fn put_control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let (bits, base, n_size_bytes) = match size {
        0..29 => (size as u64, 0, 0),
        29..285 => (29, 29, 1),
        285..65_821 => (30, 285, 2),
        _ => (31, 65_821, 3),
    };
    let [.., bits] = bits.to_be_bytes();
    if kind > MAP {
        out.extend_from_slice(&[bits, kind - MAP]);
    } else {
        out.push(kind << 5 | bits);
    }
    let size = (size as u64 - base).to_be_bytes();
    out.extend_from_slice(&size[size.len() - n_size_bytes..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layouts of the MaxMind DB specification, "Node Layout".
    #[test]
    fn lays_out_nodes_of_every_record_size() {
        let tree = Tree { nodes: vec![[Record::Data(0x1234_5678 - 17), Record::Data(0x0abc_def0 - 17)]] };
        let put = |record_size| {
            let mut out = Vec::new();
            tree.put(&mut out, record_size);
            out
        };
        assert_eq!(put(32), [0x12, 0x34, 0x56, 0x78, 0x0a, 0xbc, 0xde, 0xf0]);
        assert_eq!(put(28), [0x34, 0x56, 0x78, 0x2a, 0xbc, 0xde, 0xf0]);
        assert_eq!(put(24), [0x34, 0x56, 0x78, 0xbc, 0xde, 0xf0]);
    }

    #[test]
    fn takes_the_smallest_record_size_that_reaches_the_end() {
        let tree = Tree::default();
        assert_eq!(tree.record_size(0x00ff_ffff - 17), 24);
        assert_eq!(tree.record_size(0x0100_0000 - 17), 28);
        assert_eq!(tree.record_size(0x0fff_ffff - 17), 28);
        assert_eq!(tree.record_size(0x1000_0000 - 17), 32);
    }

    #[test]
    fn states_long_sizes_as_the_format_wants_them() {
        let control = |kind, size| {
            let mut out = Vec::new();
            put_control(&mut out, kind, size);
            out
        };
        assert_eq!(control(STRING, 28), [0x5c]);
        assert_eq!(control(STRING, 29), [0x5d, 0]);
        assert_eq!(control(STRING, 285), [0x5e, 0, 0]);
        assert_eq!(control(STRING, 65_821), [0x5f, 0, 0, 0]);
        assert_eq!(control(UINT64, 8), [0x08, 2]);
    }
}
