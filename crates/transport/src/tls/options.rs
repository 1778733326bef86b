use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{SupportedProtocolVersion, pki_types::CertificateDer, version};
use waypost_net::Host;

use super::{Identity, IdentitySource};
use crate::SetupError;

/// How a client speaks TLS.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// What the certificate must be for. A name is also told to the server (SNI, RFC 6066 §3).
    pub server_name: Host,
    /// Does not tell the name to the server.
    pub disable_sni: bool,
    /// The application protocols to offer, best first (RFC 7301). None: what the layer above needs.
    pub alpn: Vec<Vec<u8>>,
    /// Who is trusted.
    pub roots: Roots,
    /// What the certificate must match; any one is enough. See [`Pin`] for what each kind replaces.
    pub pins: Vec<Pin>,
    /// Takes any certificate. Pins must match all the same.
    pub allow_insecure: bool,
    /// What this client shows to a server that asks who it is.
    pub identity: Option<Identity>,
    /// The versions of TLS to speak.
    pub versions: TlsVersions,
}

impl ClientTls {
    /// TLS as browsers speak it: to the server of this name, trusting the usual authorities.
    #[must_use]
    pub fn new(server_name: Host) -> Self {
        Self {
            server_name,
            disable_sni: false,
            alpn: Vec::new(),
            roots: Roots::Default,
            pins: Vec::new(),
            allow_insecure: false,
            identity: None,
            versions: TlsVersions::default(),
        }
    }
}

/// Who is trusted to say whose a certificate is.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// The authorities that Mozilla trusts.
    #[default]
    Default,
    /// Only these. A certificate of a server that is itself in the list is trusted as it is.
    Own(Vec<CertificateDer<'static>>),
    /// Both.
    DefaultAnd(Vec<CertificateDer<'static>>),
}

/// The hash of a certificate that a server must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pin {
    /// SHA-256 of a certificate in DER (Xray's `pinnedPeerCertSha256`).
    ///
    /// As with Xray, a match with the certificate of the server replaces every other check; a match
    /// with another one of its chain makes that one the only authority, which must have issued the
    /// certificate for the name of the server.
    Certificate([u8; 32]),
    /// V2Ray's hash of all certificates that the server sends (`pinnedPeerCertificateChainSha256`):
    /// the SHA-256 of the first, then each time the SHA-256 of what is there and of the next.
    ///
    /// As with V2Ray, it is checked beside everything else, unless any certificate is taken.
    Chain([u8; 32]),
    /// SHA-256 of the public key (SubjectPublicKeyInfo in DER) of the server (sing-box's
    /// `certificate_public_key_sha256`).
    ///
    /// As with sing-box, a match replaces every other check.
    PublicKey([u8; 32]),
}

impl fmt::Display for Pin {
    /// Writes the hash as the programs that invented the pin do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(hash) => {
                f.write_str("certificate ")?;
                hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Chain(hash) => write!(f, "chain {}", BASE64_STANDARD.encode(hash)),
            Self::PublicKey(hash) => write!(f, "public key {}", BASE64_STANDARD.encode(hash)),
        }
    }
}

/// A version of TLS. Older ones are not spoken (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// A range of versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsVersions {
    /// The lowest.
    pub min: TlsVersion,
    /// The highest.
    pub max: TlsVersion,
}

impl Default for TlsVersions {
    fn default() -> Self {
        Self { min: TlsVersion::V1_2, max: TlsVersion::V1_3 }
    }
}

impl TlsVersions {
    pub(super) fn supported(self) -> Result<Vec<&'static SupportedProtocolVersion>, SetupError> {
        match (self.min, self.max) {
            (TlsVersion::V1_2, TlsVersion::V1_2) => Ok(vec![&version::TLS12]),
            (TlsVersion::V1_2, TlsVersion::V1_3) => Ok(vec![&version::TLS13, &version::TLS12]),
            (TlsVersion::V1_3, TlsVersion::V1_3) => Ok(vec![&version::TLS13]),
            (TlsVersion::V1_3, TlsVersion::V1_2) => Err(SetupError::Versions),
        }
    }
}

/// How a server speaks TLS.
#[derive(Debug, Clone, Default)]
pub struct ServerTls {
    /// Certificates with their keys. The first that is for the name that a client asks for is shown,
    /// else the first.
    pub identities: Vec<IdentitySource>,
    /// The application protocols to take, best first (RFC 7301). None: what the layer above needs.
    pub alpn: Vec<Vec<u8>>,
    /// Who must have issued the certificates of clients; without it clients need none.
    pub client_roots: Option<Vec<CertificateDer<'static>>>,
    /// The versions of TLS to speak.
    pub versions: TlsVersions,
    /// Ends the handshake with a client that asks for a name that no certificate is for, or for none.
    pub reject_unknown_sni: bool,
}
