//! Inbounds of either program, as they are in a file.

use serde_json::{Value, json};
use tonic::Status;

use super::{fields::Fields, stream};
use crate::{
    family::Family,
    messages::{
        common::IpOrDomain,
        proxy::{
            Allocation, Door, HttpServer, SocksServer, V2rayReceiver, V2raySniffing, XrayReceiver,
            XraySniffing,
        },
        proxyman::InboundHandlerConfig,
    },
    routing::entries,
    typed::{self, Typed},
};

pub(super) fn read(inbound: &InboundHandlerConfig) -> Result<Value, Status> {
    let mut fields = Fields::default();
    fields.put_text("tag", &inbound.tag);
    let receiver = Typed::of(inbound.receiver_settings.as_ref(), "receiver of the inbound")?;
    if receiver.name != "app.proxyman.ReceiverConfig" {
        return Err(receiver.refuse("receiver"));
    }
    match receiver.family {
        Family::V2ray => v2ray(&receiver, &mut fields)?,
        Family::Xray => xray(&receiver, &mut fields)?,
    }
    let proxy = Typed::of(inbound.proxy_settings.as_ref(), "protocol of the inbound")?;
    let (protocol, settings) = match (proxy.name, proxy.family) {
        ("proxy.socks.ServerConfig", Family::V2ray) => ("socks", socks(&proxy)?),
        // There, one port is for both.
        ("proxy.socks.ServerConfig", Family::Xray) => ("mixed", socks(&proxy)?),
        ("proxy.http.ServerConfig", _) => ("http", http(&proxy)?),
        ("proxy.dokodemo.Config", _) => ("dokodemo-door", door(&proxy)?),
        _ => return Err(proxy.refuse("inbound protocol")),
    };
    fields.put("protocol", protocol);
    fields.put_filled("settings", settings);
    Ok(fields.into())
}

