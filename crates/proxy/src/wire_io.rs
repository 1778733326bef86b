//! Runs the byte machines of `waypost-wire` over sockets.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    time::{Instant, timeout, timeout_at},
};
use waypost_wire::{Machine, Step};

use crate::Stream;

/// Most handshakes fit; what does not takes another read.
pub(crate) const READ_BYTES: usize = 4096;
/// How long a client gets to read its error before the connection is gone.
const LINGER: Duration = Duration::from_secs(1);
/// How much a client that is being turned away may still send.
const MAX_LINGER_BYTES: usize = 256 * 1024;

/// Why a handshake did not come to its end.
#[derive(Debug)]
pub(crate) enum DriveError<E> {
    /// The connection failed.
    Io(io::Error),
    /// The peer closed the connection in the middle.
    Closed,
    /// The machine failed; `reply` is not sent yet.
    Failed { reply: Vec<u8>, error: E },
}

/// Drives `machine` to its end; yields what it yields, and the bytes that follow.
pub(crate) async fn drive<M: Machine>(
    stream: &mut Stream,
    machine: &mut M,
) -> Result<(M::Output, Vec<u8>), DriveError<M::Error>> {
    drive_from(stream, machine, &[]).await
}

/// As [`drive`], where `read` was read already.
pub(crate) async fn drive_from<M: Machine>(
    stream: &mut Stream,
    machine: &mut M,
    read: &[u8],
) -> Result<(M::Output, Vec<u8>), DriveError<M::Error>> {
    let mut step = machine.advance(read);
    loop {
        step = match step {
            Step::NeedMore => read_into(stream, machine).await?,
            Step::Send(bytes) => {
                stream.write_all(&bytes).await.map_err(DriveError::Io)?;
                stream.flush().await.map_err(DriveError::Io)?;
                machine.advance(&[])
            }
            Step::Done { output, rest } => return Ok((output, rest)),
            Step::Fail { reply, error } => return Err(DriveError::Failed { reply, error }),
        };
    }
}

async fn read_into<M: Machine>(
    stream: &mut Stream,
    machine: &mut M,
) -> Result<Step<M::Output, M::Error>, DriveError<M::Error>> {
    let advance = |read: &[u8]| (!read.is_empty()).then(|| machine.advance(read));
    match read_once(stream, advance).await {
        Ok(Some(step)) => Ok(step),
        Ok(None) => Err(DriveError::Closed),
        Err(error) => Err(DriveError::Io(error)),
    }
}

/// Reads what comes next, which is nothing at the end, and hands it to `take`. Waits with no buffer
/// taken, so that a client that connects and says nothing costs none.
pub(crate) async fn read_once<T>(stream: &mut Stream, take: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    let mut take = Some(take);
    poll_fn(|context| {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        match take.take() {
            Some(take) => Poll::Ready(Ok(take(buffer.filled()))),
            None => Poll::Pending,
        }
    })
    .await
}

/// Reads and forgets, until the peer has closed or `until`. Who is told nothing must not learn
/// either, from when the connection ends, what was wrong.
pub(crate) async fn drain(mut stream: Stream, until: Instant) {
    let discard = async { while let Ok(1..) = read_once(&mut stream, <[u8]>::len).await {} };
    let _elapsed = timeout_at(until, discard).await;
}

/// Sends the last bytes of a connection and closes it so that they arrive: a socket that is closed
/// with unread input resets the connection, and the peer may lose what it was sent.
pub(crate) async fn send_and_close(mut stream: Stream, bytes: &[u8]) {
    let farewell = async {
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut left = MAX_LINGER_BYTES;
        while left > 0 {
            match read_once(&mut stream, <[u8]>::len).await? {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
        io::Result::Ok(())
    };
    // Whether the peer takes the message is its own affair: the connection is over either way.
    let _taken = timeout(LINGER, farewell).await;
}
