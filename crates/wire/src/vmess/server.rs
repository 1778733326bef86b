use std::{fmt, sync::Arc};

use rand::{Rng, SeedableRng as _, rngs::StdRng};
use waypost_net::{Network, Target};

use super::{
    VmessOpener, VmessSealer, VmessSecurity, VmessUser,
    chunks::Session,
    client::HeaderKeys,
    cryption::TAG_BYTES,
    header::{Header, HeaderError, security_name},
    opener::seal_answer,
};
use crate::{
    Machine, Step, TargetError,
    address::Cursor,
    machine::{Fault, Intake, Progress},
};

/// How many seconds the clocks of client and server may differ (V2Ray, "aead/authid").
pub(super) const MAX_CLOCK_DIFFERENCE: u64 = 120;

const LENGTH_BYTES: usize = 2 + TAG_BYTES;
/// The longest header: 38 bytes, a name with port, 15 bytes of padding and a checksum come to 317.
const MAX_HEADER_BYTES: usize = 512;

/// The server's side of the handshake.
///
/// Its first 16 bytes tell who a client is. Whatever is wrong, nothing is answered, so that nobody learns
/// whether an id is known. A peer must not learn it from when the connection is closed either: after
/// [`Step::Fail`] the caller goes on reading, up to a number of bytes and a deadline that do not depend on
/// the error, and then closes.
pub struct VmessServer<F> {
    users: Arc<[VmessUser]>,
    now: u64,
    is_first: F,
    rng: StdRng,
    stage: Stage,
    intake: Intake,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    User,
    Length { user: usize },
    Header { user: usize, length: usize },
}

/// A connection that a client may have.
#[derive(Debug)]
pub struct VmessAccepted {
    /// The place of the client in the list of users.
    pub user: usize,
    /// A byte stream or datagrams.
    pub network: Network,
    /// Where the client wants to go.
    pub target: Target,
    /// How the body is protected.
    pub security: VmessSecurity,
    /// Writes the answer and its body.
    pub sealer: VmessSealer,
    /// Reads the body of the request; the rest of the handshake comes first.
    pub opener: VmessOpener,
}

/// Why a client was turned away. It is told nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VmessServerError {
    /// The client has no id of a user, is one from before AEAD headers (alter id above 0), or speaks
    /// something else.
    #[error("no user with this id, or no vmess with aead header")]
    UnknownUser,
    /// The clocks of client and server differ too much.
    #[error(
        "the clock of user {user} is off by {seconds} seconds, at most {MAX_CLOCK_DIFFERENCE} are allowed"
    )]
    Clock {
        /// The place of the client in the list of users.
        user: usize,
        /// How many seconds the client is ahead.
        seconds: i64,
    },
    /// The same request has come in before.
    #[error("a request of user {user} was sent again")]
    Replayed {
        /// The place of the client in the list of users.
        user: usize,
    },
    /// The header was changed on the way, or cannot be read.
    #[error("the header of a request of user {user} is broken: {problem}")]
    Header {
        /// The place of the client in the list of users.
        user: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The target is not an address or a valid name.
    #[error("bad target of user {user}: {error}")]
    Target {
        /// The place of the client in the list of users.
        user: usize,
        /// What is wrong.
        error: TargetError,
    },
    /// The client wants to send several connections through one.
    #[error("mux is not served here: user {user} has to switch it off")]
    Mux {
        /// The place of the client in the list of users.
        user: usize,
    },
    /// The command does not exist.
    #[error("user {user} sent command {command}, expected 1 (tcp) or 2 (udp)")]
    Command {
        /// The place of the client in the list of users.
        user: usize,
        /// Its number.
        command: u8,
    },
    /// The security does not exist or is not spoken.
    #[error(
        "user {user} wants security {found} ({name}), expected aes-128-gcm, chacha20-poly1305, none or zero"
    )]
    Security {
        /// The place of the client in the list of users.
        user: usize,
        /// Its number.
        found: u8,
        /// Its name.
        name: &'static str,
    },
    /// The options of the request do not go together.
    #[error("user {user} sent options that do not go together: {problem}")]
    Options {
        /// The place of the client in the list of users.
        user: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

impl VmessServerError {
    /// The place of the client in the list of users, if it is known who it is.
    #[must_use]
    pub fn place(&self) -> Option<usize> {
        match self {
            Self::UnknownUser => None,
            Self::Clock { user, .. }
            | Self::Replayed { user }
            | Self::Header { user, .. }
            | Self::Target { user, .. }
            | Self::Mux { user }
            | Self::Command { user, .. }
            | Self::Security { user, .. }
            | Self::Options { user, .. } => Some(*user),
        }
    }
}

impl<F: FnMut([u8; 16]) -> bool> VmessServer<F> {
    /// A server for a connection that came in `now` (in seconds since 1970).
    ///
    /// `is_first` is asked once, by the first 16 bytes of a request that is right otherwise, whether it
    /// has not come in before: see [`ReplayFilter::insert`](super::ReplayFilter::insert). `rng` has to be
    /// unpredictable.
    #[must_use]
    pub fn new(users: Arc<[VmessUser]>, now: u64, rng: &mut impl Rng, is_first: F) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let rng = StdRng::from_seed(seed);
        Self { users, now, is_first, rng, stage: Stage::User, intake: Intake::default() }
    }
}

