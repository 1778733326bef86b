use std::time::Duration;

use waypost_net::Tag;

use super::{
    super::{
        json::{Fields, Json},
        losses::Losses,
        text,
    },
    Names,
};
use crate::model::{Balancer, BalancerStrategy, Config};

/// A group is probed for so long after its last connection, if nothing else is said.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The groups that stand for balancers.
pub(super) fn groups(config: &Config, names: &Names, losses: &mut Losses) -> Vec<Json> {
    config.routing.balancers.iter().map(|balancer| group(balancer, config, names, losses).into()).collect()
}

fn group(balancer: &Balancer, config: &Config, names: &Names, losses: &mut Losses) -> Fields {
    let mut members = members(balancer, config);
    let mut fields = Fields::default();
    fields.put("type", "loadbalance");
    fields.put("tag", names.group(&balancer.tag.value));
    let fallback = balancer.fallback.as_ref().map(|tag| tag.value.as_str());
    // Of an empty balancer only the fallback is left.
    if members.is_empty() {
        members.extend(fallback);
    }
    let backup: Vec<&str> = fallback.into_iter().filter(|tag| !members.contains(tag)).collect();
    fields.put("primary_outbounds", members);
    fields.put_filled("backup_outbounds", backup);
    fields.put(
        "strategy",
        match balancer.strategy {
            BalancerStrategy::Random => "random",
            BalancerStrategy::RoundRobin => "round_robin",
            BalancerStrategy::LeastPing => "least_ping",
            BalancerStrategy::LeastLoad(_) => {
                losses.lose(balancer.span, "`leastLoad`", "`least_ping` takes the fastest");
                "least_ping"
            }
        },
    );
    let observer = balancer.observer.and_then(|index| config.observatories.get(index));
    if let Some(observatory) = observer {
        fields.put("url", &*observatory.url.text);
        fields.put("interval", text::duration(observatory.interval));
        if observatory.interval > IDLE_TIMEOUT {
            fields.put("idle_timeout", text::duration(observatory.interval));
        }
        fields.put("timeout", text::duration(observatory.timeout));
        let mut probe = Fields::default();
        probe.put("method", text::method(observatory.method));
        fields.put("probe", probe);
        let connectivity = observatory.burst.as_ref().and_then(|burst| burst.connectivity.as_ref());
        if connectivity.is_some() {
            losses.lose(observatory.span, "`connectivity` of an observatory", None);
        }
    }
    fields
}

/// The outbounds that a balancer picks from, in the order in which it takes turns.
fn members<'a>(balancer: &Balancer, config: &'a Config) -> Vec<&'a str> {
    let tags = config.outbounds.iter().filter_map(|outbound| outbound.tag.as_ref());
    let selected =
        |tag: &&Tag| balancer.selector.iter().any(|prefix| tag.as_str().starts_with(&*prefix.value));
    let mut members: Vec<&str> = tags.map(|tag| &tag.value).filter(selected).map(Tag::as_str).collect();
    members.sort_unstable();
    members
}
