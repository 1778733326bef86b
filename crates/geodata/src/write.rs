use ipnet::IpNet;

use crate::DomainKind;
use crate::proto::{put_bytes, put_integer, put_message};

/// A list of a geosite.dat file that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteEntry {
    /// The code, in upper case where other programs are to find it (Xray compares bytes).
    pub code: String,
    /// The patterns, written in this order.
    pub domains: Vec<SiteDomain>,
}

/// A pattern of a [`SiteEntry`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SiteDomain {
    /// How the value is compared with a name.
    pub kind: DomainKind,
    /// The domain, keyword or regular expression.
    pub value: String,
    /// The attribute keys without `@`, each written with the value `true`.
    pub attributes: Vec<String>,
}

/// A list of a geoip.dat file that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpEntry {
    /// The code, in upper case where other programs are to find it (Xray compares bytes).
    pub code: String,
    /// The prefixes, written in this order and without host bits.
    pub prefixes: Vec<IpNet>,
}

/// Writes a geosite.dat file, byte for byte as the deterministic marshaller of Go's protobuf does.
///
/// ```
/// use waypost_geodata::{GeositeFile, SiteEntry, write_geosite};
///
/// let bytes = write_geosite(&[SiteEntry { code: "EMPTY".to_owned(), domains: Vec::new() }]);
/// assert_eq!(bytes, b"\x0a\x07\x0a\x05EMPTY");
/// ```
pub fn write_geosite(entries: &[SiteEntry]) -> Vec<u8> {
    let mut file = Vec::new();
    let (mut list, mut message, mut attribute) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        list.clear();
        put_bytes(&mut list, 1, entry.code.as_bytes());
        for domain in &entry.domains {
            message.clear();
            put_integer(&mut message, 1, domain.kind.number());
            put_bytes(&mut message, 2, domain.value.as_bytes());
            for key in &domain.attributes {
                attribute.clear();
                put_bytes(&mut attribute, 1, key.as_bytes());
                put_integer(&mut attribute, 2, 1);
                put_message(&mut message, 3, &attribute);
            }
            put_message(&mut list, 2, &message);
        }
        put_message(&mut file, 1, &list);
    }
    file
}

/// Writes a geoip.dat file, byte for byte as the deterministic marshaller of Go's protobuf does.
///
/// ```
/// use waypost_geodata::{IpEntry, write_geoip};
///
/// let all = IpEntry { code: "ALL".to_owned(), prefixes: vec!["0.0.0.0/0".parse()?] };
/// assert_eq!(write_geoip(&[all]), b"\x0a\x0d\x0a\x03ALL\x12\x06\x0a\x04\0\0\0\0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_geoip(entries: &[IpEntry]) -> Vec<u8> {
    let mut file = Vec::new();
    let (mut list, mut message) = (Vec::new(), Vec::new());
    for entry in entries {
        list.clear();
        put_bytes(&mut list, 1, entry.code.as_bytes());
        for prefix in &entry.prefixes {
            message.clear();
            match prefix.trunc() {
                IpNet::V4(v4) => put_bytes(&mut message, 1, &v4.addr().octets()),
                IpNet::V6(v6) => put_bytes(&mut message, 1, &v6.addr().octets()),
            }
            put_integer(&mut message, 2, u64::from(prefix.prefix_len()));
            put_message(&mut list, 2, &message);
        }
        put_message(&mut file, 1, &list);
    }
    file
}
