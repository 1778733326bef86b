use std::{borrow::Cow, sync::Arc};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use waypost_net::Target;

use crate::{
    Accounts, Answer, Command, Machine, Request, ServerError, Step,
    answer::http_error,
    forward::forward,
    head::{HeadEnd, HeadScanner, MAX_HEADERS, describe},
    machine::Fault,
};

/// The server side of an HTTP proxy: CONNECT, and requests in absolute form.
///
/// One request per connection is served. A request in absolute form is rewritten to origin form; its
/// new head is the front of what [`Step::Done`] calls the rest, and its body follows untouched.
#[derive(Debug)]
pub struct HttpServer {
    accounts: Accounts,
    scanner: HeadScanner,
    bytes: Vec<u8>,
    over: bool,
}

impl HttpServer {
    /// A server that has read nothing yet.
    #[must_use]
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts, scanner: HeadScanner::default(), bytes: Vec::new(), over: false }
    }
}

impl Machine for HttpServer {
    type Output = Request;
    type Error = ServerError;

    fn advance(&mut self, input: &[u8]) -> Step<Request, ServerError> {
        if self.over {
            return Step::NeedMore;
        }
        self.bytes.extend_from_slice(input);
        let parsed = match check_start(&self.bytes) {
            Err(fault) => Err(fault),
            Ok(()) => match self.scanner.scan(&self.bytes) {
                HeadEnd::NotYet => return Step::NeedMore,
                HeadEnd::TooFar => Err(too_large()),
                HeadEnd::At(end) => {
                    let (head, body) = self.bytes.split_at_checked(end).unwrap_or((&self.bytes, &[]));
                    parse(head, &self.accounts).map(|(request, mut rest)| {
                        rest.extend_from_slice(body);
                        (request, rest)
                    })
                }
            },
        };
        self.over = true;
        self.bytes = Vec::new();
        match parsed {
            Ok((output, rest)) => Step::Done { output, rest },
            Err(Fault { reply, error }) => Step::Fail { reply, error },
        }
    }
}

/// Recognises what is no HTTP/1 request before its head ends, if it ever does.
fn check_start(bytes: &[u8]) -> Result<(), Fault<ServerError>> {
    const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
    if bytes.starts_with(HTTP2_PREFACE) {
        let reply = http_error("505 HTTP Version Not Supported", &[], "This proxy speaks HTTP/1.1.");
        return Err(Fault::new(reply, ServerError::Http2));
    }
    match bytes.first() {
        Some(first) if !first.is_ascii_alphabetic() => Err(bad_request("invalid start line")),
        Some(_) | None => Ok(()),
    }
}

/// Reads a whole head; yields what the target is to be sent first, too.
fn parse(head: &[u8], accounts: &Accounts) -> Result<(Request, Vec<u8>), Fault<ServerError>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(bad_request("no start line")),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
        Err(error) => return Err(bad_request(describe(error))),
    }
    let (Some(method), Some(uri)) = (parsed.method, parsed.path) else {
        return Err(bad_request("no start line"));
    };
    let user = authenticate(parsed.headers, accounts)?;
    if method == "CONNECT" {
        let target: Target =
            uri.parse().map_err(|error| bad_target(ServerError::Target(error), "HOST:PORT"))?;
        return Ok((Request::tunnel(target, user, Answer::HttpConnect), Vec::new()));
    }
    let forwarded = forward(method, uri, parsed.version == Some(0), parsed.headers)?;
    let request = Request {
        command: Command::Connect,
        target: forwarded.target,
        user,
        answer: Answer::HttpForward,
        protocol: Some(Cow::Borrowed("http/1.1")),
        attributes: forwarded.attributes,
    };
    Ok((request, forwarded.head))
}

/// Basic authentication (RFC 7617), with or without padding.
fn authenticate(
    headers: &[httparse::Header<'_>],
    accounts: &Accounts,
) -> Result<Option<Arc<str>>, Fault<ServerError>> {
    if accounts.is_empty() {
        return Ok(None);
    }
    let mut given = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("proxy-authorization"));
    let (Some(header), None) = (given.next(), given.next()) else {
        return Err(authentication_required(ServerError::CredentialsMissing));
    };
    let user = basic_credentials(header.value)
        .and_then(|(user, password)| accounts.verify(&user, &password).cloned())
        .ok_or_else(|| authentication_required(ServerError::CredentialsRejected))?;
    Ok(Some(user))
}

fn basic_credentials(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let (scheme, encoded) = value.split_at_checked("basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut user = LENIENT.decode(encoded.trim_ascii()).ok()?;
    let colon = user.iter().position(|&byte| byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    Some((user, password))
}

fn authentication_required(error: ServerError) -> Fault<ServerError> {
    let challenge = "Proxy-Authenticate: Basic realm=\"proxy\"";
    let text = "This proxy wants a user name and a password.";
    Fault::new(http_error("407 Proxy Authentication Required", &[challenge], text), error)
}

fn too_large() -> Fault<ServerError> {
    let reply =
        http_error("431 Request Header Fields Too Large", &[], "The head of the request is too large.");
    Fault::new(reply, ServerError::HttpHeadTooLarge)
}

pub(crate) fn bad_target(error: ServerError, expected: &str) -> Fault<ServerError> {
    let text = format!("The target of the request is invalid, expected {expected}.");
    Fault::new(http_error("400 Bad Request", &[], &text), error)
}

pub(crate) fn bad_request(problem: &'static str) -> Fault<ServerError> {
    let text = format!("The request is malformed: {problem}.");
    Fault::new(http_error("400 Bad Request", &[], &text), ServerError::HttpSyntax { problem })
}
