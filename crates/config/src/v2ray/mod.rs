//! The dialect of V2Ray 4, V2Ray 5 (in its version 4 form) and Xray.

mod accounts;
mod attrs;
mod balancer;
mod checks;
mod conditions;
mod dns;
mod dns_address;
mod dns_outbound;
mod dns_server;
mod domain;
mod door;
mod file;
mod inbound;
mod ip;
mod listen;
mod load_balance;
mod log;
mod observatory;
mod outbound;
mod policy;
mod port;
mod routing;
mod rule;
mod sniffing;
mod sockopt;
mod strategy;
mod stream;
mod udp;
mod upstream;

pub(crate) use file::read;

use crate::{host, keys::KeyTable, names};

static TABLES: &[&KeyTable] = &[
    &file::FILE,
    &log::LOG,
    &dns::DNS,
    &dns_server::SERVER,
    &inbound::INBOUND,
    &accounts::SOCKS_INBOUND,
    &accounts::HTTP_INBOUND,
    &accounts::ACCOUNT,
    &door::DOOR,
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
    &load_balance::keys::SETTINGS,
    &load_balance::keys::PROBE,
    &load_balance::keys::TOP_N,
    &load_balance::keys::HASH,
    &load_balance::keys::HYSTERESIS,
    &load_balance::keys::DIAL,
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
    &sockopt::SOCKOPT,
    &stream::ALLOCATE,
    &stream::MUX,
];

/// Every table of keys, in the order of the reference page.
#[must_use]
pub fn key_tables() -> &'static [&'static KeyTable] {
    TABLES
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::keys::{Form, Status, is_comment};

    #[test]
    fn no_key_and_no_table_is_there_twice() {
        let mut tables = BTreeSet::new();
        for table in key_tables() {
            assert!(tables.insert(table.name), "{}", table.name);
            let mut names = BTreeSet::new();
            for key in table.keys {
                for name in key.aliases.iter().chain([&key.name]) {
                    assert!(names.insert(name.to_ascii_lowercase()), "{} {name}", table.name);
                    assert!(!is_comment(name), "{} {name}", table.name);
                }
            }
        }
    }

    #[test]
    fn every_table_that_is_referred_to_exists_and_is_used() {
        let names: BTreeSet<&str> = key_tables().iter().map(|table| table.name).collect();
        let mut used = BTreeSet::from(["File"]);
        for table in key_tables() {
            for key in table.keys {
                if let Form::Object(name) | Form::Objects(name) = key.form {
                    assert!(names.contains(name), "{}.{} refers to {name}", table.name, key.name);
                    used.insert(name);
                }
            }
        }
        for settings in
            ["SocksInboundSettings", "HttpInboundSettings", "FreedomSettings", "BlackholeSettings"]
        {
            used.insert(settings);
        }
        used.extend(["DnsServer", "DnsOutboundSettings", "SocksOutboundSettings", "HttpOutboundSettings"]);
        used.extend(["LoadBalanceSettings", "DoorSettings", "LoopbackSettings", "PolicyLevel"]);
        assert_eq!(used, names);
    }

    #[test]
    fn lines_of_documentation_are_sentences() {
        for table in key_tables() {
            assert!(table.doc.ends_with('.'), "{}", table.name);
            for key in table.keys {
                assert!(key.doc.ends_with('.') && !key.doc.contains('\n'), "{}.{}", table.name, key.name);
                if let Status::NoEffect(why) | Status::OnlyOff(why) | Status::Unsupported(why) = key.status {
                    assert!(!why.is_empty() && !why.ends_with('.'), "{}.{}", table.name, key.name);
                }
            }
        }
    }
}
