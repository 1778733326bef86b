use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Connector, Request, ServerError, random_id, stream::StreamClient};
use crate::message::{answer_to, id, set_id};

/// Larger than what is asked for, and than what a server may send unasked.
const BUFFER_BYTES: usize = 4096;
/// When a query is sent again: datagrams get lost.
const RESEND: Duration = Duration::from_secs(1);
/// How often a query is sent.
const MAX_ATTEMPTS: usize = 4;

/// Asks in datagrams, each from a port of its own, and in a stream when an answer does not fit.
pub(super) struct UdpClient {
    connector: Arc<Connector>,
    stream: StreamClient,
}

/// What a datagram brings.
enum Brought {
    Answer(Vec<u8>),
    /// Only the beginning of an answer.
    Truncated,
    /// There are no datagrams by this way.
    NoDatagrams,
}

impl UdpClient {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self { stream: StreamClient::new(connector.clone()), connector }
    }

    pub(super) async fn exchange(&self, request: Request) -> Result<Vec<u8>, ServerError> {
        match self.ask_again_and_again(&request).await? {
            Brought::Answer(answer) => Ok(answer),
            Brought::Truncated | Brought::NoDatagrams => self.stream.exchange(request).await,
        }
    }

    /// A slow answer to an earlier datagram is as good as one to the last.
    async fn ask_again_and_again(&self, request: &Request) -> Result<Brought, ServerError> {
        let mut attempts = JoinSet::new();
        let mut started = 0;
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some(ended) = attempts.join_next() => match ended {
                    Ok(Ok(brought)) => return Ok(brought),
                    // The others may do better, those that are still to come only if time is left.
                    Ok(Err(error)) if attempts.is_empty() => return Err(error),
                    Ok(Err(_)) | Err(_) => {}
                },
                () = sleep_until(next), if started < MAX_ATTEMPTS => {
                    attempts.spawn(ask(self.connector.clone(), request.clone(), started));
                    started += 1;
                    next += RESEND;
                }
                else => return Err(ServerError::Lost),
            }
        }
    }
}

async fn ask(connector: Arc<Connector>, request: Request, attempt: usize) -> Result<Brought, ServerError> {
    let Some(socket) = connector.datagrams(attempt).await? else { return Ok(Brought::NoDatagrams) };
    let Request { bytes: mut query, question } = request;
    let (own, wanted) = (random_id(), id(&query));
    set_id(&mut query, own);
    socket.send(&query).await?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = socket.receive(&mut buffer).await?;
        let datagram = buffer.get_mut(..length).unwrap_or_default();
        // Whatever is no answer to this very query must not end the wait for it.
        if let Some(answer) = answer_to(datagram, own, &question) {
            set_id(datagram, wanted);
            let whole = Brought::Answer(datagram.to_vec());
            return Ok(if answer.metadata.truncation { Brought::Truncated } else { whole });
        }
    }
}
