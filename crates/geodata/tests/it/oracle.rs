//! The same data through prost, and bytes that no writer made.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use prost::Message;
use waypost_geodata::{
    DomainKind, GeoipFile, GeositeFile, IpEntry, SiteDomain, SiteEntry, write_geoip, write_geosite,
};

#[derive(Clone, PartialEq, Message)]
struct GeoSiteList {
    #[prost(message, repeated, tag = "1")]
    entry: Vec<GeoSite>,
}

#[derive(Clone, PartialEq, Message)]
struct GeoSite {
    #[prost(string, tag = "1")]
    country_code: String,
    #[prost(message, repeated, tag = "2")]
    domain: Vec<Domain>,
}

#[derive(Clone, PartialEq, Message)]
struct Domain {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(message, repeated, tag = "3")]
    attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(oneof = "AttributeValue", tags = "2, 3")]
    value: Option<AttributeValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum AttributeValue {
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
}

#[derive(Clone, PartialEq, Message)]
struct GeoIpList {
    #[prost(message, repeated, tag = "1")]
    entry: Vec<GeoIp>,
}

#[derive(Clone, PartialEq, Message)]
struct GeoIp {
    #[prost(string, tag = "1")]
    country_code: String,
    #[prost(message, repeated, tag = "2")]
    cidr: Vec<Cidr>,
    #[prost(bool, tag = "3")]
    inverse_match: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Cidr {
    #[prost(bytes = "vec", tag = "1")]
    ip: Vec<u8>,
    #[prost(uint32, tag = "2")]
    prefix: u32,
}

fn prost_sites(entries: &[SiteEntry]) -> GeoSiteList {
    let attribute = |key: &String| Attribute { key: key.clone(), value: Some(AttributeValue::Bool(true)) };
    let domain = |domain: &SiteDomain| Domain {
        kind: match domain.kind {
            DomainKind::Keyword => 0,
            DomainKind::Regexp => 1,
            DomainKind::Suffix => 2,
            DomainKind::Full => 3,
        },
        value: domain.value.clone(),
        attribute: domain.attributes.iter().map(attribute).collect(),
    };
    let entry = |entry: &SiteEntry| GeoSite {
        country_code: entry.code.clone(),
        domain: entry.domains.iter().map(domain).collect(),
    };
    GeoSiteList { entry: entries.iter().map(entry).collect() }
}

fn prost_ips(entries: &[IpEntry]) -> GeoIpList {
    let cidr = |prefix: &IpNet| Cidr {
        ip: match prefix.trunc() {
            IpNet::V4(v4) => v4.addr().octets().to_vec(),
            IpNet::V6(v6) => v6.addr().octets().to_vec(),
        },
        prefix: u32::from(prefix.prefix_len()),
    };
    let entry = |entry: &IpEntry| GeoIp {
        country_code: entry.code.clone(),
        cidr: entry.prefixes.iter().map(cidr).collect(),
        inverse_match: false,
    };
    GeoIpList { entry: entries.iter().map(entry).collect() }
}

fn kinds() -> impl Strategy<Value = DomainKind> {
    prop_oneof![
        Just(DomainKind::Keyword),
        Just(DomainKind::Regexp),
        Just(DomainKind::Suffix),
        Just(DomainKind::Full)
    ]
}

fn sites() -> impl Strategy<Value = Vec<SiteEntry>> {
    let domain = (kinds(), ".{0,12}", prop::collection::vec("[a-z!]{0,5}", 0..3))
        .prop_map(|(kind, value, attributes)| SiteDomain { kind, value, attributes });
    let entry = ("[A-Z!-]{0,9}|.{150}", prop::collection::vec(domain, 0..6))
        .prop_map(|(code, domains)| SiteEntry { code, domains });
    prop::collection::vec(entry, 0..5)
}

fn prefixes() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<u32>(), 0_u8..=32)
        .prop_map(|(address, length)| IpNet::V4(Ipv4Net::new(address.into(), length).unwrap()));
    let v6 = (any::<u128>(), 0_u8..=128)
        .prop_map(|(address, length)| IpNet::V6(Ipv6Net::new(address.into(), length).unwrap()));
    prop_oneof![v4, v6]
}

fn ips() -> impl Strategy<Value = Vec<IpEntry>> {
    let entry = ("[A-Z]{0,3}", prop::collection::vec(prefixes(), 0..9))
        .prop_map(|(code, prefixes)| IpEntry { code, prefixes });
    prop::collection::vec(entry, 0..5)
}

/// Reads everything there is, whether or not it is sound.
fn read_all(bytes: &[u8]) -> usize {
    let mut n_items = 0;
    if let Ok(file) = GeositeFile::new(bytes.to_vec()) {
        for code in file.codes() {
            for domain in file.list(code).unwrap().domains() {
                n_items += domain.map_or(1, |domain| domain.attributes().count() + 1);
            }
        }
    }
    if let Ok(file) = GeoipFile::new(bytes.to_vec()) {
        for code in file.codes() {
            n_items += file.list(code).unwrap().prefixes().count();
        }
    }
    n_items
}

proptest! {
    #[test]
    fn writes_geosite_as_prost_does_and_reads_it_back(entries in sites()) {
        let bytes = write_geosite(&entries);
        prop_assert_eq!(&bytes, &prost_sites(&entries).encode_to_vec());

        let file = GeositeFile::new(bytes).unwrap();
        prop_assert!(file.codes().eq(entries.iter().map(|entry| entry.code.as_str())));
        for code in file.codes() {
            let entry = entries.iter().find(|entry| entry.code.eq_ignore_ascii_case(code)).unwrap();
            let domains: Vec<SiteDomain> = file.list(code).unwrap().domains().map(|domain| {
                let domain = domain.unwrap();
                let attributes = domain.attributes().map(str::to_owned).collect();
                SiteDomain { kind: domain.kind, value: domain.value.to_owned(), attributes }
            }).collect();
            prop_assert_eq!(&domains, &entry.domains);
        }
    }

    #[test]
    fn writes_geoip_as_prost_does_and_reads_it_back(entries in ips()) {
        let bytes = write_geoip(&entries);
        prop_assert_eq!(&bytes, &prost_ips(&entries).encode_to_vec());

        let file = GeoipFile::new(bytes).unwrap();
        for code in file.codes() {
            let entry = entries.iter().find(|entry| entry.code.eq_ignore_ascii_case(code)).unwrap();
            let prefixes: Vec<IpNet> = file.list(code).unwrap().prefixes().map(Result::unwrap).collect();
            let expected: Vec<IpNet> = entry.prefixes.iter().map(IpNet::trunc).collect();
            prop_assert_eq!(prefixes, expected);
        }
    }

    #[test]
    fn reads_arbitrary_bytes_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn reads_mutated_files_without_panic(
        entries in sites(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = write_geosite(&entries);
        if !bytes.is_empty() {
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            read_all(&bytes);
            bytes.truncate(cut.index(bytes.len()));
        }
        read_all(&bytes);
    }

    #[test]
    fn reads_mutated_geoip_files_without_panic(
        entries in ips(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = write_geoip(&entries);
        if !bytes.is_empty() {
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        read_all(&bytes);
    }
}
