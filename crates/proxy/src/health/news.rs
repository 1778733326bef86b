//! What others hear when somebody else serves: new views, log lines, and why.

use std::sync::Arc;

use tracing::{info, warn};
use waypost_balance::{Group, Standing, Tier};
use waypost_health::{Event, MemberId};
use waypost_net::{Network, Tag};

use super::{GroupChange, watch::Watch};
use crate::system::{monotonic, wall_clock};

impl Watch {
    pub(super) fn publish(&mut self) {
        let pools = self.snapshot.pools();
        let view = pools.view(&self.monitor, &mut self.states, monotonic());
        let old = self.health.0.view.swap(Arc::new(view));
        let new = self.health.view();
        // What is counted and done belongs to whoever took over.
        if self.retired.is_some() {
            return;
        }
        for event in self.monitor.take_events() {
            self.log(event);
        }
        for (member, figures) in self.monitor.members().zip(&self.health.0.members) {
            figures.enter(Some(old.leaf(member)), new.leaf(member));
        }
        for (id, group, settings) in pools.iter() {
            let (Some(before), Some(after)) = (old.standings.get(id), new.standings.get(id)) else {
                continue;
            };
            if before.tier() != after.tier() {
                let tier = after.tier();
                match tier {
                    Tier::Primary => info!(group = %group.tag(), %tier, "the primaries serve again"),
                    Tier::Backup => warn!(group = %group.tag(), %tier, "no primary works, the backups serve"),
                }
            }
            if let (Some(reason), Some(figures)) = (change(group, before, after), self.health.group(id)) {
                figures.change(GroupChange { at: wall_clock(), reason: reason.into() });
            }
            if settings.interrupts {
                self.interrupt(group, before, after);
            }
        }
    }

    fn log(&self, event: Event) {
        let tag = |member: MemberId| {
            self.snapshot.outbounds().get(member.index()).and_then(|outbound| outbound.tag.clone())
        };
        match event {
            Event::WentDown(member) => warn!(outbound = tag(member).as_deref(), "down, probes fail"),
            Event::CameUp(member) => info!(outbound = tag(member).as_deref(), "up again"),
            Event::Ejected(member) => {
                warn!(outbound = tag(member).as_deref(), "rests for a while, connections through it fail");
            }
            Event::UplinkSuspected => {
                warn!("every outbound fails, so the fault is probably here; what is known of them is kept");
            }
            Event::UplinkReturned => info!("outbounds work again"),
        }
    }
}

/// What changed in who serves, and why; `None` if nothing did.
fn change(group: &Group, before: &Standing, after: &Standing) -> Option<String> {
    let name = |place: &usize| group.member(*place).map(|member| member.tag.clone());
    let names = |places: &[usize]| {
        let names: Vec<Tag> = places.iter().filter_map(name).collect();
        names.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ")
    };
    if before.tier() != after.tier() {
        return Some(match after.tier() {
            Tier::Primary => "the primaries serve again".to_owned(),
            Tier::Backup => "no primary works, the backups serve".to_owned(),
        });
    }
    let state = |place: usize| after.statuses().get(place).map(|status| status.state);
    let (old, new) = (before.favourite(Network::Tcp), after.favourite(Network::Tcp));
    if let (Some(old), Some(new)) = (old, new)
        && old != new
    {
        let why = match state(old).filter(|state| !state.is_usable()) {
            Some(state) => format!("{} is {state}", names(&[old])),
            None if after.selected() == Some(new) => "somebody chose it".to_owned(),
            None => format!("it is faster than {}", names(&[old])),
        };
        return Some(format!("{} serves: {why}", names(&[new])));
    }
    let (old, new) = (before.serving(Network::Tcp), after.serving(Network::Tcp));
    let gone: Vec<usize> = old.iter().copied().filter(|place| !new.contains(place)).collect();
    let came: Vec<usize> = new.iter().copied().filter(|place| !old.contains(place)).collect();
    if gone.is_empty() && came.is_empty() {
        return None;
    }
    let mut parts = Vec::new();
    for place in gone {
        let why = state(place).filter(|state| !state.is_usable());
        let why = why.map_or_else(|| "others are faster".to_owned(), |state| state.to_string());
        parts.push(format!("{} no longer serves ({why})", names(&[place])));
    }
    if !came.is_empty() {
        parts.push(format!("{} {} now", names(&came), if came.len() == 1 { "serves" } else { "serve" }));
    }
    Some(parts.join("; "))
}
