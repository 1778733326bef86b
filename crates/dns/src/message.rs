//! Queries and what is in their answers. Bytes become messages and back by hickory; what counts as an
//! answer is decided here.

use std::{net::IpAddr, time::Duration};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::opt::{ClientSubnet, EdnsOption},
    },
};
use waypost_net::{DomainName, canonical_ip};

/// The longest message in a stream (RFC 1035 §4.2.2).
pub(crate) const MAX_MESSAGE_BYTES: usize = 65_535;
/// What fits into one packet on nearly every path (DNS flag day 2020).
pub(crate) const UDP_PAYLOAD_BYTES: u16 = 1232;
/// More records than any honest answer has; each costs some hundred bytes while it is read.
const MAX_RECORDS: usize = 1000;
/// More addresses of one name help nobody.
const MAX_ADDRESSES: usize = 64;
/// As many aliases as other resolvers follow.
const MAX_ALIASES: usize = 16;
/// Prefix lengths that tell a server where a client is, but not who (RFC 7871 §11.1).
const SUBNET_BITS: (u8, u8) = (24, 56);

/// Answers are kept at least and at most this long, whatever they say.
const TTL_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
/// Longer than this nothing should be held for absent (RFC 2308 §5).
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(3600);
/// A negative answer that does not say how long it holds should not be kept (RFC 2308 §5); this much
/// spares the server a burst.
const BARE_NEGATIVE_TTL: Duration = Duration::from_secs(1);

/// Which records are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    A,
    Aaaa,
}

impl Kind {
    fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
        }
    }
}

/// What a server says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Never empty.
    Addresses(Vec<IpAddr>),
    /// The name exists, but has no such address.
    NoData,
    /// The name does not exist.
    NoName,
}

/// What an answer comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) outcome: Outcome,
    pub(crate) ttl: Duration,
}

/// A message that is no usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadAnswer {
    /// The server says that it cannot or will not.
    Code(ResponseCode),
    /// The aliases go round in a circle, or are too many.
    Aliases,
}

/// The question for the addresses of a name; `None` if no server could be asked for such a name.
pub(crate) fn question(name: &DomainName, kind: Kind) -> Option<Query> {
    let labels = name.as_str().split('.').map(str::as_bytes);
    let mut wire_name = Name::from_labels(labels).ok()?;
    wire_name.set_fqdn(true);
    Some(Query::query(wire_name, kind.record_type()))
}

/// The bytes of a query with the id 0.
pub(crate) fn query(question: &Query, subnet: Option<IpAddr>, with_edns: bool) -> Option<Vec<u8>> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(question.clone());
    if with_edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD_BYTES).set_version(0);
        if let Some(address) = subnet {
            edns.options_mut().insert(EdnsOption::Subnet(client_subnet(address)));
        }
        message.set_edns(edns);
    }
    message.to_vec().ok()
}

fn client_subnet(address: IpAddr) -> ClientSubnet {
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits() & (u32::MAX << (32 - u32::from(SUBNET_BITS.0)));
            ClientSubnet::new(IpAddr::V4(bits.into()), SUBNET_BITS.0, 0)
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits() & (u128::MAX << (128 - u32::from(SUBNET_BITS.1)));
            ClientSubnet::new(IpAddr::V6(bits.into()), SUBNET_BITS.1, 0)
        }
    }
}

/// The id of a message; 0 if it is too short to have one.
pub(crate) fn id(bytes: &[u8]) -> u16 {
    bytes.first_chunk::<2>().map_or(0, |id| u16::from_be_bytes(*id))
}

/// Writes the id of a message.
pub(crate) fn set_id(bytes: &mut [u8], id: u16) {
    if let Some(place) = bytes.first_chunk_mut::<2>() {
        *place = id.to_be_bytes();
    }
}

/// Reads `bytes` as a message with a sensible number of records.
pub(crate) fn parse(bytes: &[u8]) -> Option<Message> {
    let (_, counts) = bytes.first_chunk::<12>()?.split_at(4);
    let records: usize = counts.chunks_exact(2).map(|count| usize::from(id(count))).sum();
    if records > MAX_RECORDS {
        return None;
    }
    Message::from_vec(bytes).ok()
}

