use std::{convert::Infallible, fmt, ops::Range};

use waypost_net::Target;

/// Turns the bytes of a connection into what goes over the wire.
///
/// A head that the protocol wants in front (a request, or an answer) goes out with the first bytes.
pub trait Seal {
    /// Appends `plain`, of any length, to `wire` as it is to be sent. With nothing in `plain` only a head
    /// that has not gone out yet is appended.
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>);

    /// Appends the mark that says that nothing follows, if the protocol has one, and the head before it if
    /// that has not gone out. Nothing may be sealed afterwards.
    fn finish(&mut self, wire: &mut Vec<u8>);

    /// How many plain bytes go into one piece on the wire. A multiple of it makes the fewest pieces.
    fn piece_bytes(&self) -> usize;

    /// Whether all that is sent from here on goes over the wire as it is, and without a mark at its end.
    fn is_plain(&self) -> bool;
}

/// Turns what comes over the wire into the bytes of a connection, in place.
pub trait Open {
    /// Why the wire cannot be read on.
    type Error;

    /// Looks at what was read and not used up, from its first byte, and decrypts the next piece in it.
    ///
    /// After [`Opened::NeedMore`] the same bytes have to come again, with more behind them: they may have
    /// been decrypted in part. After an error the connection is of no more use.
    ///
    /// # Errors
    ///
    /// If the peer is not who it should be, or does not keep to the protocol.
    fn open(&mut self, wire: &mut [u8]) -> Result<Opened, Self::Error>;

    /// Says whether the peer may close here, `unread` bytes being left over that need more. Not every
    /// program sends a mark at its end, so that one is missing is no error.
    ///
    /// # Errors
    ///
    /// If it closed without an answer, or in the middle of a piece.
    fn close(&self, unread: usize) -> Result<(), Self::Error>;

    /// Whether all that follows the bytes that are used up comes over the wire as it is.
    fn is_plain(&self) -> bool;
}

/// What the first bytes of the wire are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The next piece is not complete.
    NeedMore {
        /// How many bytes have to be there to get on, counted from the first unused one.
        at_least: usize,
    },
    /// Bytes of the protocol that carry nothing: drop them and go on.
    Skip {
        /// How many.
        consumed: usize,
    },
    /// A piece.
    Piece {
        /// Where its plain bytes lie; never empty.
        plain: Range<usize>,
        /// How many bytes are used up by it.
        consumed: usize,
    },
    /// The peer has said that nothing follows.
    Ended {
        /// How many bytes said so.
        consumed: usize,
    },
}

/// Turns datagrams into what goes over a stream.
pub trait SealDatagrams {
    /// Appends a datagram to `wire`, and the head before the first one.
    ///
    /// Where [`carries_targets`](Self::carries_targets) is false, `target` is not looked at. VMess cannot
    /// carry an empty datagram and appends nothing for it.
    ///
    /// # Errors
    ///
    /// If it is longer than the protocol can carry; nothing is appended then.
    fn seal_datagram(
        &mut self,
        target: &Target,
        payload: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), DatagramTooLong>;

    /// Appends a head that has not gone out yet.
    fn seal_head(&mut self, wire: &mut Vec<u8>);

    /// Appends the mark that says that nothing follows, if the protocol has one, and the head before it if
    /// that has not gone out.
    fn finish_datagrams(&mut self, wire: &mut Vec<u8>) {
        self.seal_head(wire);
    }

    /// Whether each datagram says where it goes to or comes from. If not, a stream has one target.
    fn carries_targets(&self) -> bool;
}

/// Takes datagrams out of what comes over a stream, in place.
pub trait OpenDatagrams {
    /// Why the wire cannot be read on.
    type Error;

    /// Looks at what was read and not used up, from its first byte, and decrypts the next datagram in it.
    /// The rules of [`Open::open`] hold.
    ///
    /// # Errors
    ///
    /// If the peer is not who it should be, or does not keep to the protocol.
    fn open_datagram(&mut self, wire: &mut [u8]) -> Result<OpenedDatagram, Self::Error>;

    /// Says whether the peer may close here, `unread` bytes being left over that need more.
    ///
    /// # Errors
    ///
    /// If it closed without an answer, or in the middle of a datagram.
    fn close_datagrams(&self, unread: usize) -> Result<(), Self::Error>;
}

/// What the first bytes of a stream that carries datagrams are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenedDatagram {
    /// The next datagram is not complete.
    NeedMore {
        /// How many bytes have to be there to get on, counted from the first unused one.
        at_least: usize,
    },
    /// Bytes of the protocol that carry nothing: drop them and go on.
    Skip {
        /// How many.
        consumed: usize,
    },
    /// A datagram.
    Datagram {
        /// Where it is to go or came from, if the protocol says so.
        target: Option<Target>,
        /// Where its payload lies; may be empty.
        payload: Range<usize>,
        /// How many bytes are used up by it.
        consumed: usize,
    },
    /// The peer has said that nothing follows.
    Ended {
        /// How many bytes said so.
        consumed: usize,
    },
}

/// A datagram that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a datagram of {length} bytes, at most {limit} can be carried")]
pub struct DatagramTooLong {
    /// Its length.
    pub length: usize,
    /// The longest that can be carried.
    pub limit: usize,
}

/// Sends a head, and then everything as it is. The head does not show in debug output.
#[derive(Default)]
pub struct PlainSealer {
    head: Vec<u8>,
}

/// Reads everything as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainOpener;

impl PlainSealer {
    pub(crate) fn new(head: Vec<u8>) -> Self {
        Self { head }
    }

    pub(crate) fn seal_head(&mut self, wire: &mut Vec<u8>) {
        wire.append(&mut std::mem::take(&mut self.head));
    }
}

impl Seal for PlainSealer {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        self.seal_head(wire);
        wire.extend_from_slice(plain);
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        self.seal_head(wire);
    }

    fn piece_bytes(&self) -> usize {
        usize::MAX
    }

    fn is_plain(&self) -> bool {
        self.head.is_empty()
    }
}

impl fmt::Debug for PlainSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainSealer").field("n_head_bytes", &self.head.len()).finish()
    }
}

impl Open for PlainOpener {
    type Error = Infallible;

    fn open(&mut self, wire: &mut [u8]) -> Result<Opened, Infallible> {
        Ok(open_plain(wire))
    }

    fn close(&self, _unread: usize) -> Result<(), Infallible> {
        Ok(())
    }

    fn is_plain(&self) -> bool {
        true
    }
}

/// All of `wire` as one piece.
pub(crate) fn open_plain(wire: &[u8]) -> Opened {
    match wire.len() {
        0 => Opened::NeedMore { at_least: 1 },
        length => Opened::Piece { plain: 0..length, consumed: length },
    }
}
