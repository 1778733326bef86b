use waypost_net::{AddressError, DomainError};
use waypost_wire::{Accept, Accounts, Answer, Command, Opening, Server, ServerError};

use crate::drive::{End, one_account, run_all_ways};

/// What a client ends up with: target, user and rest, or the last reply and the error.
type Expected<'a> = Result<(&'a str, Option<&'a str>, &'a [u8]), (&'a [u8], ServerError)>;

#[track_caller]
fn check(accounts: &Accounts, input: &[u8], sent: &[u8], expected: Expected<'_>) {
    let run = run_all_ways(|| Server::new(Accept::Socks, accounts.clone()), input);
    assert_eq!(run.sent, sent);
    match (run.end, expected) {
        (End::Done { output: Opening::Tunnel(output), rest }, Ok((target, user, expected_rest))) => {
            assert_eq!((output.command, output.target.to_string().as_str()), (Command::Connect, target));
            assert_eq!(output.user.as_deref(), user);
            assert_eq!(rest, expected_rest);
            let answer = if input[0] == 4 { Answer::Socks4 } else { Answer::Socks5 };
            assert_eq!(output.answer, answer);
        }
        (End::Failed { reply, error }, Err((expected_reply, expected_error))) => {
            assert_eq!((reply.as_slice(), error), (expected_reply, expected_error));
        }
        (end, expected) => panic!("{end:?} where {expected:?} was expected"),
    }
}

fn open(request: &[u8]) -> Vec<u8> {
    [b"\x05\x01\x00", request].concat()
}

fn refusal(code: u8) -> [u8; 10] {
    [5, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

#[test]
fn connects_by_every_address_type() {
    let accounts = Accounts::default();
    let cases: [(&[u8], &str); 6] = [
        (b"\x05\x01\x00\x01\x0a\x01\x02\x03\x01\xbb", "10.1.2.3:443"),
        (b"\x05\x01\x00\x03\x0bEXAMPLE.com\x00\x50", "example.com:80"),
        (b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb", "[2001:db8::1]:443"),
        (b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x01\x02\x03\x01\xbb", "10.1.2.3:443"),
        (b"\x05\x01\x00\x03\x0810.1.2.3\x01\xbb", "10.1.2.3:443"),
        (b"\x05\x01\x00\x03\x032::\x01\xbb", "[2::]:443"),
    ];
    for (request, target) in cases {
        let input = [&open(request), &b"first flight"[..]].concat();
        check(&accounts, &input, &[5, 0], Ok((target, None, b"first flight")));
    }
}

#[test]
fn a_user_has_to_give_the_right_password() {
    let accounts = one_account();
    let request = b"\x05\x01\x00\x01\x0a\x01\x02\x03\x01\xbb";
    let good = [b"\x05\x02\x00\x02\x01\x04user\x04pass", &request[..]].concat();
    check(&accounts, &good, &[5, 2, 1, 0], Ok(("10.1.2.3:443", Some("user"), b"")));
    for credentials in [&b"\x01\x04user\x04pasS"[..], b"\x01\x04user\x00", b"\x01\x00\x04pass"] {
        let input = [b"\x05\x01\x02", credentials].concat();
        check(&accounts, &input, &[5, 2], Err((&[1, 1], ServerError::CredentialsRejected)));
    }
    let error = ServerError::Version { expected: 1, found: 5 };
    check(&accounts, b"\x05\x01\x02\x05", &[5, 2], Err((&[1, 1], error)));
}

#[test]
fn a_client_without_an_acceptable_method_is_told_so() {
    let error = ServerError::NoAcceptableMethod;
    check(&one_account(), b"\x05\x01\x00", &[], Err((&[5, 0xff], error.clone())));
    check(&Accounts::default(), b"\x05\x01\x02", &[], Err((&[5, 0xff], error.clone())));
    check(&Accounts::default(), b"\x05\x00", &[], Err((&[5, 0xff], error)));
}

#[test]
fn what_is_not_granted_gets_its_code() {
    let accounts = Accounts::default();
    let cases: [(&[u8], u8, ServerError); 7] = [
        (b"\x05\x02\x00\x01\x0a\x01\x02\x03\x01\xbb", 7, ServerError::Command { command: 2 }),
        (b"\x05\x03\x00\x01\0\0\0\0\0\0", 7, ServerError::Command { command: 3 }),
        (b"\x05\x01\x00\x02", 8, ServerError::AddressType { found: 2 }),
        (b"\x04\x01\x00\x01", 1, ServerError::Version { expected: 5, found: 4 }),
        (b"\x05\x01\x00\x03\x00\x01\xbb", 1, ServerError::Target(AddressError::Domain(DomainError::Empty))),
        (
            b"\x05\x01\x00\x03\x03a b\x01\xbb",
            1,
            ServerError::Target(AddressError::Domain(DomainError::Character { character: ' ' })),
        ),
        (b"\x05\x01\x00\x03\x02a\xff\x01\xbb", 1, ServerError::TargetEncoding),
    ];
    for (request, code, error) in cases {
        check(&accounts, &open(request), &[5, 0], Err((&refusal(code), error)));
    }
}

#[test]
fn datagrams_are_granted_where_they_are_allowed_and_binding_never() {
    let server = || Server::new(Accept::Mixed, one_account()).with_udp(true);
    let login = b"\x05\x01\x02\x01\x04user\x04pass";
    for (address, source) in [
        (&b"\x01\x0a\x01\x02\x03\x01\xbb"[..], "10.1.2.3:443"),
        (b"\x01\0\0\0\0\0\0", "0.0.0.0:0"),
        (b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05", "[::]:5"),
    ] {
        let run = run_all_ways(server, &[&login[..], b"\x05\x03\x00", address, b"rest"].concat());
        let End::Done { output: Opening::Tunnel(output), rest } = run.end else { panic!("{:?}", run.end) };
        assert_eq!((output.command, output.target.to_string()), (Command::UdpAssociate, source.to_owned()));
        assert_eq!((output.user.as_deref(), &*rest), (Some("user"), &b"rest"[..]));
    }
    let bind = run_all_ways(server, &[&login[..], b"\x05\x02\x00\x01\x0a\x01\x02\x03\x01\xbb"].concat());
    let End::Failed { reply, error } = bind.end else { panic!("{:?}", bind.end) };
    assert_eq!((&*reply, error), (&refusal(7)[..], ServerError::Command { command: 2 }));
}

#[test]
fn other_protocols_are_closed_without_a_word() {
    let accounts = Accounts::default();
    check(&accounts, b"GET / HTTP/1.1\r\n\r\n", &[], Err((b"", ServerError::Protocol { found: b'G' })));
    check(&accounts, b"\x16\x03\x01", &[], Err((b"", ServerError::Protocol { found: 0x16 })));
}

#[test]
fn socks4_and_socks4a_connect_where_nobody_needs_a_password() {
    let accounts = Accounts::default();
    check(&accounts, b"\x04\x01\x01\xbb\x0a\x01\x02\x03\0rest", &[], Ok(("10.1.2.3:443", None, b"rest")));
    check(&accounts, b"\x04\x01\x00\x50\0\0\0\x01me\0example.com\0", &[], Ok(("example.com:80", None, b"")));
    check(&accounts, b"\x04\x01\x00\x50\0\0\0\x00\0", &[], Ok(("0.0.0.0:80", None, b"")));
}

#[test]
fn socks4_refusals_say_91() {
    let accounts = Accounts::default();
    let reply: &[u8] = &[0, 91, 0, 0, 0, 0, 0, 0];
    let bind = ServerError::Command { command: 2 };
    check(&accounts, b"\x04\x02\x01\xbb\x0a\x01\x02\x03\0", &[], Err((reply, bind)));
    let long = [b"\x04\x01\x01\xbb\x0a\x01\x02\x03", &[b'a'; 256][..]].concat();
    check(&accounts, &long, &[], Err((reply, ServerError::FieldTooLong)));
    let empty = ServerError::Target(AddressError::Domain(DomainError::Empty));
    check(&accounts, b"\x04\x01\x01\xbb\0\0\0\x01\0\0", &[], Err((reply, empty)));
    let locked = ServerError::Socks4WithAccounts;
    check(&one_account(), b"\x04\x01\x01\xbb\x0a\x01\x02\x03\0", &[], Err((reply, locked)));
}
