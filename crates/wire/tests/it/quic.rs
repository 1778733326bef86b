//! Clients of QUIC as the tests need them: hellos in Initial packets, cut as one likes.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, Side,
    crypto::ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider},
    pki_types::ServerName,
    quic::{ClientConnection, Keys, Version},
};

pub(crate) const DESTINATION: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

/// A hello for `name`, without it if `sni` is not set, that is longer by `padding` bytes and more.
pub(crate) fn hello(name: &str, padding: usize, sni: bool) -> Vec<u8> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.enable_sni = sni;
    config.alpn_protocols = vec![vec![b'x'; 250]; padding.div_ceil(250)];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), Version::V1, name, vec![7; 20]).unwrap();
    let mut bytes = Vec::new();
    client.write_hs(&mut bytes);
    bytes
}

/// A CRYPTO frame with the part of `stream` in `range`.
pub(crate) fn crypto(stream: &[u8], range: std::ops::Range<usize>) -> Vec<u8> {
    let part = &stream[range.clone()];
    [&[6][..], &number(range.start), &number(part.len()), part].concat()
}

/// A number of four bytes (RFC 9000 §16).
fn number(value: usize) -> [u8; 4] {
    (u32::try_from(value).unwrap() | 0x8000_0000).to_be_bytes()
}

/// How an Initial packet is made.
#[derive(Debug, Clone)]
pub(crate) struct Initial {
    pub(crate) version: Version,
    pub(crate) destination: Vec<u8>,
    pub(crate) token: Vec<u8>,
    pub(crate) packet_number: u32,
    pub(crate) number_bytes: usize,
    /// The keys are those for this connection id, which is `destination` unless a test says otherwise.
    pub(crate) keys_of: Vec<u8>,
}

impl Default for Initial {
    fn default() -> Self {
        Self {
            version: Version::V1,
            destination: DESTINATION.to_vec(),
            token: Vec::new(),
            packet_number: 2,
            number_bytes: 4,
            keys_of: DESTINATION.to_vec(),
        }
    }
}

impl Initial {
    pub(crate) fn of(version: Version) -> Self {
        Self { version, ..Self::default() }
    }

    /// A packet with these frames.
    pub(crate) fn packet(&self, frames: &[u8]) -> Vec<u8> {
        let (number, kind) = match self.version {
            Version::V1Draft => (0xff00_001d_u32, 0),
            Version::V2 => (0x6b33_43cf, 1),
            Version::V1 | _ => (1, 0),
        };
        let low = u8::try_from(self.number_bytes - 1).unwrap();
        let id_length = u8::try_from(self.destination.len()).unwrap();
        let token_length = u8::try_from(self.token.len()).unwrap();
        assert!(token_length < 64);
        let length = u16::try_from(self.number_bytes + frames.len() + 16).unwrap() | 0x4000;
        let packet_number = &self.packet_number.to_be_bytes()[4 - self.number_bytes..];
        let mut packet = [
            &[0xc0 | kind << 4 | low][..],
            &number.to_be_bytes(),
            &[id_length],
            &self.destination,
            &[0, token_length],
            &self.token,
            &length.to_be_bytes(),
            packet_number,
        ]
        .concat();
        let keys = self.keys().local;
        let mut payload = frames.to_vec();
        let tag = keys.packet.encrypt_in_place(self.packet_number.into(), &packet, &mut payload).unwrap();
        payload.extend(tag.as_ref());
        let number_at = packet.len() - self.number_bytes;
        packet.extend(payload);
        let (header, sampled) = packet.split_at_mut(number_at + 4);
        let (header, number) = header.split_at_mut(number_at);
        keys.header
            .encrypt_in_place(&sampled[..16], &mut header[0], &mut number[..self.number_bytes])
            .unwrap();
        packet
    }

    /// A datagram of 1200 bytes with these frames, and padding behind them.
    pub(crate) fn datagram(&self, frames: &[u8]) -> Vec<u8> {
        let mut frames = frames.to_vec();
        let overhead = 1 + 4 + 2 + self.destination.len() + 1 + self.token.len() + 2 + self.number_bytes + 16;
        frames.resize(frames.len().max(1200 - overhead), 0);
        self.packet(&frames)
    }

    fn keys(&self) -> Keys {
        let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap().quic_suite().unwrap();
        Keys::initial(self.version, suite.suite, suite.quic, &self.keys_of, Side::Client)
    }
}
