use waypost_net::Target;

use crate::{
    ClientError, Credentials, Machine, Socks5Reply, Step,
    address::{Cursor, TYPE_NAME, TYPE_V4, TYPE_V6, put_target},
    machine::{Fault, Intake, Progress},
};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;

/// The client side of SOCKS5: CONNECT to a name or an address, with or without a password.
///
/// With credentials both methods are offered and the server chooses. A refusal is recognised by its
/// first two bytes, because some servers leave out the rest.
///
/// ```
/// use waypost_wire::{Machine, Socks5Client, Step};
///
/// let mut client = Socks5Client::new(&"example.com:443".parse()?, None);
/// assert_eq!(client.advance(b""), Step::Send(vec![5, 1, 0]));
/// assert_eq!(client.advance(b"\x05\x00"), Step::Send(b"\x05\x01\x00\x03\x0bexample.com\x01\xbb".to_vec()));
/// let step = client.advance(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00hello");
/// assert_eq!(step, Step::Done { output: (), rest: b"hello".to_vec() });
/// # Ok::<(), waypost_net::AddressError>(())
/// ```
#[derive(Debug)]
pub struct Socks5Client {
    credentials: Option<Credentials>,
    command: Vec<u8>,
    stage: Stage,
    intake: Intake,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Start,
    Method,
    Credentials,
    Reply,
}

impl Socks5Client {
    /// A client that has sent nothing yet; the first step sends.
    #[must_use]
    pub fn new(target: &Target, credentials: Option<Credentials>) -> Self {
        let mut command = vec![VERSION, CONNECT, 0];
        put_target(&mut command, target);
        Self { credentials, command, stage: Stage::Start, intake: Intake::default() }
    }
}

impl Machine for Socks5Client {
    type Output = ();
    type Error = ClientError;

    fn advance(&mut self, input: &[u8]) -> Step<(), ClientError> {
        let Self { credentials, command, stage, intake } = self;
        intake.advance(input, |bytes| {
            let mut cursor = Cursor::new(bytes);
            let parsed = match stage {
                Stage::Start => {
                    *stage = Stage::Method;
                    Some(Ok(Progress::Send { bytes: greeting(credentials.as_ref()), consumed: 0 }))
                }
                Stage::Method => parse_method(&mut cursor).map(|method| {
                    let (next, bytes) = match (method?, &credentials) {
                        (NO_AUTHENTICATION, _) => (Stage::Reply, command.clone()),
                        (USER_AND_PASSWORD, Some(given)) => (Stage::Credentials, given.to_rfc1929()),
                        (method, _) => return Err(refusal(method)),
                    };
                    *stage = next;
                    Ok(Progress::Send { bytes, consumed: cursor.position() })
                }),
                Stage::Credentials => parse_verdict(&mut cursor).map(|verdict| {
                    verdict?;
                    *stage = Stage::Reply;
                    Ok(Progress::Send { bytes: command.clone(), consumed: cursor.position() })
                }),
                Stage::Reply => parse_reply(&mut cursor).map(|granted| {
                    granted?;
                    Ok(Progress::Done { output: (), consumed: cursor.position() })
                }),
            };
            parsed.unwrap_or(Ok(Progress::NeedMore))
        })
    }
}

fn greeting(credentials: Option<&Credentials>) -> Vec<u8> {
    match credentials {
        None => vec![VERSION, 1, NO_AUTHENTICATION],
        Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
    }
}

fn refusal(method: u8) -> Fault<ClientError> {
    Fault::silent(match method {
        NO_ACCEPTABLE_METHOD => ClientError::NoAcceptableMethod,
        method => ClientError::UnofferedMethod { method },
    })
}

fn check_version(found: u8) -> Result<(), Fault<ClientError>> {
    if found == VERSION { Ok(()) } else { Err(Fault::silent(ClientError::Version { found })) }
}

fn parse_method(cursor: &mut Cursor<'_>) -> Option<Result<u8, Fault<ClientError>>> {
    if let Err(fault) = check_version(cursor.byte()?) {
        return Some(Err(fault));
    }
    cursor.byte().map(Ok)
}

/// Only the status counts: servers are known to answer with version 5 in place of RFC 1929's 1, and
/// curl does not look at it either.
fn parse_verdict(cursor: &mut Cursor<'_>) -> Option<Result<(), Fault<ClientError>>> {
    let [_version, status] = cursor.array()?;
    Some(if status == 0 { Ok(()) } else { Err(Fault::silent(ClientError::CredentialsRejected)) })
}

fn parse_reply(cursor: &mut Cursor<'_>) -> Option<Result<(), Fault<ClientError>>> {
    if let Err(fault) = check_version(cursor.byte()?) {
        return Some(Err(fault));
    }
    let code = cursor.byte()?;
    if code != 0 {
        return Some(Err(Fault::silent(ClientError::Socks5(Socks5Reply(code)))));
    }
    let [_reserved, address_type] = cursor.array()?;
    match address_type {
        TYPE_V4 => cursor.take(4)?,
        TYPE_V6 => cursor.take(16)?,
        TYPE_NAME => cursor.prefixed()?,
        found => return Some(Err(Fault::silent(ClientError::AddressType { found }))),
    };
    cursor.port()?;
    Some(Ok(()))
}
