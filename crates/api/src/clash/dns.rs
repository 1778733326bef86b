//! Asking the resolver.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Serialize;
use waypost_proxy::{AnswerRecord, QueryError, QueryReply};

use crate::{
    app::Shared,
    respond::{Arguments, Refusal, json},
};

/// The response code of a resolver that could not find out (RFC 1035 section 4.1.1).
const SERVER_FAILURE: u16 = 2;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answered {
    status: u16,
    question: Vec<Question>,
    server: &'static str,
    #[serde(rename = "TC")]
    is_cut: bool,
    #[serde(rename = "RD")]
    wants_recursion: bool,
    #[serde(rename = "RA")]
    has_recursion: bool,
    #[serde(rename = "AD")]
    is_authentic: bool,
    #[serde(rename = "CD")]
    is_unchecked: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answer: Vec<Record>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authority: Vec<Record>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Question {
    name: String,
    qtype: u16,
    qclass: u16,
}

#[derive(Serialize)]
struct Record {
    name: String,
    #[serde(rename = "type")]
    kind: u16,
    #[serde(rename = "TTL")]
    ttl: u32,
    data: String,
}

/// The records of a name. A question that nobody could answer has an answer that says so.
pub(super) async fn query(State(app): State<Shared>, arguments: Arguments) -> Result<Response, Refusal> {
    let name = arguments.given("name").ok_or_else(|| Refusal::bad("invalid name"))?;
    let kind = arguments.given("type").unwrap_or("A");
    match app.control.query_dns(name, kind).await {
        Ok(reply) => Ok(json(&Answered::of(reply))),
        Err(QueryError::Name { .. }) => Err(Refusal::bad("invalid name")),
        Err(QueryError::Kind { .. }) => Err(Refusal::bad("invalid query type")),
        Err(error) => Ok(json(&Answered::failed(name, error.to_string()))),
    }
}

pub(super) async fn flush(State(app): State<Shared>) -> StatusCode {
    app.control.flush_dns();
    StatusCode::NO_CONTENT
}

/// There are no fake addresses, so that none is left afterwards.
pub(super) async fn flush_fake_addresses() -> StatusCode {
    StatusCode::NO_CONTENT
}

impl Answered {
    fn of(reply: QueryReply) -> Self {
        let QueryReply { code, name, kind, flags, answers, authorities } = reply;
        let [is_cut, wants_recursion, has_recursion, is_authentic, is_unchecked] = flags;
        let records = |records: Vec<AnswerRecord>| records.into_iter().map(Record::of).collect();
        Self {
            status: code,
            question: vec![Question { name, qtype: kind, qclass: 1 }],
            server: "internal",
            is_cut,
            wants_recursion,
            has_recursion,
            is_authentic,
            is_unchecked,
            answer: records(answers),
            authority: records(authorities),
            comment: None,
        }
    }

    fn failed(name: &str, reason: String) -> Self {
        let reply = QueryReply {
            code: SERVER_FAILURE,
            name: name.to_owned(),
            kind: 0,
            flags: [false, true, true, false, false],
            answers: Vec::new(),
            authorities: Vec::new(),
        };
        Self { question: Vec::new(), comment: Some(reason), ..Self::of(reply) }
    }
}

impl Record {
    fn of(record: AnswerRecord) -> Self {
        let AnswerRecord { name, kind, ttl, data } = record;
        Self { name, kind, ttl, data }
    }
}
