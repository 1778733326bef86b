//! The configurations of the demo, and the proxy with the group.

use std::net::SocketAddr;

use serde_json::{Value, json};
use waypost_config::{Options, Source, Style, render};
use waypost_proxy::{
    Proxy,
    build::{Assets, Ready, load as load_configuration},
};

use crate::{DemoError, script::CAST};

/// Loads a configuration the way every configuration is loaded.
pub(crate) fn load(configuration: &Value) -> Result<Ready, DemoError> {
    let refused = |text: String| DemoError::Configuration { text };
    let source =
        Source::new("(demo)", configuration.to_string()).map_err(|error| refused(error.to_string()))?;
    let loaded = load_configuration(&source, &Options::default(), &Assets::new(None, &|_| None));
    loaded.ready.ok_or_else(|| refused(render(&source, &loaded.diagnostics, Style::Plain)))
}

/// A SOCKS inbound for everybody on this machine.
fn inbound(port: u16) -> Value {
    json!({"protocol": "socks", "listen": "127.0.0.1", "port": port})
}

pub(crate) fn member_configuration(port: u16) -> Value {
    json!({"inbounds": [inbound(port)], "outbounds": [{"protocol": "freedom"}]})
}

/// A group of the [`CAST`], whose members listen at these addresses.
pub(crate) fn configuration(members: &[SocketAddr], origin: SocketAddr) -> Value {
    let tags = |is_primary: bool| -> Vec<&str> {
        CAST.iter().filter(|member| member.is_primary == is_primary).map(|member| member.name).collect()
    };
    // Health checks this frequent are for a show of some seconds; the default is three minutes.
    let group = json!({"protocol": "loadbalance", "tag": "demo", "settings": {
        "primary_outbounds": tags(true), "backup_outbounds": tags(false),
        "url": format!("http://{origin}/generate_204"), "interval": "1s", "timeout": "1s",
        "hysteresis": {"primary_failures": 1, "backup_hold_time": "1s"},
    }});
    let outbounds = CAST.iter().zip(members).map(|(member, address)| {
        let server = json!({"address": address.ip(), "port": address.port()});
        json!({"protocol": "socks", "tag": member.name, "settings": {"servers": [server]}})
    });
    json!({
        "inbounds": [inbound(0)],
        "outbounds": std::iter::once(group).chain(outbounds).collect::<Vec<Value>>(),
    })
}

/// Starts the proxy with the group, and says where it listens.
pub(crate) fn start(members: &[SocketAddr], origin: SocketAddr) -> Result<(Proxy, SocketAddr), DemoError> {
    let ready = load(&configuration(members, origin))?;
    let proxy = Proxy::start(&ready.config, ready.snapshot)?;
    let address = proxy.addresses().first().and_then(|listen| listen.address.ip());
    let address = address.ok_or_else(|| DemoError::Configuration { text: "it has no inbound".to_owned() })?;
    Ok((proxy, address))
}
