//! Outbounds of either program, as they are in a file.

use std::net::IpAddr;

use serde_json::{Value, json};
use tonic::Status;

use super::{fields::Fields, stream, users::account};
use crate::{
    family::Family,
    messages::{
        common::{Endpoint, Network, ServerEndpoint},
        proxy::{Blackhole, Client, Dns, Freedom, Loopback, Sender, XrayDns},
        proxyman::OutboundHandlerConfig,
    },
    routing::entries,
    typed::Typed,
};

/// `domainStrategy` of both programs; the others of Xray are not available.
const STRATEGIES: [&str; 4] = ["AsIs", "UseIP", "UseIPv4", "UseIPv6"];

pub(super) fn read(outbound: &OutboundHandlerConfig) -> Result<Value, Status> {
    let mut fields = Fields::default();
    fields.put_text("tag", &outbound.tag);
    if outbound.sender_settings.as_ref().is_some_and(|sender| !sender.r#type.is_empty()) {
        read_sender(&Typed::of(outbound.sender_settings.as_ref(), "sender of the outbound")?, &mut fields)?;
    }
    let proxy = Typed::of(outbound.proxy_settings.as_ref(), "protocol of the outbound")?;
    let (protocol, settings) = match proxy.name {
        "proxy.freedom.Config" => ("freedom", freedom(&proxy)?),
        "proxy.blackhole.Config" => ("blackhole", blackhole(&proxy)?),
        "proxy.socks.ClientConfig" => ("socks", client(&proxy)?),
        "proxy.http.ClientConfig" => ("http", client(&proxy)?),
        "proxy.dns.Config" => ("dns", dns(&proxy)?),
        "proxy.loopback.Config" => ("loopback", loopback(&proxy)?),
        _ => return Err(proxy.refuse("outbound protocol")),
    };
    fields.put("protocol", protocol);
    fields.put_filled("settings", settings);
    Ok(fields.into())
}

fn read_sender(sender: &Typed<'_>, fields: &mut Fields) -> Result<(), Status> {
    if sender.name != "app.proxyman.SenderConfig" {
        return Err(sender.refuse("sender"));
    }
    // In Xray, 5 is a range of addresses and 6 the strategy.
    let known: &[u32] = match sender.family {
        Family::V2ray => &[1, 2, 3, 4, 5],
        Family::Xray => &[1, 2, 3, 4],
    };
    let family = sender.family;
    let sender: Sender = sender.read(known)?;
    fields.put_some("sendThrough", entries::host(sender.via.as_ref())?);
    fields.put_filled("streamSettings", stream::read(&sender.stream_settings, family)?);
    if let Some(chain) = sender.proxy_settings.filter(|chain| !chain.tag.is_empty()) {
        fields.put("proxySettings", json!({"tag": chain.tag}));
    }
    if sender.multiplex_settings.is_some_and(|multiplexing| multiplexing.enabled) {
        fields.put("mux", json!({"enabled": true}));
    }
    if sender.domain_strategy != 0 {
        fields.put("domainStrategy", strategy(sender.domain_strategy)?);
    }
    Ok(())
}

fn strategy(number: i32) -> Result<&'static str, Status> {
    let known = usize::try_from(number).ok().and_then(|number| STRATEGIES.get(number));
    known.copied().ok_or_else(|| Status::unimplemented(format!("the strategy {number} is not available")))
}

fn freedom(proxy: &Typed<'_>) -> Result<Fields, Status> {
    let freedom: Freedom = proxy.read(&[1, 2, 3, 4])?;
    let mut settings = Fields::default();
    if freedom.domain_strategy != 0 {
        settings.put("domainStrategy", strategy(freedom.domain_strategy)?);
    }
    if let Some(server) = freedom.destination_override.and_then(|destination| destination.server) {
        let host = entries::host(server.address.as_ref())?.unwrap_or_default();
        let host =
            if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) { format!("[{host}]") } else { host };
        settings.put("redirect", format!("{host}:{}", server.port));
    }
    Ok(settings)
}

fn blackhole(proxy: &Typed<'_>) -> Result<Fields, Status> {
    let blackhole: Blackhole = proxy.read(&[1])?;
    let mut settings = Fields::default();
    if blackhole.response.as_ref().is_some_and(|response| !response.r#type.is_empty()) {
        let response = Typed::of(blackhole.response.as_ref(), "response")?;
        match response.name {
            "proxy.blackhole.NoneResponse" => {}
            "proxy.blackhole.HTTPResponse" => settings.put("response", json!({"type": "http"})),
            _ => return Err(response.refuse("response")),
        }
    }
    Ok(settings)
}

fn client(proxy: &Typed<'_>) -> Result<Fields, Status> {
    let client: Client = proxy.read(&[1])?;
    let server = |server: &ServerEndpoint| {
        let mut fields = Fields::default();
        fields.put("address", entries::host(server.address.as_ref())?.unwrap_or_default());
        fields.put("port", server.port);
        let users = server.user.iter().map(account).collect::<Result<Vec<_>, _>>()?;
        let users: Vec<Value> = users
            .into_iter()
            .map(|account| json!({"user": account.username, "pass": account.password}))
            .collect();
        if !users.is_empty() {
            fields.put("users", users);
        }
        Ok(Value::from(fields))
    };
    let servers = client.server.iter().map(server).collect::<Result<Vec<_>, Status>>()?;
    let mut settings = Fields::default();
    settings.put("servers", servers);
    Ok(settings)
}

