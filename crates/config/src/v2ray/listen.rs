use std::net::IpAddr;

use waypost_net::PortRange;

use super::port;
use crate::{
    Span, Spanned,
    model::Listen,
    object::Object,
    report::{Report, quote},
};

/// Every port of a range is a listening socket.
const MAX_PORTS: u16 = 1024;
/// `sun_path` of unix(7) has 108 bytes with the final zero.
const MAX_PATH_BYTES: usize = 107;

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const EVERYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// Reads where an inbound listens. `open` says whether anybody may come in, if that is known.
pub(super) fn read(object: &Object<'_>, open: Option<bool>, report: &mut Report<'_>) -> Option<Listen> {
    if let Some(written) = object.get("listen").and_then(|field| field.value.text())
        && written.starts_with(['/', '@', '.'])
    {
        return read_unix(object, report);
    }
    let ports = read_ports(object, report);
    let ip = read_address_to_listen_on(object, open, report);
    Some(Listen::Ports { ip: ip?, ports: ports? })
}

/// `/path`, `/path,0660` or `@name`. Who may open the file may come in.
fn read_unix(object: &Object<'_>, report: &mut Report<'_>) -> Option<Listen> {
    let written = object.text("listen", report)?;
    // What this says of other machines is true of a Unix socket in any case.
    let _allowed = object.flag("allow_open", report);
    let (path, mode) = match written.value.split_once(',') {
        None => (written.value, None),
        Some((path, mode)) => {
            let parsed = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
            if parsed.is_none() || path.starts_with('@') {
                let message = format!("not the permissions of a file: {}", quote(mode));
                report
                    .error(written.span, message)
                    .help("expected a path with permissions such as `/run/waypost.sock,0660`");
                return None;
            }
            (path, parsed)
        }
    };
    if path.len() > MAX_PATH_BYTES || path.len() < 2 || path.contains('\0') {
        report
            .error(written.span, format!("not the path of a Unix socket: {}", quote(path)))
            .help(format!("expected 2 to {MAX_PATH_BYTES} bytes, such as `/run/waypost.sock` or `@waypost`"));
        return None;
    }
    Some(Listen::Unix { path: path.into(), mode })
}

fn read_ports(object: &Object<'_>, report: &mut Report<'_>) -> Option<PortRange> {
    let Some(field) = object.get("port") else {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report.error(brace, "an inbound needs a `port`");
        return None;
    };
    let ports = port::read_range(field, report)?;
    if ports.last - ports.first >= MAX_PORTS {
        let n_ports = u32::from(ports.last - ports.first) + 1;
        let message = format!("{n_ports} ports in one inbound, at most {MAX_PORTS} are listened on");
        report.error(field.value.span, message);
        return None;
    }
    Some(ports)
}

/// `open` says whether anybody may come in, if that is known.
fn read_address_to_listen_on(
    object: &Object<'_>,
    open: Option<bool>,
    report: &mut Report<'_>,
) -> Option<IpAddr> {
    let allowed = object.flag("allow_open", report);
    let closed_or_allowed = open != Some(true) || allowed.is_some_and(|allowed| allowed.value);
    let Some(written) = object.get("listen") else {
        if closed_or_allowed {
            return Some(EVERYWHERE);
        }
        let place = object.get("port").map_or(object.span, |field| field.key_span);
        report
            .warning(
                place,
                "listens on 127.0.0.1 only, because anybody may come in; V2Ray listens on every address",
            )
            .help("write `\"listen\": \"127.0.0.1\"`, or ask for a password, or add `\"allow_open\": true`");
        return Some(LOOPBACK);
    };
    let written = written.text(report)?;
    let address = read_address(written, report)?;
    if !address.is_loopback() && !closed_or_allowed {
        report
            .error(
                written.span,
                format!(
                    "listens on {} and asks for no password, so anybody could use it",
                    quote(written.value)
                ),
            )
            .help(
                "listen on 127.0.0.1, or ask for a password, or add `\"allow_open\": true` to this inbound",
            );
        return None;
    }
    Some(address)
}

fn read_address(written: Spanned<&str>, report: &mut Report<'_>) -> Option<IpAddr> {
    let text = written.value;
    if text == "localhost" {
        return Some(LOOPBACK);
    }
    let unbracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = unbracketed.parse::<IpAddr>() {
        return Some(waypost_net::canonical_ip(address));
    }
    report
        .error(written.span, format!("not an address to listen on: {}", quote(text)))
        .help("expected an IP address such as `127.0.0.1`, `localhost`, or the path of a Unix socket");
    None
}
