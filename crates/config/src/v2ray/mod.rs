//! The dialect of V2Ray 4, V2Ray 5 (in its version 4 form) and Xray.

mod accounts;
mod attrs;
mod balancer;
mod checks;
mod conditions;
mod dialect;
mod dns;
mod domain;
mod file;
mod host;
mod inbound;
mod ip;
mod log;
mod names;
mod outbound;
mod port;
mod routing;
mod rule;
mod stream;
mod upstream;

pub(crate) use file::read;

use crate::keys::KeyTable;

pub(crate) static TABLES: &[&KeyTable] = &[
    &file::FILE,
    &log::LOG,
    &dns::DNS,
    &inbound::INBOUND,
    &accounts::SOCKS_INBOUND,
    &accounts::HTTP_INBOUND,
    &accounts::ACCOUNT,
    &outbound::OUTBOUND,
    &outbound::FREEDOM,
    &outbound::BLACKHOLE,
    &outbound::RESPONSE,
    &upstream::SOCKS_OUTBOUND,
    &upstream::HTTP_OUTBOUND,
    &upstream::SERVER,
    &upstream::USER,
    &routing::ROUTING,
    &routing::ROUTING_SETTINGS,
    &rule::RULE,
    &balancer::BALANCER,
    &balancer::STRATEGY,
    &balancer::STRATEGY_SETTINGS,
    &stream::SNIFFING,
    &stream::STREAM_SETTINGS,
    &stream::ALLOCATE,
    &stream::MUX,
];
