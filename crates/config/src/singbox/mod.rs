//! The dialect of sing-box 1.11 and later.

mod action;
mod conditions;
mod dial;
mod dns;
mod dns_rule;
mod dns_special;
mod dns_tls;
mod experimental;
mod file;
mod http_client;
mod inbound;
mod list;
mod listen;
mod log;
mod outbound;
mod route;
mod rule;
mod rule_set;
mod tls;
mod transport;
mod tunnel;

pub(crate) use file::read;

use crate::{checks, groups, host, keys::KeyTable, names};

/// Every table of keys, in the order of the reference page.
pub(crate) static TABLES: &[&KeyTable] = &[
    &file::FILE,
    &log::LOG,
    &dns::DNS,
    &dns::LOCAL,
    &dns::HOSTS,
    &dns::REMOTE,
    &dns::HTTPS,
    &dns_tls::TLS,
    &dns_special::FAKEIP,
    &dns::LEGACY,
    &dns_rule::RULE,
    &inbound::MIXED,
    &inbound::SOCKS,
    &inbound::HTTP,
    &inbound::DIRECT,
    &inbound::REDIRECT,
    &inbound::USER,
    &tunnel::inbound::SHADOWSOCKS,
    &tunnel::inbound::SHADOWSOCKS_USER,
    &tunnel::inbound::VMESS,
    &tunnel::inbound::VMESS_USER,
    &tunnel::inbound::VLESS,
    &tunnel::inbound::VLESS_USER,
    &tunnel::inbound::TROJAN,
    &tunnel::inbound::TROJAN_USER,
    &tunnel::inbound::FALLBACK,
    &tls::INBOUND,
    &outbound::DIRECT,
    &outbound::BLOCK,
    &outbound::SOCKS,
    &outbound::HTTP,
    &tunnel::outbound::SHADOWSOCKS,
    &tunnel::outbound::VMESS,
    &tunnel::outbound::VLESS,
    &tunnel::outbound::TROJAN,
    &tls::OUTBOUND,
    &transport::WEB_SOCKET,
    &transport::GRPC,
    &transport::HTTP_UPGRADE,
    &outbound::DNS,
    &outbound::SELECTOR,
    &outbound::URLTEST,
    &outbound::LOAD_BALANCE,
    &groups::load_balance::keys::PROBE,
    &groups::load_balance::keys::TOP_N,
    &groups::load_balance::keys::HASH,
    &groups::load_balance::keys::HYSTERESIS,
    &groups::load_balance::keys::DIAL,
    &dial::DOMAIN_RESOLVER,
    &route::ROUTE,
    &rule::RULE,
    &rule_set::INLINE,
    &rule_set::LOCAL,
    &rule_set::REMOTE,
    &crate::rule_set::HEADLESS_RULE,
    &http_client::HTTP_CLIENT,
    &experimental::EXPERIMENTAL,
    &crate::remote::SINGBOX,
    &experimental::CACHE_FILE,
];
