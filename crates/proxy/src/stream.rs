//! A stream: a socket of either family, or what is laid over one.

mod layered;

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

pub use self::layered::Layered;
pub(crate) use self::layered::{Abort, Base};

/// A stream of bytes both ways.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// Inside of TLS, of a transport or of a protocol.
    Layered(Box<Layered>),
}

/// A stream between two runtimes.
#[derive(Debug)]
pub(crate) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Detached {
    /// Takes the stream into the current runtime.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl Stream {
    /// Takes the stream out of its runtime.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a stream with layers, which stays where it was made.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(stream) => Ok(Detached::Tcp(stream.into_std()?)),
            Self::Unix(stream) => Ok(Detached::Unix(stream.into_std()?)),
            Self::Layered(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether the other end has closed its side and nothing is left to read. Waits, as part of a poll,
    /// for something to be there.
    pub(crate) fn poll_peek_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if let Self::Layered(layered) = self {
            return layered.poll_peek_end(context);
        }
        loop {
            ready!(self.poll_read_ready(context))?;
            let mut byte = [MaybeUninit::uninit()];
            let peeked = self.try_io(Interest::READABLE, || match &*self {
                Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
                Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
                Self::Layered(_) => Err(io::ErrorKind::Unsupported.into()),
            });
            match peeked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return Poll::Ready(Ok(peeked? == 0)),
            }
        }
    }

    /// The socket itself, if nothing is laid over it.
    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Tcp(stream) => Some(stream.as_fd()),
            Self::Unix(stream) => Some(stream.as_fd()),
            Self::Layered(_) => None,
        }
    }

    /// Waits, as part of a poll, until the socket may have something to read.
    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Unix(stream) => stream.poll_read_ready(context),
            Self::Layered(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Waits, as part of a poll, until the socket may have room to write.
    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(context),
            Self::Unix(stream) => stream.poll_write_ready(context),
            Self::Layered(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Does a system call on the socket; after `WouldBlock` the socket counts as not ready.
    pub(crate) fn try_io<T>(
        &self,
        interest: Interest,
        call: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, call),
            Self::Unix(stream) => stream.try_io(interest, call),
            Self::Layered(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The error that the socket holds, if any. Of a stream with layers it shows when that is used.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Tcp(stream) => stream.take_error(),
            Self::Unix(stream) => stream.take_error(),
            Self::Layered(_) => Ok(None),
        }
    }

    /// What the layers said when the stream failed, if it did and they know.
    pub(crate) fn fault(&self) -> Option<&str> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Layered(layered) => layered.fault(),
        }
    }

    /// Makes the close that follows a reset, so that a cut transfer is not taken for a whole one. A
    /// Unix socket knows no reset.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Self::Tcp(stream) => {
                // If even that fails, the socket is gone, which is what was wanted.
                let _set = stream.set_zero_linger();
            }
            Self::Unix(_) => {}
            Self::Layered(layered) => layered.abort(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Layered(layered) => Pin::new(&mut **layered).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Layered(layered) => Pin::new(&mut **layered).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Layered(layered) => Pin::new(&mut **layered).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Layered(layered) => layered.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Layered(layered) => Pin::new(&mut **layered).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Layered(layered) => Pin::new(&mut **layered).poll_shutdown(context),
        }
    }
}
