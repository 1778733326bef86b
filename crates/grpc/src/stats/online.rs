//! Who is connected. Xray counts addresses that were seen in the last seconds; here they are those of
//! live connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use waypost_proxy::Control;

use crate::messages::stats::{OnlineIpEntry, UserStat};

/// The users with live connections, and the addresses that they come from.
pub(super) fn users(control: &Control) -> BTreeMap<Arc<str>, BTreeSet<IpAddr>> {
    let mut users: BTreeMap<Arc<str>, BTreeSet<IpAddr>> = BTreeMap::new();
    for connection in control.connections().snapshot() {
        let info = &connection.info;
        if let Some(user) = &info.user {
            let sources = users.entry(user.clone()).or_default();
            sources.extend(info.source.map(|source| source.ip().to_canonical()));
        }
    }
    users
}

/// The name of the counter of a user.
pub(super) fn counter(user: &str) -> String {
    format!("user>>>{user}>>>online")
}

/// The addresses of the user whose counter this is; `None` if that user has no connection.
pub(super) fn sources(control: &Control, name: &str) -> Option<BTreeSet<IpAddr>> {
    users(control).into_iter().find_map(|(user, sources)| (counter(&user) == name).then_some(sources))
}

/// Users with their addresses.
pub(super) fn stats(users: BTreeMap<Arc<str>, BTreeSet<IpAddr>>) -> Vec<UserStat> {
    let now = now();
    let entry = |source: IpAddr| OnlineIpEntry { ip: source.to_string(), last_seen: now };
    let stat = |(user, sources): (Arc<str>, BTreeSet<IpAddr>)| UserStat {
        email: user.to_string(),
        ips: sources.into_iter().map(entry).collect(),
        traffic: None,
    };
    users.into_iter().map(stat).collect()
}

/// Unix seconds.
#[expect(clippy::disallowed_methods, reason = "clients are told when somebody was seen")]
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
