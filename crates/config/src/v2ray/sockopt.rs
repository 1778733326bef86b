use std::{net::IpAddr, time::Duration};

use crate::{
    Spanned,
    json::Kind,
    keys::{Form, Key, KeyTable},
    model::SocketOptions,
    object::Object,
    report::{Report, quote},
};

const LATER: &str = "it is not available in this version";
const KERNEL: &str = "the system's own choice is kept";

/// A day.
const MAX_SECONDS: u32 = 86_400;
/// The longest name of an interface with its final zero (`IFNAMSIZ`, netdevice(7)) is 16 bytes.
const MAX_INTERFACE_BYTES: usize = 15;
/// `TCP_CA_NAME_MAX` of Linux is 16 bytes with the final zero.
const MAX_CONGESTION_BYTES: usize = 15;
/// How many clients with data in their first packet may wait if the file says only `true`.
const FAST_OPEN_QUEUE: u32 = 256;

pub(super) static SOCKOPT: KeyTable = KeyTable {
    name: "SocketOptions",
    path: "streamSettings.sockopt",
    doc: "What is set on sockets.",
    keys: &[
        Key::new(
            "mark",
            Form::Number,
            "`SO_MARK`, for the firewall and for routing tables; needs `CAP_NET_ADMIN`.",
        ),
        Key::new("interface", Form::Text, "The network interface that is used.").alias(&["bindToDevice"]),
        Key::new(
            "tcpKeepAliveIdle",
            Form::Number,
            "Seconds of silence before the system asks whether the other end lives.",
        ),
        Key::new("tcpKeepAliveInterval", Form::Number, "Seconds between two such questions."),
        Key::new("tcpUserTimeout", Form::Number, "Milliseconds that data may wait for an acknowledgement."),
        Key::new(
            "tcpFastOpen",
            Form::OneOf(&[Form::Flag, Form::Number]),
            "Whether data may go with the first packet (`true`, `false`, or for inbounds how many such clients may wait).",
        ),
        Key::new("tcpcongestion", Form::Text, "The congestion control algorithm, such as `bbr`."),
        Key::new(
            "tproxy",
            Form::Word(&["off", "redirect"]),
            "How clients were redirected here; `tproxy` is later work.",
        ),
        Key::new("domainStrategy", Form::Word(&["AsIs"]), "Who resolves names; only `AsIs`."),
        Key::new("acceptProxyProtocol", Form::Flag, "Whether clients announce their address first.")
            .only_off(LATER),
        Key::new(
            "dialerProxy",
            Form::Text,
            "The tag of the outbound that connections to the server take, with what is laid over them.",
        ),
        Key::new("v6only", Form::Flag, "Whether an IPv6 address takes IPv6 clients only.").only_off(LATER),
        Key::new("tcpMptcp", Form::Flag, "Several paths for one connection.").no_effect(KERNEL),
        Key::new("tcpMaxSeg", Form::Number, "The largest segment.").no_effect(KERNEL),
        Key::new("tcpWindowClamp", Form::Number, "The largest window.").no_effect(KERNEL),
        Key::new("tcpNoDelay", Form::Flag, "Whether small segments are sent at once.")
            .no_effect("they always are"),
        Key::new("happyEyeballs", Form::Any, "How addresses of both families are raced.")
            .no_effect("they are raced as RFC 8305 says"),
        Key::new("rxBufSize", Form::Number, "The receive buffer.").no_effect(KERNEL),
        Key::new("txBufSize", Form::Number, "The send buffer.").no_effect(KERNEL),
        Key::new("forceBufSize", Form::Flag, "Whether buffer sizes go beyond the system's limits.")
            .no_effect(KERNEL),
        Key::new("addressPortStrategy", Form::Word(&["none"]), "Targets from DNS records; only `none`.")
            .no_effect("targets are those of the configuration"),
        Key::new("trustedXForwardedFor", Form::Strings, "Who may name the client.").only_off(LATER),
        Key::new("customSockopt", Form::Any, "Any other options.").only_off(LATER),
    ],
};

