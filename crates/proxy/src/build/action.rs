//! Actions of the configuration → actions of the router.

use waypost_config::model::{self, RuleAction, RuleTarget};
use waypost_router::{
    Action, Effect, Reject, RejectMethod, Resolve, ResolveFamily, RouteOptions, Sniff, Way,
};

/// What is done with a connection that a rule matches.
pub(super) fn action(action: &RuleAction) -> Action {
    match action {
        RuleAction::Route { target, options } => {
            Action::Go { way: way(target), options: route_options(options) }
        }
        RuleAction::Reject(reject) => Way::Reject(Reject {
            method: match reject.method {
                model::RejectMethod::Default => RejectMethod::Default,
                model::RejectMethod::Drop => RejectMethod::Drop,
            },
            no_drop: reject.no_drop,
        })
        .into(),
        RuleAction::HijackDns => Way::HijackDns.into(),
        RuleAction::RouteOptions(options) => Action::Perform(Effect::Options(route_options(options))),
        RuleAction::Sniff(model::SniffOptions { protocols, timeout }) => {
            Action::Perform(Effect::Sniff(Sniff { protocols: protocols.clone(), timeout: *timeout }))
        }
        RuleAction::Resolve(options) => Action::Perform(Effect::Resolve(resolve(options))),
    }
}

pub(super) fn resolve(options: &model::ResolveOptions) -> Resolve {
    let model::ResolveOptions { server, family, disable_cache, client_ip } = options;
    Resolve {
        server: server.as_ref().map(|tag| tag.value.clone()),
        family: family.map(|family| match family {
            model::ResolveFamily::PreferV4 => ResolveFamily::PreferV4,
            model::ResolveFamily::PreferV6 => ResolveFamily::PreferV6,
            model::ResolveFamily::OnlyV4 => ResolveFamily::OnlyV4,
            model::ResolveFamily::OnlyV6 => ResolveFamily::OnlyV6,
        }),
        disable_cache: *disable_cache,
        client_ip: *client_ip,
    }
}

fn way(target: &RuleTarget) -> Way {
    match target {
        RuleTarget::Outbound(tag) => Way::Outbound(tag.value.clone()),
        RuleTarget::Balancer(tag) => Way::Balancer(tag.value.clone()),
    }
}

fn route_options(options: &model::RouteOptions) -> RouteOptions {
    let model::RouteOptions { host, port, udp_timeout } = options;
    RouteOptions { host: host.clone(), port: *port, udp_timeout: *udp_timeout }
}
