//! Feeds machines and openers, and checks what holds for each of them.

use std::{fmt::Debug, ops::Range};

use waypost_wire::{Machine, Open, OpenDatagrams, Opened, OpenedDatagram, Step};

use crate::script::Cuts;

/// The most bytes that an opener may want to have at a time: a chunk with a length of two bytes, and what
/// comes before and after it.
const MAX_HELD_BYTES: usize = 65_535 + 512;

/// Everything that a machine did.
#[derive(Debug, PartialEq)]
pub(crate) struct Played<T, E> {
    /// All that it sent, one after the other.
    pub(crate) sent: Vec<u8>,
    pub(crate) end: End<T, E>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum End<T, E> {
    WantsMore,
    Done { output: T, rest: Vec<u8> },
    Failed { reply: Vec<u8>, error: E },
}

/// Feeds `bytes` in pieces; what comes after the end belongs to the rest.
pub(crate) fn play<M: Machine>(machine: &mut M, bytes: &[u8], cuts: Cuts<'_>) -> Played<M::Output, M::Error> {
    play_pieces(machine, cuts.pieces(bytes))
}

/// Feeds pieces.
pub(crate) fn play_pieces<'a, M: Machine>(
    machine: &mut M,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Played<M::Output, M::Error> {
    let mut sent = Vec::new();
    let mut end = End::WantsMore;
    // A client sends before it is fed.
    for piece in std::iter::once(&[][..]).chain(pieces) {
        if !matches!(end, End::WantsMore) {
            if let End::Done { rest, .. } = &mut end {
                rest.extend_from_slice(piece);
            }
            assert!(matches!(machine.advance(piece), Step::NeedMore), "a spent machine went on");
            continue;
        }
        let mut input = piece;
        loop {
            match machine.advance(input) {
                Step::NeedMore => break,
                Step::Send(bytes) => sent.extend(bytes),
                Step::Done { output, rest } => {
                    end = End::Done { output, rest };
                    break;
                }
                Step::Fail { reply, error } => {
                    end = End::Failed { reply, error };
                    break;
                }
            }
            input = &[];
        }
    }
    Played { sent, end }
}

/// Feeds `bytes` at once, byte by byte and in pieces: all have to come to the same. Who wants more than
/// `most` bytes of a handshake would never be content.
pub(crate) fn play_alike<M: Machine>(
    make: impl Fn() -> M,
    bytes: &[u8],
    cuts: Cuts<'_>,
    most: usize,
) -> Played<M::Output, M::Error>
where
    M::Output: Debug + PartialEq,
    M::Error: Debug + PartialEq,
{
    let whole = play(&mut make(), bytes, Cuts::NONE);
    assert_eq!(play(&mut make(), bytes, cuts), whole, "in pieces");
    assert_eq!(play(&mut make(), bytes, Cuts::BYTES), whole, "byte by byte");
    if matches!(whole.end, End::WantsMore) {
        assert!(bytes.len() <= most, "{} bytes are not enough, at most {most} are ever needed", bytes.len());
    }
    whole
}

/// What came out of an opener.
#[derive(Debug, PartialEq)]
pub(crate) struct Received<P, E> {
    /// Plain bytes, or datagrams.
    pub(crate) plain: P,
    /// Bytes that are left over.
    pub(crate) unread: usize,
    /// Whether the peer has said that nothing follows.
    pub(crate) has_ended: bool,
    /// Why the wire could not be read on, or what was said to its end.
    pub(crate) error: Option<E>,
}

/// Opens `wire` as it comes in pieces, until the end of it.
pub(crate) fn open<O: Open>(opener: &mut O, wire: &[u8], cuts: Cuts<'_>) -> Received<Vec<u8>, O::Error> {
    let mut plain = Vec::new();
    let mut received = receive(wire, cuts, |held| {
        Ok(match opener.open(held)? {
            Opened::NeedMore { at_least } => Taken::NeedMore { at_least },
            Opened::Skip { consumed } => Taken::Some { consumed },
            Opened::Piece { plain: range, consumed } => {
                assert!(!range.is_empty(), "a piece without bytes");
                plain.extend_from_slice(within(held, range, consumed));
                Taken::Some { consumed }
            }
            Opened::Ended { consumed } => Taken::End { consumed },
        })
    });
    if received.error.is_none() && !received.has_ended {
        received.error = opener.close(received.unread).err();
    }
    let Received { plain: (), unread, has_ended, error } = received;
    Received { plain, unread, has_ended, error }
}

/// A datagram with its target as text.
pub(crate) type Datagram = (Option<String>, Vec<u8>);

/// Opens `wire` as it comes in pieces, until the end of it.
pub(crate) fn open_datagrams<O: OpenDatagrams>(
    opener: &mut O,
    wire: &[u8],
    cuts: Cuts<'_>,
) -> Received<Vec<Datagram>, O::Error> {
    let mut plain = Vec::new();
    let mut received = receive(wire, cuts, |held| {
        Ok(match opener.open_datagram(held)? {
            OpenedDatagram::NeedMore { at_least } => Taken::NeedMore { at_least },
            OpenedDatagram::Skip { consumed } => Taken::Some { consumed },
            OpenedDatagram::Datagram { target, payload, consumed } => {
                let payload = within(held, payload, consumed).to_vec();
                plain.push((target.map(|target| target.to_string()), payload));
                Taken::Some { consumed }
            }
            OpenedDatagram::Ended { consumed } => Taken::End { consumed },
        })
    });
    if received.error.is_none() && !received.has_ended {
        received.error = opener.close_datagrams(received.unread).err();
    }
    let Received { plain: (), unread, has_ended, error } = received;
    Received { plain, unread, has_ended, error }
}

enum Taken {
    NeedMore { at_least: usize },
    Some { consumed: usize },
    End { consumed: usize },
}

fn receive<E>(
    wire: &[u8],
    cuts: Cuts<'_>,
    mut open: impl FnMut(&mut [u8]) -> Result<Taken, E>,
) -> Received<(), E> {
    let mut held = Vec::new();
    let mut error = None;
    let mut has_ended = false;
    'pieces: for piece in cuts.pieces(wire) {
        held.extend_from_slice(piece);
        if has_ended {
            continue;
        }
        while !held.is_empty() {
            let consumed = match open(&mut held) {
                Ok(Taken::NeedMore { at_least }) => {
                    assert!(at_least > held.len(), "{at_least} bytes are there: {}", held.len());
                    assert!(at_least <= MAX_HELD_BYTES, "{at_least} bytes would have to be held");
                    break;
                }
                Ok(Taken::Some { consumed }) => consumed,
                Ok(Taken::End { consumed }) => {
                    has_ended = true;
                    consumed
                }
                Err(found) => {
                    error = Some(found);
                    break 'pieces;
                }
            };
            assert!(consumed <= held.len(), "more used up than there is");
            assert!(consumed > 0 || has_ended, "nothing used up");
            held.drain(..consumed);
            if has_ended {
                break;
            }
        }
    }
    // What follows an error is nobody's.
    let unread = if error.is_some() { 0 } else { held.len() };
    Received { plain: (), unread, has_ended, error }
}

fn within(held: &[u8], range: Range<usize>, consumed: usize) -> &[u8] {
    assert!(range.end <= consumed, "plain bytes outside of what is used up");
    held.get(range).unwrap_or_default()
}
