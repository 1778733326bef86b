//! What an outbound that dials is, whatever it is called.

use sha2::{Digest as _, Sha256};
use waypost_config::model::{
    self, Account, OutboundProtocol, ProxyServer, ShadowsocksKey, SocketOptions, UserId, VmessAccount,
};
use waypost_net::{Networks, Secret, Tag};

/// No datagrams.
const TCP: Networks = Networks { tcp: true, udp: false };

/// An outbound that dials.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) tag: Option<Tag>,
    /// What it is, whatever it is called.
    pub(super) identity: Box<[u8]>,
    pub(super) networks: Networks,
}

impl Leaf {
    /// What an outbound is; `None` for a group.
    pub(super) fn new(tag: Option<Tag>, outbound: &model::Outbound) -> Option<Self> {
        let is_plain = outbound.transport.is_plain() && outbound.detour.is_none();
        let (mut identity, networks) = match &outbound.protocol {
            OutboundProtocol::Freedom { resolve, redirect } => {
                let mut identity = format!("freedom|{resolve:?}");
                if let Some(redirect) = redirect {
                    identity.push_str(&format!("|{redirect:?}"));
                }
                (identity.into_bytes(), if outbound.detour.is_none() { Networks::ALL } else { TCP })
            }
            OutboundProtocol::Blackhole { .. } => (b"blackhole".to_vec(), Networks::ALL),
            // Nothing that a group could send there.
            OutboundProtocol::Dns(_) => (b"dns".to_vec(), Networks { tcp: false, udp: false }),
            OutboundProtocol::Api => (b"api".to_vec(), Networks { tcp: false, udp: false }),
            OutboundProtocol::Loopback { inbound } => {
                (format!("loopback|{inbound}").into_bytes(), Networks::ALL)
            }
            OutboundProtocol::Socks(servers) => {
                let identity = servers_identity("socks", servers);
                (identity, if outbound.detour.is_none() { Networks::ALL } else { TCP })
            }
            OutboundProtocol::Http(servers) => (servers_identity("http", servers), TCP),
            OutboundProtocol::Shadowsocks(servers) => {
                let identity = servers_identity("shadowsocks", servers);
                (identity, if is_plain { Networks::ALL } else { TCP })
            }
            OutboundProtocol::Vmess(servers) => (servers_identity("vmess", servers), Networks::ALL),
            OutboundProtocol::Vless(servers) => (servers_identity("vless", servers), Networks::ALL),
            OutboundProtocol::Trojan(servers) => (servers_identity("trojan", servers), Networks::ALL),
            OutboundProtocol::LoadBalance(_)
            | OutboundProtocol::Selector(_)
            | OutboundProtocol::UrlTest(_) => {
                return None;
            }
        };
        let SocketOptions { send_through, mark, interface, .. } = &outbound.socket;
        if send_through.is_some() || mark.is_some() || interface.is_some() {
            identity.extend_from_slice(format!("|{send_through:?}|{mark:?}|{interface:?}").as_bytes());
        }
        if !outbound.transport.is_plain() {
            identity.push(b'|');
            let tls = outbound.transport.tls.as_ref();
            let name = tls.map(|tls| (&tls.server_name, &tls.pins));
            let layer = &outbound.transport.layer;
            identity.extend_from_slice(format!("{name:?}|{layer:?}").as_bytes());
        }
        if let Some(detour) = &outbound.detour {
            identity.extend_from_slice(format!("|through {}", detour.value).as_bytes());
        }
        let allowed = outbound.networks;
        let networks = Networks { tcp: networks.tcp && allowed.tcp, udp: networks.udp && allowed.udp };
        Some(Self { tag, identity: identity.into(), networks })
    }
}

/// Protocol, addresses and accounts; passwords only as a digest.
fn servers_identity<A: Identified>(protocol: &str, servers: &[ProxyServer<A>]) -> Vec<u8> {
    let mut identity = protocol.as_bytes().to_vec();
    for server in servers {
        identity.extend_from_slice(format!("|{}:{}", server.host, server.port).as_bytes());
        server.account.identify(&mut identity);
    }
    identity
}

/// What tells one account at a server from another.
trait Identified {
    fn identify(&self, identity: &mut Vec<u8>);
}

impl Identified for Option<Account> {
    fn identify(&self, identity: &mut Vec<u8>) {
        if let Some(account) = self {
            identity.extend_from_slice(format!("|{}|", account.user).as_bytes());
            identity.extend_from_slice(&Sha256::digest(account.password.expose().as_bytes()));
        }
    }
}

impl Identified for ShadowsocksKey {
    fn identify(&self, identity: &mut Vec<u8>) {
        identity.extend_from_slice(format!("|{}|", self.method.name()).as_bytes());
        self.password.identify(identity);
    }
}

impl Identified for VmessAccount {
    fn identify(&self, identity: &mut Vec<u8>) {
        identity.extend_from_slice(format!("|{}|", self.security.name()).as_bytes());
        self.id.identify(identity);
    }
}

impl Identified for UserId {
    fn identify(&self, identity: &mut Vec<u8>) {
        identity.extend_from_slice(&Sha256::digest(self.expose()));
    }
}

impl Identified for Secret {
    fn identify(&self, identity: &mut Vec<u8>) {
        identity.extend_from_slice(&Sha256::digest(self.expose().as_bytes()));
    }
}
