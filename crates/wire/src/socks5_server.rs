use std::sync::Arc;

use waypost_net::{Host, Target};

use crate::{
    Accounts, Answer, Command, Machine, Request, ServerError, Step,
    address::{Cursor, TYPE_NAME, TYPE_V4, TYPE_V6, host_v4, host_v6, parse_name},
    answer::socks5_failure,
    machine::{Fault, Intake, Progress},
};

const VERSION: u8 = 5;
const AUTH_VERSION: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const UDP_ASSOCIATE: u8 = 3;

const GENERAL_FAILURE: u8 = 1;
const COMMAND_NOT_SUPPORTED: u8 = 7;
const ADDRESS_TYPE_NOT_SUPPORTED: u8 = 8;

/// The server side of SOCKS5 (RFC 1928) with user and password authentication (RFC 1929).
///
/// CONNECT is granted, and UDP ASSOCIATE where it is allowed; BIND is not. With accounts, every client has to authenticate; without, none is asked
/// to. An address written as a name is taken for the address.
#[derive(Debug)]
pub struct Socks5Server {
    accounts: Accounts,
    udp: bool,
    user: Option<Arc<str>>,
    stage: Stage,
    intake: Intake,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Methods,
    Credentials,
    Command,
}

impl Socks5Server {
    /// A server that has read nothing yet.
    #[must_use]
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts, udp: false, user: None, stage: Stage::Methods, intake: Intake::default() }
    }

    /// Whether UDP ASSOCIATE is granted.
    #[must_use]
    pub fn with_udp(self, granted: bool) -> Self {
        Self { udp: granted, ..self }
    }
}

impl Machine for Socks5Server {
    type Output = Request;
    type Error = ServerError;

    fn advance(&mut self, input: &[u8]) -> Step<Request, ServerError> {
        let Self { accounts, udp, user, stage, intake } = self;
        intake.advance(input, |bytes| {
            let mut cursor = Cursor::new(bytes);
            let parsed = match stage {
                Stage::Methods => parse_methods(&mut cursor, accounts.is_empty()).map(|next| {
                    let (method, next) = next?;
                    *stage = next;
                    Ok(Progress::Send { bytes: vec![VERSION, method], consumed: cursor.position() })
                }),
                Stage::Credentials => parse_credentials(&mut cursor, accounts).map(|verified| {
                    *user = Some(verified?);
                    *stage = Stage::Command;
                    Ok(Progress::Send { bytes: vec![AUTH_VERSION, 0], consumed: cursor.position() })
                }),
                Stage::Command => parse_command(&mut cursor, *udp).map(|request| {
                    let (command, target) = request?;
                    let request = Request::tunnel(target, user.take(), Answer::Socks5);
                    let output = Request { command, ..request };
                    Ok(Progress::Done { output, consumed: cursor.position() })
                }),
            };
            parsed.unwrap_or(Ok(Progress::NeedMore))
        })
    }
}

fn parse_methods(cursor: &mut Cursor<'_>, open: bool) -> Option<Result<(u8, Stage), Fault<ServerError>>> {
    let version = cursor.byte()?;
    if version != VERSION {
        return Some(Err(Fault::silent(ServerError::Version { expected: VERSION, found: version })));
    }
    let offered = cursor.prefixed()?;
    let (method, next) =
        if open { (NO_AUTHENTICATION, Stage::Command) } else { (USER_AND_PASSWORD, Stage::Credentials) };
    Some(if offered.contains(&method) {
        Ok((method, next))
    } else {
        Err(Fault::new([VERSION, NO_ACCEPTABLE_METHOD], ServerError::NoAcceptableMethod))
    })
}

fn parse_credentials(
    cursor: &mut Cursor<'_>,
    accounts: &Accounts,
) -> Option<Result<Arc<str>, Fault<ServerError>>> {
    let refusal = |error| Some(Err(Fault::new([AUTH_VERSION, 1], error)));
    let version = cursor.byte()?;
    if version != AUTH_VERSION {
        return refusal(ServerError::Version { expected: AUTH_VERSION, found: version });
    }
    let user = cursor.prefixed()?;
    let password = cursor.prefixed()?;
    match accounts.verify(user, password) {
        Some(user) => Some(Ok(user.clone())),
        None => refusal(ServerError::CredentialsRejected),
    }
}

fn parse_command(
    cursor: &mut Cursor<'_>,
    udp: bool,
) -> Option<Result<(Command, Target), Fault<ServerError>>> {
    let refusal = |code, error| Some(Err(Fault::new(socks5_failure(code), error)));
    let version = cursor.byte()?;
    if version != VERSION {
        return refusal(GENERAL_FAILURE, ServerError::Version { expected: VERSION, found: version });
    }
    let [command, _reserved, address_type] = cursor.array()?;
    let host: Result<Host, ServerError> = match address_type {
        TYPE_V4 => Ok(host_v4(cursor.array()?)),
        TYPE_V6 => Ok(host_v6(cursor.array()?)),
        TYPE_NAME => parse_name(cursor.prefixed()?),
        found => return refusal(ADDRESS_TYPE_NOT_SUPPORTED, ServerError::AddressType { found }),
    };
    let port = cursor.port()?;
    let command = match command {
        CONNECT => Command::Connect,
        UDP_ASSOCIATE if udp => Command::UdpAssociate,
        command => return refusal(COMMAND_NOT_SUPPORTED, ServerError::Command { command }),
    };
    match host {
        Ok(host) => Some(Ok((command, Target::new(host, port)))),
        Err(error) => refusal(GENERAL_FAILURE, error),
    }
}
