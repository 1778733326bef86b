use waypost_net::{Secret, Target};
use waypost_wire::{
    Accept, Accounts, Answer, ClientError, Credentials, HttpConnectClient, MAX_HTTP_HEAD_BYTES, Machine,
    Opening, Server, Socks5AssociateClient, Socks5Client, Socks5Reply, Step,
};

use crate::drive::{End, one_account, run, run_all_ways};

fn target() -> Target {
    "example.com:443".parse().unwrap()
}

fn credentials() -> Credentials {
    Credentials::try_new("user".into(), Secret::new("pass")).unwrap()
}

type Expected<'a> = Result<&'a [u8], ClientError>;

#[track_caller]
fn check_end(end: End<(), ClientError>, expected: Expected<'_>) {
    match (end, expected) {
        (End::Done { rest, .. }, Ok(expected)) => assert_eq!(rest, expected),
        (End::Failed { reply, error }, Err(expected)) => {
            assert!(reply.is_empty());
            assert_eq!(error, expected);
        }
        (end, expected) => panic!("{end:?} where {expected:?} was expected"),
    }
}

#[track_caller]
fn check_socks5(credentials: Option<&Credentials>, answers: &[u8], sent: &[u8], expected: Expected<'_>) {
    let run = run_all_ways(|| Socks5Client::new(&target(), credentials.cloned()), answers);
    assert_eq!(run.sent, sent);
    check_end(run.end, expected);
}

const GREETING: &[u8] = b"\x05\x01\x00";
const GREETING_WITH_USER: &[u8] = b"\x05\x02\x00\x02";
const CREDENTIALS: &[u8] = b"\x01\x04user\x04pass";
const COMMAND: &[u8] = b"\x05\x01\x00\x03\x0bexample.com\x01\xbb";

#[test]
fn socks5_connects_whatever_address_the_reply_has() {
    let sent = [GREETING, COMMAND].concat();
    for reply in [
        &b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0"[..],
        b"\x05\x00\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x05\x00\x05\x00\x00\x03\x03abc\0\0",
    ] {
        check_socks5(None, &[reply, b"hello"].concat(), &sent, Ok(b"hello"));
    }
}

#[test]
fn socks5_sends_the_password_only_when_asked() {
    let user = credentials();
    let granted = b"\x05\x00\x00\x01\0\0\0\0\0\0";
    let asked = [b"\x05\x02\x01\x00", &granted[..]].concat();
    check_socks5(Some(&user), &asked, &[GREETING_WITH_USER, CREDENTIALS, COMMAND].concat(), Ok(b""));
    let not_asked = [b"\x05\x00", &granted[..]].concat();
    check_socks5(Some(&user), &not_asked, &[GREETING_WITH_USER, COMMAND].concat(), Ok(b""));
}

#[test]
fn socks5_refusals_are_told_in_words() {
    let user = credentials();
    let sent = [GREETING, COMMAND].concat();
    for (code, words) in [(1, "general failure"), (5, "connection refused"), (9, "unassigned code 9")] {
        let error = ClientError::Socks5(Socks5Reply(code));
        assert!(error.to_string().ends_with(words), "{error}");
        check_socks5(None, &[5, 0, 5, code], &sent, Err(error));
    }
    check_socks5(None, b"\x05\xff", GREETING, Err(ClientError::NoAcceptableMethod));
    check_socks5(None, b"\x05\x02", GREETING, Err(ClientError::UnofferedMethod { method: 2 }));
    check_socks5(None, b"\x04", GREETING, Err(ClientError::Version { found: 4 }));
    check_socks5(None, b"HTTP/1.1 400", GREETING, Err(ClientError::Version { found: b'H' }));
    check_socks5(None, b"\x05\x00\x05\x00\x00\x02", &sent, Err(ClientError::AddressType { found: 2 }));
    let with_credentials = [GREETING_WITH_USER, CREDENTIALS].concat();
    check_socks5(Some(&user), b"\x05\x02\x01\x01", &with_credentials, Err(ClientError::CredentialsRejected));
}

