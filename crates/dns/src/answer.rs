//! Answering questions of clients.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, OpCode, ResponseCode},
    rr::{
        DNSClass, RData, Record, RecordType,
        rdata::{A, AAAA},
    },
};
use tokio::time::timeout;
use waypost_net::DomainName;

use crate::{
    Destination, Family, Found, Network, Protocol, ResolveError, Resolver, ServerError,
    exchange::{Client, Connector, Request},
    message::{self, UDP_PAYLOAD_BYTES},
    server::DEFAULT_TIMEOUT,
};

/// A datagram without EDNS has room for so much (RFC 1035 §4.2.1).
const PLAIN_UDP_BYTES: usize = 512;

/// What a question came in, which bounds its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A datagram.
    Datagram,
    /// A stream, with the length before each message.
    Stream,
}

/// What becomes of a message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The client gets this.
    Answer(Vec<u8>),
    /// It asks for something other than addresses; see [`Resolver::pass_on`] and [`refusal`].
    Other,
    /// It is no question, so it gets nothing.
    Nothing,
}

impl Resolver {
    /// Answers a question for addresses, with the time that they hold.
    pub async fn answer(&self, query: &[u8], carrier: Carrier) -> Reply {
        let Some(message) = message::parse(query) else {
            // A head alone is enough to say that the rest makes no sense (RFC 1035 §4.1.1).
            let head = query.get(2).filter(|&flags| query.len() >= 12 && flags & 0x80 == 0);
            return head.map_or(Reply::Nothing, |_| Reply::Answer(format_error(query)));
        };
        if message.metadata.message_type != MessageType::Query {
            return Reply::Nothing;
        }
        let [question] = &*message.queries else { return Reply::Answer(format_error(query)) };
        let families = [(RecordType::A, Family::V4), (RecordType::AAAA, Family::V6)];
        let family = families.into_iter().find(|(kind, _)| *kind == question.query_type());
        let Some((_, family)) = family else { return Reply::Other };
        let name = DomainName::new(&question.name().to_ascii());
        let is_plain = message.metadata.op_code == OpCode::Query && question.query_class() == DNSClass::IN;
        let Some(name) = name.ok().filter(|_| is_plain) else { return Reply::Other };
        let found = self.find(&name, family).await;
        let response = response(&message, found.as_ref());
        Reply::Answer(fit(&response, &message, carrier).unwrap_or_else(|| failure(query)))
    }

    /// Sends a query to whoever would be asked for the addresses of the same name, and gives back what
    /// it says. `None` if only the system would be asked, which cannot be asked for anything else.
    pub async fn pass_on(&self, query: &[u8], carrier: Carrier) -> Option<Result<Vec<u8>, ServerError>> {
        let servers = self.servers()?;
        let Some((message, request)) = request(query) else { return Some(Err(ServerError::Question)) };
        let name = DomainName::new(&request.question.name().to_ascii()).ok();
        let answer = servers.pass_on(name.as_ref(), &request).await?;
        Some(answer.map(|answer| fit_bytes(answer, &message, carrier)))
    }
}

impl Resolver {
    /// Sends a query to a server that is none of the resolver's own, in datagrams or a stream. If it has
    /// a name, no server is asked for that.
    ///
    /// # Errors
    ///
    /// See [`ServerError`].
    pub async fn pass_on_to(
        &self,
        to: Destination,
        network: &Arc<dyn Network>,
        query: &[u8],
        carrier: Carrier,
    ) -> Result<Vec<u8>, ServerError> {
        let (message, request) = request(query).ok_or(ServerError::Question)?;
        let protocol = match to.network {
            waypost_net::Network::Udp => Protocol::Udp,
            waypost_net::Network::Tcp => Protocol::Tcp,
        };
        let connector = Connector::new(network.clone(), to, None, self.without_servers());
        let client = Client::new(&protocol, connector);
        let limit = DEFAULT_TIMEOUT;
        let answer = timeout(limit, client.exchange(request)).await;
        Ok(fit_bytes(answer.unwrap_or(Err(ServerError::Timeout { limit }))?, &message, carrier))
    }
}

