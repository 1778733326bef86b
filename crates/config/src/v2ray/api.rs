//! `api`: V2Ray's remote control over gRPC.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use waypost_net::{Networks, Tag};

use super::names::Names;
use crate::{
    Spanned,
    keys::{Form, Key, KeyTable},
    model::{Api, ApiService, Outbound, OutboundProtocol, SocketOptions},
    nearest,
    object::Object,
    report::{Report, quote},
};

pub(super) static API: KeyTable = KeyTable {
    name: "Api",
    path: "api",
    doc: "Remote control over gRPC, in the manner of V2Ray and Xray.",
    keys: &[
        Key::new(
            "tag",
            Form::Text,
            "The name by which rules send connections to it, as to an outbound; `api` without it.",
        ),
        Key::new(
            "services",
            Form::Strings,
            "What it offers: `HandlerService`, `LoggerService`, `StatsService`, `RoutingService`, `ObservatoryService`, `ReflectionService`.",
        ),
        Key::new(
            "listen",
            Form::Text,
            "Where it listens itself, as Xray has it: `HOST:PORT` on this machine. Without it, connections come by a rule.",
        ),
    ],
};

/// What an outbound for it is called that has no tag.
const DEFAULT_TAG: &str = "api";

/// Reads the section; declares its tag as that of an outbound.
pub(super) fn read(file: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Option<Api> {
    let object = file.object("api", &API, report)?;
    let tag = names.outbounds.declare(&object, "outbound", report).or_else(|| {
        let tag = Spanned::new(Tag::from(DEFAULT_TAG), object.span);
        (!names.outbounds.contains(&tag.value)).then(|| {
            names.outbounds.declare_for_queries(&tag);
            tag
        })
    });
    if let Some(tag) = &tag {
        // With `listen` no rule has to name it.
        names.outbounds.mark_used(&tag.value);
    }
    let mut services = Vec::new();
    for written in object.strings("services", report).unwrap_or_default() {
        match ApiService::named(written.value) {
            Some(service) if services.contains(&service) => {}
            Some(service) => services.push(service),
            None if written.value.starts_with('#') => {
                report.warning(written.span, "services by their full names are not known here").help(NAMES);
            }
            None => {
                let warning = report.warning(
                    written.span,
                    format!("no such service, so that it is left out: {}", quote(written.value)),
                );
                let near = nearest(written.value, ApiService::ALL.iter().map(|service| service.name()));
                warning.help(near.map_or_else(|| NAMES.to_owned(), |near| format!("did you mean `{near}`?")));
            }
        }
    }
    let listen = object.text("listen", report).filter(|text| !text.value.is_empty());
    let listen = listen.and_then(|written| self::listen(written, report));
    Some(Api { tag, services, listen, span: object.span })
}

const NAMES: &str = "there are HandlerService, LoggerService, StatsService, RoutingService, ObservatoryService and ReflectionService";

fn listen(written: Spanned<&str>, report: &mut Report<'_>) -> Option<Spanned<SocketAddr>> {
    let address = match written.value.rsplit_once(':') {
        Some(("" | "localhost", port)) => {
            port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        }
        Some(_) => written.value.parse::<SocketAddr>().ok(),
        None => None,
    };
    let Some(address) = address else {
        report
            .error(written.span, format!("not an address to listen on: {}", quote(written.value)))
            .help("expected an IP address with a port such as `127.0.0.1:8080`");
        return None;
    };
    if !address.ip().is_loopback() {
        report
            .error(
                written.span,
                "anybody who can reach this address could change everything: the service has no password",
            )
            .help("listen on a loopback address such as `127.0.0.1:8080`");
        return None;
    }
    Some(Spanned::new(address, written.span))
}

/// The outbound by which rules send connections to it.
pub(super) fn outbound(api: &Api) -> Option<Outbound> {
    Some(Outbound {
        tag: Some(api.tag.clone()?),
        protocol: OutboundProtocol::Api,
        networks: Networks { tcp: true, udp: false },
        resolve: None,
        socket: SocketOptions::default(),
        transport: crate::model::Transport::default(),
        detour: None,
        span: api.span,
    })
}
