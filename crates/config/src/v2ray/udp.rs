//! Datagrams at `socks` and `mixed` inbounds.

use std::net::IpAddr;

use crate::{
    Spanned,
    model::UdpInbound,
    object::{Object, read_port},
    report::{Report, quote},
};

/// Reads what concerns datagrams from the settings of a `socks` or `mixed` inbound.
pub(super) fn read(settings: &Object<'_>, report: &mut Report<'_>) -> Option<UdpInbound> {
    let udp = settings.flag("udp", report).map(|udp| udp.value);
    let granted = udp == Some(true);
    let address = settings.text("ip", report).and_then(|written| read_address(written, report));
    let field = settings.get("udpPort");
    let port = field.and_then(|field| read_port(field, report));
    if let Some(field) = field.filter(|_| udp == Some(false) || !settings.has("udp")) {
        report
            .warning(field.key_span, "`udpPort` has no effect, because clients may not send datagrams")
            .help("add `\"udp\": true`, or remove it");
    }
    granted.then_some(UdpInbound { address, port })
}

/// An unspecified address stands for whatever address a client came in by.
fn read_address(written: Spanned<&str>, report: &mut Report<'_>) -> Option<IpAddr> {
    if written.value.is_empty() {
        return None;
    }
    if let Ok(address) = written.value.parse::<IpAddr>() {
        return Some(waypost_net::canonical_ip(address)).filter(|address| !address.is_unspecified());
    }
    report
        .error(written.span, format!("not an address that clients could send to: {}", quote(written.value)))
        .help("expected an IP address of this machine as clients see it, such as `192.168.1.1`");
    None
}
