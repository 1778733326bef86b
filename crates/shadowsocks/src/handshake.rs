use std::{fmt, sync::Arc};

use rand::{Rng, SeedableRng as _, rngs::StdRng};
use subtle::ConstantTimeEq as _;
use waypost_net::Target;
use waypost_wire::{Machine, Open as _, Opened, Step, TargetError, read_socks_target};

use crate::{
    OpenError, Opener, Sealer,
    cipher::{BlockCipher, NotAuthentic, StreamCipher, TAG_BYTES},
    key::Key,
    method::Edition,
    opener::{FIXED_BYTES, read_fixed},
    sealer::REQUEST,
    server::{ServerState, User},
};

const LENGTH_BYTES: usize = 2 + TAG_BYTES;
/// The longest target: a type, a name of 255 bytes with its length, and a port.
const MAX_TARGET_BYTES: usize = 1 + 1 + 255 + 2;

/// The server's side of a connection's beginning.
///
/// Whatever is wrong, nothing is answered. A peer must not learn why from when the connection is closed
/// either: after [`Step::Fail`] the caller goes on reading, up to a number of bytes and a deadline that do
/// not depend on the error, and then closes.
pub struct Handshake {
    state: Arc<ServerState>,
    rng: StdRng,
    stage: Stage,
    wire: Vec<u8>,
    /// What has come out of the request so far.
    plain: Vec<u8>,
}

enum Stage {
    Salt,
    /// The client is known.
    Target(Box<Known>),
    Spent,
}

struct Known {
    user: Option<Arc<str>>,
    sealer: Sealer,
    opener: Opener,
}

/// A connection that a client may have.
#[derive(Debug)]
pub struct Accepted {
    /// The user's name, if the server has users.
    pub user: Option<Arc<str>>,
    /// Where the client wants to go.
    pub target: Target,
    /// What the client has sent already; it comes before what the opener opens.
    pub first: Vec<u8>,
    /// Writes the answer.
    pub sealer: Sealer,
    /// Reads what follows; the rest of the handshake comes first.
    pub opener: Opener,
}

