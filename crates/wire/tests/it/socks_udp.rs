use waypost_net::{AddressError, DomainError};
use waypost_wire::{MAX_UDP_HEADER_BYTES, ServerError, UdpDatagram, UdpDatagramError};

#[track_caller]
fn check(bytes: &[u8], expected: Result<(&str, &[u8]), UdpDatagramError>) {
    let found = UdpDatagram::parse(bytes)
        .and_then(|datagram| Ok((datagram.target()?.to_string(), datagram.payload.to_vec())));
    assert_eq!(found, expected.map(|(target, payload)| (target.to_owned(), payload.to_vec())));
}

#[test]
fn targets_are_read_in_every_form() {
    check(b"\0\0\0\x01\x7f\0\0\x01\0\x35query", Ok(("127.0.0.1:53", b"query")));
    check(b"\0\0\0\x03\x0bEXAMPLE.com\x01\xbb\0", Ok(("example.com:443", b"\0")));
    check(b"\0\0\0\x03\x0910.0.0.99\x01\xbb", Ok(("10.0.0.99:443", b"")));
    check(b"\0\0\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x7bx", Ok(("[2001:db8::1]:123", b"x")));
    check(b"\xff\xff\0\x01\x7f\0\0\x01\0\x35", Ok(("127.0.0.1:53", b"")));
}

#[test]
fn what_is_no_whole_datagram_is_refused() {
    let whole = b"\0\0\0\x01\x7f\0\0\x01\0\x35";
    for length in 0..whole.len() {
        check(&whole[..length], Err(UdpDatagramError::TooShort));
    }
    check(b"\0\0\0\x03\xffexample.com\x01\xbb", Err(UdpDatagramError::TooShort));
    check(b"\0\0\x01\x01\x7f\0\0\x01\0\x35", Err(UdpDatagramError::Fragment { number: 1 }));
    check(b"\0\0\x80\x01\x7f\0\0\x01\0\x35", Err(UdpDatagramError::Fragment { number: 128 }));
    check(b"\0\0\0\x02\x7f\0\0\x01\0\x35", Err(UdpDatagramError::AddressType { found: 2 }));
    let empty = ServerError::Target(AddressError::Domain(DomainError::Empty));
    check(b"\0\0\0\x03\0\0\x35", Err(UdpDatagramError::Target(empty)));
    check(b"\0\0\0\x03\x01\xff\0\x35", Err(UdpDatagramError::Target(ServerError::TargetEncoding)));
}

#[test]
fn headers_are_written_as_they_are_read() {
    for address in ["127.0.0.1:53", "[2001:db8::1]:123"] {
        let header = UdpDatagram::header_from(address.parse().unwrap());
        check(&header, Ok((address, b"")));
        assert_eq!(header, UdpDatagram::header_to(&address.parse().unwrap()));
    }
    let longest = format!("{}:1", ["a".repeat(63).as_str(); 4].join(".").split_at(253).0);
    let header = UdpDatagram::header_to(&longest.parse().unwrap());
    check(&header, Ok((&longest, b"")));
    assert!(header.len() <= MAX_UDP_HEADER_BYTES);
}
