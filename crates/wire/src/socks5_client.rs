use waypost_net::{Host, Target};

use crate::{
    ClientError, Credentials, Machine, Socks5Reply, Step,
    address::{Cursor, TYPE_NAME, TYPE_V4, TYPE_V6, host_v4, host_v6, parse_name, put_target},
    machine::{Fault, Intake, Progress},
};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const UDP_ASSOCIATE: u8 = 3;

/// The client side of SOCKS5 for connections: CONNECT to a name or an address, with or without a password.
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
pub struct Socks5Client(Exchange);

/// The client side of SOCKS5 for datagrams: UDP ASSOCIATE, with or without a password.
///
/// It yields the address that datagrams are to be sent to. A server that names none (`0.0.0.0`) means
/// the address that it was reached at. The association lasts as long as the connection.
#[derive(Debug)]
pub struct Socks5AssociateClient(Exchange);

/// What both have in common: the greeting, the password, one command, one reply.
#[derive(Debug)]
struct Exchange {
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
        Self(Exchange::new(CONNECT, target, credentials))
    }
}

impl Machine for Socks5Client {
    type Output = ();
    type Error = ClientError;

    fn advance(&mut self, input: &[u8]) -> Step<(), ClientError> {
        self.0.advance(input, |_bound| Ok(()))
    }
}

impl Socks5AssociateClient {
    /// A client that has sent nothing yet; the first step sends. `source` is where its datagrams will
    /// come from, port 0 if that is not known.
    #[must_use]
    pub fn new(source: &Target, credentials: Option<Credentials>) -> Self {
        Self(Exchange::new(UDP_ASSOCIATE, source, credentials))
    }
}

impl Machine for Socks5AssociateClient {
    type Output = Target;
    type Error = ClientError;

    fn advance(&mut self, input: &[u8]) -> Step<Target, ClientError> {
        self.0.advance(input, |bound| {
            bound.filter(|bound| bound.port != 0).ok_or_else(|| Fault::silent(ClientError::RelayAddress))
        })
    }
}

impl Exchange {
    fn new(command: u8, target: &Target, credentials: Option<Credentials>) -> Self {
        let mut command = vec![VERSION, command, 0];
        put_target(&mut command, target);
        Self { credentials, command, stage: Stage::Start, intake: Intake::default() }
    }

    /// `accept` makes of the address in the reply what is yielded; it is `None` if it is not valid.
    fn advance<T>(
        &mut self,
        input: &[u8],
        accept: impl FnOnce(Option<Target>) -> Result<T, Fault<ClientError>>,
    ) -> Step<T, ClientError> {
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
                Stage::Reply => parse_reply(&mut cursor)
                    .map(|bound| Ok(Progress::Done { output: accept(bound?)?, consumed: cursor.position() })),
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

/// The address in the reply is `None` if it is a name that is none: CONNECT does not need it.
fn parse_reply(cursor: &mut Cursor<'_>) -> Option<Result<Option<Target>, Fault<ClientError>>> {
    if let Err(fault) = check_version(cursor.byte()?) {
        return Some(Err(fault));
    }
    let code = cursor.byte()?;
    if code != 0 {
        return Some(Err(Fault::silent(ClientError::Socks5(Socks5Reply(code)))));
    }
    let [_reserved, address_type] = cursor.array()?;
    let host: Option<Host> = match address_type {
        TYPE_V4 => Some(host_v4(cursor.array()?)),
        TYPE_V6 => Some(host_v6(cursor.array()?)),
        TYPE_NAME => parse_name(cursor.prefixed()?).ok(),
        found => return Some(Err(Fault::silent(ClientError::AddressType { found }))),
    };
    let port = cursor.port()?;
    Some(Ok(host.map(|host| Target::new(host, port))))
}
