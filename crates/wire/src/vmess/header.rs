//! The request that comes first, and the words in it.

use std::{fmt, str::FromStr};

use waypost_net::{Network, Target};

use super::chunks::BodyForm;
use crate::{
    address::Cursor,
    target_field::{TargetError, put_port_first, read_port_first},
};

const VERSION: u8 = 1;
const TCP: u8 = 1;
const UDP: u8 = 2;
const MUX: u8 = 3;

const AES_128_CFB: u8 = 1;
const AES_128_GCM: u8 = 3;
const CHACHA20_POLY1305: u8 = 4;
const NONE: u8 = 5;

const CHUNKED: u8 = 0x01;
const MASKED: u8 = 0x04;
const PADDED: u8 = 0x08;
const LENGTH_SEALED: u8 = 0x10;

/// How the body of a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VmessSecurity {
    /// AES-128-GCM.
    Aes128Gcm,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
    /// Not at all, in chunks.
    None,
    /// Not at all, and without chunks where the connection is a byte stream.
    Zero,
}

/// A word that names no security.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown vmess security `{0}`, expected `aes-128-gcm`, `chacha20-poly1305`, `none` or `zero`")]
pub struct UnknownSecurity(pub Box<str>);

impl VmessSecurity {
    /// What `auto` stands for, on a machine with or without instructions for AES. V2Ray takes every x86-64
    /// and AArch64 for one that has them.
    #[must_use]
    pub fn auto(has_aes_instructions: bool) -> Self {
        if has_aes_instructions { Self::Aes128Gcm } else { Self::ChaCha20Poly1305 }
    }

    /// The name as configuration files write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "aes-128-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::None => "none",
            Self::Zero => "zero",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Aes128Gcm => AES_128_GCM,
            Self::ChaCha20Poly1305 => CHACHA20_POLY1305,
            Self::None | Self::Zero => NONE,
        }
    }

    /// Whether chunks are encrypted.
    pub(super) fn is_encrypted(self) -> bool {
        match self {
            Self::Aes128Gcm | Self::ChaCha20Poly1305 => true,
            Self::None | Self::Zero => false,
        }
    }
}

impl fmt::Display for VmessSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for VmessSecurity {
    type Err = UnknownSecurity;

    /// Reads a name. `auto` is none: see [`auto`](Self::auto).
    fn from_str(name: &str) -> Result<Self, UnknownSecurity> {
        [Self::Aes128Gcm, Self::ChaCha20Poly1305, Self::None, Self::Zero]
            .into_iter()
            .find(|security| security.as_str() == name)
            .ok_or_else(|| UnknownSecurity(name.into()))
    }
}

/// The options of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) is_chunked: bool,
    pub(super) is_masked: bool,
    pub(super) is_padded: bool,
    pub(super) is_length_sealed: bool,
}

impl Options {
    fn from_byte(byte: u8) -> Self {
        Self {
            is_chunked: byte & CHUNKED != 0,
            is_masked: byte & MASKED != 0,
            is_padded: byte & PADDED != 0,
            is_length_sealed: byte & LENGTH_SEALED != 0,
        }
    }

    fn to_byte(self) -> u8 {
        let flags = [
            (self.is_chunked, CHUNKED),
            (self.is_masked, MASKED),
            (self.is_padded, PADDED),
            (self.is_length_sealed, LENGTH_SEALED),
        ];
        flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum()
    }
}

/// What a client asks for.
pub(super) struct Header {
    pub(super) vector: [u8; 16],
    pub(super) key: [u8; 16],
    /// The answer begins with it.
    pub(super) answer: u8,
    pub(super) form: BodyForm,
    pub(super) network: Network,
    pub(super) target: Target,
}

/// Why a header is not served; what is wrong with it has been written by somebody who knows the key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    Broken { problem: &'static str },
    Target(TargetError),
    Mux,
    Command { command: u8 },
    Security { found: u8 },
    Options { problem: &'static str },
}