fn dns(proxy: &Typed<'_>) -> Result<Fields, Status> {
    let mut settings = Fields::default();
    let server = match proxy.family {
        Family::V2ray => {
            let dns: Dns = proxy.read(&[1, 2, 5])?;
            settings.put_text("nonIPQuery", &dns.non_ip_query);
            dns.server
        }
        Family::Xray => proxy.read::<XrayDns>(&[1, 3])?.rewrite_server,
    };
    if let Some(Endpoint { network, address, port }) = server {
        settings.put_some("address", entries::host(address.as_ref())?);
        settings.put_number("port", port);
        let network = Some(network).filter(|&network| network != i32::from(Network::Unknown));
        settings.put_some("network", entries::networks(network)?);
    }
    Ok(settings)
}

fn loopback(proxy: &Typed<'_>) -> Result<Fields, Status> {
    let loopback: Loopback = proxy.read(&[1])?;
    let mut settings = Fields::default();
    settings.put("inboundTag", loopback.inbound_tag);
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::messages::{
        common::{IpOrDomain, TypedMessage, ip_or_domain::Address},
        proxy::{Chain, DestinationOverride},
    };

    fn typed(name: &str, message: &impl Message) -> Option<TypedMessage> {
        Some(TypedMessage { r#type: name.to_owned(), value: message.encode_to_vec() })
    }

    fn with(proxy: Option<TypedMessage>) -> OutboundHandlerConfig {
        OutboundHandlerConfig { tag: "x".to_owned(), proxy_settings: proxy, ..Default::default() }
    }

    #[track_caller]
    fn check(outbound: &OutboundHandlerConfig, expected: &Value) {
        assert_eq!(read(outbound).unwrap(), *expected);
    }

    fn ip(bytes: &[u8]) -> Option<IpOrDomain> {
        Some(IpOrDomain { address: Some(Address::Ip(bytes.to_vec())) })
    }

    #[test]
    fn freedom_goes_elsewhere() {
        let mut loopback = [0; 16];
        loopback[15] = 1;
        let server = ServerEndpoint { address: ip(&loopback), port: 53, user: Vec::new() };
        let freedom = Freedom {
            domain_strategy: 3,
            destination_override: Some(DestinationOverride { server: Some(server) }),
            ..Freedom::default()
        };
        check(
            &with(typed("xray.proxy.freedom.Config", &freedom)),
            &json!({"tag": "x", "protocol": "freedom", "settings": {"domainStrategy": "UseIPv6", "redirect": "[::1]:53"}}),
        );
        let later = Freedom { domain_strategy: 6, ..Freedom::default() };
        let refused = read(&with(typed("xray.proxy.freedom.Config", &later))).unwrap_err();
        assert_eq!(refused.message(), "the strategy 6 is not available");
    }

    #[test]
    fn dns_has_other_numbers_in_each_program() {
        let server = Some(Endpoint { network: 3, address: ip(&[9, 9, 9, 9]), port: 53 });
        let settings = json!({"address": "9.9.9.9", "port": 53, "network": "udp"});
        let old = Dns { server: server.clone(), non_ip_query: "drop".to_owned(), ..Dns::default() };
        let mut expected = json!({"tag": "x", "protocol": "dns", "settings": settings});
        check(
            &with(typed("xray.proxy.dns.Config", &XrayDns { rewrite_server: server, ..XrayDns::default() })),
            &expected,
        );
        expected["settings"]["nonIPQuery"] = json!("drop");
        check(&with(typed("v2ray.core.proxy.dns.Config", &old)), &expected);
    }

    #[test]
    fn what_is_common_is_left_to_the_reader() {
        let sender = Sender {
            via: ip(&[127, 0, 0, 1]),
            proxy_settings: Some(Chain { tag: "y".to_owned() }),
            domain_strategy: 1,
            ..Sender::default()
        };
        let outbound = OutboundHandlerConfig {
            sender_settings: typed("v2ray.core.app.proxyman.SenderConfig", &sender),
            ..with(typed("v2ray.core.proxy.loopback.Config", &Loopback { inbound_tag: "i".to_owned() }))
        };
        check(
            &outbound,
            &json!({
                "tag": "x", "sendThrough": "127.0.0.1", "proxySettings": {"tag": "y"}, "domainStrategy": "UseIP",
                "protocol": "loopback", "settings": {"inboundTag": "i"},
            }),
        );
        let xray = OutboundHandlerConfig {
            sender_settings: typed("xray.app.proxyman.SenderConfig", &sender),
            ..outbound
        };
        assert_eq!(read(&xray).unwrap_err().code(), tonic::Code::Unimplemented);
    }
}
