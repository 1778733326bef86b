use waypost_net::Target;

use crate::{
    Accounts, Answer, Machine, Request, ServerError, Step,
    address::{Cursor, host_v4, parse_name},
    answer::socks4_failure,
    machine::{Fault, Intake, Progress},
};

const VERSION: u8 = 4;
const CONNECT: u8 = 1;

/// The server side of SOCKS4 and SOCKS4a: CONNECT only, and only where no accounts are configured,
/// because the protocol has no password.
#[derive(Debug)]
pub struct Socks4Server {
    refuse_all: bool,
    intake: Intake,
}

impl Socks4Server {
    /// A server that has read nothing yet.
    #[must_use]
    pub fn new(accounts: &Accounts) -> Self {
        Self { refuse_all: !accounts.is_empty(), intake: Intake::default() }
    }
}

impl Machine for Socks4Server {
    type Output = Request;
    type Error = ServerError;

    fn advance(&mut self, input: &[u8]) -> Step<Request, ServerError> {
        let refuse_all = self.refuse_all;
        self.intake.advance(input, |bytes| match parse(bytes, refuse_all) {
            None => Ok(Progress::NeedMore),
            Some(Ok((target, consumed))) => {
                Ok(Progress::Done { output: Request::tunnel(target, None, Answer::Socks4), consumed })
            }
            Some(Err(fault)) => Err(fault),
        })
    }
}

/// Version, command, port, address, user id, zero; in SOCKS4a, where the address is `0.0.0.x`, then a
/// name and a zero.
fn parse(bytes: &[u8], refuse_all: bool) -> Option<Result<(Target, usize), Fault<ServerError>>> {
    let mut cursor = Cursor::new(bytes);
    let version = cursor.byte()?;
    if version != VERSION {
        return Some(Err(Fault::silent(ServerError::Version { expected: VERSION, found: version })));
    }
    let command = cursor.byte()?;
    let port = cursor.port()?;
    let octets = cursor.array::<4>()?;
    // The user id is not used: nothing vouches for it.
    if let Err(error) = cursor.terminated()? {
        return Some(Err(Fault::new(socks4_failure(), error)));
    }
    let host = match octets {
        [0, 0, 0, last] if last != 0 => match cursor.terminated()? {
            Ok(name) => parse_name(name),
            Err(error) => Err(error),
        },
        _ => Ok(host_v4(octets)),
    };
    let checked = if refuse_all {
        Err(ServerError::Socks4WithAccounts)
    } else if command != CONNECT {
        Err(ServerError::Command { command })
    } else {
        host.map(|host| (Target::new(host, port), cursor.position()))
    };
    Some(checked.map_err(|error| Fault::new(socks4_failure(), error)))
}
