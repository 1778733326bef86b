//! Whose configuration a file is written like.

use crate::{
    Dialect, Spanned, UnknownKeys,
    json::{Member, Value},
    model::Config,
    object::choose,
    report::Report,
    singbox, v2ray,
};

/// Reads the tree of a whole file in the dialect that it is in.
pub(crate) fn read(root: &Value, report: &mut Report<'_>) -> Option<Config> {
    if root.members().is_none() {
        let message = format!("expected an object with `inbounds` and `outbounds`, found {}", root.found());
        report.error(root.span, message);
        return None;
    }
    let dialect = find(root, report)?;
    read_unknown_keys(root, report);
    match dialect {
        Dialect::V2ray => v2ray::read(root, report),
        Dialect::SingBox => singbox::read(root, report),
    }
}

/// The dialect of a file. One that is half of each is reported.
fn find(root: &Value, report: &mut Report<'_>) -> Option<Dialect> {
    let sing_box = root.member("route").or_else(|| in_endpoints(root, "type"));
    let v2ray = root.member("routing").or_else(|| in_endpoints(root, "protocol"));
    match (sing_box, v2ray) {
        (None, _) => Some(Dialect::V2ray),
        (Some(_), None) => Some(Dialect::SingBox),
        (Some(sing_box), Some(v2ray)) => {
            let (name, other, line) = (&sing_box.key, &v2ray.key, report.line(v2ray.key_span));
            let message = format!("`{name}` belongs to sing-box and `{other}` on line {line} to V2Ray");
            report.error(sing_box.key_span, message).help(
                "one file is in one dialect: V2Ray files have `routing` and `protocol`, sing-box files `route` and `type`",
            );
            None
        }
    }
}

/// The first key of this name in an inbound or outbound.
fn in_endpoints<'a>(root: &'a Value, key: &str) -> Option<&'a Member> {
    let sections = ["inbounds", "outbounds"].into_iter().filter_map(|section| root.member(section));
    let endpoints = sections.filter_map(|section| section.value.items()).flatten();
    endpoints.filter_map(|endpoint| endpoint.member(key)).next()
}

/// The file can ask for lenience itself; this has to be known before the first key is judged.
fn read_unknown_keys(root: &Value, report: &mut Report<'_>) {
    let names = ["unknownKeys", "unknown_keys", "unknown-keys"];
    let Some(member) = names.into_iter().find_map(|name| root.member(name)) else { return };
    let Some(text) = member.value.text() else {
        let message = format!("expected `error` or `warn` for `unknownKeys`, found {}", member.value.found());
        report.error(member.value.span, message);
        return;
    };
    let choices = [("error", UnknownKeys::Error), ("warn", UnknownKeys::Warn)];
    let written = Spanned::new(text, member.value.span);
    if choose("unknownKeys", written, &choices, report) == Some(UnknownKeys::Warn) {
        report.unknown_keys = UnknownKeys::Warn;
    }
}
