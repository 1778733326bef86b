//! Who may come in by an inbound.

use serde_json::{Value, json};
use tonic::Status;
use waypost_config::model::{Config, InboundProtocol};

use super::find_inbound;
use crate::{
    change::{Edit, Entry, File, List},
    messages::{
        common::User,
        proxy::Account,
        proxyman::{AddUserOperation, RemoveUserOperation},
    },
    typed::{Typed, shown},
};

/// What becomes of the users of an inbound.
#[derive(Debug)]
pub(super) enum Alteration {
    Add(Account),
    /// The login name.
    Remove(String),
}

pub(super) fn add(operation: &AddUserOperation) -> Result<Alteration, Status> {
    let user = operation.user.as_ref().ok_or_else(|| Status::invalid_argument("there is no user"))?;
    account(user).map(Alteration::Add)
}

/// In the programs that this stands in for, users have an e-mail; of those of SOCKS and HTTP it is the login name.
pub(super) fn remove(operation: RemoveUserOperation) -> Alteration {
    Alteration::Remove(operation.email)
}

/// The login of a user.
pub(super) fn account(user: &User) -> Result<Account, Status> {
    let account = Typed::of(user.account.as_ref(), "account of the user")?;
    match account.name {
        "proxy.socks.Account" | "proxy.http.Account" => account.read(&[1, 2]),
        _ => Err(account.refuse("account for")),
    }
}

pub(super) fn apply(
    alteration: Alteration,
    tag: &str,
    config: &Config,
    file: &mut File,
) -> Result<Edit, Status> {
    let inbound = find_inbound(config, tag)?;
    match inbound.protocol {
        InboundProtocol::Client(_) => {}
        InboundProtocol::Door(_) => {
            return Err(Status::failed_precondition(format!("the inbound `{}` has no users", shown(tag))));
        }
        InboundProtocol::Shadowsocks(_)
        | InboundProtocol::Vmess(_)
        | InboundProtocol::Vless(_)
        | InboundProtocol::Trojan(_) => {
            let message = format!("the users of the inbound `{}` are those of its file", shown(tag));
            return Err(Status::failed_precondition(message));
        }
    }
    let is_user = |name: &str| inbound.accounts.iter().any(|account| &*account.user == name);
    // Without users anybody may come in: neither the first nor the last is a matter of one user.
    if inbound.accounts.is_empty() {
        let message = format!("the inbound `{}` asks for no login", shown(tag));
        return Err(Status::failed_precondition(message));
    }
    check(&alteration, &is_user, inbound.accounts.len())?;
    file.edit(List::Inbounds, |inbounds| {
        let entry = inbounds.iter_mut().find(|entry| entry.says("tag", tag));
        let entry = entry.ok_or_else(|| Status::internal("the inbound is not written"))?;
        let mut value = entry.value()?;
        let accounts = value.get_mut("settings").and_then(|settings| settings.get_mut("accounts"));
        let accounts = accounts.and_then(Value::as_array_mut);
        let accounts = accounts.ok_or_else(|| Status::internal("the inbound has no accounts"))?;
        match alteration {
            Alteration::Add(Account { username, password }) => {
                accounts.push(json!({"user": username, "pass": password}));
            }
            Alteration::Remove(name) => {
                accounts.retain(|account| account.get("user").and_then(Value::as_str) != Some(&*name));
            }
        }
        *entry = Entry::try_new(&value)?;
        Ok(Edit::Done)
    })
}

/// Refuses what would be no change, or let anybody in.
fn check(alteration: &Alteration, is_user: &dyn Fn(&str) -> bool, n_users: usize) -> Result<(), Status> {
    match alteration {
        Alteration::Add(Account { username, .. }) if is_user(username) => {
            Err(Status::already_exists(format!("there is a user `{}` already", shown(username))))
        }
        Alteration::Remove(name) if !is_user(name) => {
            Err(Status::not_found(format!("there is no user `{}`", shown(name))))
        }
        Alteration::Remove(_) if n_users == 1 => Err(Status::failed_precondition(
            "without its last user, the inbound would let anybody in; remove the inbound",
        )),
        Alteration::Add(_) | Alteration::Remove(_) => Ok(()),
    }
}