/// Reads `sockopt` of a transport: what says, and the tag of `dialerProxy`.
pub(super) fn read<'a>(
    stream: &Object<'a>,
    report: &mut Report<'_>,
) -> (SocketOptions, Option<Spanned<&'a str>>) {
    let Some(sockopt) = stream.object("sockopt", &SOCKOPT, report) else { return Default::default() };
    let dialer = sockopt.text("dialerProxy", report).filter(|tag| !tag.value.is_empty());
    if let Some(tproxy) = sockopt.text("tproxy", report) {
        check_tproxy(tproxy, report);
    }
    if let Some(strategy) = sockopt.text("domainStrategy", report)
        && !strategy.value.is_empty()
        && !strategy.value.eq_ignore_ascii_case("AsIs")
    {
        let message = format!("{} as `domainStrategy` of a socket is not supported", quote(strategy.value));
        report
            .error(strategy.span, message)
            .help("a `freedom` outbound has `domainStrategy` in its `settings`");
    }
    let mut number = |name, most| sockopt.count(name, 0..=most, report).filter(|&number| number > 0);
    let seconds = |number: Option<u32>| number.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let mark = number("mark", u32::MAX);
    let keep_alive_idle = seconds(number("tcpKeepAliveIdle", MAX_SECONDS));
    let keep_alive_interval = seconds(number("tcpKeepAliveInterval", MAX_SECONDS));
    let user_timeout = number("tcpUserTimeout", u32::MAX).map(|millis| Duration::from_millis(millis.into()));
    let options = SocketOptions {
        send_through: None,
        mark,
        interface: read_name(&sockopt, "interface", MAX_INTERFACE_BYTES, report),
        keep_alive_idle,
        keep_alive_interval,
        user_timeout,
        fast_open: read_fast_open(&sockopt, report),
        congestion: read_name(&sockopt, "tcpcongestion", MAX_CONGESTION_BYTES, report),
    };
    (options, dialer)
}

fn check_tproxy(tproxy: Spanned<&str>, report: &mut Report<'_>) {
    match tproxy.value.to_ascii_lowercase().as_str() {
        "" | "off" | "redirect" => {}
        "tproxy" => {
            report
                .error(tproxy.span, "transparent proxying (TPROXY) is not available in this version")
                .help("redirect TCP with a `REDIRECT` rule of the firewall and `followRedirect` instead");
        }
        _ => {
            report
                .error(tproxy.span, format!("unknown `tproxy`: {}", quote(tproxy.value)))
                .help("expected `off` or `redirect`");
        }
    }
}

/// A name that goes to the kernel.
fn read_name(sockopt: &Object<'_>, key: &str, max_bytes: usize, report: &mut Report<'_>) -> Option<Box<str>> {
    let name = sockopt.text(key, report).filter(|name| !name.value.is_empty())?;
    if name.value.len() > max_bytes || name.value.contains(['\0', '/', ' ']) {
        let message = format!("{} cannot be a name for `{key}`", quote(name.value));
        report
            .error(name.span, message)
            .help(format!("expected at most {max_bytes} bytes without spaces and slashes"));
        return None;
    }
    Some(name.value.into())
}

fn read_fast_open(sockopt: &Object<'_>, report: &mut Report<'_>) -> Option<u32> {
    let field = sockopt.get("tcpFastOpen")?;
    if let Kind::Bool(on) = field.value.kind {
        return on.then_some(FAST_OPEN_QUEUE);
    }
    field.count(0..=65_535, report).filter(|&queue| queue > 0)
}

/// Reads `sendThrough` of an outbound.
pub(super) fn read_send_through(outbound: &Object<'_>, report: &mut Report<'_>) -> Option<IpAddr> {
    let written = outbound.text("sendThrough", report).filter(|written| !written.value.is_empty())?;
    match written.value.parse::<IpAddr>() {
        Ok(address) => Some(address).filter(|address| !address.is_unspecified()),
        Err(_no_address) => {
            let message = format!("not an address to send from: {}", quote(written.value));
            report.error(written.span, message).help("expected an address of this machine");
            None
        }
    }
}
