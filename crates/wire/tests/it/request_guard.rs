use proptest::{collection::vec, prelude::*};
use waypost_net::{AddressError, DomainError};
use waypost_wire::{Guarded, MAX_HTTP_HEAD_BYTES, Refusal, RequestGuard, ServerError};

const GET: &str = "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n";

/// Everything that came of some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    passed: String,
    end: Result<(Guarded, String), Refusal>,
}

fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Run {
    let mut guard = RequestGuard::default();
    let mut passed = Vec::new();
    let mut end = Ok(Guarded::Open);
    for piece in pieces {
        end = guard.advance(piece, &mut passed);
        if end.is_err() {
            break;
        }
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { passed: text(&passed), end: end.map(|guarded| (guarded, text(&guard.into_held()))) }
}

/// Feeds the bytes whole, one by one, and cut in two at every place.
#[track_caller]
fn run_all_ways(input: &str) -> Run {
    let whole = run([input.as_bytes()]);
    let mut cuts = vec![run(input.as_bytes().chunks(1))];
    cuts.extend((1..input.len()).map(|at| run([&input.as_bytes()[..at], &input.as_bytes()[at..]])));
    for cut in cuts {
        assert_eq!(cut, whole);
    }
    whole
}

#[track_caller]
fn check_passed(input: &str) {
    assert_eq!(
        run_all_ways(input),
        Run { passed: input.to_owned(), end: Ok((Guarded::Open, String::new())) }
    );
}

/// Checks that of `good`, `bad` only `good` is passed on.
#[track_caller]
fn check_refused(good: &str, bad: &str, status: &str, error: &ServerError) {
    let run = run_all_ways(&format!("{good}{bad}"));
    assert_eq!(run.passed, good, "{bad:?}");
    let Err(refusal) = run.end else { panic!("{bad:?}") };
    let reply = String::from_utf8(refusal.reply).unwrap();
    assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{bad:?}: {reply}");
    assert!(reply.contains("\r\nConnection: close\r\n"), "{reply}");
    assert_eq!(&refusal.error, error, "{bad:?}");
}

#[track_caller]
fn check_syntax(bad: &str, problem: &'static str) {
    for good in ["", GET, "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"]
    {
        check_refused(good, bad, "400", &ServerError::HttpSyntax { problem });
    }
}

#[test]
fn requests_are_passed_on_one_after_the_other() {
    check_passed(GET);
    check_passed(&GET.repeat(3));
    let post = "POST http://a:81/x?y HTTP/1.1\r\nHost: other\r\nContent-Length: 5\r\n\r\nhello";
    check_passed(post);
    check_passed(&format!("{post}{GET}{post}"));
    check_passed("GET http://a/ HTTP/1.0\r\n\r\n");
    check_passed(
        "DELETE HTTP://[2001:db8::1]:8080/ HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    );
}

#[test]
fn bodies_in_chunks_are_passed_on_to_their_end() {
    let head = "PUT http://a/ HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
    for body in [
        "0\r\n\r\n",
        "5\r\nhello\r\n00A;name=\"value\"\r\n0123456789\r\n0\r\n\r\n",
        "1;\r\n\n\r\n0;x\r\nExpires: 0\r\nX-Sum: 1\r\n\r\n",
    ] {
        check_passed(&format!("{head}{body}"));
        check_passed(&format!("{head}{body}{GET}"));
    }
}

#[test]
fn a_head_is_held_back_until_it_is_whole() {
    let mut guard = RequestGuard::default();
    let mut passed = Vec::new();
    assert!(guard.is_between_requests() && !guard.is_in_head());
    guard.advance(&GET.as_bytes()[..GET.len() - 1], &mut passed).unwrap();
    assert!(passed.is_empty() && guard.is_in_head() && !guard.is_between_requests());
    guard.advance(b"\n", &mut passed).unwrap();
    assert_eq!(passed, GET.as_bytes());
    assert!(guard.is_between_requests());
    // An empty line before a request is dropped.
    assert_eq!(run_all_ways(&format!("{GET}\r\n{GET}")).passed, GET.repeat(2));
}

#[test]
fn a_connect_and_what_follows_is_held_back() {
    let connect = "CONNECT b:1 HTTP/1.1\r\n\r\nhello";
    for before in ["", GET] {
        let run = run_all_ways(&format!("{before}{connect}"));
        assert_eq!(run.passed, before);
        assert_eq!(run.end, Ok((Guarded::Connect, connect.to_owned())));
    }
}

#[test]
fn what_follows_an_upgrade_waits_for_the_answer() {
    let upgrade = "GET http://a/ HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let run = run_all_ways(&format!("{upgrade}{GET}"));
    assert_eq!(run, Run { passed: upgrade.to_owned(), end: Ok((Guarded::Upgrade, GET.to_owned())) });
    let mut guard = RequestGuard::default();
    let mut passed = Vec::new();
    guard.advance(format!("{upgrade}{GET}").as_bytes(), &mut passed).unwrap();
    guard.decline_upgrade();
    passed.clear();
    assert_eq!(guard.advance(&[], &mut passed), Ok(Guarded::Open));
    assert_eq!(passed, GET.as_bytes());
    for other in [
        "GET http://a/ HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        "GET http://a/ HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "POST http://a/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx",
    ] {
        check_passed(other);
    }
}

#[test]
fn requests_that_two_servers_could_read_differently_are_refused() {
    let lengths = "different content-lengths";
    let both = "both content-length and transfer-encoding";
    let coding = "invalid transfer-encoding";
    let length = "invalid content-length";
    for (headers, problem) in [
        ("Content-Length: 1\r\nContent-Length: 2", lengths),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", both),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", both),
        ("Content-Length: +1", length),
        ("Content-Length: -1", length),
        ("Content-Length: 0x1", length),
        ("Content-Length: 1, 1", length),
        ("Content-Length:", length),
        ("Content-Length: 9223372036854775808", length),
        ("Content-Length: 99999999999999999999999", length),
        ("Transfer-Encoding: gzip", coding),
        ("Transfer-Encoding: gzip, chunked", coding),
        ("Transfer-Encoding: chunked, gzip", coding),
        ("Transfer-Encoding: xchunked", coding),
        ("Transfer-Encoding:", coding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", coding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", coding),
        ("Host: a\r\nHost: b", "several host headers"),
        ("A: b\r\n c: d", "invalid header name"),
        ("A: b\r\n\tc", "invalid header name"),
        ("Content-Length : 1", "invalid header name"),
        ("Transfer-Encoding\t: chunked", "invalid header name"),
        ("A: b\0", "invalid header value"),
        ("A\0: b", "invalid header name"),
        ("A: b\rB: c", "invalid header value"),
        ("A: b\nB: c", "bare line feed"),
        ("no colon", "invalid header name"),
    ] {
        check_syntax(&format!("POST http://a/ HTTP/1.1\r\n{headers}\r\n\r\n"), problem);
    }
    check_syntax("POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", coding);
    check_syntax("GET http://a/ HTTP/1.1\nHost: a\r\n\r\n", "bare line feed");
    check_syntax("GET http://a/ HTTP/1.1\r\nHost: a\n\n", "bare line feed");
    check_syntax("GET http://a/ HTTP/1.1\r\nHost: a\r\n\n", "bare line feed");
}

#[test]
fn chunks_that_are_none_are_not_passed_on() {
    let head = "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let problem = |problem| ServerError::HttpSyntax { problem };
    for (right, wrong) in [
        ("", "\r\n"),
        ("", "g\r\n"),
        ("", "-1\r\n"),
        ("", "+1\r\n"),
        ("", " 1\r\n"),
        ("", "0x1\r\n"),
        ("1", " \r\n"),
        ("5", "\nhello"),
        ("5\r", "hello"),
        ("5\r\nhello", "x\r\n"),
        ("5\r\nhello\r", "\r\n"),
        ("5\r\nhello", "\n0\r\n\r\n"),
        ("0;a", "\nb\r\n\r\n"),
        ("1;", "\0\r\n"),
        ("ffffffffffffff7", "0\r\n"),
    ] {
        let run = run_all_ways(&format!("{head}{right}{wrong}"));
        assert_eq!(run.end.expect_err(wrong).error, problem("invalid chunk"), "{right}{wrong}");
        // What was right may have gone ahead, but never a whole line that is not.
        assert!(run.passed.len() < head.len() + right.len() + wrong.len(), "{:?}", run.passed);
    }
    let long = format!("{head}1;{}\r\n", "x".repeat(1025));
    assert!(run([long.as_bytes()]).end.is_err());
    for (trailers, what) in [
        ("X: 1\nY: 2\r\n\r\n", "bare line feed"),
        ("X: 1\r\n\n", "bare line feed"),
        ("\n", "bare line feed"),
        ("X : 1\r\n\r\n", "invalid trailers"),
        ("Content-Length: 5\r\n\r\n", "invalid trailers"),
        ("transfer-encoding: chunked\r\n\r\n", "invalid trailers"),
        ("Host: b\r\n\r\n", "invalid trailers"),
    ] {
        let run = run_all_ways(&format!("{head}0\r\n{trailers}"));
        assert_eq!(run.end.expect_err(trailers).error, problem(what), "{trailers:?}");
        assert_eq!(run.passed, format!("{head}0\r\n"));
    }
    let endless = format!("{head}0\r\n{}", "X: 1\r\n".repeat(2000));
    assert_eq!(run([endless.as_bytes()]).end.unwrap_err().error, problem("trailers too large"));
}

#[test]
fn what_is_no_proxy_request_is_refused() {
    check_refused("", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400", &ServerError::OriginForm);
    check_refused(GET, "OPTIONS * HTTP/1.1\r\n\r\n", "400", &ServerError::OriginForm);
    check_refused("", "PRI * HTTP/2.0\r\n", "505", &ServerError::Http2);
    check_syntax("\x16", "invalid start line");
    check_syntax("GET http://a/ HTTP/3.0\r\n\r\n", "invalid version");
    check_syntax("GET a:80 HTTP/1.1\r\n\r\n", "no absolute uri");
    check_syntax("GET http://a/#b HTTP/1.1\r\n\r\n", "fragment in the uri");
    check_syntax("GET https://a/ HTTP/1.1\r\n\r\n", "only http uris are forwarded, use connect for others");
    let target = |error| ServerError::Target(error);
    let port = target(AddressError::Port { text: "a:b".into() });
    check_refused("", "GET http://a:b/ HTTP/1.1\r\n\r\n", "400", &port);
    let empty = target(AddressError::Domain(DomainError::Empty));
    check_refused("", "GET http:///x HTTP/1.1\r\n\r\n", "400", &empty);
    let at = target(AddressError::Domain(DomainError::Character { character: '@' }));
    check_refused("", "GET http://u@a/ HTTP/1.1\r\n\r\n", "400", &at);
}

#[test]
fn floods_are_refused_at_their_bound() {
    let start = "GET http://a/ HTTP/1.1\r\n";
    let too_large = ServerError::HttpHeadTooLarge;
    let many = format!("{start}{}\r\n", "a: b\r\n".repeat(129));
    assert_eq!(run([many.as_bytes()]).end.unwrap_err().error, too_large);
    let fits = format!("{start}{}\r\n", "a: b\r\n".repeat(128));
    assert_eq!(run([fits.as_bytes()]).passed, fits);
    let long = format!("{start}A: {}", "a".repeat(MAX_HTTP_HEAD_BYTES));
    for size in [1000, 4096, long.len()] {
        let refusal = run(long.as_bytes().chunks(size)).end.unwrap_err();
        assert!(refusal.reply.starts_with(b"HTTP/1.1 431 "));
        assert_eq!(refusal.error, too_large);
    }
}

/// Pieces of requests, right and wrong.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        GET.as_bytes(),
        b"POST http://a/ HTTP/1.1\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n",
        b"\r\n",
        b"\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    ];
    let piece = prop_oneof![
        4 => prop::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..6),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn however_bytes_are_cut_they_come_to_the_same(bytes in pieces(), cuts in vec(any::<prop::sample::Index>(), 0..4)) {
        let whole = run([&bytes[..]]);
        prop_assert_eq!(&run(bytes.chunks(1).chain([&[][..]])), &whole);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        prop_assert_eq!(&run(places.windows(2).map(|pair| &bytes[pair[0]..pair[1]])), &whole);
    }
}
