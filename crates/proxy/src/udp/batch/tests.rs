use std::{future::poll_fn, net::Ipv4Addr};

use super::*;

fn bind() -> (Socket, SocketAddr) {
    let socket = Socket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &SocketOptions::default()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Reads until `count` datagrams have come.
async fn read(socket: &Socket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let buffers = Buffers::default();
    let mut all = Vec::new();
    while all.len() < count {
        poll_fn(|context| socket.poll_readable(context)).await.unwrap();
        buffers.with(|buffer| {
            let batch = socket.receive(buffer).unwrap();
            all.extend(batch.iter().map(|(source, bytes)| (source, bytes.to_vec())));
        });
    }
    all
}

#[tokio::test]
async fn datagrams_of_all_sizes_arrive_whole_and_in_order() {
    let (from, source) = bind();
    let (to, address) = bind();
    let sizes = [512, 512, 512, 100, 700, 0, 0, 1, 1, 1, 1400, 1400, 1400, 9000, 9000, 65_000, 3];
    let payloads: Vec<Vec<u8>> = sizes.iter().zip(b'a'..).map(|(&size, byte)| vec![byte; size]).collect();
    let datagrams: Vec<Outgoing<'_>> =
        payloads.iter().map(|payload| Outgoing { to: Some(address), header: b"head", payload }).collect();
    let failed = from.send(&datagrams);
    assert!(failed.is_empty(), "{failed:?}");
    let expected: Vec<_> =
        payloads.iter().map(|payload| (source, [b"head", payload.as_slice()].concat())).collect();
    assert!(read(&to, sizes.len()).await == expected);
}

#[tokio::test]
async fn more_than_a_row_and_more_than_a_batch_arrive() {
    let (from, source) = bind();
    let (to, address) = bind();
    let payloads: Vec<[u8; 2]> = (0..200_u16).map(u16::to_be_bytes).collect();
    let datagrams: Vec<Outgoing<'_>> =
        payloads.iter().map(|payload| Outgoing { to: Some(address), header: &[], payload }).collect();
    assert!(from.send(&datagrams).is_empty());
    let expected: Vec<_> = payloads.iter().map(|payload| (source, payload.to_vec())).collect();
    assert_eq!(read(&to, payloads.len()).await, expected);
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_and_the_others_go() {
    let (from, _) = bind();
    let (to, address) = bind();
    let long = vec![0; MAX_DATAGRAM_BYTES + 1];
    let datagrams =
        [&b"first"[..], &long, b"third"].map(|payload| Outgoing { to: Some(address), header: &[], payload });
    let failed: Vec<usize> = from.send(&datagrams).into_iter().map(|(index, _)| index).collect();
    assert_eq!(failed, [1]);
    let received: Vec<Vec<u8>> = read(&to, 2).await.into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(received, [b"first", b"third"]);
}

#[tokio::test]
async fn an_empty_datagram_is_a_datagram() {
    let (from, source) = bind();
    let (to, address) = bind();
    assert!(from.send(&[Outgoing { to: Some(address), header: &[], payload: &[] }]).is_empty());
    assert_eq!(read(&to, 1).await, [(source, Vec::new())]);
}

#[tokio::test]
async fn a_target_that_nobody_listens_at_is_named() {
    let (from, _) = bind();
    from.keep_errors(true).unwrap();
    let (closed, address) = bind();
    drop(closed);
    assert!(from.send(&[Outgoing { to: Some(address), header: &[], payload: b"?" }]).is_empty());
    // On the loopback device the error is there when the call returns.
    let errors = from.take_errors();
    let errors: Vec<_> = errors.iter().map(|(address, error)| (*address, error.kind())).collect();
    assert_eq!(errors, [(address, io::ErrorKind::ConnectionRefused)]);
    assert!(from.take_errors().is_empty());
}

#[test]
fn a_row_ends_where_place_or_size_change() {
    let place = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let datagrams = |sizes: &'static [(u16, usize)]| -> Vec<Outgoing<'static>> {
        const BYTES: [u8; 2000] = [0; 2000];
        let of =
            |&(port, size): &(u16, usize)| Outgoing { to: place(port), header: &[], payload: &BYTES[..size] };
        sizes.iter().map(of).collect()
    };
    let row = |sizes| row_length(&datagrams(sizes), 1500);
    assert_eq!(row(&[]), 0);
    assert_eq!(row(&[(1, 5), (1, 5), (1, 5)]), 3);
    assert_eq!(row(&[(1, 5), (1, 5), (2, 5)]), 2);
    assert_eq!(row(&[(1, 5), (1, 4), (1, 4)]), 2);
    assert_eq!(row(&[(1, 5), (1, 6)]), 1);
    assert_eq!(row(&[(1, 1600), (1, 1600)]), 1);
    assert_eq!(row(&[(1, 0), (1, 0)]), 1);
    assert_eq!(singles(&datagrams(&[(1, 1), (2, 1), (3, 1), (3, 1)]), 1500), 2);
    assert_eq!(singles(&datagrams(&[(1, 1), (2, 1)]), 1500), 2);
}
