use super::{
    api, checks, dns, groups, inbound, log, names::Names, observatory, outbound, policy, routing, strategy,
};
use crate::{
    Dialect, Span,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{Config, Experimental},
    object::Object,
    remote,
    report::Report,
};

const SECTIONS: &str = "this version has no such section; there are `log`, `dns`, `inbounds`, `outbounds`, `routing`, `policy`, `stats`, `api`, `clashApi` and the observatories";

pub(super) static FILE: KeyTable = KeyTable {
    name: "File",
    path: "the file",
    doc: "A whole configuration file.",
    keys: &[
        Key::new("log", Form::Object("Log"), "What is logged."),
        Key::new("dns", Form::Object("Dns"), "How names are resolved."),
        Key::new("inbounds", Form::Objects("Inbound"), "Where clients come in; at least one."),
        Key::new(
            "outbounds",
            Form::Objects("Outbound"),
            "Where connections go out; the first takes what no rule matches.",
        ),
        Key::new("routing", Form::Object("Routing"), "Which connection goes where."),
        Key::new(
            "unknownKeys",
            Form::Word(&["error", "warn"]),
            "Whether a key that is not in this reference is an error (the default) or a warning.",
        )
        .alias(&["unknown_keys", "unknown-keys"]),
        Key::new("remarks", Form::Text, "A note; not read."),
        Key::new("inbound", Form::Object("Inbound"), "Old form: the first inbound, before `inbounds`."),
        Key::new("inboundDetour", Form::Objects("Inbound"), "Old form: inbounds after `inbound`."),
        Key::new("outbound", Form::Object("Outbound"), "Old form: the first outbound, so the default."),
        Key::new("outboundDetour", Form::Objects("Outbound"), "Old form: outbounds after `outbound`."),
        Key::new("port", Form::Port, "Old form: the port of `inbound`.")
            .unsupported("it is the old form; write `port` in the inbound"),
        Key::new("api", Form::Object("Api"), "Remote control over gRPC, in the manner of V2Ray and Xray."),
        Key::new("observatory", Form::Object("Observatory"), "Probes of outbounds in the background."),
        Key::new("burstObservatory", Form::Object("BurstObservatory"), "Probes of outbounds in bursts."),
        Key::new("multiObservatory", Form::Object("MultiObservatory"), "Several observatories."),
        Key::new("policy", Form::Object("Policy"), "Time-outs by level, and what traffic is counted for."),
        Key::new("stats", Form::Object("Stats"), "Switches the counting of traffic on."),
        section("transport", "Settings of transports for all inbounds and outbounds."),
        section("reverse", "Reverse proxies."),
        section("fakeDns", "Made-up addresses that stand for names."),
        section("browserForwarder", "Connections by way of a browser."),
        section("browserDialer", "Connections by way of a browser."),
        section("services", "V2Ray 5 services."),
        section("metrics", "Metrics over HTTP."),
        section("env", "Environment settings of Xray."),
        section("version", "The versions of Xray that a file is for."),
        section("geodata", "Automatic updates of geo data."),
        Key::new("clashApi", Form::Object("ClashApi"), "Remote control in the manner of Clash.")
            .alias(&["clash_api"]),
        section("extension", "V2Ray 5 extensions."),
    ],
};

const fn section(name: &'static str, doc: &'static str) -> Key {
    Key::new(name, Form::Any, doc).unsupported(SECTIONS)
}

/// Reads the tree of a whole file.
pub(crate) fn read(root: &Value, report: &mut Report<'_>) -> Option<Config> {
    let file = Object::read(root, "the file", &FILE, report)?;
    let mut names = Names::default();
    let log = log::read(&file, report);
    let (policies, stats) = policy::read(&file, report);
    let inbounds = endpoints(&file, ["inbound", "inboundDetour", "inbounds"], report);
    let inbounds = match section_span(&file, inbounds.is_empty(), "inbounds") {
        Some(span) => {
            report.error(span, "there is no inbound, so nothing could come in").help(
                "add one, such as `{\"protocol\": \"socks\", \"listen\": \"127.0.0.1\", \"port\": 1080}`",
            );
            Vec::new()
        }
        None => inbound::read_all(&inbounds, &policies, &mut names, report),
    };
    let dns = dns::read(&file, &mut names, report);
    let outbounds = endpoints(&file, ["outbound", "outboundDetour", "outbounds"], report);
    let outbounds = match section_span(&file, outbounds.is_empty(), "outbounds") {
        Some(span) => {
            report
                .error(span, "there is no outbound, so nothing could go out")
                .help("add one, such as `{\"protocol\": \"freedom\"}`; there is no implicit direct outbound");
            Vec::new()
        }
        None => outbound::read_all(&outbounds, &mut names, report),
    };
    let api = api::read(&file, &mut names, report);
    let outbounds: Vec<_> = outbounds.into_iter().chain(api.as_ref().and_then(api::outbound)).collect();
    observatory::read_all(&file, &mut names, report);
    let routing = routing::read(&file, &mut names, report);
    groups::check_members(&outbounds, &mut names, report);
    checks::check_detours(&outbounds, &mut names, report);
    checks::find_unused(&names, report);
    strategy::find_unasked(&names, report);
    let observatories = names.observatories;
    let clash_api = file.object("clashApi", &remote::V2RAY, report).map(|api| remote::read(&api, report));
    let experimental = Experimental { clash_api, ..Experimental::default() };
    let dialect = Dialect::V2ray;
    Some(Config { dialect, log, dns, inbounds, outbounds, observatories, routing, stats, experimental, api })
}

/// The elements of a list and of its old forms, which come first.
fn endpoints<'a>(file: &Object<'a>, names: [&str; 3], report: &mut Report<'_>) -> Vec<&'a Value> {
    let [single, old, list] = names;
    let mut all: Vec<&Value> = file.get(single).map(|field| field.value).into_iter().collect();
    all.extend(file.items(old, report));
    all.extend(file.items(list, report));
    all
}

/// Where to complain that a list is empty: at the list, or at the beginning of the file. A list
/// that is no array has been complained about already.
fn section_span(file: &Object<'_>, empty: bool, name: &str) -> Option<Span> {
    let beginning = Span { start: file.span.start, end: file.span.start + 1 };
    match file.get(name) {
        Some(field) if empty => field.value.items().map(|_| field.value.span),
        None if empty => Some(beginning),
        Some(_) | None => None,
    }
}
