//! Drives sealers and openers the way a connection does.

use waypost_wire::{Machine, Open, OpenDatagrams, Opened, OpenedDatagram, Step};

/// What came out of the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) plain: Vec<u8>,
    pub(crate) is_over: bool,
    /// Bytes that need more behind them.
    pub(crate) unread: usize,
}

/// Feeds `wire` in pieces of the lengths in `cuts`, over and over, and gathers what comes out.
pub(crate) fn receive<O: Open>(opener: &mut O, wire: &[u8], cuts: &[usize]) -> Result<Received, O::Error> {
    let mut received = Received { plain: Vec::new(), is_over: false, unread: 0 };
    let mut unread: Vec<u8> = Vec::new();
    for piece in pieces(wire, cuts) {
        unread.extend_from_slice(piece);
        loop {
            let consumed = match opener.open(&mut unread)? {
                Opened::NeedMore { at_least } => {
                    assert!(at_least > unread.len(), "{at_least} of {}", unread.len());
                    break;
                }
                Opened::Skip { consumed } => consumed,
                Opened::Piece { plain, consumed } => {
                    assert!(!plain.is_empty());
                    received.plain.extend_from_slice(&unread[plain]);
                    consumed
                }
                Opened::Ended { consumed } => {
                    unread.drain(..consumed);
                    received.is_over = true;
                    break;
                }
            };
            unread.drain(..consumed);
        }
    }
    received.unread = unread.len();
    Ok(received)
}

/// A payload, with the target where there is one.
pub(crate) type Datagram = (Option<String>, Vec<u8>);

/// What a server makes of a handshake, with all that comes behind it; `None` if it wants more.
pub(crate) type Outcome<T, E> = Option<Result<(T, Vec<u8>), E>>;

/// The same for datagrams.
pub(crate) fn receive_datagrams<O: OpenDatagrams>(
    opener: &mut O,
    wire: &[u8],
    cuts: &[usize],
) -> Result<Vec<Datagram>, O::Error> {
    let mut datagrams = Vec::new();
    let mut unread: Vec<u8> = Vec::new();
    for piece in pieces(wire, cuts) {
        unread.extend_from_slice(piece);
        loop {
            let consumed = match opener.open_datagram(&mut unread)? {
                OpenedDatagram::NeedMore { at_least } => {
                    assert!(at_least > unread.len(), "{at_least} of {}", unread.len());
                    break;
                }
                OpenedDatagram::Skip { consumed } => consumed,
                OpenedDatagram::Datagram { target, payload, consumed } => {
                    datagrams.push((target.map(|target| target.to_string()), unread[payload].to_vec()));
                    consumed
                }
                OpenedDatagram::Ended { .. } => return Ok(datagrams),
            };
            unread.drain(..consumed);
        }
    }
    Ok(datagrams)
}

/// Feeds `wire` to a server until it is done or fails.
pub(crate) fn accept<M: Machine>(
    server: &mut M,
    wire: &[u8],
    cuts: &[usize],
) -> Outcome<M::Output, M::Error> {
    let mut read = 0;
    for piece in pieces(wire, cuts) {
        read += piece.len();
        match server.advance(piece) {
            Step::NeedMore => {}
            Step::Send(_) => panic!("a server that answers during the handshake"),
            Step::Done { output, rest } => return Some(Ok((output, [&rest, &wire[read..]].concat()))),
            Step::Fail { reply, error } => {
                assert!(reply.is_empty());
                return Some(Err(error));
            }
        }
    }
    None
}

fn pieces<'a>(wire: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut cuts = cuts.iter().copied().filter(|&cut| cut > 0).cycle();
    let mut rest = wire;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
        rest = after;
        Some(piece)
    })
}