#[test]
fn socks5_learns_where_to_send_datagrams() {
    let source = "0.0.0.0:0".parse::<Target>().unwrap();
    let associate = |reply: &[u8]| {
        let answers = [b"\x05\x00", reply].concat();
        let run = run_all_ways(|| Socks5AssociateClient::new(&source, None), &answers);
        assert_eq!(run.sent, [GREETING, b"\x05\x03\x00\x01\0\0\0\0\0\0"].concat());
        match run.end {
            End::Done { output, .. } => Ok(output.to_string()),
            End::Failed { error, .. } => Err(error),
            End::WantsMore => panic!("the reply is whole"),
        }
    };
    assert_eq!(associate(b"\x05\x00\x00\x01\x7f\0\0\x01\x04\x38"), Ok("127.0.0.1:1080".to_owned()));
    assert_eq!(associate(b"\x05\x00\x00\x03\x05relay\x04\x38"), Ok("relay:1080".to_owned()));
    assert_eq!(associate(b"\x05\x00\x00\x01\x7f\0\0\x01\0\0"), Err(ClientError::RelayAddress));
    assert_eq!(associate(b"\x05\x00\x00\x03\x03a b\x04\x38"), Err(ClientError::RelayAddress));
    assert_eq!(associate(b"\x05\x07"), Err(ClientError::Socks5(Socks5Reply(7))));
}

#[track_caller]
fn check_http(answer: &str, expected: Expected<'_>) {
    let run = run_all_ways(|| HttpConnectClient::new(&target(), None), answer.as_bytes());
    assert_eq!(run.sent, b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    check_end(run.end, expected);
}

#[test]
fn http_connect_keeps_what_follows_the_head() {
    check_http("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok(b"hello"));
    check_http("HTTP/1.0 299 \r\n\r\n", Ok(b""));
    check_http("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 x\r\na: b\r\n\r\nHTTP/1.1 200\r\n\r\nx", Ok(b"x"));
}

#[test]
fn http_connect_failures_carry_the_status() {
    check_http("HTTP/1.1 403 Forbidden\r\n\r\n<html>", Err(ClientError::HttpStatus { status: 403 }));
    check_http("HTTP/1.1 407 x\r\n\r\n", Err(ClientError::CredentialsRejected));
    check_http("SSH-2.0", Err(ClientError::HttpSyntax { problem: "not an http/1 response" }));
    check_http("HTTP/1.1 2x0\r\n\r\n", Err(ClientError::HttpSyntax { problem: "invalid status" }));
}

#[test]
fn a_response_head_is_bounded_even_if_it_is_interim() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_HTTP_HEAD_BYTES / 25 + 1);
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(MAX_HTTP_HEAD_BYTES));
    for answer in [interim, long] {
        for size in [1, 4096, answer.len()] {
            let mut client = HttpConnectClient::new(&target(), None);
            check_end(
                run(&mut client, answer.as_bytes().chunks(size)).end,
                Err(ClientError::HttpHeadTooLarge),
            );
        }
    }
}

#[test]
fn both_sides_understand_each_other() {
    for accounts in [Accounts::default(), one_account()] {
        let socks5 = Socks5Client::new(&target(), Some(credentials()));
        converse(socks5, &accounts, Answer::Socks5);
        let http = HttpConnectClient::new(&target(), Some(&credentials()));
        converse(http, &accounts, Answer::HttpConnect);
    }
}

fn converse(mut client: impl Machine<Output = (), Error = ClientError>, accounts: &Accounts, answer: Answer) {
    let mut server = Server::new(Accept::Mixed, accounts.clone());
    let mut to_client = Vec::new();
    let request = loop {
        let Step::Send(to_server) = client.advance(&to_client) else {
            panic!("the client has nothing to say")
        };
        match server.advance(&to_server) {
            Step::Send(bytes) => to_client = bytes,
            Step::Done { output: Opening::Tunnel(request), .. } => break request,
            step @ (Step::NeedMore | Step::Done { .. } | Step::Fail { .. }) => panic!("{step:?}"),
        }
        assert!(matches!(server.advance(b""), Step::NeedMore));
    };
    assert_eq!((&request.target, request.answer), (&target(), answer));
    assert_eq!(request.user.as_deref(), (!accounts.is_empty()).then_some("user"));
    let granted = request.answer.success("127.0.0.1:1".parse().unwrap());
    assert!(matches!(client.advance(&granted), Step::Done { .. }));
}