fn v2ray(receiver: &Typed<'_>, fields: &mut Fields) -> Result<(), Status> {
    let receiver: V2rayReceiver = receiver.read(&[1, 2, 3, 4, 5, 7, 8])?;
    put_place(receiver.listen.as_ref(), &receiver.stream_settings, Family::V2ray, fields)?;
    let port = receiver.port_range.as_ref().map(entries::port_range);
    fields.put_some("port", port);
    if receiver.allocation_strategy.is_some_and(|Allocation { r#type }| r#type != 0) {
        return Err(Status::unimplemented("an inbound that changes its port is not available"));
    }
    let sniffing: V2raySniffing = typed::read(&receiver.sniffing_settings, &[1, 2, 3], "SniffingConfig")?;
    if sniffing.enabled {
        let mut written = Fields::default();
        written.put("enabled", true);
        written.put("destOverride", sniffing.destination_override);
        written.put_if("metadataOnly", sniffing.metadata_only);
        fields.put("sniffing", written);
    }
    Ok(())
}

fn xray(receiver: &Typed<'_>, fields: &mut Fields) -> Result<(), Status> {
    let receiver: XrayReceiver = receiver.read(&[1, 2, 3, 4, 6])?;
    put_place(receiver.listen.as_ref(), &receiver.stream_settings, Family::Xray, fields)?;
    fields.put_some("port", entries::ports(receiver.port_list.as_ref()));
    let known = [1, 2, 3, 4, 5, 6];
    let sniffing: XraySniffing = typed::read(&receiver.sniffing_settings, &known, "SniffingConfig")?;
    if sniffing.enabled {
        let mut written = Fields::default();
        written.put("enabled", true);
        written.put("destOverride", sniffing.destination_override);
        written.put_if("metadataOnly", sniffing.metadata_only);
        written.put_if("routeOnly", sniffing.route_only);
        let domains = entries::xray_domains(&sniffing.domains_excluded)?;
        written.put_some("domainsExcluded", entries::texts(domains));
        written.put_some("ipsExcluded", entries::texts(entries::xray_ips(&sniffing.ips_excluded)?));
        fields.put("sniffing", written);
    }
    Ok(())
}

/// Where it listens, and what on. Without an address both programs listen on all; here that is for inbounds
/// with a login, and 127.0.0.1 for the others.
fn put_place(
    listen: Option<&IpOrDomain>,
    stream: &[u8],
    family: Family,
    fields: &mut Fields,
) -> Result<(), Status> {
    fields.put_some("listen", entries::host(listen)?);
    fields.put_filled("streamSettings", stream::read(stream, family)?);
    Ok(())
}

fn socks(proxy: &Typed<'_>) -> Result<Fields, Status> {
    let server: SocksServer = proxy.read(&[1, 2, 3, 4, 5, 6])?;
    let mut settings = Fields::default();
    match server.auth_type {
        0 => settings.put("auth", "noauth"),
        1 => {
            settings.put("auth", "password");
            settings.put("accounts", accounts(server.accounts));
        }
        _ => return Err(Status::invalid_argument("unknown way to log in")),
    }
    if server.udp_enabled {
        settings.put("udp", true);
        settings.put_some("ip", entries::host(server.address.as_ref())?);
    }
    settings.put_number("userLevel", server.user_level);
    Ok(settings)
}

fn http(proxy: &Typed<'_>) -> Result<Fields, Status> {
    let server: HttpServer = proxy.read(&[1, 2, 3, 4])?;
    let mut settings = Fields::default();
    settings.put("accounts", accounts(server.accounts));
    settings.put_if("allowTransparent", server.allow_transparent);
    settings.put_number("userLevel", server.user_level);
    Ok(settings)
}

fn accounts(accounts: impl IntoIterator<Item = (String, String)>) -> Value {
    accounts.into_iter().map(|(user, password)| json!({"user": user, "pass": password})).collect()
}

fn door(proxy: &Typed<'_>) -> Result<Fields, Status> {
    // In Xray, 3 is a table of ports and 4 is nothing.
    let door: Door = match proxy.family {
        Family::V2ray => proxy.read(&[1, 2, 3, 4, 5, 6, 7])?,
        Family::Xray => proxy.read(&[1, 2, 5, 6, 7])?,
    };
    let mut settings = Fields::default();
    settings.put_some("address", entries::host(door.address.as_ref())?);
    settings.put_number("port", door.port);
    let old = door.network_list.map(|list| list.network).unwrap_or_default();
    settings.put_some("network", entries::networks(door.networks.into_iter().chain(old))?);
    settings.put_if("followRedirect", door.follow_redirect);
    settings.put_number("userLevel", door.user_level);
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::messages::{
        common::{PortList, PortRange, TypedMessage},
        rules::{Domain, GeoIpRef, XrayDomain, XrayIp, xray_domain, xray_ip},
    };

    fn typed(name: &str, message: &impl Message) -> Option<TypedMessage> {
        Some(TypedMessage { r#type: name.to_owned(), value: message.encode_to_vec() })
    }

    #[test]
    fn sniffing_of_xray_has_exceptions() {
        let custom = Domain { r#type: 2, value: "a.example".to_owned() };
        let geoip = GeoIpRef { code: "private".to_owned(), ..GeoIpRef::default() };
        let sniffing = XraySniffing {
            enabled: true,
            destination_override: vec!["tls".to_owned()],
            route_only: true,
            domains_excluded: vec![XrayDomain { value: Some(xray_domain::Value::Custom(custom)) }],
            ips_excluded: vec![XrayIp { value: Some(xray_ip::Value::Geoip(geoip)) }],
            ..XraySniffing::default()
        };
        let receiver = XrayReceiver {
            port_list: Some(PortList { range: vec![PortRange { from: 1, to: 2 }] }),
            sniffing_settings: sniffing.encode_to_vec(),
            ..XrayReceiver::default()
        };
        let inbound = InboundHandlerConfig {
            tag: "x".to_owned(),
            receiver_settings: typed("xray.app.proxyman.ReceiverConfig", &receiver),
            proxy_settings: typed("xray.proxy.http.ServerConfig", &HttpServer::default()),
        };
        assert_eq!(
            read(&inbound).unwrap(),
            json!({
                "tag": "x", "port": "1-2", "protocol": "http", "settings": {"accounts": []},
                "sniffing": {
                    "enabled": true, "destOverride": ["tls"], "routeOnly": true,
                    "domainsExcluded": ["domain:a.example"], "ipsExcluded": ["geoip:private"],
                },
            })
        );
    }

    #[test]
    fn an_inbound_that_changes_its_port_is_refused() {
        let receiver = V2rayReceiver {
            port_range: Some(PortRange { from: 1, to: 1 }),
            allocation_strategy: Some(Allocation { r#type: 1 }),
            ..V2rayReceiver::default()
        };
        let inbound = InboundHandlerConfig {
            receiver_settings: typed("v2ray.core.app.proxyman.ReceiverConfig", &receiver),
            ..InboundHandlerConfig::default()
        };
        assert_eq!(read(&inbound).unwrap_err().code(), tonic::Code::Unimplemented);
    }
}
