//! The `dns` outbound: questions of clients are answered by the resolver.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;
use waypost_config::model::{DnsOutbound, OtherQuestions};
use waypost_dns::{Carrier, Destination, DirectNetwork, Network, Reply, Way, failure, refusal};
use waypost_net::{Flow, Target};

use crate::{ClientStream, ConnectionId, ConnectionInfo, Path, Stream, shared::Shared, snapshot::Snapshot};

/// How long a client may be silent (RFC 7766 §6.2.3 leaves it to the server).
const IDLE: Duration = Duration::from_secs(60);
/// How long a client may leave answers unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Questions of one client under way; no more are read until one is answered.
const MAX_QUESTIONS: usize = 64;
const READ_BYTES: usize = 4096;

/// What is needed to answer the questions of one flow.
#[derive(Debug, Clone)]
pub(crate) struct Answering {
    snapshot: Arc<Snapshot>,
    outbound: DnsOutbound,
    /// Whom the client believes that it asks.
    asked: Destination,
}

impl Answering {
    pub(crate) fn new(snapshot: &Arc<Snapshot>, outbound: &DnsOutbound, flow: &Flow) -> Self {
        let asked = Destination {
            target: Target {
                host: outbound.host.clone().unwrap_or_else(|| flow.target.host.clone()),
                port: outbound.port.unwrap_or(flow.target.port),
            },
            way: Way::Direct,
            network: outbound.network.unwrap_or(flow.network),
        };
        Self { snapshot: snapshot.clone(), outbound: outbound.clone(), asked }
    }

    /// The answer to a message of a client; `None` if it gets none.
    pub(crate) async fn answer(&self, message: &[u8], carrier: Carrier) -> Option<Vec<u8>> {
        match self.snapshot.resolver().answer(message, carrier).await {
            Reply::Answer(answer) => Some(answer),
            Reply::Nothing => None,
            Reply::Other => match self.outbound.other_questions {
                OtherQuestions::PassOn => Some(self.pass_on(message, carrier).await),
                OtherQuestions::Refuse => Some(refusal(message)),
                OtherQuestions::Drop => None,
            },
        }
    }

    /// Questions that are not for addresses go to the servers of the resolver. Whoever the client asked
    /// gets them if there is no such server, or if the outbound names somebody itself.
    async fn pass_on(&self, message: &[u8], carrier: Carrier) -> Vec<u8> {
        let resolver = self.snapshot.resolver();
        let DnsOutbound { host, port, network, .. } = &self.outbound;
        let is_named = host.is_some() || port.is_some() || network.is_some();
        let passed = if is_named { None } else { resolver.pass_on(message, carrier).await };
        let answer = match passed {
            Some(answer) => answer,
            None => {
                let direct: Arc<dyn Network> = Arc::new(DirectNetwork);
                resolver.pass_on_to(self.asked.clone(), &direct, message, carrier).await
            }
        };
        answer.unwrap_or_else(|error| {
            debug!(%error, "a question that is not for addresses has no answer");
            failure(message)
        })
    }
}

/// Answers the questions that come in a stream, until the client has no more.
pub(crate) async fn serve(
    shared: Shared<'_>,
    client: ClientStream,
    flow: &Flow,
    (outbound, path): (&DnsOutbound, Path),
    (id, rule): (ConnectionId, Arc<str>),
) {
    let info = ConnectionInfo::new(flow, rule);
    let guard = shared.core.connections.insert_as(id, info, path);
    let connection = guard.connection();
    let bound = flow.local.unwrap_or_else(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
    let Ok((stream, rest)) = client.answer_success(bound).await else { return };
    let answering = Arc::new(Answering::new(shared.snapshot, outbound, flow));
    let ended = tokio::select! {
        ended = converse(stream, rest, &answering) => ended,
        () = connection.conduit.close.cancelled() => Ok(()),
    };
    if let Err(error) = ended {
        debug!(id = connection.id.0, %error, "a client with DNS questions is gone");
    }
}

/// Reads messages, each behind its length (RFC 1035 §4.2.2), and answers them in the order in which
/// answers are found (RFC 7766 §6.2.1.1).
async fn converse(mut stream: Stream, mut received: Vec<u8>, answering: &Arc<Answering>) -> io::Result<()> {
    let mut answers: JoinSet<Option<Vec<u8>>> = JoinSet::new();
    let (mut chunk, mut is_open, mut last_event) = (vec![0; READ_BYTES], true, Instant::now());
    loop {
        while answers.len() < MAX_QUESTIONS
            && let Some(message) = take_message(&mut received)
        {
            let answering = answering.clone();
            answers.spawn(async move { answering.answer(&message, Carrier::Stream).await });
        }
        if !is_open && answers.is_empty() {
            return stream.shutdown().await;
        }
        let may_read = is_open && answers.len() < MAX_QUESTIONS;
        tokio::select! {
            Some(answer) = answers.join_next() => {
                if let Ok(Some(answer)) = answer {
                    timeout(WRITE_TIMEOUT, write_message(&mut stream, &answer)).await??;
                }
                last_event = Instant::now();
            }
            length = stream.read(&mut chunk), if may_read => {
                let length = length?;
                is_open = length > 0;
                received.extend_from_slice(chunk.get(..length).unwrap_or_default());
                last_event = Instant::now();
            }
            () = sleep_until(last_event + IDLE) => return Ok(()),
        }
    }
}

fn take_message(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes(*received.first_chunk::<2>()?));
    let message = received.get(2..2 + length)?.to_vec();
    received.drain(..2 + length);
    Some(message)
}

async fn write_message(stream: &mut Stream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_too_long| io::ErrorKind::InvalidData)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}
