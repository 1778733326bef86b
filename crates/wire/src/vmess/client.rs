use rand::{Rng, RngExt as _};
use waypost_net::{Network, Target};

use super::{
    VmessOpener, VmessSealer, VmessSecurity, VmessUser,
    chunks::{BodyForm, Session},
    cryption::Key,
    header::{Header, Options},
    kdf,
};

/// What a client asks a server for.
#[derive(Debug, Clone)]
pub struct VmessRequest<'a> {
    /// How the body is protected.
    pub security: VmessSecurity,
    /// A byte stream or datagrams.
    pub network: Network,
    /// Where to.
    pub target: &'a Target,
    /// Whether chunks get some random bytes behind them that hide their length, as V2Ray always has it and
    /// sing-box does not unless told so ("global padding"). Without encryption there is none.
    pub is_padded: bool,
    /// Whether lengths of chunks are encrypted instead of masked ("authenticated length", an experiment
    /// of V2Ray 5, Xray and sing-box that V2Ray 4 does not know). Without encryption they are not.
    pub is_length_sealed: bool,
}

/// The client's side of a connection.
#[derive(Debug)]
pub struct VmessClient {
    /// Writes the request and its body.
    pub sealer: VmessSealer,
    /// Reads the answer and its body.
    pub opener: VmessOpener,
}

impl VmessClient {
    /// A connection of `user` that begins `now` (in seconds since 1970). `rng` has to be unpredictable.
    #[must_use]
    pub fn new(user: &VmessUser, request: &VmessRequest<'_>, now: u64, rng: &mut impl Rng) -> Self {
        let header = Header {
            vector: rng.random(),
            key: rng.random(),
            answer: rng.random(),
            form: request.form(),
            network: request.network,
            target: request.target.clone(),
        };
        let head = seal_header(user, &header, now, rng);
        let session = Session::new(header.key, header.vector);
        let sealer = VmessSealer::new(head, header.form, &session, &session.request, rng);
        let opener = VmessOpener::of_answer(header.form, &session, header.answer);
        Self { sealer, opener }
    }
}

impl VmessRequest<'_> {
    fn form(&self) -> BodyForm {
        let is_encrypted = self.security.is_encrypted();
        let is_chunked = match (self.security, self.network) {
            (VmessSecurity::Zero, Network::Tcp) => false,
            (VmessSecurity::Zero, Network::Udp)
            | (VmessSecurity::Aes128Gcm | VmessSecurity::ChaCha20Poly1305 | VmessSecurity::None, _) => true,
        };
        let options = Options {
            is_chunked,
            is_masked: is_chunked,
            is_padded: is_encrypted && self.is_padded,
            is_length_sealed: is_encrypted && self.is_length_sealed,
        };
        BodyForm { security: self.security, options }
    }
}

/// Auth id, encrypted length of the header, nonce of the connection, encrypted header.
fn seal_header(user: &VmessUser, header: &Header, now: u64, rng: &mut impl Rng) -> Vec<u8> {
    let mut padding = [0; 15];
    rng.fill_bytes(&mut padding);
    let padding_length = rng.random_range(0..=padding.len());
    let plain = header.to_bytes(padding.get(..padding_length).unwrap_or_default());
    let auth_id = user.auth_id(now, rng);
    let nonce: [u8; 8] = rng.random();
    let keys = HeaderKeys { command_key: user.command_key(), auth_id: &auth_id, nonce: &nonce };

    let mut message = Vec::with_capacity(16 + 18 + 8 + plain.len() + 16);
    message.extend_from_slice(&auth_id);
    let start = message.len();
    message.extend_from_slice(&u16::try_from(plain.len()).unwrap_or(u16::MAX).to_be_bytes());
    let (key, length_nonce) = keys.of_length();
    key.seal_from(start, length_nonce, &auth_id, &mut message);
    message.extend_from_slice(&nonce);
    let start = message.len();
    message.extend_from_slice(&plain);
    let (key, header_nonce) = keys.of_header();
    key.seal_from(start, header_nonce, &auth_id, &mut message);
    message
}

/// What the keys of a header are derived from.
pub(super) struct HeaderKeys<'a> {
    pub(super) command_key: &'a [u8; 16],
    pub(super) auth_id: &'a [u8; 16],
    pub(super) nonce: &'a [u8; 8],
}

impl HeaderKeys<'_> {
    pub(super) fn of_length(&self) -> (Key, [u8; 12]) {
        (Key::aes(self.derive(kdf::HEADER_LENGTH_KEY)), self.derive(kdf::HEADER_LENGTH_NONCE))
    }

    pub(super) fn of_header(&self) -> (Key, [u8; 12]) {
        (Key::aes(self.derive(kdf::HEADER_KEY)), self.derive(kdf::HEADER_NONCE))
    }

    fn derive<const N: usize>(&self, salt: &[u8]) -> [u8; N] {
        kdf::derive_array(self.command_key, &[salt, self.auth_id, self.nonce])
    }
}
