use waypost_net::{AddressError, DomainError};
use waypost_wire::{
    Accept, Accounts, Answer, MAX_HTTP_HEAD_BYTES, Machine, Opening, Request, Server, ServerError, Step,
};

use crate::drive::{End, Run, one_account, run, run_all_ways};

fn serve(accounts: &Accounts, input: &str) -> Run<Opening, ServerError> {
    run_all_ways(|| Server::new(Accept::Mixed, accounts.clone()), input.as_bytes())
}

#[track_caller]
fn tunnel(accounts: &Accounts, input: &str) -> Request {
    match serve(accounts, input).end {
        End::Done { output: Opening::Tunnel(request), .. } => request,
        end @ (End::WantsMore | End::Failed { .. } | End::Done { .. }) => panic!("{end:?}"),
    }
}

/// Checks what the target gets first for a request without accounts.
#[track_caller]
fn check(input: &str, target: &str, forwarded: &str) {
    match serve(&Accounts::default(), input).end {
        End::Done { output: Opening::Tunnel(output), rest } => {
            assert_eq!(output.target.to_string(), target);
            assert_eq!(String::from_utf8_lossy(&rest), forwarded);
        }
        end @ (End::WantsMore | End::Failed { .. } | End::Done { .. }) => panic!("{end:?}"),
    }
}

#[track_caller]
fn check_failure(accounts: &Accounts, input: &str, status: &str, expected: &ServerError) {
    let run = serve(accounts, input);
    assert!(run.sent.is_empty());
    let End::Failed { reply, error } = run.end else { panic!("{:?}", run.end) };
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
    assert!(reply.contains("\r\nConnection: close\r\n"), "{reply}");
    assert_eq!(&error, expected);
}

#[track_caller]
fn check_syntax(input: &str, problem: &'static str) {
    check_failure(&Accounts::default(), input, "400", &ServerError::HttpSyntax { problem });
}

#[test]
fn connect_opens_a_tunnel() {
    check("CONNECT Example.com:443 HTTP/1.1\r\nHost: x\r\n\r\nhello", "example.com:443", "hello");
    check("CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n", "[2001:db8::1]:443", "");
    check("CONNECT 10.0.0.1:1 HTTP/1.1\n\nhello", "10.0.0.1:1", "hello");
    assert_eq!(tunnel(&Accounts::default(), "CONNECT a:1 HTTP/1.1\r\n\r\n").answer, Answer::HttpConnect);
}

#[test]
fn any_other_request_is_handed_over_with_all_its_bytes() {
    for input in [
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\nbody",
        "POST",
        "CONNECTED a:1 HTTP/1.1\r\n",
        "connect a:1 HTTP/1.1\r\n\r\n",
    ] {
        let End::Done { output, rest } = serve(&one_account(), input).end else { panic!("{input}") };
        assert_eq!((output, &*rest), (Opening::HttpRequests, input.as_bytes()));
    }
    assert_eq!(serve(&one_account(), "CONNECT").end, End::WantsMore);
}

#[test]
fn a_user_has_to_give_the_right_password() {
    let accounts = one_account();
    let request = |header: &str| format!("CONNECT a:1 HTTP/1.1\r\n{header}\r\n");
    // `user:pass`, with and without padding, in any case of the scheme.
    for header in
        ["Proxy-Authorization: Basic dXNlcjpwYXNz\r\n", "proxy-authorization: bASIC  dXNlcjpwYXNz\r\n"]
    {
        assert_eq!(tunnel(&accounts, &request(header)).user.as_deref(), Some("user"));
    }
    let missing = ServerError::CredentialsMissing;
    check_failure(&accounts, &request(""), "407", &missing);
    for value in ["Basic dXNlcjpwYXNT", "Basic dXNlcg==", "Basic !", "Bearer dXNlcjpwYXNz", "Basic"] {
        let request = request(&format!("Proxy-Authorization: {value}\r\n"));
        check_failure(&accounts, &request, "407", &ServerError::CredentialsRejected);
    }
    let End::Failed { reply, .. } = serve(&accounts, &request("")).end else { panic!("let in") };
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.contains("\r\nProxy-Authenticate: Basic realm=\"proxy\"\r\n"), "{reply}");
}

#[test]
fn what_is_no_connect_is_refused() {
    let open = Accounts::default();
    check_syntax("\x16\x03\x01", "invalid start line");
    check_syntax("CONNECT a:1 HTTP/3.0\r\n\r\n", "invalid version");
    check_syntax("CONNECT a:1 HTTP/1.1\r\nA: b\r\n c: d\r\n\r\n", "invalid header name");
    let port = |text: &str| ServerError::Target(AddressError::Port { text: text.into() });
    check_failure(&open, "CONNECT a HTTP/1.1\r\n\r\n", "400", &port("a"));
    let at = ServerError::Target(AddressError::Domain(DomainError::Character { character: '@' }));
    check_failure(&open, "CONNECT u@a:1 HTTP/1.1\r\n\r\n", "400", &at);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let start = "CONNECT a:1 HTTP/1.1\r\n";
    let many = format!("{start}{}\r\n", "a: b\r\n".repeat(129));
    check_failure(&Accounts::default(), &many, "431", &ServerError::HttpHeadTooLarge);

    let long = format!("{start}A: {}\r\n\r\n", "a".repeat(MAX_HTTP_HEAD_BYTES));
    for size in [1, 4096, long.len()] {
        let mut server = Server::new(Accept::Http, Accounts::default());
        let End::Failed { reply, error } = run(&mut server, long.as_bytes().chunks(size)).end else {
            panic!("accepted in pieces of {size}");
        };
        assert!(reply.starts_with(b"HTTP/1.1 431 "));
        assert_eq!(error, ServerError::HttpHeadTooLarge);
    }
}

#[test]
fn an_http_inbound_does_not_speak_socks() {
    let mut server = Server::new(Accept::Http, Accounts::default());
    assert!(matches!(server.advance(b"\x05\x01\x00"), Step::Fail { .. }));
}
