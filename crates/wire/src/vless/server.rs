use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use waypost_net::{Network, Target};

use super::{MUX, TCP, UDP, VERSION, VlessDatagramOpener, VlessDatagramSealer, VlessOpener};
use crate::{
    Machine, PlainSealer, Step, TargetError, Uuid,
    address::Cursor,
    constant_time,
    machine::{Fault, Intake, Progress},
    target_field::read_port_first,
};

/// What is answered: the version, and no addons.
const ANSWER: [u8; 2] = [VERSION, 0];
/// The longest name of a flow that is shown.
const MAX_FLOW_BYTES: usize = 64;

/// The server's side of the handshake. Whatever is wrong, nothing is answered.
#[derive(Debug)]
pub struct VlessServer {
    users: Arc<[Uuid]>,
    /// The user, once the id has been compared with all of them.
    user: Option<usize>,
    intake: Intake,
}

/// A connection that a client may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VlessAccepted {
    /// The place of the client in the list of users.
    pub user: usize,
    /// A byte stream or datagrams.
    pub network: Network,
    /// Where the client wants to go.
    pub target: Target,
}

/// Why a client was turned away. It is told nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VlessServerError {
    /// The first byte is another version, so the client speaks something else.
    #[error("expected vless version {VERSION}, found {found}")]
    Version {
        /// What the client sent.
        found: u8,
    },
    /// Nobody has the id.
    #[error("no user with this id")]
    UnknownUser,
    /// The client wants a flow.
    #[error("user {user} wants flow `{flow}`, which is not available here: no flow may be set")]
    Flow {
        /// The place of the client in the list of users.
        user: usize,
        /// Its name, or a question mark if there is none.
        flow: Box<str>,
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
    /// The target is not an address or a valid name.
    #[error("bad target of user {user}: {error}")]
    Target {
        /// The place of the client in the list of users.
        user: usize,
        /// What is wrong.
        error: TargetError,
    },
}

impl VlessServer {
    /// A server that has read nothing yet.
    #[must_use]
    pub fn new(users: Arc<[Uuid]>) -> Self {
        Self { users, user: None, intake: Intake::default() }
    }
}

impl VlessAccepted {
    /// The two directions of a byte stream; the rest of the handshake is to be opened first.
    #[must_use]
    pub fn stream() -> (PlainSealer, VlessOpener) {
        (PlainSealer::new(ANSWER.to_vec()), VlessOpener::of_request())
    }

    /// The two directions of a stream of datagrams; the rest of the handshake is to be opened first.
    #[must_use]
    pub fn datagrams() -> (VlessDatagramSealer, VlessDatagramOpener) {
        (VlessDatagramSealer::new(ANSWER.to_vec()), VlessDatagramOpener::new(VlessOpener::of_request()))
    }
}

impl Machine for VlessServer {
    type Output = VlessAccepted;
    type Error = VlessServerError;

    fn advance(&mut self, input: &[u8]) -> Step<VlessAccepted, VlessServerError> {
        let Self { users, user, intake } = self;
        intake.advance(input, |bytes| {
            let mut cursor = Cursor::new(bytes);
            match parse(&mut cursor, users, user) {
                Some(Ok(output)) => Ok(Progress::Done { output, consumed: cursor.position() }),
                Some(Err(error)) => Err(Fault::silent(error)),
                None => Ok(Progress::NeedMore),
            }
        })
    }
}

fn parse(
    cursor: &mut Cursor<'_>,
    users: &[Uuid],
    known: &mut Option<usize>,
) -> Option<Result<VlessAccepted, VlessServerError>> {
    let version = cursor.byte()?;
    if version != VERSION {
        return Some(Err(VlessServerError::Version { found: version }));
    }
    let id = Uuid::from_bytes(cursor.array()?);
    let Some(user) = known.or_else(|| constant_time::position(users, |user| user.ct_eq(&id))) else {
        return Some(Err(VlessServerError::UnknownUser));
    };
    *known = Some(user);
    let addons = cursor.prefixed()?;
    if !addons.is_empty() {
        return Some(Err(VlessServerError::Flow { user, flow: flow_name(addons) }));
    }
    let network = match cursor.byte()? {
        TCP => Network::Tcp,
        UDP => Network::Udp,
        MUX => return Some(Err(VlessServerError::Mux { user })),
        command => return Some(Err(VlessServerError::Command { user, command })),
    };
    let target = read_port_first(cursor)?;
    Some(target.map_or_else(
        |error| Err(VlessServerError::Target { user, error }),
        |target| Ok(VlessAccepted { user, network, target }),
    ))
}

/// Addons are a protocol buffer whose first field is the name of the flow.
fn flow_name(addons: &[u8]) -> Box<str> {
    let mut cursor = Cursor::new(addons);
    let name = (cursor.byte() == Some(0x0a)).then(|| cursor.prefixed()).flatten();
    let is_shown =
        |name: &&str| name.len() <= MAX_FLOW_BYTES && name.bytes().all(|byte| byte.is_ascii_graphic());
    name.and_then(|name| std::str::from_utf8(name).ok()).filter(is_shown).unwrap_or("?").into()
}
