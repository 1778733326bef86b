//! Protocols that encrypt nothing themselves, where nothing else does.

use crate::{
    Span,
    credentials::is_this_machine,
    model::{InboundProtocol, Listen, OutboundProtocol, ProxyServer, VmessAccount, VmessSecurity},
    report::Report,
};

const ADD_TLS: &str = "speak TLS on both ends";

/// Warns of what everybody on the way to a server can read. `place` is that of the protocol.
pub(crate) fn warn_of_open_outbound(
    protocol: &OutboundProtocol,
    tls: bool,
    place: Span,
    report: &mut Report<'_>,
) {
    let message = match protocol {
        _ if tls => return,
        OutboundProtocol::Trojan(servers) if has_way(servers) => {
            "without TLS the password and everything else go to the server in clear"
        }
        OutboundProtocol::Vless(servers) if has_way(servers) => {
            "`vless` encrypts nothing itself: without TLS everybody on the way reads what is sent"
        }
        OutboundProtocol::Vmess(servers) => {
            let is_open = |server: &ProxyServer<VmessAccount>| {
                matches!(server.account.security, VmessSecurity::None | VmessSecurity::Zero)
                    && !is_this_machine(&server.host)
            };
            if !servers.iter().any(is_open) {
                return;
            }
            "with this `security` and without TLS everybody on the way reads what is sent"
        }
        OutboundProtocol::Trojan(_)
        | OutboundProtocol::Vless(_)
        | OutboundProtocol::Shadowsocks(_)
        | OutboundProtocol::Socks(_)
        | OutboundProtocol::Http(_)
        | OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Blackhole { .. }
        | OutboundProtocol::Dns(_)
        | OutboundProtocol::Api
        | OutboundProtocol::Loopback { .. }
        | OutboundProtocol::LoadBalance(_)
        | OutboundProtocol::Selector(_)
        | OutboundProtocol::UrlTest(_) => return,
    };
    report.warning(place, message).help(ADD_TLS);
}

fn has_way<A>(servers: &[ProxyServer<A>]) -> bool {
    servers.iter().any(|server| !is_this_machine(&server.host))
}

/// Warns of what everybody on the way from clients can read. `place` is that of the protocol.
pub(crate) fn warn_of_open_inbound(
    protocol: &InboundProtocol,
    listen: &Listen,
    tls: bool,
    place: Span,
    report: &mut Report<'_>,
) {
    if tls || listen.ip().is_none_or(|ip| ip.is_loopback()) {
        return;
    }
    let message = match protocol {
        InboundProtocol::Trojan(_) => "without TLS clients send their password and everything else in clear",
        InboundProtocol::Vless(_) => {
            "`vless` encrypts nothing itself: without TLS everybody on the way reads what clients send"
        }
        InboundProtocol::Client(_)
        | InboundProtocol::Door(_)
        | InboundProtocol::Shadowsocks(_)
        | InboundProtocol::Vmess(_) => return,
    };
    report
        .warning(place, message)
        .help("speak TLS, or listen on 127.0.0.1 if another program here does that");
}