/// Why a client was turned away. It is told nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Nobody's key fits.
    #[error("wrong password or method: nobody's key fits")]
    UnknownUser,
    /// The first bytes of SIP022 came in pieces, as those of somebody who tries them out (§3.1.3).
    #[error("expected at least {expected} bytes at first, found {found}")]
    Split {
        /// How long the fixed part of a request is.
        expected: usize,
        /// How many came.
        found: usize,
    },
    /// The head is one of an answer.
    #[error("the request is no request")]
    Type,
    /// The time in the request differs too much from the time here.
    #[error("the clock of the client is off by {seconds} seconds, at most 30 are allowed")]
    Clock {
        /// How many seconds the client is ahead.
        seconds: i64,
    },
    /// The same request has come in before.
    #[error("a request was sent again")]
    Replayed,
    /// The target is not an address or a valid name.
    #[error("bad target: {0}")]
    Target(#[from] TargetError),
    /// The target or its padding does not end where it should.
    #[error("the target or its padding does not end in the first chunk")]
    TooShort,
    /// A request of SIP022 has neither payload nor padding, which tells what it is by its length (§3.1.5).
    #[error("a request with neither payload nor padding")]
    NoPadding,
    /// A chunk of the request was changed on the way.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Handshake {
    pub(crate) fn new(state: Arc<ServerState>, rng: &mut impl Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let rng = StdRng::from_seed(seed);
        Self { state, rng, stage: Stage::Salt, wire: Vec::new(), plain: Vec::new() }
    }

    /// Finds out who the client is; `None` if more is needed.
    fn recognise(&mut self) -> Result<Option<Known>, HandshakeError> {
        match self.state.method.edition() {
            Edition::Aead => self.recognise_by_trial(),
            Edition::Aead2022 => self.recognise_2022().map(Some),
        }
    }

    /// Tries every key on the first length.
    fn recognise_by_trial(&mut self) -> Result<Option<Known>, HandshakeError> {
        let state = &self.state;
        let Some((salt, rest)) = self.wire.split_at_checked(state.method.key_bytes()) else {
            return Ok(None);
        };
        let Some(sealed) = rest.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let mut found = None;
        for user in state.users_or_own() {
            let mut cipher = StreamCipher::new(state.method, &user.key, salt);
            let is_key = cipher.open(&mut sealed.clone()).is_ok();
            found = if is_key { Some(user) } else { found };
        }
        let user = found.ok_or(HandshakeError::UnknownUser)?;
        let (sealer, answer_salt) =
            Sealer::of_answer(state.method, &user.key, salt, state.clock.clone(), &mut self.rng);
        let now = state.clock.now();
        if !state.salts.insert(state.method, salt, now) {
            return Err(HandshakeError::Replayed);
        }
        // Nothing else tells an answer that is sent back from a request.
        state.salts.insert(state.method, &answer_salt, now);
        let cipher = StreamCipher::new(state.method, &user.key, salt);
        let known =
            Known { user: user.name.clone(), sealer, opener: Opener::of_request(state.method, cipher, None) };
        let consumed = salt.len();
        self.wire.drain(..consumed);
        Ok(Some(known))
    }

    fn recognise_2022(&mut self) -> Result<Known, HandshakeError> {
        let state = &self.state;
        let identity_bytes = if state.users.is_empty() { 0 } else { 16 };
        let salt_bytes = state.method.key_bytes();
        let consumed = salt_bytes + identity_bytes + FIXED_BYTES + TAG_BYTES;
        let split = HandshakeError::Split { expected: consumed, found: self.wire.len() };
        let head = self.wire.get_mut(..consumed).ok_or_else(|| split.clone())?;
        let (salt, rest) = head.split_at_mut_checked(salt_bytes).ok_or_else(|| split.clone())?;
        let (identity, sealed) = rest.split_at_mut_checked(identity_bytes).ok_or(split)?;
        let user = match identity.first_chunk() {
            None => &state.own,
            Some(identity) => {
                let cipher =
                    BlockCipher::of_identity(&state.own.key, salt).ok_or(HandshakeError::UnknownUser)?;
                find_user(&state.users, &cipher.decrypt(*identity)).ok_or(HandshakeError::UnknownUser)?
            }
        };
        let mut cipher = StreamCipher::new(state.method, &user.key, salt);
        let fixed = cipher.open(sealed).map_err(|NotAuthentic| HandshakeError::UnknownUser)?;
        let (time, length) = read_fixed(fixed, REQUEST).ok_or(HandshakeError::Type)?;
        let first = length.first_chunk().map_or(0, |length| u16::from_be_bytes(*length).into());
        state.clock.check(time).map_err(|seconds| HandshakeError::Clock { seconds })?;
        if !state.salts.insert(state.method, salt, state.clock.now()) {
            return Err(HandshakeError::Replayed);
        }
        let (sealer, _salt) =
            Sealer::of_answer(state.method, &user.key, salt, state.clock.clone(), &mut self.rng);
        let opener = Opener::of_request(state.method, cipher, Some(first));
        let known = Known { user: user.name.clone(), sealer, opener };
        self.wire.drain(..consumed);
        Ok(known)
    }

    /// Reads the target, once enough has come out; with it the number of bytes of it and of its padding.
    fn target(&self) -> Result<Option<(Target, usize)>, HandshakeError> {
        let target = read_socks_target(&self.plain)?;
        match self.state.method.edition() {
            Edition::Aead if target.is_none() && self.plain.len() >= MAX_TARGET_BYTES => {
                Err(HandshakeError::TooShort)
            }
            Edition::Aead => Ok(target),
            // All of it is in the first chunk.
            Edition::Aead2022 => {
                let (target, target_bytes) = target.ok_or(HandshakeError::TooShort)?;
                let rest = self.plain.get(target_bytes..).unwrap_or_default();
                let (padding, rest) = rest.split_first_chunk().ok_or(HandshakeError::TooShort)?;
                let padding = usize::from(u16::from_be_bytes(*padding));
                match rest.len().checked_sub(padding) {
                    None => Err(HandshakeError::TooShort),
                    Some(0) if padding == 0 => Err(HandshakeError::NoPadding),
                    Some(_) => Ok(Some((target, target_bytes + 2 + padding))),
                }
            }
        }
    }

    fn advance_or_fail(&mut self) -> Result<Option<Accepted>, HandshakeError> {
        if matches!(self.stage, Stage::Salt) {
            let Some(known) = self.recognise()? else { return Ok(None) };
            self.stage = Stage::Target(Box::new(known));
        }
        loop {
            let Stage::Target(known) = &mut self.stage else { return Ok(None) };
            let consumed = match known.opener.open(&mut self.wire)? {
                Opened::NeedMore { .. } | Opened::Ended { .. } => return Ok(None),
                Opened::Skip { consumed } => consumed,
                Opened::Piece { plain, consumed } => {
                    self.plain.extend_from_slice(self.wire.get(plain).unwrap_or_default());
                    consumed
                }
            };
            self.wire.drain(..consumed);
            if let Some((target, used)) = self.target()?
                && let Stage::Target(known) = std::mem::replace(&mut self.stage, Stage::Spent)
            {
                let mut first = std::mem::take(&mut self.plain);
                first.drain(..used);
                let Known { user, sealer, opener } = *known;
                return Ok(Some(Accepted { user, target, first, sealer, opener }));
            }
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Machine for Handshake {
    type Output = Accepted;
    type Error = HandshakeError;

    fn advance(&mut self, input: &[u8]) -> Step<Accepted, HandshakeError> {
        if matches!(self.stage, Stage::Spent) || input.is_empty() {
            return Step::NeedMore;
        }
        self.wire.extend_from_slice(input);
        match self.advance_or_fail() {
            Ok(None) => Step::NeedMore,
            Ok(Some(output)) => Step::Done { output, rest: std::mem::take(&mut self.wire) },
            Err(error) => {
                self.stage = Stage::Spent;
                Step::Fail { reply: Vec::new(), error }
            }
        }
    }
}

/// Compares with the identity of every user.
pub(crate) fn find_user<'a>(users: &'a [User], identity: &[u8; 16]) -> Option<&'a User> {
    users.iter().fold(None, |found, user| {
        let is_user = bool::from(user.identity.ct_eq(identity));
        if is_user { Some(user) } else { found }
    })
}

impl User {
    pub(crate) fn new(name: Option<Arc<str>>, key: Key) -> Self {
        let identity = crate::cipher::identity_of(&key);
        Self { name, key, identity }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;
    use crate::{Clock, Method, Salts, Server};

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";

    /// Serves a request of SIP022 whose first chunk holds `content`.
    fn serve_2022(content: &[u8]) -> Result<String, HandshakeError> {
        let method = Method::Blake3Aes128Gcm;
        let mut wire = vec![5; 16];
        let mut cipher = StreamCipher::new(method, &Key::try_new(method, KEY).unwrap(), &wire);
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        for part in [&[&[REQUEST], &1000u64.to_be_bytes()[..], &length].concat(), content] {
            let start = wire.len();
            wire.extend_from_slice(part);
            cipher.seal_from(start, &mut wire);
        }
        let server = Server::try_new(method, KEY, [], Salts::new(), Clock::new(|| 1000)).unwrap();
        match server.handshake(&mut StdRng::seed_from_u64(1)).advance(&wire) {
            Step::Done { output, .. } => Ok(String::from_utf8(output.first).unwrap()),
            Step::Fail { error, .. } => Err(error),
            Step::NeedMore | Step::Send(_) => panic!("wants more"),
        }
    }

    #[test]
    fn a_request_of_2022_has_payload_or_padding_behind_a_whole_target() {
        let target = b"\x01\x0a\0\0\x01\0\x50";
        let serve = |behind: &[u8]| serve_2022(&[target, behind].concat());
        assert_eq!(serve(b"\0\0hello"), Ok("hello".to_owned()));
        assert_eq!(serve(b"\0\x03abchello"), Ok("hello".to_owned()));
        assert_eq!(serve(b"\0\x03abc"), Ok(String::new()));
        assert_eq!(serve(b"\0\0"), Err(HandshakeError::NoPadding));
        assert_eq!(serve(b"\0\x04abc"), Err(HandshakeError::TooShort));
        assert_eq!(serve(b"\0"), Err(HandshakeError::TooShort));
        assert_eq!(serve_2022(&target[..5]), Err(HandshakeError::TooShort));
        assert_eq!(serve_2022(b"\x09"), Err(HandshakeError::Target(TargetError::Type { found: 9 })));
    }
}
