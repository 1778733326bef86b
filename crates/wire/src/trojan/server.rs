use std::{convert::Infallible, sync::Arc};

use waypost_net::{Network, Target};

use super::{
    CONNECT, CRLF, HASH_BYTES, TrojanDatagramOpener, TrojanDatagramSealer, TrojanUser, UDP_ASSOCIATE,
};
use crate::{
    Machine, PlainOpener, PlainSealer, Step, TargetError,
    address::Cursor,
    constant_time,
    machine::{Fault, Intake, Progress},
    target_field::read_port_last,
};

/// The server's side of the handshake.
///
/// It never fails: who does not know a password gets what is behind the server, commonly a web site, and
/// all that was read of it comes as the rest of the step. That is decided as soon as what was read cannot
/// begin with a hash, and otherwise once a whole hash is there, in a time that does not depend on it.
/// When a peer sends part of a hash and then waits, the caller's deadline decides:
/// [`give_up`](Self::give_up).
#[derive(Debug)]
pub struct TrojanServer {
    users: Arc<[TrojanUser]>,
    /// The user, once the hash has been compared with all of them.
    user: Option<usize>,
    /// What was read, for [`give_up`](Self::give_up).
    intake: Intake,
}

/// What a connection turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrojanOpening {
    /// A client's.
    Accepted(TrojanAccepted),
    /// Somebody else's. What was read is the rest of the step.
    Fallback(TrojanFallback),
}

/// A connection that a client may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrojanAccepted {
    /// The place of the client in the list of users.
    pub user: usize,
    /// A byte stream or datagrams.
    pub network: Network,
    /// Where the client wants to go. For datagrams it says nothing: each has its own target.
    pub target: Target,
}

/// Why a connection is not a client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrojanFallback {
    /// It does not begin with 56 hexadecimal digits and a line end.
    #[error("no trojan header")]
    NoHeader,
    /// Nobody has the password.
    #[error("no user with this password")]
    UnknownUser,
    /// The command does not exist.
    #[error("user {user} sent command {command}, expected 1 (connect) or 3 (udp associate)")]
    Command {
        /// The place of the client in the list of users.
        user: usize,
        /// Its number.
        command: u8,
    },
    /// The target is not an address or a valid name.
    #[error("bad target of user {user}: {error}")]
    Target {
        /// The place of the client in the list of users.
        user: usize,
        /// What is wrong.
        error: TargetError,
    },
    /// The header does not end with a line end.
    #[error("the header of user {user} does not end with a line end")]
    LineEnd {
        /// The place of the client in the list of users.
        user: usize,
    },
}

impl TrojanServer {
    /// A server that has read nothing yet.
    #[must_use]
    pub fn new(users: Arc<[TrojanUser]>) -> Self {
        Self { users, user: None, intake: Intake::default() }
    }

    /// Takes the peer for somebody else and returns what was read of it; the machine is spent.
    pub fn give_up(&mut self) -> Vec<u8> {
        self.intake.give_up()
    }
}

impl TrojanAccepted {
    /// The two directions of a byte stream; the rest of the handshake is to be opened first.
    #[must_use]
    pub fn stream() -> (PlainSealer, PlainOpener) {
        (PlainSealer::default(), PlainOpener)
    }

    /// The two directions of a stream of datagrams; the rest of the handshake is to be opened first.
    #[must_use]
    pub fn datagrams() -> (TrojanDatagramSealer, TrojanDatagramOpener) {
        (TrojanDatagramSealer::default(), TrojanDatagramOpener::default())
    }
}

impl Machine for TrojanServer {
    type Output = TrojanOpening;
    type Error = Infallible;

    fn advance(&mut self, input: &[u8]) -> Step<TrojanOpening, Infallible> {
        let Self { users, user, intake } = self;
        intake.advance(input, |bytes| {
            let mut cursor = Cursor::new(bytes);
            Ok::<_, Fault<Infallible>>(match parse(&mut cursor, bytes, users, user) {
                Some(Ok(accepted)) => {
                    Progress::Done { output: TrojanOpening::Accepted(accepted), consumed: cursor.position() }
                }
                Some(Err(reason)) => Progress::Done { output: TrojanOpening::Fallback(reason), consumed: 0 },
                None => Progress::NeedMore,
            })
        })
    }
}

fn parse(
    cursor: &mut Cursor<'_>,
    bytes: &[u8],
    users: &[TrojanUser],
    known: &mut Option<usize>,
) -> Option<Result<TrojanAccepted, TrojanFallback>> {
    if !may_be_header(bytes) {
        return Some(Err(TrojanFallback::NoHeader));
    }
    let hash = cursor.array()?;
    let Some(user) = known.or_else(|| constant_time::position(users, |user| user.is(&hash))) else {
        return Some(Err(TrojanFallback::UnknownUser));
    };
    *known = Some(user);
    let _line_end: [u8; 2] = cursor.array()?;
    let network = match cursor.byte()? {
        CONNECT => Network::Tcp,
        UDP_ASSOCIATE => Network::Udp,
        command => return Some(Err(TrojanFallback::Command { user, command })),
    };
    let target = match read_port_last(cursor)? {
        Ok(target) => target,
        Err(error) => return Some(Err(TrojanFallback::Target { user, error })),
    };
    if cursor.array()? != CRLF {
        return Some(Err(TrojanFallback::LineEnd { user }));
    }
    Some(Ok(TrojanAccepted { user, network, target }))
}

/// Looks at nothing that depends on a password: digits and the line end behind them.
fn may_be_header(bytes: &[u8]) -> bool {
    let (hash, after) = bytes.split_at_checked(HASH_BYTES).unwrap_or((bytes, &[]));
    hash.iter().all(u8::is_ascii_hexdigit) && after.iter().zip(CRLF).all(|(byte, expected)| *byte == expected)
}