/// The message and what a transport needs of it; `None` if it is no single question.
pub(crate) fn request(query: &[u8]) -> Option<(Message, Request)> {
    let message = message::parse(query)?;
    let [question] = &*message.queries else { return None };
    let question = question.clone();
    Some((message, Request { bytes: query.to_vec(), question }))
}

/// Says that a question is not answered here.
#[must_use]
pub fn refusal(query: &[u8]) -> Vec<u8> {
    with_code(query, ResponseCode::Refused)
}

/// Says that a question could not be answered now.
#[must_use]
pub fn failure(query: &[u8]) -> Vec<u8> {
    with_code(query, ResponseCode::ServFail)
}

fn format_error(query: &[u8]) -> Vec<u8> {
    let mut head = query.get(..12).unwrap_or_default().to_vec();
    if let [_, _, flags, code, counts @ ..] = &mut *head {
        *flags = 0x80 | (*flags & 0x79);
        *code = 1;
        counts.fill(0);
    }
    head
}

fn with_code(query: &[u8], code: ResponseCode) -> Vec<u8> {
    let Some(message) = message::parse(query) else { return format_error(query) };
    let mut response = empty_response(&message);
    response.metadata.response_code = code;
    response.to_vec().unwrap_or_else(|_too_long| format_error(query))
}

/// The head and the question of a response (RFC 6891 §6.1.1: with EDNS if the question has it).
fn empty_response(query: &Message) -> Message {
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata = Metadata::response_from_request(&query.metadata);
    response.metadata.recursion_available = true;
    response.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD_BYTES).set_version(0);
        response.set_edns(edns);
    }
    response
}

fn response(query: &Message, found: Result<&Found, &ResolveError>) -> Message {
    let mut response = empty_response(query);
    let Some(question) = query.queries.first() else { return response };
    match found {
        Ok(Found { addresses, ttl }) => {
            let ttl = seconds(*ttl);
            response.add_answers(addresses.iter().map(|address| {
                let data = match *address {
                    IpAddr::V4(address) => RData::A(A(address)),
                    IpAddr::V6(address) => RData::AAAA(AAAA(address)),
                };
                Record::from_rdata(question.name().clone(), ttl, data)
            }));
        }
        Err(ResolveError::NoData { .. }) => {}
        Err(ResolveError::Refused { .. }) => response.metadata.response_code = ResponseCode::Refused,
        Err(ResolveError::NoName { .. }) => response.metadata.response_code = ResponseCode::NXDomain,
        Err(
            ResolveError::Server { .. }
            | ResolveError::System { .. }
            | ResolveError::Timeout { .. }
            | ResolveError::Aliases { .. },
        ) => response.metadata.response_code = ResponseCode::ServFail,
    }
    response
}

/// Rounded up, so that the last part of a second is not "do not keep this".
fn seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

fn room(query: &Message, carrier: Carrier) -> usize {
    match carrier {
        Carrier::Datagram => {
            let announced = query.edns.as_ref().map_or(PLAIN_UDP_BYTES, |edns| edns.max_payload().into());
            announced.clamp(PLAIN_UDP_BYTES, UDP_PAYLOAD_BYTES.into())
        }
        Carrier::Stream => message::MAX_MESSAGE_BYTES,
    }
}

/// The response, or only its head with the note that it is too long for a datagram.
fn fit(response: &Message, query: &Message, carrier: Carrier) -> Option<Vec<u8>> {
    let room = room(query, carrier);
    let whole = response.to_vec().ok().filter(|bytes| bytes.len() <= room);
    whole.or_else(|| response.truncate().to_vec().ok())
}

fn fit_bytes(answer: Vec<u8>, query: &Message, carrier: Carrier) -> Vec<u8> {
    if answer.len() <= room(query, carrier) {
        return answer;
    }
    let truncated = message::parse(&answer).and_then(|answer| answer.truncate().to_vec().ok());
    truncated.unwrap_or(answer)
}
