//! What people ask a resolver for, and what they tell it.

use std::{str::FromStr, sync::atomic::Ordering};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};

use crate::{Carrier, Reply, Resolver, ServerError, failure, message, refusal};

/// A question that cannot be asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The name is none.
    #[error("`{name}` is no domain name")]
    Name {
        /// What was given.
        name: Box<str>,
    },
    /// The type of the record is none.
    #[error("`{kind}` is no type of records, such as A, AAAA, MX or TXT")]
    Kind {
        /// What was given.
        kind: Box<str>,
    },
    /// No server said anything.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// What came is no message.
    #[error("what came is no DNS message")]
    Broken,
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryReply {
    /// The response code (RFC 1035 §4.1.1): 0 is fine, 3 says that there is no such name.
    pub code: u16,
    /// The name that was asked for, absolute.
    pub name: String,
    /// The type that was asked for, by its number (RFC 1035 §3.2.2).
    pub kind: u16,
    /// The flags TC, RD, RA, AD and CD.
    pub flags: [bool; 5],
    /// The answers.
    pub answers: Vec<AnswerRecord>,
    /// Who is responsible, if that was told.
    pub authorities: Vec<AnswerRecord>,
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerRecord {
    /// Whose it is.
    pub name: String,
    /// Its type, by its number.
    pub kind: u16,
    /// For how many seconds it holds.
    pub ttl: u32,
    /// What it says, as zone files write it.
    pub data: String,
}

/// What a resolver has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResolverFigures {
    /// How often a name was wanted.
    pub lookups: u64,
    /// How often that failed.
    pub failures: u64,
    /// How often the answer was there already.
    pub cached: u64,
}

impl ResolverFigures {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            lookups: self.lookups.saturating_add(other.lookups),
            failures: self.failures.saturating_add(other.failures),
            cached: self.cached.saturating_add(other.cached),
        }
    }
}

impl Resolver {
    /// Asks for the records of a type that a name has, as a client of this resolver would.
    ///
    /// # Errors
    ///
    /// If that is no question, or nobody says anything.
    pub async fn query(&self, name: &str, kind: &str) -> Result<QueryReply, QueryError> {
        let no_name = || QueryError::Name { name: name.into() };
        let mut absolute = Name::from_utf8(name).map_err(|_invalid| no_name())?;
        if name.is_empty() {
            return Err(no_name());
        }
        absolute.set_fqdn(true);
        let record_type = RecordType::from_str(&kind.to_ascii_uppercase());
        let record_type = record_type.map_err(|_unknown| QueryError::Kind { kind: kind.into() })?;
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(absolute, record_type));
        let bytes = message.to_vec().map_err(|_too_long| no_name())?;
        let answer = match self.answer(&bytes, Carrier::Stream).await {
            Reply::Answer(answer) => answer,
            Reply::Other => match self.pass_on(&bytes, Carrier::Stream).await {
                Some(Ok(answer)) => answer,
                Some(Err(error)) => return Err(error.into()),
                // The system can only be asked for addresses.
                None => refusal(&bytes),
            },
            Reply::Nothing => failure(&bytes),
        };
        read(&answer).ok_or(QueryError::Broken)
    }

    /// Forgets every answer.
    pub fn flush(&self) {
        self.flush_system();
        if let Some(servers) = self.servers() {
            servers.flush();
        }
    }

    /// What this resolver and its clones have done since they were made.
    #[must_use]
    pub fn figures(&self) -> ResolverFigures {
        let counts = self.counts();
        let cached = self.servers().map_or(0, crate::servers::Servers::n_cached);
        ResolverFigures {
            lookups: counts.lookups.load(Ordering::Relaxed),
            failures: counts.failures.load(Ordering::Relaxed),
            cached: cached + self.n_cached_by_system(),
        }
    }
}

fn read(bytes: &[u8]) -> Option<QueryReply> {
    let message = message::parse(bytes)?;
    let question = message.queries.first()?;
    let metadata = &message.metadata;
    let records = |records: &[hickory_proto::rr::Record]| {
        let records = records.iter().map(|record| AnswerRecord {
            name: record.name.to_ascii(),
            kind: record.record_type().into(),
            ttl: record.ttl,
            data: record.data.to_string(),
        });
        records.collect()
    };
    Some(QueryReply {
        code: metadata.response_code.into(),
        name: question.name().to_ascii(),
        kind: question.query_type().into(),
        flags: [
            metadata.truncation,
            metadata.recursion_desired,
            metadata.recursion_available,
            metadata.authentic_data,
            metadata.checking_disabled,
        ],
        answers: records(&message.answers),
        authorities: records(&message.authorities),
    })
}