impl Header {
    /// Writes the header with some bytes of padding in it, at most 15.
    pub(super) fn to_bytes(&self, padding: &[u8]) -> Vec<u8> {
        let padding_length = u8::try_from(padding.len()).unwrap_or(0) & 0x0f;
        let mut bytes = Vec::with_capacity(512);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.vector);
        bytes.extend_from_slice(&self.key);
        let command = match self.network {
            Network::Tcp => TCP,
            Network::Udp => UDP,
        };
        let security = padding_length << 4 | self.form.security.number();
        bytes.extend_from_slice(&[self.answer, self.form.options.to_byte(), security, 0, command]);
        put_port_first(&mut bytes, &self.target);
        bytes.extend(padding.iter().take(padding_length.into()));
        let checksum = fnv1a(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// Reads a header that was decrypted.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let broken = |problem| HeaderError::Broken { problem };
        let (content, checksum) = bytes.split_last_chunk().ok_or_else(|| broken("too short"))?;
        if fnv1a(content) != u32::from_be_bytes(*checksum) {
            return Err(broken("wrong checksum"));
        }
        let mut cursor = Cursor::new(content);
        let too_short = || broken("too short");
        if cursor.byte().ok_or_else(too_short)? != VERSION {
            return Err(broken("unknown version"));
        }
        let vector = cursor.array().ok_or_else(too_short)?;
        let key = cursor.array().ok_or_else(too_short)?;
        let [answer, options, security, _reserved, command] = cursor.array().ok_or_else(too_short)?;
        let network = match command {
            TCP => Network::Tcp,
            UDP => Network::Udp,
            MUX => return Err(HeaderError::Mux),
            command => return Err(HeaderError::Command { command }),
        };
        let target = read_port_first(&mut cursor).ok_or_else(too_short)?.map_err(HeaderError::Target)?;
        if content.len() - cursor.position() != usize::from(security >> 4) {
            return Err(broken("padding of another length than it says"));
        }
        let form = read_form(security & 0x0f, options, network)?;
        Ok(Self { vector, key, answer, form, network, target })
    }
}

/// Reads what only some combinations of make sense of, as V2Ray does.
fn read_form(security: u8, options: u8, network: Network) -> Result<BodyForm, HeaderError> {
    let wrong = |problem| HeaderError::Options { problem };
    let mut options = Options::from_byte(options);
    let security = match security {
        AES_128_GCM => VmessSecurity::Aes128Gcm,
        CHACHA20_POLY1305 => VmessSecurity::ChaCha20Poly1305,
        NONE if options.is_chunked => VmessSecurity::None,
        NONE => VmessSecurity::Zero,
        found => return Err(HeaderError::Security { found }),
    };
    // V2Ray has no authenticated lengths without encryption, whatever the option says.
    options.is_length_sealed &= security.is_encrypted();
    if options.is_padded && !options.is_masked && !options.is_length_sealed {
        return Err(wrong("padding without masked lengths"));
    }
    options.is_chunked |= security.is_encrypted();
    match network {
        Network::Udp if !options.is_chunked => Err(wrong("datagrams without chunks")),
        // V2Ray does not pad a stream that is not encrypted, whatever the option says.
        Network::Tcp if !security.is_encrypted() => {
            options.is_padded = false;
            Ok(BodyForm { security, options })
        }
        Network::Tcp | Network::Udp => Ok(BodyForm { security, options }),
    }
}

