//! The server name of a QUIC connection, from the Initial packets of its client (RFC 9000, RFC 9001,
//! RFC 9369). They are encrypted by keys that anybody can derive who sees the first of them.

mod crypto_stream;
mod packet;

use std::fmt;

use rustls::{
    Side,
    crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    quic::{DirectionalKeys, Keys, Version},
};
use waypost_net::Host;

use self::{
    crypto_stream::CryptoStream,
    packet::{Kind, Packet, Reader},
};
use super::{MAX_SNIFF_BYTES, Sniff, Sniffed, tls};
use crate::client_hello::{ClientHello, Stop};

/// A packet number takes up to so many bytes, and as many behind its beginning begins what the
/// protection of the header hangs on (RFC 9001 §5.4.2).
const MAX_NUMBER_BYTES: usize = 4;

/// Frames that Initial packets may have (RFC 9000 §12.4).
const PADDING: u64 = 0;
const PING: u64 = 1;
const ACK: u64 = 2;
const ACK_WITH_ECN: u64 = 3;
const CRYPTO: u64 = 6;

/// Whether a datagram begins like one of a client of a known version.
pub(super) fn begins(datagram: &[u8]) -> bool {
    Packet::read(datagram).is_some_and(|packet| packet.kind != Kind::Other)
}

/// Reads the first datagrams of a client until the name of the server has come.
#[derive(Debug, Default)]
pub(super) struct QuicSniffer {
    /// Those of the first Initial packet.
    secrets: Option<Secrets>,
    /// Whether they have opened a packet.
    is_certain: bool,
    crypto: CryptoStream,
    /// Bytes of datagrams that were looked at.
    n_bytes: usize,
}

impl QuicSniffer {
    /// Takes the next datagram.
    ///
    /// A packet that its keys open is QUIC, whatever is in it. More is needed while the hello is not all
    /// there, and while nothing has come but data that a client sends early, which may overtake what it
    /// follows.
    pub(super) fn feed(&mut self, datagram: &[u8]) -> Sniff {
        self.n_bytes = self.n_bytes.saturating_add(datagram.len());
        if self.n_bytes > MAX_SNIFF_BYTES {
            return self.so_far().map_or(Sniff::Unknown, Sniff::Found);
        }
        let mut datagram = datagram.to_vec();
        let mut rest = datagram.as_mut_slice();
        while let Some(Packet { version, kind, destination, number_at, end }) = Packet::read(rest) {
            if kind == Kind::Initial {
                let secrets = match &self.secrets {
                    Some(secrets) if *secrets.destination == *destination => secrets,
                    // One connection is enough to know the target by.
                    Some(_) => break,
                    None => match Secrets::of(version, destination) {
                        Some(secrets) => self.secrets.insert(secrets),
                        None => return Sniff::Unknown,
                    },
                };
                let Some(packet) = rest.get_mut(..end) else { break };
                match secrets.open(packet, number_at) {
                    Some(frames) => {
                        self.is_certain = true;
                        if read_frames(frames, &mut self.crypto).is_none() {
                            return found(None);
                        }
                    }
                    None if !self.is_certain => return Sniff::Unknown,
                    None => break,
                }
            }
            rest = rest.get_mut(end..).unwrap_or_default();
        }
        match self.server_name() {
            Ok(host) => found(host),
            Err(Stop::Malformed) => found(None),
            Err(Stop::Short) => Sniff::NeedMore,
        }
    }

    /// What is known if nothing more comes.
    pub(super) fn so_far(&self) -> Option<Sniffed> {
        self.is_certain.then(|| Sniffed::new("quic", None))
    }

    fn server_name(&self) -> Result<Option<Host>, Stop> {
        tls::server_name(&mut ClientHello::begin_without_records(self.crypto.contiguous())?)
    }
}

/// What opens the Initial packets of a client.
struct Secrets {
    destination: Box<[u8]>,
    keys: DirectionalKeys,
}

impl Secrets {
    /// Those of the connection that a client begins with a packet to `destination`.
    fn of(version: Version, destination: &[u8]) -> Option<Self> {
        let suite = TLS13_AES_128_GCM_SHA256.tls13()?.quic_suite()?;
        let keys = Keys::initial(version, suite.suite, suite.quic, destination, Side::Server).remote;
        Some(Self { destination: destination.into(), keys })
    }

    /// The frames of a packet, which are decrypted where they are; `None` if it is not authentic.
    fn open<'b>(&self, packet: &'b mut [u8], number_at: usize) -> Option<&'b [u8]> {
        let (header, protected) = packet.split_at_mut_checked(number_at)?;
        let (number, sampled) = protected.split_at_mut_checked(MAX_NUMBER_BYTES)?;
        let sample = sampled.get(..self.keys.header.sample_len())?;
        self.keys.header.decrypt_in_place(sample, header.first_mut()?, number).ok()?;
        let number_bytes = usize::from(header.first()? & 0b11) + 1;
        let number =
            number.get(..number_bytes)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let (header, payload) = packet.split_at_mut_checked(number_at + number_bytes)?;
        // The first packets of a client have small numbers, of which nothing is left out.
        self.keys.packet.decrypt_in_place(number, header, payload).ok()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// Puts the parts of the hello where they belong. `None` if there is a frame that does not belong into
/// an Initial packet, or a part beyond what is looked at.
fn read_frames(frames: &[u8], crypto: &mut CryptoStream) -> Option<()> {
    let mut reader = Reader::new(frames);
    while !reader.is_at_end() {
        match reader.number()? {
            PADDING | PING => {}
            kind @ (ACK | ACK_WITH_ECN) => {
                // The largest number, the delay, and the first range behind the count of the others.
                reader.number()?;
                reader.number()?;
                let n_ranges = reader.number()?;
                reader.number()?;
                for _ in 0..n_ranges {
                    reader.number()?;
                    reader.number()?;
                }
                let n_counts = if kind == ACK_WITH_ECN { 3 } else { 0 };
                for _ in 0..n_counts {
                    reader.number()?;
                }
            }
            CRYPTO => {
                let (offset, length) = (reader.number()?, reader.short_number()?);
                crypto.insert(offset, reader.take(length)?)?;
            }
            _ => return None,
        }
    }
    Some(())
}

fn found(host: Option<Host>) -> Sniff {
    Sniff::Found(Sniffed::new("quic", host))
}
