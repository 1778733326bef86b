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
    time::timeout,
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
                machine.advance(&[])
            }
            Step::Done { output, rest } => return Ok((output, rest)),
            Step::Fail { reply, error } => return Err(DriveError::Failed { reply, error }),
        };
    }
}

/// Waits with no buffer taken, so that a client that connects and says nothing costs none.
async fn read_into<M: Machine>(
    stream: &mut Stream,
    machine: &mut M,
) -> Result<Step<M::Output, M::Error>, DriveError<M::Error>> {
    poll_fn(|context| {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        Poll::Ready(match ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => Err(DriveError::Closed),
            Ok(()) => Ok(machine.advance(buffer.filled())),
            Err(error) => Err(DriveError::Io(error)),
        })
    })
    .await
}

/// Sends the last bytes of a connection and closes it so that they arrive: a socket that is closed
/// with unread input resets the connection, and the peer may lose what it was sent.
pub(crate) async fn send_and_close(mut stream: Stream, bytes: &[u8]) {
    let farewell = async {
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut left = MAX_LINGER_BYTES;
        while left > 0 {
            stream.readable().await?;
            left = left.saturating_sub(discard(&stream)?);
        }
        io::Result::Ok(())
    };
    // Whether the peer takes the message is its own affair: the connection is over either way.
    let _taken = timeout(LINGER, farewell).await;
}

/// Reads and forgets; an end counts as more than enough.
fn discard(stream: &Stream) -> io::Result<usize> {
    match stream.try_read(&mut [0; READ_BYTES]) {
        Ok(0) => Ok(MAX_LINGER_BYTES),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}
