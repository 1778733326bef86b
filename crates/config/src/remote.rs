//! Remote control in the manner of Clash, which both dialects read from the same keys.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use waypost_net::Secret;

use crate::{
    Spanned,
    keys::{Form, Key, KeyTable},
    model::{ApiListen, ClashApi},
    object::Object,
    report::{Report, quote},
};

const NOT_FETCHED: &str = "it is not fetched; unpack the page into the folder `external_ui`";
const NO_FAKE_IP: &str = "there are no fake addresses";
/// `sun_path` of unix(7) has 108 bytes with the final zero.
const MAX_PATH_BYTES: usize = 107;

const KEYS: [Key; 14] = [
    Key::new(
        "external_controller",
        Form::Text,
        "Where to listen: `HOST:PORT`, or the path of a Unix socket such as `/run/waypost.sock`. Without a host, on 127.0.0.1 only; without the key nothing listens.",
    )
    .alias(&["external-controller", "externalController"]),
    Key::new(
        "secret",
        Form::Text,
        "What clients have to know. Without it one is made at each start, and printed once.",
    ),
    Key::new("default_mode", Form::Text, "The mode that `clash_mode` conditions see; `Rule` without it.")
        .alias(&["default-mode", "defaultMode"]),
    Key::new("external_ui", Form::Text, "The folder of a web page, which is served at `/ui/`; without it, Waypost's own page is.")
        .alias(&["external-ui", "externalUi"]),
    Key::new("external_ui_download_url", Form::Text, "Where the web page is fetched from.")
        .no_effect(NOT_FETCHED),
    Key::new("external_ui_download_detour", Form::Text, "What it is fetched through.").no_effect(NOT_FETCHED),
    Key::new(
        "access_control_allow_origin",
        Form::OneOrMany(&Form::Text),
        "Web pages from elsewhere that may use it, such as `https://yacd.example`; `*` for all. Without it, only the page at `/ui/`.",
    )
    .alias(&["accessControlAllowOrigin"]),
    Key::new("access_control_allow_private_network", Form::Flag, "Whether public web pages may use it.")
        .alias(&["accessControlAllowPrivateNetwork"]),
    Key::new(
        "allowed_hosts",
        Form::OneOrMany(&Form::Text),
        "Names that clients may reach it by, besides those of this machine and the address that it listens on.",
    )
    .alias(&["allowedHosts"]),
    Key::new("store_mode", Form::Flag, "Old form.").no_effect("use `cache_file`"),
    Key::new("store_selected", Form::Flag, "Old form.").no_effect("use `cache_file`"),
    Key::new("store_fakeip", Form::Flag, "Old form.").no_effect(NO_FAKE_IP),
    Key::new("cache_file", Form::Text, "Old form.").no_effect("use `cache_file` of `experimental`"),
    Key::new("cache_id", Form::Text, "Old form.").no_effect("use `cache_file` of `experimental`"),
];

/// `experimental.clash_api` of sing-box.
pub(crate) static SINGBOX: KeyTable = KeyTable {
    name: "ClashApi",
    path: "experimental.clash_api",
    doc: "Remote control in the manner of Clash.",
    keys: &KEYS,
};

/// `clashApi` in a file of V2Ray.
pub(crate) static V2RAY: KeyTable = KeyTable {
    name: "ClashApi",
    path: "clashApi",
    doc: "Remote control in the manner of Clash, with the keys of sing-box.",
    keys: &KEYS,
};

/// Reads the object.
pub(crate) fn read(api: &Object<'_>, report: &mut Report<'_>) -> ClashApi {
    let filled = |name, report: &mut Report<'_>| {
        api.text(name, report).filter(|text: &Spanned<&str>| !text.value.is_empty())
    };
    let texts = |name, report: &mut Report<'_>| -> Vec<Box<str>> {
        let texts = api.strings(name, report).unwrap_or_default();
        texts.into_iter().map(|text| text.value.into()).collect()
    };
    let listen = filled("external_controller", report).and_then(|written| listen(written, report));
    let allowed_origins = api.strings("access_control_allow_origin", report).unwrap_or_default();
    for origin in &allowed_origins {
        if origin.value != "*" && !origin.value.contains("://") {
            report
                .error(origin.span, format!("not the origin of a web page: {}", quote(origin.value)))
                .help("expected a scheme and a host such as `https://yacd.example`, or `*`");
        }
    }
    ClashApi {
        listen,
        secret: filled("secret", report).map(|text| Secret::new(text.value)),
        default_mode: filled("default_mode", report).map(|text| text.value.into()),
        external_ui: filled("external_ui", report).map(|text| Spanned::new(text.value.into(), text.span)),
        allowed_origins: allowed_origins.into_iter().map(|origin| origin.value.into()).collect(),
        allow_private_network: api
            .flag("access_control_allow_private_network", report)
            .is_some_and(|flag| flag.value),
        allowed_hosts: texts("allowed_hosts", report),
    }
}

fn listen(written: Spanned<&str>, report: &mut Report<'_>) -> Option<Spanned<ApiListen>> {
    let text = written.value;
    let path = text.strip_prefix("unix:").or_else(|| text.starts_with(['/', '.']).then_some(text));
    if let Some(path) = path {
        if path.len() < 2 || path.len() > MAX_PATH_BYTES || path.contains('\0') {
            report
                .error(written.span, format!("not the path of a Unix socket: {}", quote(path)))
                .help(format!("expected 2 to {MAX_PATH_BYTES} bytes, such as `/run/waypost.sock`"));
            return None;
        }
        return Some(Spanned::new(ApiListen::Unix(path.into()), written.span));
    }
    let address = match text.rsplit_once(':') {
        Some(("", port)) => {
            let port: Option<u16> = port.parse().ok();
            if let Some(port) = port {
                report.warning(written.span, "without a host it listens on 127.0.0.1 only").help(format!(
                    "write `127.0.0.1:{port}`, or `0.0.0.0:{port}` to listen on every address"
                ));
            }
            port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        }
        Some(("localhost", port)) => {
            port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        }
        Some(_) => text.parse().ok(),
        None => None,
    };
    if address.is_none() {
        report.error(written.span, format!("not an address to listen on: {}", quote(text))).help(
            "expected an IP address with a port such as `127.0.0.1:9090`, or the path of a Unix socket",
        );
    }
    Some(Spanned::new(ApiListen::Tcp(address?), written.span))
}