impl<F: FnMut([u8; 16]) -> bool> Machine for VmessServer<F> {
    type Output = VmessAccepted;
    type Error = VmessServerError;

    fn advance(&mut self, input: &[u8]) -> Step<VmessAccepted, VmessServerError> {
        let Self { users, now, is_first, rng, stage, intake } = self;
        intake.advance(input, |bytes| {
            let mut cursor = Cursor::new(bytes);
            let Some(auth_id) = cursor.array() else { return Ok(Progress::NeedMore) };
            if let Stage::User = *stage {
                *stage = Stage::Length { user: find_user(users, &auth_id, *now).map_err(Fault::silent)? };
            }
            let (Some(sealed_length), Some(nonce)) = (cursor.array::<LENGTH_BYTES>(), cursor.array::<8>())
            else {
                return Ok(Progress::NeedMore);
            };
            let user = match *stage {
                Stage::User => return Ok(Progress::NeedMore),
                Stage::Length { user } | Stage::Header { user, .. } => user,
            };
            let broken = |problem| Fault::silent(VmessServerError::Header { user, problem });
            let Some(command_key) = users.get(user).map(VmessUser::command_key) else {
                return Err(Fault::silent(VmessServerError::UnknownUser));
            };
            let keys = HeaderKeys { command_key, auth_id: &auth_id, nonce: &nonce };
            let length = match *stage {
                Stage::Header { length, .. } => length,
                Stage::User | Stage::Length { .. } => {
                    let length = open_length(&keys, sealed_length).map_err(broken)?;
                    *stage = Stage::Header { user, length };
                    length
                }
            };
            let Some(sealed) = cursor.take(length + TAG_BYTES) else { return Ok(Progress::NeedMore) };
            let (key, header_nonce) = keys.of_header();
            let mut header = sealed.to_vec();
            let header = key
                .open(header_nonce, &auth_id, &mut header)
                .map_err(|_not_authentic| broken("it cannot be authenticated"))?;
            if !is_first(auth_id) {
                return Err(Fault::silent(VmessServerError::Replayed { user }));
            }
            let header = Header::parse(header).map_err(|error| Fault::silent(error.of(user)))?;
            let output = accept(user, header, rng);
            Ok(Progress::Done { output, consumed: cursor.position() })
        })
    }
}

/// Decrypts the auth id with the key of every user, so that the time it takes does not tell which one
/// it is.
fn find_user(users: &[VmessUser], auth_id: &[u8; 16], now: u64) -> Result<usize, VmessServerError> {
    let mut found = None;
    for (user, keys) in users.iter().enumerate() {
        let time = keys.read_auth_id(auth_id);
        found = found.or_else(|| time.map(|time| (user, time)));
    }
    let (user, time) = found.ok_or(VmessServerError::UnknownUser)?;
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let seconds = time.saturating_sub(now);
    if seconds.unsigned_abs() > MAX_CLOCK_DIFFERENCE {
        return Err(VmessServerError::Clock { user, seconds });
    }
    Ok(user)
}

fn open_length(keys: &HeaderKeys<'_>, mut sealed: [u8; LENGTH_BYTES]) -> Result<usize, &'static str> {
    let (key, nonce) = keys.of_length();
    let length = key
        .open(nonce, keys.auth_id, &mut sealed)
        .map_err(|_not_authentic| "its length cannot be authenticated")?;
    let length = length.first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
    if length > MAX_HEADER_BYTES { Err("it is longer than any header") } else { Ok(length) }
}

fn accept(user: usize, header: Header, rng: &mut impl Rng) -> VmessAccepted {
    let Header { vector, key, answer, form, network, target } = header;
    let session = Session::new(key, vector);
    let head = seal_answer(&session.answer, answer);
    VmessAccepted {
        user,
        network,
        target,
        security: form.security,
        sealer: VmessSealer::new(head, form, &session, &session.answer, rng),
        opener: VmessOpener::of_request(form, &session),
    }
}

impl HeaderError {
    fn of(self, user: usize) -> VmessServerError {
        match self {
            Self::Broken { problem } => VmessServerError::Header { user, problem },
            Self::Target(error) => VmessServerError::Target { user, error },
            Self::Mux => VmessServerError::Mux { user },
            Self::Command { command } => VmessServerError::Command { user, command },
            Self::Security { found } => {
                VmessServerError::Security { user, found, name: security_name(found) }
            }
            Self::Options { problem } => VmessServerError::Options { user, problem },
        }
    }
}

impl<F> fmt::Debug for VmessServer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmessServer").field("stage", &self.stage).finish_non_exhaustive()
    }
}
