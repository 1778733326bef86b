//! Many datagrams in one system call: `recvmmsg` with GRO, `sendmmsg`, and `sendmsg` with GSO for
//! datagrams of one size to one place.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::SocketAddr,
    os::fd::AsRawFd,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, recvmsg,
        sendmmsg, sendmsg, setsockopt, sockopt,
    },
};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Type};
use tokio::{io::Interest, net::UdpSocket};
use waypost_config::model::SocketOptions;

use crate::socket::apply;

/// Datagrams, or rows of them that the kernel joined, in one read.
const SLOTS: usize = 32;
/// Room for the longest datagram, and for a row that GRO made.
const SLOT_BYTES: usize = 64 * 1024;
/// Datagrams that GSO takes at once (Linux's `UDP_MAX_SEGMENTS` was 64 before it grew).
const MAX_SEGMENTS: usize = 64;
/// The payload of the longest datagram over IPv4, and of a row of them.
pub(super) const MAX_DATAGRAM_BYTES: usize = 65_507;
/// A kernel that refuses a row of shorter datagrams than every path carries will refuse any.
const LEAST_SEGMENT_BYTES: usize = 1200;
/// The kernel grants what its limits allow, so that a burst is not lost while the task waits for its turn.
const RECEIVE_BUFFER_BYTES: usize = 2 << 20;
/// Buffers kept for the next read; more are only used while more tasks read at the same moment.
const MAX_SPARE_BUFFERS: usize = 16;

/// Memory to read into, shared by all associations: one holds it for the moment of a read only.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Box<[u8]>>>);

impl Buffers {
    /// Runs `work` with a buffer.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut [u8]) -> T) -> T {
        let spare = self.0.lock().pop();
        // Pages that no datagram was written to are never backed by memory.
        let mut buffer = spare.unwrap_or_else(|| vec![0; SLOTS * SLOT_BYTES].into());
        let result = work(&mut buffer);
        let mut spare = self.0.lock();
        if spare.len() < MAX_SPARE_BUFFERS {
            spare.push(buffer);
        }
        result
    }
}

/// A UDP socket.
#[derive(Debug)]
pub(crate) struct Socket {
    io: UdpSocket,
    /// The longest datagrams that are sent in rows; 0 where the kernel or the device cannot.
    max_segment: AtomicUsize,
}

/// A datagram, or a row of datagrams of one size from one place.
#[derive(Debug, Clone, Copy)]
struct Head {
    slot: usize,
    source: SocketAddr,
    length: usize,
    segment: usize,
}

/// What one read brought.
#[derive(Debug)]
pub(super) struct Batch<'b> {
    buffer: &'b [u8],
    heads: Vec<Head>,
}

impl<'b> Batch<'b> {
    /// The datagrams in the order that they came in.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketAddr, &'b [u8])> {
        let buffer = self.buffer;
        self.heads.iter().flat_map(move |head| {
            let start = head.slot * SLOT_BYTES;
            let bytes = buffer.get(start..start + head.length).unwrap_or_default();
            // A datagram may be empty, and is one nevertheless.
            let empty = bytes.is_empty().then_some(bytes);
            bytes.chunks(head.segment.max(1)).chain(empty).map(|datagram| (head.source, datagram))
        })
    }
}

/// A datagram to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'b> {
    /// Where to; `None` on a connected socket.
    pub(super) to: Option<SocketAddr>,
    pub(super) header: &'b [u8],
    pub(super) payload: &'b [u8],
}

impl Outgoing<'_> {
    fn len(&self) -> usize {
        self.header.len() + self.payload.len()
    }
}

impl Socket {
    /// A socket at `address`. Of the options those count that are not about TCP.
    pub(super) fn bind(address: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Without these datagrams come one by one, and a burst may be cut.
        let _smaller = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        let _without = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        let SocketOptions { mark, interface, .. } = options.clone();
        apply(&SockRef::from(&socket), &SocketOptions { mark, interface, ..SocketOptions::default() })?;
        socket.bind(&address.into())?;
        let io = UdpSocket::from_std(socket.into())?;
        Ok(Self { io, max_segment: AtomicUsize::new(MAX_DATAGRAM_BYTES) })
    }

