//! Protocols with keys of their own, client side: what they lay over a stream to a server.

use waypost_config::model::{ShadowsocksKey, UserId, VmessAccount, VmessSecurity as Wanted};
use waypost_net::{Network, Secret, Target};
use waypost_transport::{Coded, DatagramStream, Datagrams};
use waypost_wire::{
    TrojanUser, Uuid, VmessClient, VmessRequest, VmessSecurity, VmessUser, trojan_client,
    trojan_datagram_client, vless_client, vless_datagram_client,
};

use super::servers::DatagramForm;
use crate::{
    Stream,
    shadowsocks::{self, KeyError},
    stream::{Base, Layered},
    system::{thread_rng, unix_seconds},
};

/// What is spoken with a server, and the key for it.
#[derive(Debug)]
pub(crate) enum Tunnel {
    Shadowsocks(shadowsocks::Client),
    Vmess(Box<VmessUser>, VmessSecurity),
    Vless(Uuid),
    Trojan(TrojanUser),
}

/// Why a key cannot be used.
pub(super) type TunnelError = KeyError;

impl Tunnel {
    pub(super) fn shadowsocks(key: &ShadowsocksKey) -> Result<Self, TunnelError> {
        Ok(Self::Shadowsocks(shadowsocks::Client::try_new(key)?))
    }

    pub(super) fn vmess(account: &VmessAccount) -> Self {
        let security = match account.security {
            Wanted::Auto if has_aes() => VmessSecurity::Aes128Gcm,
            Wanted::Auto | Wanted::Chacha20Poly1305 => VmessSecurity::ChaCha20Poly1305,
            Wanted::Aes128Gcm => VmessSecurity::Aes128Gcm,
            Wanted::None => VmessSecurity::None,
            Wanted::Zero => VmessSecurity::Zero,
        };
        Self::Vmess(Box::new(VmessUser::new(&uuid(&account.id))), security)
    }

    pub(super) fn vless(id: &UserId) -> Self {
        Self::Vless(uuid(id))
    }

    pub(super) fn trojan(password: &Secret) -> Self {
        Self::Trojan(TrojanUser::new(password.expose()))
    }

    /// How datagrams travel to a server, which is reached by sockets alone if `is_plain`.
    pub(super) fn datagrams(&self, is_plain: bool) -> DatagramForm {
        match self {
            // They are no part of the stream that transports and other outbounds carry.
            Self::Shadowsocks(_) if is_plain => DatagramForm::Sealed,
            Self::Shadowsocks(_) => DatagramForm::None,
            Self::Vmess(..) | Self::Vless(_) => DatagramForm::StreamPerTarget,
            Self::Trojan(_) => DatagramForm::Stream,
        }
    }

    /// A stream to `target` inside of one to the server.
    pub(super) fn stream(&self, server: Stream, target: &Target) -> Stream {
        let (base, abort) = Base::new(server);
        match self {
            Self::Shadowsocks(client) => Layered::new(client.stream(base, target), abort),
            Self::Vmess(user, security) => {
                let VmessClient { sealer, opener } = vmess(user, *security, Network::Tcp, target);
                Layered::new(Coded::client(base, sealer, opener), abort)
            }
            Self::Vless(id) => {
                let (sealer, opener) = vless_client(id, target);
                Layered::new(Coded::client(base, sealer, opener), abort)
            }
            Self::Trojan(user) => {
                let (sealer, opener) = trojan_client(user, target);
                Layered::new(Coded::client(base, sealer, opener), abort)
            }
        }
        .into()
    }

    /// Datagrams to `target`, or to any, inside of a stream to the server.
    pub(super) fn datagram_stream(&self, server: Stream, target: &Target) -> Option<Box<dyn Datagrams>> {
        Some(match self {
            Self::Shadowsocks(_) => return None,
            Self::Vmess(user, security) => {
                let VmessClient { sealer, opener } = vmess(user, *security, Network::Udp, target);
                Box::new(DatagramStream::client(server, sealer, opener))
            }
            Self::Vless(id) => {
                let (sealer, opener) = vless_datagram_client(id, target);
                Box::new(DatagramStream::client(server, sealer, opener))
            }
            Self::Trojan(user) => {
                let (sealer, opener) = trojan_datagram_client(user, target);
                Box::new(DatagramStream::client(server, sealer, opener))
            }
        })
    }
}

fn uuid(id: &UserId) -> Uuid {
    Uuid::from_bytes(id.expose())
}

fn vmess(user: &VmessUser, security: VmessSecurity, network: Network, target: &Target) -> VmessClient {
    let request = VmessRequest { security, network, target, is_padded: false, is_length_sealed: false };
    VmessClient::new(user, &request, unix_seconds(), &mut thread_rng())
}

/// Whether the processor does AES by itself, so that it is faster than ChaCha20.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}
