//! A connection whose far end has said everything already, and the runtime for what reads it.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    runtime::Builder,
    time::{Sleep, sleep, timeout},
};
use waypost_transport::IoStream;

use crate::script::Cuts;

/// What is not done after so long waits for ever. The clock goes on by itself when nothing else does.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a peer waits before it goes on, so that all others have done what they can.
const PAUSE: Duration = Duration::from_millis(1);

/// What a peer says; it closes afterwards. It takes whatever is written.
pub(crate) struct Peer {
    script: Said,
    pieces: VecDeque<Vec<u8>>,
    greeting: Vec<u8>,
    /// Until when nothing comes.
    pause: Option<Pin<Box<Sleep>>>,
    written: Written,
}

/// What was written to a peer.
pub(crate) type Written = Arc<Mutex<Vec<u8>>>;

type Answer = Box<dyn FnOnce(&[u8]) -> Vec<u8> + Send + Sync>;

enum Said {
    /// Made of what was written to it before it is first read.
    Later(Answer, Vec<u8>),
    Known,
}

impl Peer {
    /// A peer that says `bytes` in pieces.
    pub(crate) fn new(bytes: &[u8], cuts: Cuts<'_>) -> Self {
        let pieces = cuts.pieces(bytes).map(<[u8]>::to_vec).collect();
        Self { script: Said::Known, pieces, greeting: Vec::new(), pause: None, written: Written::default() }
    }

    /// A peer that answers to what it was sent, and then says `bytes` in pieces.
    pub(crate) fn answering(
        answer: impl FnOnce(&[u8]) -> Vec<u8> + Send + Sync + 'static,
        bytes: &[u8],
        cuts: Cuts<'_>,
    ) -> Self {
        let mut pieces: VecDeque<_> = cuts.pieces(bytes).map(<[u8]>::to_vec).collect();
        let first = pieces.pop_front().unwrap_or_default();
        let script = Said::Later(Box::new(answer), first);
        Self { script, pieces, greeting: Vec::new(), pause: None, written: Written::default() }
    }

    /// A peer that greets first, and goes on once there was time to answer.
    pub(crate) fn greeting(greeting: &[u8], bytes: &[u8], cuts: Cuts<'_>) -> Self {
        let mut peer = Self::new(bytes, cuts);
        peer.greeting = greeting.to_vec();
        peer
    }

    /// What is written to it, also later on.
    pub(crate) fn written(&self) -> Written {
        self.written.clone()
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("n_pieces", &self.pieces.len()).finish_non_exhaustive()
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if matches!(this.script, Said::Later(..)) {
            // What is read before it is written to would be an answer to nothing.
            this.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE)));
        }
        if let Some(pause) = &mut this.pause {
            ready!(pause.as_mut().poll(context));
            this.pause = None;
        }
        if !this.greeting.is_empty() {
            let rest = this.greeting.split_off(this.greeting.len().min(buffer.remaining()));
            buffer.put_slice(&std::mem::replace(&mut this.greeting, rest));
            this.pause = Some(Box::pin(sleep(PAUSE)));
            return Poll::Ready(Ok(()));
        }
        if let Said::Later(answer, first) = std::mem::replace(&mut this.script, Said::Known) {
            let written = this.written.lock().map(|written| written.clone()).unwrap_or_default();
            this.pieces.push_front([answer(&written), first].concat());
        }
        if let Some(mut piece) = this.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(buffer.remaining()));
            buffer.put_slice(&piece);
            if !rest.is_empty() {
                this.pieces.push_front(rest);
            }
            this.pause = Some(Box::pin(sleep(PAUSE)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Ok(mut written) = self.written.lock() {
            written.extend_from_slice(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs `work` until it is done; `None` if it waits for something that will not come.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> Option<T> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().ok()?;
    runtime.block_on(async { timeout(FOR_EVER, work).await.ok() })
}

/// What can be read of a stream, and why no more; writes something in between.
pub(crate) async fn exchange(mut stream: IoStream) -> (Vec<u8>, Option<String>) {
    let mut plain = Vec::new();
    let mut buffer = [0; 1024];
    let error = loop {
        match stream.read(&mut buffer).await {
            Ok(0) => break None,
            Ok(length) => plain.extend(buffer.iter().take(length)),
            Err(error) => break Some(what(&error.to_string())),
        }
    };
    // Whether that goes well depends on what was read, and nothing depends on it.
    let _written = stream.write_all(b"hello").await;
    let _shut = stream.shutdown().await;
    (plain, error)
}

/// An error without what is cited of the peer, which may be more or less.
pub(crate) fn what(error: &str) -> String {
    error.split(", it sent").next().unwrap_or_default().to_owned()
}
