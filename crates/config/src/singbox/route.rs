use super::{checks, dial, http_client::HttpClients, names::Names, rule, rule_set};
use crate::{
    keys::{Form, Key, KeyTable},
    model::{DomainStrategy, Outbound, ResolveOptions, Routing},
    object::Object,
    report::Report,
};

const NETWORKS: &str = "connections use the network that the system's routing tables say";

pub(super) static ROUTE: KeyTable = KeyTable {
    name: "Route",
    path: "route",
    doc: "Which connection goes where.",
    keys: &[
        Key::new(
            "rules",
            Form::Objects("Rule"),
            "Tried in order; the first that matches and whose action is final decides.",
        ),
        Key::new("rule_set", Form::List(&rule_set::FORM), "Sets of conditions that rules refer to."),
        Key::new("final", Form::Text, "The outbound that takes what no rule matches; the first without it."),
        Key::new("default_domain_resolver", dial::RESOLVER, "Who resolves the names that outbounds dial."),
        Key::new(
            "default_http_client",
            Form::Text,
            "The client of rule sets that name none; the first without it.",
        ),
        Key::new("default_interface", Form::Text, "The network interface of outbounds that name none."),
        Key::new("default_mark", dial::MARK, "The `routing_mark` of outbounds that have none."),
        Key::new(
            "find_process",
            Form::Flag,
            "Processes are looked up whenever a rule needs them, and only then.",
        ),
        Key::new(
            "auto_detect_interface",
            Form::Flag,
            "Goes past the default route of a TUN inbound; there is none that would have to be gone past.",
        ),
        Key::new("override_android_vpn", Form::Flag, "Belongs to Android.").no_effect("it is for Android"),
        Key::new("find_neighbor", Form::Flag, "Looks up the hardware addresses of clients.")
            .only_off("it is not available in this version"),
        Key::new("dhcp_lease_files", Form::OneOrMany(&Form::Text), "Belongs to `find_neighbor`.")
            .no_effect("the names of clients are not looked up"),
        Key::new("default_network_strategy", Form::Text, "Which networks are used.").only_off(NETWORKS),
        Key::new("default_network_type", Form::OneOrMany(&Form::Text), "Which networks are used.")
            .only_off(NETWORKS),
        Key::new(
            "default_fallback_network_type",
            Form::OneOrMany(&Form::Text),
            "Which networks are used otherwise.",
        )
        .only_off(NETWORKS),
        Key::new(
            "default_fallback_delay",
            Form::Duration,
            "The pause before the other address family is tried.",
        )
        .no_effect("addresses of both families are raced as RFC 8305 says"),
        Key::new("geoip", Form::Map, "Where sing-box 1.11 had its GeoIP database.")
            .no_effect("`geoip.dat` is looked for in the asset folders"),
        Key::new("geosite", Form::Map, "Where sing-box 1.11 had its Geosite database.")
            .no_effect("`geosite.dat` is looked for in the asset folders"),
    ],
};

/// Reads `route`. What it says of all outbounds is entered into those that say nothing else.
pub(super) fn read(
    file: &Object<'_>,
    names: &mut Names,
    outbounds: &mut [Outbound],
    report: &mut Report<'_>,
) -> (Routing, Option<ResolveOptions>) {
    let Some(route) = file.object("route", &ROUTE, report) else { return (Routing::default(), None) };
    let clients = HttpClients::read(file, &route, names, report);
    let rule_sets: Vec<_> = route
        .items("rule_set", report)
        .iter()
        .filter_map(|value| rule_set::read(value, &clients, names, report))
        .collect();
    let mut rules = Vec::new();
    for value in route.items("rules", report) {
        rules.extend(rule::read(value, names, report));
    }
    let default = route.text("final", report).filter(|tag| !tag.value.is_empty());
    let default = default.and_then(|tag| names.outbounds.find(tag, "outbound", report));
    let resolver = dial::read_resolver(&route, "default_domain_resolver", names, report);
    let interface = dial::read_interface(&route, "default_interface", report);
    let mark = dial::read_mark(&route, "default_mark", report);
    let dialling = outbounds.iter_mut().filter(|outbound| outbound.protocol.dials());
    for Outbound { socket, .. } in dialling {
        socket.interface = socket.interface.take().or_else(|| interface.clone());
        socket.mark = socket.mark.or(mark);
    }
    checks::find_unreachable(&rules, None, report);
    let domain_strategy = DomainStrategy::AsIs;
    (Routing { domain_strategy, rules, balancers: Vec::new(), rule_sets, default }, resolver)
}
