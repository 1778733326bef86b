use waypost_net::{AddressError, DomainError};
use waypost_wire::{
    Accept, Accounts, Answer, MAX_HTTP_HEAD_BYTES, Machine, Request, Server, ServerError, Step,
};

use crate::drive::{End, Run, one_account, run, run_all_ways};

fn serve(accounts: &Accounts, input: &str) -> Run<Request, ServerError> {
    run_all_ways(|| Server::new(Accept::Mixed, accounts.clone()), input.as_bytes())
}

/// Checks what the target gets first for a request without accounts.
#[track_caller]
fn check(input: &str, target: &str, forwarded: &str) {
    match serve(&Accounts::default(), input).end {
        End::Done { output, rest } => {
            assert_eq!(output.target.to_string(), target);
            assert_eq!(String::from_utf8_lossy(&rest), forwarded);
        }
        end @ (End::WantsMore | End::Failed { .. }) => panic!("{end:?}"),
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
    let End::Done { output, .. } = serve(&Accounts::default(), "CONNECT a:1 HTTP/1.1\r\n\r\n").end else {
        panic!("no tunnel");
    };
    assert_eq!(output.answer, Answer::HttpConnect);
    assert!(output.protocol.is_none() && output.attributes.is_empty());
}

#[test]
fn an_absolute_request_is_sent_on_in_origin_form() {
    check(
        "POST http://Example.com/a/b?c=d HTTP/1.1\r\nHost: other\r\nAccept: */*\r\nContent-Length: 4\r\n\
         \r\nbody and more",
        "example.com:80",
        "POST /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nContent-Length: 4\r\n\
         Connection: close\r\n\r\nbody and more",
    );
    check(
        "GET HTTP://[2001:db8::1]:8080?q HTTP/1.0\r\n\r\n",
        "[2001:db8::1]:8080",
        "GET /?q HTTP/1.0\r\nHost: [2001:db8::1]:8080\r\nConnection: close\r\n\r\n",
    );
    check(
        "OPTIONS http://[2001:db8::1]: HTTP/1.1\r\n\r\n",
        "[2001:db8::1]:80",
        "OPTIONS * HTTP/1.1\r\nHost: [2001:db8::1]\r\nConnection: close\r\n\r\n",
    );
}

#[test]
fn headers_for_this_hop_are_not_sent_on() {
    check(
        "GET http://a/ HTTP/1.1\r\nConnection: close, X-Mine , content-length,transfer-encoding\r\n\
         x-mine: 1\r\nX-Mine-Too: 2\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\n\
         Keep-Alive: 5\r\nTE: trailers\r\nTrailer: Expires\r\nUpgrade: websocket\r\n\
         Transfer-Encoding: gzip, Chunked\r\n\r\n0\r\n\r\n",
        "a:80",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Mine-Too: 2\r\nTransfer-Encoding: gzip, Chunked\r\n\
         Connection: close\r\n\r\n0\r\n\r\n",
    );
}

#[test]
fn an_absolute_request_has_attributes() {
    let input =
        "get http://a:81/x%20y/%zz%+1?z=1 HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nConnection: X-B\r\nX-B: 3\r\n\r\n";
    let End::Done { output, .. } = serve(&Accounts::default(), input).end else { panic!("not done") };
    assert_eq!(output.answer, Answer::HttpForward);
    assert_eq!(output.protocol.as_deref(), Some("http/1.1"));
    for (key, value) in [
        (":method", Some("GET")),
        (":path", Some("/x y/%zz%+1")),
        ("x-a", Some("1")),
        ("host", Some("a:81")),
        ("x-b", None),
        ("connection", None),
    ] {
        assert_eq!(output.attributes.get(key), value, "{key}");
    }
}

#[test]
fn a_user_has_to_give_the_right_password() {
    let accounts = one_account();
    let request = |header: &str| format!("CONNECT a:1 HTTP/1.1\r\n{header}\r\n");
    // `user:pass`, with and without padding, in any case of the scheme.
    for header in
        ["Proxy-Authorization: Basic dXNlcjpwYXNz\r\n", "proxy-authorization: bASIC  dXNlcjpwYXNz\r\n"]
    {
        let End::Done { output, .. } = serve(&accounts, &request(header)).end else { panic!("{header}") };
        assert_eq!(output.user.as_deref(), Some("user"));
    }
    let missing = ServerError::CredentialsMissing;
    check_failure(&accounts, &request(""), "407", &missing);
    check_failure(&accounts, "GET / HTTP/1.1\r\n\r\n", "407", &missing);
    for value in ["Basic dXNlcjpwYXNT", "Basic dXNlcg==", "Basic !", "Bearer dXNlcjpwYXNz", "Basic"] {
        let request = request(&format!("Proxy-Authorization: {value}\r\n"));
        check_failure(&accounts, &request, "407", &ServerError::CredentialsRejected);
    }
    let End::Failed { reply, .. } = serve(&accounts, &request("")).end else { panic!("let in") };
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.contains("\r\nProxy-Authenticate: Basic realm=\"proxy\"\r\n"), "{reply}");
}

