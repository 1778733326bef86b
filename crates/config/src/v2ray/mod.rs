//! The dialect of V2Ray 4, V2Ray 5 (in its version 4 form) and Xray.

mod accounts;
mod api;
mod attrs;
mod balancer;
mod conditions;
mod dns;
pub(crate) mod dns_address;
mod dns_outbound;
mod dns_server;
mod domain;
mod door;
mod file;
mod inbound;
mod ip;
mod layers;
mod listen;
mod log;
mod observatory;
mod outbound;
mod policy;
mod port;
mod proxy_settings;
mod routing;
mod rule;
mod sniffing;
mod sockopt;
mod strategy;
mod stream;
mod tls;
mod tunnel;
mod udp;
mod upstream;

pub(crate) use file::read;

use crate::{checks, groups, host, keys::KeyTable, names};

/// In the order of the reference page.
pub(crate) static TABLES: &[&KeyTable] = &[
    &file::FILE,
    &log::LOG,
    &api::API,
    &crate::remote::V2RAY,
    &dns::DNS,
    &dns_server::SERVER,
    &inbound::INBOUND,
    &accounts::SOCKS_INBOUND,
    &accounts::HTTP_INBOUND,
    &accounts::ACCOUNT,
    &door::DOOR,
    &tunnel::shadowsocks::INBOUND,
    &tunnel::shadowsocks::CLIENT,
    &tunnel::vmess::INBOUND,
    &tunnel::vmess::DEFAULT,
    &tunnel::vmess::CLIENT,
    &tunnel::vless::INBOUND,
    &tunnel::vless::CLIENT,
    &tunnel::trojan::INBOUND,
    &tunnel::trojan::CLIENT,
    &tunnel::trojan::FALLBACK,
    &outbound::OUTBOUND,
    &outbound::FREEDOM,
    &outbound::BLACKHOLE,
    &outbound::RESPONSE,
    &dns_outbound::DNS_OUTBOUND,
    &outbound::LOOPBACK,
    &upstream::SOCKS_OUTBOUND,
    &upstream::HTTP_OUTBOUND,
    &upstream::SERVER,
    &upstream::USER,
    &tunnel::shadowsocks::OUTBOUND,
    &tunnel::shadowsocks::SERVER,
    &tunnel::shadowsocks::OUTBOUND_2022,
    &tunnel::vmess::OUTBOUND,
    &tunnel::vmess::SERVER,
    &tunnel::vmess::USER,
    &tunnel::vless::OUTBOUND,
    &tunnel::vless::SERVER,
    &tunnel::vless::USER,
    &tunnel::trojan::OUTBOUND,
    &tunnel::trojan::SERVER,
    &proxy_settings::PROXY_SETTINGS,
    &groups::selector::SETTINGS,
    &groups::urltest::SETTINGS,
    &groups::load_balance::keys::SETTINGS,
    &groups::load_balance::keys::PROBE,
    &groups::load_balance::keys::TOP_N,
    &groups::load_balance::keys::HASH,
    &groups::load_balance::keys::HYSTERESIS,
    &groups::load_balance::keys::DIAL,
    &routing::ROUTING,
    &routing::ROUTING_SETTINGS,
    &rule::RULE,
    &balancer::BALANCER,
    &strategy::STRATEGY,
    &strategy::SETTINGS,
    &strategy::COST,
    &observatory::OBSERVATORY,
    &observatory::BURST,
    &observatory::PING_CONFIG,
    &observatory::MULTI,
    &observatory::OBSERVER,
    &sniffing::SNIFFING,
    &policy::POLICY,
    &policy::LEVEL,
    &policy::SYSTEM,
    &policy::STATS,
    &stream::STREAM_SETTINGS,
    &tls::TLS,
    &tls::CERTIFICATE,
    &layers::TCP,
    &layers::TCP_HEADER,
    &layers::WEB_SOCKET,
    &layers::GRPC,
    &layers::HTTP_UPGRADE,
    &sockopt::SOCKOPT,
    &stream::ALLOCATE,
    &stream::MUX,
];