    /// Has the kernel keep which target an ICMP error is about.
    pub(super) fn keep_errors(&self, is_ipv4: bool) -> io::Result<()> {
        if is_ipv4 {
            setsockopt(&self.io, sockopt::Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&self.io, sockopt::Ipv6RecvErr, &true)?;
        }
        Ok(())
    }

    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<()> {
        self.io.connect(address).await
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_recv_ready(context)
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Reads what is there, up to a batch. An error is one that a datagram sent earlier met.
    pub(super) fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Batch<'b>> {
        let mut heads = Vec::new();
        let tried = self.io.try_io(Interest::READABLE, || {
            let count = receive_into(self.io.as_raw_fd(), buffer, &mut heads)?;
            // Less than a batch means that nothing was left: the next datagram is told anew.
            if count < SLOTS { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match tried {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(Batch { buffer, heads }),
        }
    }

    /// Sends in order. What finds no room in the kernel is dropped, as on any path. Yields which could
    /// not be sent for another reason.
    pub(super) fn send(&self, datagrams: &[Outgoing<'_>]) -> Vec<(usize, io::Error)> {
        let mut failed = Vec::new();
        let mut begin = 0;
        while let Some(left) = datagrams.get(begin..).filter(|left| !left.is_empty()) {
            let row = row_length(left, self.max_segment.load(Ordering::Relaxed));
            let count = if row > 1 { row } else { singles(left, self.max_segment.load(Ordering::Relaxed)) };
            let part = left.get(..count).unwrap_or(left);
            match if row > 1 { self.send_row(part) } else { self.send_singles(part) } {
                Ok(sent) => begin += sent.max(1),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return failed,
                Err(_unfit) if row > 1 => {
                    // The next round sends them one by one.
                    let segment = part.first().map_or(0, Outgoing::len);
                    let next = if segment > LEAST_SEGMENT_BYTES { segment - 1 } else { 0 };
                    self.max_segment.store(next, Ordering::Relaxed);
                }
                Err(error) => {
                    failed.push((begin, error));
                    begin += 1;
                }
            }
        }
        failed
    }

    /// Sends datagrams of one size in one piece, which the kernel or the device cuts.
    fn send_row(&self, row: &[Outgoing<'_>]) -> io::Result<usize> {
        let Some(first) = row.first() else { return Ok(0) };
        let mut pieces = Vec::with_capacity(2 * row.len());
        for datagram in row {
            pieces.extend([datagram.header, datagram.payload].map(IoSlice::new));
        }
        let segment = u16::try_from(first.len()).unwrap_or(u16::MAX);
        let control = [ControlMessage::UdpGsoSegments(&segment)];
        let to = first.to.map(SockaddrStorage::from);
        sendmsg(self.io.as_raw_fd(), &pieces, &control, MsgFlags::MSG_DONTWAIT, to.as_ref())?;
        Ok(row.len())
    }

    /// Sends datagrams of any sizes to any places; says how many.
    fn send_singles(&self, datagrams: &[Outgoing<'_>]) -> io::Result<usize> {
        let fd = self.io.as_raw_fd();
        if let [one] = datagrams {
            let pieces = [one.header, one.payload].map(IoSlice::new);
            let to = one.to.map(SockaddrStorage::from);
            sendmsg(fd, &pieces, &[], MsgFlags::MSG_DONTWAIT, to.as_ref())?;
            return Ok(1);
        }
        let pieces: Vec<[IoSlice<'_>; 2]> =
            datagrams.iter().map(|datagram| [datagram.header, datagram.payload].map(IoSlice::new)).collect();
        let addresses: Vec<Option<SockaddrStorage>> =
            datagrams.iter().map(|datagram| datagram.to.map(SockaddrStorage::from)).collect();
        let mut headers = MultiHeaders::preallocate(datagrams.len(), None);
        let sent = sendmmsg(fd, &mut headers, &pieces, &addresses, [], MsgFlags::MSG_DONTWAIT)?;
        Ok(sent.count())
    }

    /// The errors that datagrams met, each with the place that they were sent to.
    pub(super) fn take_errors(&self) -> Vec<(SocketAddr, io::Error)> {
        let mut errors = Vec::new();
        while errors.len() < SLOTS {
            match take_error(self.io.as_raw_fd()) {
                Ok(error) => errors.extend(error),
                Err(_none_left) => break,
            }
        }
        errors
    }
}

fn receive_into(fd: i32, buffer: &mut [u8], heads: &mut Vec<Head>) -> io::Result<usize> {
    let mut pieces: Vec<[IoSliceMut<'_>; 1]> =
        buffer.chunks_mut(SLOT_BYTES).map(|slot| [IoSliceMut::new(slot)]).collect();
    let mut headers =
        MultiHeaders::<SockaddrStorage>::preallocate(pieces.len(), Some(cmsg_space!(std::ffi::c_int)));
    let received = recvmmsg(fd, &mut headers, &mut pieces, MsgFlags::MSG_DONTWAIT, None)?;
    let mut count = 0;
    for (slot, message) in received.enumerate() {
        count += 1;
        let Some(source) = message.address.as_ref().and_then(socket_address) else { continue };
        let joined = message.cmsgs().into_iter().flatten().find_map(|control| {
            let ControlMessageOwned::UdpGroSegments(bytes) = control else { return None };
            usize::try_from(bytes).ok()
        });
        let length = message.bytes;
        heads.push(Head { slot, source, length, segment: joined.unwrap_or(length) });
    }
    Ok(count)
}

/// Takes one error from the queue of the socket; `None` if it is about no address.
fn take_error(fd: i32) -> Result<Option<(SocketAddr, io::Error)>, Errno> {
    let mut control = cmsg_space!([u8; 64]);
    let mut sent = [0; 8];
    let mut pieces = [IoSliceMut::new(&mut sent)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(fd, &mut pieces, Some(&mut control), flags)?;
    let code = message.cmsgs().into_iter().flatten().find_map(|control| {
        let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) =
            control
        else {
            return None;
        };
        i32::try_from(error.ee_errno).ok()
    });
    let address = message.address.as_ref().and_then(socket_address);
    Ok(address.zip(code).map(|(address, code)| (address, io::Error::from_raw_os_error(code))))
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port()))))
}

/// How many datagrams from the first on go to the same place and are of its size; the last may be
/// shorter.
fn row_length(datagrams: &[Outgoing<'_>], max_segment: usize) -> usize {
    let Some(first) = datagrams.first() else { return 0 };
    let segment = first.len();
    if segment == 0 || segment > max_segment {
        return 1;
    }
    let max = MAX_SEGMENTS.min(MAX_DATAGRAM_BYTES / segment).max(1);
    let mut count = 0;
    for datagram in datagrams.iter().take(max) {
        if datagram.to != first.to || datagram.len() > segment || datagram.len() == 0 {
            break;
        }
        count += 1;
        if datagram.len() < segment {
            break;
        }
    }
    count
}

/// How many datagrams from the first on begin no row.
fn singles(datagrams: &[Outgoing<'_>], max_segment: usize) -> usize {
    let begins_row = |start: &usize| row_length(datagrams.get(*start..).unwrap_or_default(), max_segment) > 1;
    let most = datagrams.len().min(SLOTS);
    (1..most).find(begins_row).unwrap_or(most)
}

#[cfg(test)]
mod tests;
