use std::{fmt::Debug, sync::Arc};

use waypost_net::Secret;
use waypost_wire::{Accounts, Machine, Step};

/// Everything a machine did with its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run<T, E> {
    /// All bytes sent, one after the other.
    pub(crate) sent: Vec<u8>,
    pub(crate) end: End<T, E>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End<T, E> {
    WantsMore,
    Done { output: T, rest: Vec<u8> },
    Failed { reply: Vec<u8>, error: E },
}

/// Feeds `pieces` one after the other; pieces that come after the end belong to the rest.
pub(crate) fn run<'a, M: Machine>(
    machine: &mut M,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Run<M::Output, M::Error> {
    let mut sent = Vec::new();
    let mut end = End::WantsMore;
    // A client machine sends before it is fed.
    for piece in std::iter::once(&[][..]).chain(pieces) {
        match &mut end {
            End::WantsMore => {}
            End::Done { rest, .. } => {
                rest.extend_from_slice(piece);
                assert!(matches!(machine.advance(piece), Step::NeedMore), "a spent machine went on");
                continue;
            }
            End::Failed { .. } => {
                assert!(matches!(machine.advance(piece), Step::NeedMore), "a spent machine went on");
                continue;
            }
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
    Run { sent, end }
}

/// Feeds `input` at once, byte by byte and cut in two at every place; all have to come to the same.
#[track_caller]
pub(crate) fn run_all_ways<M: Machine>(make: impl Fn() -> M, input: &[u8]) -> Run<M::Output, M::Error>
where
    M::Output: Debug + PartialEq,
    M::Error: Debug + PartialEq,
{
    let whole = run(&mut make(), [input]);
    assert_eq!(run(&mut make(), input.chunks(1)), whole, "byte by byte");
    for cut in 0..=input.len() {
        let (front, back) = input.split_at(cut);
        assert_eq!(run(&mut make(), [front, back]), whole, "cut at {cut}");
    }
    whole
}

/// One account: `user` with `pass`.
pub(crate) fn one_account() -> Accounts {
    let password = Secret::new("pass");
    Accounts::try_new([(Arc::from("user"), &password)]).unwrap()
}
