//! What is configured, as messages of Xray, which alone has methods for it. Passwords are left out.

use std::{collections::BTreeMap, time::Duration};

use prost::Message;
use waypost_config::model::{
    AddressFamily, ClientProtocol, Door as DoorModel, FreedomResolve, Inbound, InboundProtocol, Listen,
    Outbound, OutboundProtocol, ProxyServer, Redirect, SocketOptions,
};
use waypost_net::{Host, Networks};

use crate::{
    messages::{
        common::{
            Endpoint, IpOrDomain, Network, PortList, PortRange, ServerEndpoint, TypedMessage, User,
            ip_or_domain::Address,
        },
        proxy::{
            Account, Blackhole, Client, DestinationOverride, Door, Freedom, HttpServer, Loopback, Sender,
            SocksServer, Stream, XrayDns, XrayReceiver, XraySniffing, XraySocket,
        },
        proxyman::{InboundHandlerConfig, OutboundHandlerConfig},
    },
    routing::context::write_ip,
};

/// A message under the name of Xray.
fn typed(name: &str, message: &impl Message) -> Option<TypedMessage> {
    Some(TypedMessage { r#type: format!("xray.{name}"), value: message.encode_to_vec() })
}

fn host(host: &Host) -> IpOrDomain {
    let address = match host {
        Host::Ip(address) => Address::Ip(write_ip(*address)),
        Host::Domain(name) => Address::Domain(name.to_string()),
    };
    IpOrDomain { address: Some(address) }
}

/// What is set on sockets, if something is.
fn stream(socket: &SocketOptions) -> Vec<u8> {
    let small = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    let seconds = |duration: Option<Duration>| duration.map_or(0, |duration| small(duration.as_secs()));
    let millis =
        socket.user_timeout.map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    let socket = XraySocket {
        // Both have 32 bits; Xray's has a sign.
        mark: socket.mark.map_or(0, u32::cast_signed),
        tfo: socket.fast_open.map_or(0, |queue| small(queue.into())),
        tcp_keep_alive_interval: seconds(socket.keep_alive_interval),
        tcp_keep_alive_idle: seconds(socket.keep_alive_idle),
        tcp_congestion: socket.congestion.as_deref().unwrap_or_default().to_owned(),
        interface: socket.interface.as_deref().unwrap_or_default().to_owned(),
        tcp_user_timeout: small(millis),
        ..XraySocket::default()
    };
    let socket = socket.encode_to_vec();
    Stream { socket, ..Stream::default() }.encode_to_vec()
}

pub(super) fn inbound(inbound: &Inbound) -> InboundHandlerConfig {
    let (listen, port_list) = match &inbound.listen {
        Listen::Ports { ip, ports } => {
            let range = PortRange { from: ports.first.into(), to: ports.last.into() };
            (host(&Host::Ip(*ip)), Some(PortList { range: vec![range] }))
        }
        Listen::Unix { path, .. } => (IpOrDomain { address: Some(Address::Domain(path.to_string())) }, None),
    };
    let sniffing = inbound.sniffing.as_ref().map(|sniffing| XraySniffing {
        enabled: true,
        destination_override: sniffing
            .dest_override
            .iter()
            .map(|word| word.label_prefix().to_owned())
            .collect(),
        metadata_only: sniffing.metadata_only,
        route_only: sniffing.route_only,
        ..XraySniffing::default()
    });
    let receiver = XrayReceiver {
        port_list,
        listen: Some(listen),
        stream_settings: stream(&inbound.socket),
        sniffing_settings: sniffing.map(|sniffing| sniffing.encode_to_vec()).unwrap_or_default(),
        ..XrayReceiver::default()
    };
    InboundHandlerConfig {
        tag: inbound.tag.as_ref().map_or_else(String::new, |tag| tag.value.to_string()),
        receiver_settings: typed("app.proxyman.ReceiverConfig", &receiver),
        proxy_settings: match &inbound.protocol {
            InboundProtocol::Client(ClientProtocol::Http) => {
                let server = HttpServer { accounts: accounts(inbound), ..HttpServer::default() };
                typed("proxy.http.ServerConfig", &server)
            }
            InboundProtocol::Client(ClientProtocol::Socks | ClientProtocol::Mixed) => {
                let address = inbound.udp.and_then(|udp| udp.address);
                let server = SocksServer {
                    auth_type: i32::from(!inbound.accounts.is_empty()),
                    accounts: accounts(inbound),
                    address: address.map(|address| host(&Host::Ip(address))),
                    udp_enabled: inbound.udp.is_some(),
                    ..SocksServer::default()
                };
                typed("proxy.socks.ServerConfig", &server)
            }
            InboundProtocol::Door(door) => typed("proxy.dokodemo.Config", &self::door(door)),
            InboundProtocol::Shadowsocks(_)
            | InboundProtocol::Vmess(_)
            | InboundProtocol::Vless(_)
            | InboundProtocol::Trojan(_) => None,
        },
    }
}

fn accounts(inbound: &Inbound) -> BTreeMap<String, String> {
    inbound.accounts.iter().map(|account| (account.user.to_string(), String::new())).collect()
}

fn door(door: &DoorModel) -> Door {
    Door {
        address: door.host.as_ref().map(host),
        port: door.port.map_or(0, u32::from),
        follow_redirect: door.follow_redirect,
        networks: networks(door.networks),
        ..Door::default()
    }
}

fn networks(networks: Networks) -> Vec<i32> {
    let known = [(networks.tcp, Network::Tcp), (networks.udp, Network::Udp)];
    known.into_iter().filter(|(is_in, _)| *is_in).map(|(_, network)| network.into()).collect()
}

/// The users of an inbound, by their login names.
pub(super) fn users(inbound: &Inbound) -> Vec<User> {
    let name = match inbound.protocol {
        InboundProtocol::Client(ClientProtocol::Http) => "proxy.http.Account",
        InboundProtocol::Client(ClientProtocol::Socks | ClientProtocol::Mixed)
        | InboundProtocol::Door(_)
        | InboundProtocol::Shadowsocks(_)
        | InboundProtocol::Vmess(_)
        | InboundProtocol::Vless(_)
        | InboundProtocol::Trojan(_) => "proxy.socks.Account",
    };
    let user = |account: &waypost_config::model::Account| {
        let login = Account { username: account.user.to_string(), password: String::new() };
        User { level: 0, email: account.user.to_string(), account: typed(name, &login) }
    };
    inbound.accounts.iter().map(user).collect()
}

/// An outbound. Groups are none of Xray's, and have nothing but a tag.
pub(super) fn outbound(outbound: &Outbound) -> OutboundHandlerConfig {
    let via = outbound.socket.send_through.map(|address| host(&Host::Ip(address)));
    let sender = Sender { via, stream_settings: stream(&outbound.socket), ..Sender::default() };
    let is_group = outbound.protocol.is_group();
    OutboundHandlerConfig {
        tag: outbound.tag.as_ref().map_or_else(String::new, |tag| tag.value.to_string()),
        sender_settings: typed("app.proxyman.SenderConfig", &sender).filter(|_| !is_group),
        proxy_settings: proxy(&outbound.protocol),
        ..OutboundHandlerConfig::default()
    }
}

fn proxy(protocol: &OutboundProtocol) -> Option<TypedMessage> {
    match protocol {
        OutboundProtocol::Freedom { resolve, redirect } => {
            let domain_strategy = match resolve {
                FreedomResolve::AsIs => 0,
                FreedomResolve::Use(AddressFamily::Any) => 1,
                FreedomResolve::Use(AddressFamily::V4) => 2,
                FreedomResolve::Use(AddressFamily::V6) => 3,
            };
            let server = redirect.as_ref().map(|Redirect { host: name, port }| ServerEndpoint {
                address: name.as_ref().map(host),
                port: port.map_or(0, u32::from),
                user: Vec::new(),
            });
            let destination_override = server.map(|server| DestinationOverride { server: Some(server) });
            let freedom = Freedom { domain_strategy, destination_override, ..Freedom::default() };
            typed("proxy.freedom.Config", &freedom)
        }
        OutboundProtocol::Blackhole { http_response } => {
            let kind = if *http_response { "HTTPResponse" } else { "NoneResponse" };
            let response = TypedMessage { r#type: format!("xray.proxy.blackhole.{kind}"), value: Vec::new() };
            typed("proxy.blackhole.Config", &Blackhole { response: Some(response) })
        }
        OutboundProtocol::Socks(servers) => typed("proxy.socks.ClientConfig", &client(servers, "socks")),
        OutboundProtocol::Http(servers) => typed("proxy.http.ClientConfig", &client(servers, "http")),
        OutboundProtocol::Dns(dns) => {
            let network = dns.network.map_or(Network::Unknown, |network| match network {
                waypost_net::Network::Tcp => Network::Tcp,
                waypost_net::Network::Udp => Network::Udp,
            });
            let (address, port) = (dns.host.as_ref().map(host), dns.port.map_or(0, u32::from));
            let server = Endpoint { network: network.into(), address, port };
            let rewrite_server = Some(server).filter(|server| *server != Endpoint::default());
            typed("proxy.dns.Config", &XrayDns { user_level: 0, rewrite_server })
        }
        OutboundProtocol::Loopback { inbound } => {
            typed("proxy.loopback.Config", &Loopback { inbound_tag: inbound.to_string() })
        }
        OutboundProtocol::Api
        | OutboundProtocol::Shadowsocks(_)
        | OutboundProtocol::Vmess(_)
        | OutboundProtocol::Vless(_)
        | OutboundProtocol::Trojan(_)
        | OutboundProtocol::LoadBalance(_)
        | OutboundProtocol::Selector(_)
        | OutboundProtocol::UrlTest(_) => None,
    }
}

fn client(servers: &[ProxyServer], protocol: &str) -> Client {
    let user = |account: &waypost_config::model::Account| {
        let login = Account { username: account.user.to_string(), password: String::new() };
        User { account: typed(&format!("proxy.{protocol}.Account"), &login), ..User::default() }
    };
    let server = |server: &ProxyServer| ServerEndpoint {
        address: Some(host(&server.host)),
        port: server.port.into(),
        user: server.account.iter().map(user).collect(),
    };
    Client { server: servers.iter().map(server).collect() }
}
