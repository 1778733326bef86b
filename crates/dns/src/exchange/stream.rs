use std::{collections::HashMap, io, sync::Arc, time::Duration};

use hickory_proto::op::Query;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, WriteHalf, split},
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::{
    Connector, Request, ServerError,
    connection::{Asked, SharedConnection, refuse_all},
    random_id,
};
use crate::{
    Stream,
    message::{answer_to, id, set_id},
};

/// How long an unused connection stays open (RFC 7766 §6.2.3 speaks of seconds).
const IDLE: Duration = Duration::from_secs(10);
/// A connection that worked and is silent for so long while a question waits is given up.
const SILENCE: Duration = Duration::from_secs(2);
/// Questions under way on one connection.
const MAX_WAITING: usize = 256;
const READ_BYTES: usize = 4096;

/// Asks over one connection, many questions at a time (RFC 7766 §6.2.1.1). It is closed when nobody has
/// asked for a while.
pub(super) struct StreamClient {
    connector: Arc<Connector>,
    connection: SharedConnection,
}

impl StreamClient {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, connection: SharedConnection::default() }
    }

    pub(super) async fn exchange(&self, request: Request) -> Result<Vec<u8>, ServerError> {
        let start = |asked| {
            let connector = self.connector.clone();
            tokio::spawn(async move { serve(&connector, asked).await });
        };
        self.connection.exchange(request, start).await
    }
}

/// A question that was sent.
struct Waiting {
    /// The id that whoever asks has chosen.
    id: u16,
    question: Query,
    reply: oneshot::Sender<Result<Vec<u8>, ServerError>>,
}

async fn serve(connector: &Connector, mut asked: mpsc::Receiver<Asked>) {
    let stream = match connector.connect().await {
        Ok(connected) => connected.stream,
        Err(error) => return refuse_all(asked, &error).await,
    };
    let (mut reader, mut writer) = split(stream);
    let mut waiting: HashMap<u16, Waiting> = HashMap::new();
    let (mut received, mut chunk) = (Vec::new(), vec![0; READ_BYTES]);
    let (mut has_answered, mut last_event) = (false, Instant::now());
    loop {
        let patience = if !waiting.is_empty() && has_answered { SILENCE } else { IDLE };
        tokio::select! {
            next = asked.recv() => {
                let Some(next) = next else { return };
                if waiting.is_empty() {
                    last_event = Instant::now();
                }
                let sent = timeout(SILENCE, send(&mut writer, next, &mut waiting)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
            read = reader.read(&mut chunk) => {
                let Ok(length @ 1..) = read else { return };
                received.extend_from_slice(chunk.get(..length).unwrap_or_default());
                last_event = Instant::now();
                has_answered |= take_answers(&mut received, &mut waiting);
            }
            () = sleep_until(last_event + patience) => return,
        }
    }
}

/// Sends a question under an id that is free on this connection.
async fn send(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    asked: Asked,
    waiting: &mut HashMap<u16, Waiting>,
) -> io::Result<()> {
    let Asked { request: Request { bytes, question }, reply } = asked;
    if waiting.len() >= MAX_WAITING {
        waiting.retain(|_, waiting| !waiting.reply.is_closed());
    }
    let length = u16::try_from(bytes.len()).ok().filter(|_| waiting.len() < MAX_WAITING);
    let Some(length) = length else {
        let _left = reply.send(Err(ServerError::Busy));
        return Ok(());
    };
    let mut free = random_id();
    while waiting.contains_key(&free) {
        free = free.wrapping_add(1);
    }
    let mut framed = Vec::with_capacity(2 + bytes.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&bytes);
    set_id(framed.get_mut(2..).unwrap_or_default(), free);
    waiting.insert(free, Waiting { id: id(&bytes), question, reply });
    writer.write_all(&framed).await?;
    writer.flush().await
}

/// Takes whole messages out of what was received, and hands answers to those who wait for them. Says
/// whether there was an answer.
fn take_answers(received: &mut Vec<u8>, waiting: &mut HashMap<u16, Waiting>) -> bool {
    let (mut start, mut has_answered) = (0, false);
    while let Some(length) = received.get(start..).and_then(<[u8]>::first_chunk::<2>) {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(message) = received.get(start + 2..start + 2 + length) else { break };
        let given = id(message);
        // Whatever answers no question that waits is not for us.
        if let Some(wanted) = waiting.get(&given)
            && answer_to(message, given, &wanted.question).is_some()
            && let Some(Waiting { id, reply, .. }) = waiting.remove(&given)
        {
            let mut message = message.to_vec();
            set_id(&mut message, id);
            let _left = reply.send(Ok(message));
            has_answered = true;
        }
        start += 2 + length;
    }
    received.drain(..start);
    has_answered
}