#[test]
fn requests_whose_body_could_end_in_two_places_are_refused() {
    let post = |headers: &str| format!("POST http://a/ HTTP/1.1\r\n{headers}\r\n\r\n");
    for (headers, problem) in [
        ("Content-Length: 1\r\nContent-Length: 2", "different content-lengths"),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", "both content-length and transfer-encoding"),
        ("Content-Length: +1", "invalid content-length"),
        ("Content-Length: 1, 1", "invalid content-length"),
        ("Content-Length:", "invalid content-length"),
        ("Transfer-Encoding: gzip", "invalid transfer-encoding"),
        ("Transfer-Encoding: chunked, gzip", "invalid transfer-encoding"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "invalid transfer-encoding"),
        ("Host: a\r\nHost: b", "several host headers"),
        ("A: b\r\n c: d", "invalid header name"),
        ("Content-Length : 1", "invalid header name"),
        ("A: b\0", "invalid header value"),
    ] {
        check_syntax(&post(headers), problem);
    }
    check_syntax(
        "POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "invalid transfer-encoding",
    );
    check(
        &post("Content-Length: 1\r\nContent-Length: 1"),
        "a:80",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
    );
}

#[test]
fn what_is_no_proxy_request_is_refused() {
    let open = Accounts::default();
    check_failure(&open, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400", &ServerError::OriginForm);
    check_failure(&open, "OPTIONS * HTTP/1.1\r\n\r\n", "400", &ServerError::OriginForm);
    check_failure(&open, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", &ServerError::Http2);
    check_syntax("\x16\x03\x01", "invalid start line");
    check_syntax("GET http://a/ HTTP/3.0\r\n\r\n", "invalid version");
    check_syntax("GET a:80 HTTP/1.1\r\n\r\n", "no absolute uri");
    check_syntax("GET http://a/#b HTTP/1.1\r\n\r\n", "fragment in the uri");
    check_syntax("GET https://a/ HTTP/1.1\r\n\r\n", "only http uris are forwarded, use connect for others");
    let port = |text: &str| ServerError::Target(AddressError::Port { text: text.into() });
    check_failure(&open, "CONNECT a HTTP/1.1\r\n\r\n", "400", &port("a"));
    check_failure(&open, "GET http://a:b/ HTTP/1.1\r\n\r\n", "400", &port("a:b"));
    let domain = |error| ServerError::Target(AddressError::Domain(error));
    check_failure(&open, "GET http:///x HTTP/1.1\r\n\r\n", "400", &domain(DomainError::Empty));
    let at = domain(DomainError::Character { character: '@' });
    check_failure(&open, "GET http://u@a/ HTTP/1.1\r\n\r\n", "400", &at);
    check_failure(&open, "CONNECT u@a:1 HTTP/1.1\r\n\r\n", "400", &at);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let start = "GET http://a/ HTTP/1.1\r\n";
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
