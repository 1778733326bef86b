use waypost_net::Target;

use crate::{
    Accounts, Answer, Machine, Opening, Request, ServerError, Step,
    answer::http_error,
    basic_auth::BASIC_CHALLENGE,
    head::{HeadEnd, HeadScanner, MAX_HEADERS, describe},
    machine::Fault,
    request_guard::{bad_request, too_large},
};

const CONNECT: &[u8] = b"CONNECT ";

/// The server side of an HTTP proxy as far as a tunnel: CONNECT.
///
/// With any other method the connection is one of requests that are to be forwarded, and all that
/// was read is what [`Step::Done`] calls the rest.
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

    fn end(&mut self, parsed: Result<(Opening, usize), Fault<ServerError>>) -> Step<Opening, ServerError> {
        self.over = true;
        let mut rest = std::mem::take(&mut self.bytes);
        match parsed {
            Ok((output, consumed)) => {
                rest.drain(..consumed);
                Step::Done { output, rest }
            }
            Err(Fault { reply, error }) => Step::Fail { reply, error },
        }
    }
}

impl Machine for HttpServer {
    type Output = Opening;
    type Error = ServerError;

    fn advance(&mut self, input: &[u8]) -> Step<Opening, ServerError> {
        if self.over {
            return Step::NeedMore;
        }
        self.bytes.extend_from_slice(input);
        if self.bytes.first().is_some_and(|first| !first.is_ascii_alphabetic()) {
            return self.end(Err(bad_request("invalid start line")));
        }
        if !self.bytes.iter().zip(CONNECT).all(|(byte, expected)| byte == expected) {
            return self.end(Ok((Opening::HttpRequests, 0)));
        }
        match self.scanner.scan(&self.bytes) {
            HeadEnd::NotYet => Step::NeedMore,
            HeadEnd::TooFar => self.end(Err(too_large())),
            HeadEnd::At(end) => {
                let head = self.bytes.get(..end).unwrap_or(&self.bytes);
                let parsed = parse(head, &self.accounts);
                self.end(parsed.map(|request| (Opening::Tunnel(request), end)))
            }
        }
    }
}

/// Reads the whole head of a CONNECT.
fn parse(head: &[u8], accounts: &Accounts) -> Result<Request, Fault<ServerError>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(bad_request("no start line")),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
        Err(error) => return Err(bad_request(describe(error))),
    }
    let uri = parsed.path.ok_or_else(|| bad_request("no start line"))?;
    let headers = parsed.headers.iter();
    let given = headers.filter(|header| header.name.eq_ignore_ascii_case("proxy-authorization"));
    let user = accounts.proxy_user(given.map(|header| header.value)).map_err(authentication_required)?;
    let target: Target = uri.parse().map_err(|error| bad_target(ServerError::Target(error)))?;
    Ok(Request::tunnel(target, user, Answer::HttpConnect))
}

fn authentication_required(error: ServerError) -> Fault<ServerError> {
    let challenge = format!("Proxy-Authenticate: {BASIC_CHALLENGE}");
    let text = "This proxy wants a user name and a password.";
    Fault::new(http_error("407 Proxy Authentication Required", &[&challenge], text), error)
}

fn bad_target(error: ServerError) -> Fault<ServerError> {
    let text = "The target of the request is invalid, expected HOST:PORT.";
    Fault::new(http_error("400 Bad Request", &[], text), error)
}
