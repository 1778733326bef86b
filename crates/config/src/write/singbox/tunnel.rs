//! `shadowsocks`, `vmess`, `vless` and `trojan`.

use waypost_net::Secret;

use super::super::{
    json::{Fields, Json},
    losses::Losses,
};
use crate::{
    Span,
    model::{ShadowsocksInbound, ShadowsocksKey, TrojanInbound, User, UserId, VmessAccount},
    user_id,
};

pub(super) fn shadowsocks_key(key: &ShadowsocksKey, fields: &mut Fields) {
    fields.put("method", key.method.name());
    fields.put("password", key.password.expose());
}

pub(super) fn vmess_account(account: &VmessAccount, fields: &mut Fields) {
    fields.put("uuid", user_id::format(&account.id));
    fields.put("security", account.security.name());
}

pub(super) fn vless_id(id: &UserId, fields: &mut Fields) {
    fields.put("uuid", user_id::format(id));
}

pub(super) fn trojan_password(password: &Secret, fields: &mut Fields) {
    fields.put("password", password.expose());
}

fn users<C>(users: &[User<C>], put: impl Fn(&C, &mut Fields)) -> Vec<Json> {
    let user = |user: &User<C>| {
        let mut fields = Fields::default();
        fields.put_some("name", user.name.as_deref());
        put(&user.credential, &mut fields);
        Json::from(fields)
    };
    users.iter().map(user).collect()
}

pub(super) fn shadowsocks(
    inbound: &ShadowsocksInbound,
    span: Span,
    fields: &mut Fields,
    losses: &mut Losses,
) {
    let ShadowsocksInbound { method, password, name, users: all, networks } = inbound;
    if name.is_some() {
        losses.lose(span, "the name of the only user", "rules can name the inbound");
    }
    super::outbound::put_networks(*networks, fields);
    fields.put("method", method.name());
    fields.put_some("password", password.as_ref().map(Secret::expose));
    fields.put_filled("users", users(all, trojan_password));
}

pub(super) fn ids(all: &[User<UserId>], fields: &mut Fields) {
    fields.put("users", users(all, vless_id));
}

pub(super) fn trojan(inbound: &TrojanInbound, fields: &mut Fields) {
    let TrojanInbound { users: all, fallback } = inbound;
    fields.put("users", users(all, trojan_password));
    if let Some(fallback) = fallback {
        let mut site = Fields::default();
        site.put("server", fallback.host.to_string());
        site.put("server_port", fallback.port);
        fields.put("fallback", site);
    }
}
