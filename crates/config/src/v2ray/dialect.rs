use crate::{
    json::{Member, Value},
    report::Report,
};

/// Reports a file of sing-box, or one that is half of each. Returns whether it did.
pub(super) fn refuse_sing_box(root: &Value, report: &mut Report<'_>) -> bool {
    let sing_box = root.member("route").or_else(|| in_endpoints(root, "type"));
    let Some(sing_box) = sing_box else { return false };
    let v2ray = root.member("routing").or_else(|| in_endpoints(root, "protocol"));
    let (name, span) = (&sing_box.key, sing_box.key_span);
    match v2ray {
        Some(v2ray) => {
            let (other, line) = (&v2ray.key, report.line(v2ray.key_span));
            let message = format!("`{name}` belongs to sing-box and `{other}` on line {line} to V2Ray");
            report
                .error(span, message)
                .help("one file is in one dialect; V2Ray files have `routing` and `protocol`");
        }
        None => {
            let message =
                format!("`{name}` belongs to sing-box, whose files are not supported in this version");
            report.error(span, message).help("V2Ray files have `routing` and `outbounds[].protocol`");
        }
    }
    true
}

/// The first key of this name in an inbound or outbound.
fn in_endpoints<'a>(root: &'a Value, key: &str) -> Option<&'a Member> {
    let sections = ["inbounds", "outbounds"].into_iter().filter_map(|section| root.member(section));
    let endpoints = sections.filter_map(|section| section.value.items()).flatten();
    endpoints.filter_map(|endpoint| endpoint.member(key)).next()
}
