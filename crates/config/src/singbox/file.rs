use super::{checks, dns, experimental, groups, inbound, list, log, names::Names, outbound, route};
use crate::{
    Dialect, Span,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{Config, Stats},
    object::Object,
    report::Report,
};

pub(super) static FILE: KeyTable = KeyTable {
    name: "File",
    path: "the file",
    doc: "A whole configuration file.",
    keys: &[
        Key::new("log", Form::Object("Log"), "What is logged."),
        Key::new("dns", Form::Object("Dns"), "How names are resolved."),
        Key::new("inbounds", Form::List(&inbound::FORM), "Where clients come in; at least one."),
        Key::new(
            "outbounds",
            Form::List(&outbound::FORM),
            "Where connections go out; the first takes what no rule matches, unless `route.final` names another.",
        ),
        Key::new("route", Form::Object("Route"), "Which connection goes where."),
        Key::new("http_clients", Form::Objects("HttpClient"), "What remote rule sets are fetched with."),
        Key::new("experimental", Form::Object("Experimental"), "Remote control, and what is kept on disk."),
        Key::new(
            "unknownKeys",
            Form::Word(&["error", "warn"]),
            "Whether a key that is not in this reference is an error (the default) or a warning.",
        )
        .alias(&["unknown_keys", "unknown-keys"]),
        Key::new("ntp", Form::Any, "The time from the network.")
            .no_effect("nothing here depends on the time of day"),
        Key::new("certificate", Form::Any, "The certificates that are trusted.")
            .only_off("the certificates of the system are trusted"),
        Key::new("endpoints", Form::Any, "WireGuard and Tailscale.")
            .only_off("there are no endpoints in this version"),
        Key::new("services", Form::Any, "Other services.").only_off("there are no services in this version"),
    ],
};

/// Reads the tree of a whole file.
pub(crate) fn read(root: &Value, report: &mut Report<'_>) -> Option<Config> {
    let file = Object::read(root, "the file", &FILE, report)?;
    let mut names = Names::default();
    let log = log::read(&file, report);
    let experimental = experimental::read(&file, report);
    let inbounds = read_endpoints(
        &file,
        "inbounds",
        [
            "there is no inbound, so nothing could come in",
            "add one, such as `{\"type\": \"mixed\", \"listen\": \"127.0.0.1\", \"listen_port\": 1080}`",
        ],
        report,
    );
    let (inbounds, mut first_rules) = inbound::read_all(inbounds, &mut names, report);
    let outbounds = read_endpoints(
        &file,
        "outbounds",
        [
            "there is no outbound, so nothing could go out",
            "add one, such as `{\"type\": \"direct\"}`; there is no implicit direct outbound",
        ],
        report,
    );
    let dns = dns::read(&file, &mut names, report);
    let mut outbounds = outbound::read_all(outbounds, &mut names, report);
    let (mut routing, resolver) = route::read(&file, &mut names, &mut outbounds, report);
    first_rules.append(&mut routing.rules);
    routing.rules = first_rules;
    let dns = dns::finish(dns, resolver, &mut outbounds, &mut names, report);
    list::find_unused_rule_sets(&names, report);
    if routing.default.is_none()
        && let Some(tag) = outbounds.first().and_then(|outbound| outbound.tag.as_ref())
    {
        names.outbounds.mark_used(&tag.value);
    }
    groups::check_members(&outbounds, &mut names, report);
    checks::check_detours(&outbounds, &mut names, report);
    checks::find_unused(&names, report);
    Some(Config {
        dialect: Dialect::SingBox,
        log,
        dns,
        inbounds,
        outbounds,
        observatories: Vec::new(),
        routing,
        stats: Stats::default(),
        experimental,
        api: None,
    })
}

/// The elements of a list that may not be empty.
fn read_endpoints<'a>(
    file: &Object<'a>,
    name: &str,
    [missing, help]: [&str; 2],
    report: &mut Report<'_>,
) -> &'a [Value] {
    let beginning = Span { start: file.span.start, end: file.span.start + 1 };
    let items = file.items(name, report);
    let place = match file.get(name) {
        None => Some(beginning),
        Some(field) => field.value.items().filter(|items| items.is_empty()).map(|_| field.value.span),
    };
    if let Some(place) = place {
        report.error(place, missing).help(help);
    }
    items
}
