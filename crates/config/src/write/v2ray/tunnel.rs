//! Settings of `shadowsocks`, `vmess`, `vless` and `trojan`.

use waypost_net::{Secret, Target};

use super::super::json::{Fields, Json};
use crate::{
    model::{
        Fallback, ProxyServer, ShadowsocksInbound, ShadowsocksKey, TrojanInbound, User, UserId, VmessAccount,
        VmessSecurity,
    },
    user_id,
};

fn servers<A>(list: &str, servers: &[ProxyServer<A>], put: impl Fn(&A, &mut Fields)) -> Fields {
    let server = |server: &ProxyServer<A>| {
        let mut fields = Fields::default();
        fields.put("address", server.host.to_string());
        fields.put("port", server.port);
        put(&server.account, &mut fields);
        Json::from(fields)
    };
    let mut settings = Fields::default();
    settings.put(list, servers.iter().map(server).collect::<Vec<_>>());
    settings
}

pub(super) fn shadowsocks_servers(all: &[ProxyServer<ShadowsocksKey>]) -> Fields {
    servers("servers", all, |key, fields| {
        fields.put("method", key.method.name());
        fields.put("password", key.password.expose());
    })
}

pub(super) fn trojan_servers(all: &[ProxyServer<Secret>]) -> Fields {
    servers("servers", all, |password, fields| fields.put("password", password.expose()))
}

pub(super) fn vmess_servers(all: &[ProxyServer<VmessAccount>]) -> Fields {
    servers("vnext", all, |account, fields| {
        let mut user = Fields::default();
        user.put("id", user_id::format(&account.id));
        let security = account.security;
        user.put_some("security", (security != VmessSecurity::Auto).then(|| security.name()));
        fields.put("users", vec![user]);
    })
}

pub(super) fn vless_servers(all: &[ProxyServer<UserId>]) -> Fields {
    servers("vnext", all, |id, fields| {
        let mut user = Fields::default();
        user.put("id", user_id::format(id));
        user.put("encryption", "none");
        fields.put("users", vec![user]);
    })
}

fn clients<C>(users: &[User<C>], level: Option<usize>, put: impl Fn(&C, &mut Fields)) -> Vec<Json> {
    let client = |user: &User<C>| {
        let mut fields = Fields::default();
        put(&user.credential, &mut fields);
        fields.put_some("email", user.name.as_deref());
        fields.put_some("level", level);
        Json::from(fields)
    };
    users.iter().map(client).collect()
}

pub(super) fn shadowsocks(inbound: &ShadowsocksInbound, level: Option<usize>) -> Fields {
    let ShadowsocksInbound { method, password, name, users, networks } = inbound;
    let mut settings = Fields::default();
    settings.put("method", method.name());
    settings.put_some("password", password.as_ref().map(Secret::expose));
    settings.put_some("email", name.as_deref());
    settings.put("network", networks.to_string());
    if users.is_empty() {
        settings.put_some("level", level);
        return settings;
    }
    let clients = clients(users, level, |password, fields| {
        // Xray wants it of each, except with a method of 2022.
        fields.put_some("method", method.key_bytes().is_none().then(|| method.name()));
        fields.put("password", password.expose());
    });
    settings.put("clients", clients);
    settings
}

pub(super) fn vmess(users: &[User<UserId>], level: Option<usize>) -> Fields {
    let mut settings = Fields::default();
    settings.put("clients", clients(users, level, |id, fields| fields.put("id", user_id::format(id))));
    settings
}

pub(super) fn vless(users: &[User<UserId>], level: Option<usize>) -> Fields {
    let mut settings = vmess(users, level);
    settings.put("decryption", "none");
    settings
}

pub(super) fn trojan(inbound: &TrojanInbound, level: Option<usize>) -> Fields {
    let TrojanInbound { users, fallback } = inbound;
    let mut settings = Fields::default();
    let clients = clients(users, level, |password, fields| fields.put("password", password.expose()));
    settings.put("clients", clients);
    settings.put_filled("fallbacks", fallback.iter().map(self::fallback).collect::<Vec<_>>());
    settings
}

fn fallback(fallback: &Fallback) -> Json {
    let Fallback { host, port } = fallback;
    let mut fields = Fields::default();
    fields.put("dest", Target::new(host.clone(), *port).to_string());
    fields.into()
}
