use base64::{Engine, prelude::BASE64_STANDARD};
use waypost_net::Target;

use crate::{
    ClientError, Credentials, Machine, Step,
    head::{HeadEnd, HeadScanner, MAX_HEADERS, describe},
    machine::{Fault, Intake, Progress},
};

const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// The client side of HTTP CONNECT (RFC 9110 §9.3.6), with or without Basic authentication.
///
/// Interim responses are skipped; what follows the head of a 2xx response is the connection itself.
///
/// ```
/// use waypost_wire::{HttpConnectClient, Machine, Step};
///
/// let mut client = HttpConnectClient::new(&"[2001:db8::1]:443".parse()?, None);
/// let request = "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n";
/// assert_eq!(client.advance(b""), Step::Send(request.into()));
/// let step = client.advance(b"HTTP/1.1 200 OK\r\n\r\nhello");
/// assert_eq!(step, Step::Done { output: (), rest: b"hello".to_vec() });
/// # Ok::<(), waypost_net::AddressError>(())
/// ```
#[derive(Debug)]
pub struct HttpConnectClient {
    /// Taken when it is sent.
    request: Option<Vec<u8>>,
    scanner: HeadScanner,
    /// How many bytes of interim responses come first.
    interim_bytes: usize,
    intake: Intake,
}

impl HttpConnectClient {
    /// A client that has sent nothing yet; the first step sends.
    #[must_use]
    pub fn new(target: &Target, credentials: Option<&Credentials>) -> Self {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(credentials) = credentials {
            let encoded = BASE64_STANDARD.encode(credentials.to_basic());
            request.push_str(&format!("Proxy-Authorization: Basic {encoded}\r\n"));
        }
        request.push_str("\r\n");
        Self {
            request: Some(request.into_bytes()),
            scanner: HeadScanner::default(),
            interim_bytes: 0,
            intake: Intake::default(),
        }
    }
}

impl Machine for HttpConnectClient {
    type Output = ();
    type Error = ClientError;

    fn advance(&mut self, input: &[u8]) -> Step<(), ClientError> {
        let Self { request, scanner, interim_bytes, intake } = self;
        intake.advance(input, |bytes| {
            if let Some(request) = request.take() {
                return Ok(Progress::Send { bytes: request, consumed: 0 });
            }
            loop {
                let head = bytes.get(*interim_bytes..).unwrap_or_default();
                check_start(head)?;
                let consumed = match scanner.scan(bytes) {
                    HeadEnd::NotYet => return Ok(Progress::NeedMore),
                    HeadEnd::TooFar => return Err(Fault::silent(ClientError::HttpHeadTooLarge)),
                    HeadEnd::At(end) => end,
                };
                match parse_status(head)? {
                    100..=199 => *interim_bytes = consumed,
                    200..=299 => return Ok(Progress::Done { output: (), consumed }),
                    PROXY_AUTHENTICATION_REQUIRED => {
                        return Err(Fault::silent(ClientError::CredentialsRejected));
                    }
                    status => return Err(Fault::silent(ClientError::HttpStatus { status })),
                }
            }
        })
    }
}

/// Recognises what is no HTTP/1 response before its head ends, if it ever does.
fn check_start(head: &[u8]) -> Result<(), Fault<ClientError>> {
    if head.iter().zip(b"HTTP/1.").all(|(found, expected)| found == expected) {
        Ok(())
    } else {
        Err(Fault::silent(ClientError::HttpSyntax { problem: "not an http/1 response" }))
    }
}

fn parse_status(head: &[u8]) -> Result<u16, Fault<ClientError>> {
    let syntax = |problem| Fault::silent(ClientError::HttpSyntax { problem });
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head) {
        Ok(httparse::Status::Complete(_)) => response.code.ok_or_else(|| syntax("no status")),
        Ok(httparse::Status::Partial) => Err(syntax("no start line")),
        Err(error) => Err(syntax(describe(error))),
    }
}