/// Reads `bytes` as the answer to a query with this id and question; `None` if it is anything else,
/// which says nothing about the answer that may still come.
pub(crate) fn answer_to(bytes: &[u8], expected_id: u16, question: &Query) -> Option<Message> {
    if id(bytes) != expected_id {
        return None;
    }
    let message = parse(bytes)?;
    let head = &message.metadata;
    if head.message_type != MessageType::Response || head.op_code != OpCode::Query {
        return None;
    }
    let is_failure = !matches!(head.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
    let fits = match &*message.queries {
        [asked] => is_same_question(asked, question),
        // Some servers send nothing but the head if they will not answer.
        [] => is_failure,
        [..] => false,
    };
    fits.then_some(message)
}

/// Letter case aside, as servers may change it.
fn is_same_question(asked: &Query, question: &Query) -> bool {
    asked.name() == question.name()
        && asked.query_type() == question.query_type()
        && asked.query_class() == question.query_class()
}

/// What an answer says of the name in its question.
pub(crate) fn finding(answer: &Message, question: &Query) -> Result<Finding, BadAnswer> {
    let code = answer.metadata.response_code;
    let is_unknown = code == ResponseCode::NXDomain;
    if code != ResponseCode::NoError && !is_unknown {
        return Err(BadAnswer::Code(code));
    }
    let (name, alias_ttl) = follow_aliases(&answer.answers, question)?;
    let mut ttl = alias_ttl;
    let mut addresses = Vec::new();
    for record in records_of(&answer.answers, name, question.query_type()) {
        if let Some(address) = record.data.ip_addr().map(canonical_ip)
            && !addresses.contains(&address)
            && addresses.len() < MAX_ADDRESSES
        {
            addresses.push(address);
            ttl = Some(ttl.map_or(record.ttl, |ttl: u32| ttl.min(record.ttl)));
        }
    }
    if addresses.is_empty() {
        let outcome = if is_unknown { Outcome::NoName } else { Outcome::NoData };
        return Ok(Finding { outcome, ttl: negative_ttl(&answer.authorities) });
    }
    let (least, most) = TTL_BOUNDS;
    let ttl = Duration::from_secs(ttl.unwrap_or_default().into()).clamp(least, most);
    Ok(Finding { outcome: Outcome::Addresses(addresses), ttl })
}

fn records_of<'a>(
    records: &'a [Record],
    name: &'a Name,
    kind: RecordType,
) -> impl Iterator<Item = &'a Record> {
    records.iter().filter(move |record| record.record_type() == kind && record.name == *name)
}

/// The last name of the chain that begins at the name of the question, and the shortest time that an
/// alias of it holds. Records that are not on the chain are nobody's answer.
fn follow_aliases<'a>(
    records: &'a [Record],
    question: &'a Query,
) -> Result<(&'a Name, Option<u32>), BadAnswer> {
    let (mut name, mut ttl) = (question.name(), None);
    for _ in 0..=MAX_ALIASES {
        let alias = records_of(records, name, RecordType::CNAME).find_map(|record| {
            let RData::CNAME(target) = &record.data else { return None };
            Some((&target.0, record.ttl))
        });
        let Some((target, alias_ttl)) = alias else { return Ok((name, ttl)) };
        name = target;
        ttl = Some(ttl.map_or(alias_ttl, |ttl: u32| ttl.min(alias_ttl)));
    }
    Err(BadAnswer::Aliases)
}

/// RFC 2308 §5: the smaller of the SOA record's own time and its last field.
fn negative_ttl(authorities: &[Record]) -> Duration {
    let soa = authorities.iter().find_map(|record| {
        let RData::SOA(soa) = &record.data else { return None };
        Some(soa.minimum.min(record.ttl))
    });
    let ttl = soa.map(|seconds| Duration::from_secs(seconds.into()));
    ttl.map_or(BARE_NEGATIVE_TTL, |ttl| ttl.clamp(TTL_BOUNDS.0, MAX_NEGATIVE_TTL))
}