/// Names what a client asked for that is not served.
pub(super) fn security_name(number: u8) -> &'static str {
    match number {
        AES_128_CFB => "aes-128-cfb",
        _ => "unknown",
    }
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_fnv1a() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }

    fn header() -> Vec<u8> {
        let options = Options { is_chunked: true, is_masked: true, is_padded: true, is_length_sealed: false };
        let header = Header {
            vector: [1; 16],
            key: [2; 16],
            answer: 3,
            form: BodyForm { security: VmessSecurity::Aes128Gcm, options },
            network: Network::Tcp,
            target: "a.b:443".parse().unwrap(),
        };
        header.to_bytes(&[9; 5])
    }

    /// Parses the header with another byte at `position` and the checksum of that.
    fn parse_with(changes: &[(usize, u8)]) -> Result<Header, HeaderError> {
        let mut bytes = header();
        for (position, byte) in changes {
            bytes[*position] = *byte;
        }
        bytes.truncate(bytes.len() - 4);
        let checksum = fnv1a(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        Header::parse(&bytes)
    }

    const OPTIONS_AT: usize = 34;
    const SECURITY_AT: usize = 35;
    const COMMAND_AT: usize = 37;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let read = Header::parse(&header()).ok().unwrap();
        assert_eq!((read.vector, read.key, read.answer), ([1; 16], [2; 16], 3));
        assert_eq!(read.target.to_string(), "a.b:443");
        assert_eq!(read.form.options.to_byte(), CHUNKED | MASKED | PADDED);
    }

    #[track_caller]
    fn check(changes: &[(usize, u8)], expected: HeaderError) {
        assert_eq!(parse_with(changes).err(), Some(expected));
    }

    #[test]
    fn what_is_not_served_is_named() {
        let broken = |problem| HeaderError::Broken { problem };
        let options = |problem| HeaderError::Options { problem };
        check(&[(0, 2)], broken("unknown version"));
        check(&[(COMMAND_AT, 3)], HeaderError::Mux);
        check(&[(COMMAND_AT, 9)], HeaderError::Command { command: 9 });
        check(&[(SECURITY_AT, 0x51)], HeaderError::Security { found: 1 });
        check(&[(SECURITY_AT, 0x56)], HeaderError::Security { found: 6 });
        check(&[(SECURITY_AT, 0x43)], broken("padding of another length than it says"));
        check(&[(SECURITY_AT, 0x63)], broken("padding of another length than it says"));
        check(&[(40, 7)], HeaderError::Target(TargetError::Type { found: 7 }));
        check(&[(OPTIONS_AT, CHUNKED | PADDED)], options("padding without masked lengths"));
        let sealed_alone = [(OPTIONS_AT, CHUNKED | PADDED | LENGTH_SEALED), (SECURITY_AT, 0x55)];
        check(&sealed_alone, options("padding without masked lengths"));
        let unchunked = [(OPTIONS_AT, 0), (SECURITY_AT, 0x55), (COMMAND_AT, 2)];
        check(&unchunked, options("datagrams without chunks"));
        let mut bytes = header();
        bytes[1] ^= 1;
        assert_eq!(Header::parse(&bytes).err(), Some(broken("wrong checksum")));
        assert_eq!(Header::parse(b"abc").err(), Some(broken("too short")));
    }

    #[test]
    fn options_are_taken_as_v2ray_takes_them() {
        let form = |changes: &[(usize, u8)]| parse_with(changes).ok().unwrap().form;
        assert!(form(&[(OPTIONS_AT, 0)]).options.is_chunked);
        assert_eq!(form(&[(OPTIONS_AT, 0), (SECURITY_AT, 0x55)]).security, VmessSecurity::Zero);
        let unencrypted = form(&[(SECURITY_AT, 0x55)]);
        assert_eq!(unencrypted.security, VmessSecurity::None);
        assert!(!unencrypted.options.is_padded);
        assert!(form(&[(SECURITY_AT, 0x55), (COMMAND_AT, 2)]).options.is_padded);
        let sealed = (OPTIONS_AT, CHUNKED | MASKED | LENGTH_SEALED);
        assert!(form(&[sealed]).options.is_length_sealed);
        let unsealed = form(&[sealed, (SECURITY_AT, 0x55)]).options;
        assert!(unsealed.is_masked && !unsealed.is_length_sealed);
    }

    #[test]
    fn a_header_cut_anywhere_is_broken() {
        let whole = header();
        for length in 0..whole.len() {
            assert!(Header::parse(&whole[..length]).is_err(), "{length}");
        }
    }
}
