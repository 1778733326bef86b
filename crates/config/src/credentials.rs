//! What users prove themselves by, which both dialects read in the same way. No message shows any of it.

use std::{collections::BTreeMap, sync::Arc};

use waypost_net::{Host, Secret};

use crate::{
    Span, Spanned,
    model::{ShadowsocksMethod, UserId, VmessSecurity},
    object::{Object, choose},
    report::{Report, all_of, quote},
    shadowsocks::{self, KeyOwner, MethodError},
    user_id::{self, UserIdError},
};

/// The keys of Xray in `decryption` and `encryption` have 43 characters or more, its words at most 18.
const MAX_WORD_BYTES: usize = 20;

/// Reads the id of a user of VMess or VLESS.
pub(crate) fn read_user_id(written: Spanned<&str>, report: &mut Report<'_>) -> Option<UserId> {
    user_id::parse(written.value)
        .map_err(|error| report.error(written.span, error.to_string()).help(UserIdError::HELP))
        .ok()
}

/// Reads a method of Shadowsocks.
pub(crate) fn read_method(written: Spanned<&str>, report: &mut Report<'_>) -> Option<ShadowsocksMethod> {
    let error = match shadowsocks::method(written.value) {
        Ok(method) => return Some(method),
        Err(error) => error,
    };
    report.error(written.span, format!("{error}: {}", quote(written.value)));
    report.help(match shadowsocks::nearest_method(written.value) {
        Some(name) if error == MethodError::Unknown => format!("did you mean `{name}`?"),
        _ => format!("there are {}", all_of(ShadowsocksMethod::WORDS.iter().map(|(name, _)| *name))),
    });
    None
}

/// Reads a password of Shadowsocks.
pub(crate) fn read_key(
    method: ShadowsocksMethod,
    written: Spanned<&str>,
    owner: KeyOwner,
    report: &mut Report<'_>,
) -> Option<Secret> {
    match shadowsocks::check_password(method, written.value, owner) {
        Ok(()) => Some(Secret::new(written.value)),
        Err(error) => {
            report.error(written.span, error.to_string());
            if let Some(help) = shadowsocks::key_help(method, error) {
                report.help(help);
            }
            None
        }
    }
}

/// Reads a password that may be anything but empty.
pub(crate) fn read_password(written: Spanned<&str>, report: &mut Report<'_>) -> Option<Secret> {
    if written.value.is_empty() {
        report.error(written.span, "a password cannot be empty");
        return None;
    }
    Some(Secret::new(written.value))
}

/// Reads `security` of VMess; absent and empty mean `auto`.
pub(crate) fn read_security(object: &Object<'_>, report: &mut Report<'_>) -> Option<VmessSecurity> {
    let Some(written) = object.text("security", report) else {
        return (!object.has("security")).then_some(VmessSecurity::default());
    };
    match written.value.to_ascii_lowercase().as_str() {
        "" => Some(VmessSecurity::Auto),
        "chacha20-ietf-poly1305" => Some(VmessSecurity::Chacha20Poly1305),
        "aes-128-cfb" | "aes-128-ctr" | "legacy" => {
            report
                .error(written.span, format!("{} belongs to legacy VMess", quote(written.value)))
                .help("write `auto`");
            None
        }
        _ => choose("security", written, &VmessSecurity::WORDS, report),
    }
}

/// Refuses legacy VMess, which a number other than nought asks for.
pub(crate) fn check_alter_id(object: &Object<'_>, name: &str, report: &mut Report<'_>) {
    let Some(number) = object.count(name, 0..=u32::from(u16::MAX), report) else { return };
    if let Some(field) = object.get(name).filter(|_| number > 0) {
        report
            .error(field.value.span, "legacy VMess is not available")
            .help(format!("set `{name}` to 0 on both ends; programs since 2022 speak nothing else"));
    }
}

/// Hides the keys in `decryption` and `encryption` of VLESS, which are behind its words; the length in
/// bytes stays the same.
pub(crate) fn hide_keys(text: &str) -> String {
    let hide =
        |part: &str| if part.len() > MAX_WORD_BYTES { "*".repeat(part.len()) } else { part.to_owned() };
    text.split('.').map(hide).collect::<Vec<_>>().join(".")
}

/// Refuses a `flow`, whatever it is.
pub(crate) fn check_flow(object: &Object<'_>, report: &mut Report<'_>) {
    let Some(flow) = object.text("flow", report) else { return };
    if !flow.value.is_empty() && !flow.value.eq_ignore_ascii_case("none") {
        let name = if flow.value.starts_with("xtls-rprx-vision") { "XTLS Vision" } else { "this flow" };
        report
            .error(flow.span, format!("{name} is not available: {}", quote(flow.value)))
            .help("remove `flow` on both ends; `vless` and `trojan` over TLS need none");
    }
}

/// Whether a host is this machine, so that nobody is on the way there.
pub(crate) fn is_this_machine(host: &Host) -> bool {
    host.ip().is_some_and(|ip| ip.is_loopback())
        || host.domain().is_some_and(|name| name.as_str().eq_ignore_ascii_case("localhost"))
}

/// The users of an inbound so far, so that no two of them are the same.
#[derive(Default)]
pub(crate) struct Seen {
    names: BTreeMap<Arc<str>, Span>,
    credentials: BTreeMap<Box<[u8]>, Span>,
}

impl Seen {
    /// Whether a user is a new one. `what` is what proves it, such as `id`.
    pub(crate) fn admit(
        &mut self,
        name: Option<&Spanned<Arc<str>>>,
        what: &str,
        credential: Spanned<&[u8]>,
        report: &mut Report<'_>,
    ) -> bool {
        let mut is_new = true;
        if let Some(&first) = self.credentials.get(credential.value) {
            let line = report.line(first);
            report
                .error(credential.span, format!("the user on line {line} has this {what} already"))
                .help(format!("give each user their own {what}, or remove one of the two"));
            is_new = false;
        }
        if let Some(name) = name
            && let Some(&first) = self.names.get(&name.value)
        {
            let line = report.line(first);
            report.error(name.span, format!("the user {} is already on line {line}", quote(&name.value)));
            is_new = false;
        }
        if let Some(name) = name {
            self.names.entry(Arc::clone(&name.value)).or_insert(name.span);
        }
        self.credentials.entry(credential.value.into()).or_insert(credential.span);
        is_new
    }
}

/// Reads the name of a user: `email` or `name`.
pub(crate) fn read_name(
    object: &Object<'_>,
    key: &str,
    report: &mut Report<'_>,
) -> Option<Spanned<Arc<str>>> {
    let written = object.text(key, report).filter(|written| !written.value.is_empty())?;
    Some(Spanned::new(written.value.into(), written.span))
}

/// What is required of an object, with the place of its opening brace if it is not there.
pub(crate) fn require(
    object: &Object<'_>,
    names: &[&'static str],
    what: &str,
    report: &mut Report<'_>,
) -> bool {
    let missing: Vec<&str> = names.iter().copied().filter(|name| !object.has(name)).collect();
    let brace = Span { start: object.span.start, end: object.span.start + 1 };
    for name in &missing {
        report.error(brace, format!("{what} needs `{name}`"));
    }
    missing.is_empty()
}
