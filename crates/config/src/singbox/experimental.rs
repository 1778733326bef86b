use crate::{
    keys::{Form, Key, KeyTable},
    model::{CacheFile, Experimental},
    object::Object,
    remote,
    report::Report,
};

const IN_V2RAY: &str = "a file of V2Ray has `api` for it";
const NO_FAKE_IP: &str = "there are no fake addresses";

pub(super) static EXPERIMENTAL: KeyTable = KeyTable {
    name: "Experimental",
    path: "experimental",
    doc: "Remote control, and what is kept on disk.",
    keys: &[
        Key::new("cache_file", Form::Object("CacheFile"), "What is kept from one run to the next."),
        Key::new("clash_api", Form::Object("ClashApi"), "Remote control in the manner of Clash."),
        Key::new("v2ray_api", Form::Map, "Remote control in the manner of V2Ray.").no_effect(IN_V2RAY),
        Key::new("debug", Form::Map, "For the developers of sing-box.").no_effect("it is for developers"),
    ],
};

pub(super) static CACHE_FILE: KeyTable = KeyTable {
    name: "CacheFile",
    path: "experimental.cache_file",
    doc: "What is kept from one run to the next: choices of selectors, the mode, fetched rule sets.",
    keys: &[
        Key::new("enabled", Form::Flag, "Whether anything is kept."),
        Key::new("path", Form::Text, "The file; `cache.db` without it."),
        Key::new("cache_id", Form::Text, "Keeps what several configurations store apart."),
        Key::new("store_fakeip", Form::Flag, "Whether fake addresses are kept.").no_effect(NO_FAKE_IP),
        Key::new("store_rdrc", Form::Flag, "Whether rejected answers are kept.")
            .no_effect("rejected answers are not kept"),
        Key::new("rdrc_timeout", Form::Duration, "How long rejected answers are kept.")
            .no_effect("rejected answers are not kept"),
        Key::new("store_dns", Form::Flag, "Whether answers are kept.")
            .no_effect("answers are not kept on disk"),
    ],
};

pub(super) fn read(file: &Object<'_>, report: &mut Report<'_>) -> Experimental {
    let Some(object) = file.object("experimental", &EXPERIMENTAL, report) else {
        return Experimental::default();
    };
    let text = |object: &Object<'_>, name, report: &mut Report<'_>| -> Option<Box<str>> {
        object.text(name, report).filter(|text| !text.value.is_empty()).map(|text| text.value.into())
    };
    let clash_api =
        object.object("clash_api", &remote::SINGBOX, report).map(|api| remote::read(&api, report));
    let cache_file = object.object("cache_file", &CACHE_FILE, report).and_then(|cache| {
        let enabled = cache.flag("enabled", report).is_some_and(|flag| flag.value);
        let (path, id) = (text(&cache, "path", report), text(&cache, "cache_id", report));
        enabled.then_some(CacheFile { path, id })
    });
    Experimental { clash_api, cache_file }
}
