//! `proxySettings`: the outbound that another one goes through.

use waypost_net::Tag;

use super::stream::Stream;
use crate::{
    Spanned,
    keys::{Form, Key, KeyTable},
    model::{ClientTls, Layer},
    object::Object,
    report::Report,
};

pub(super) static PROXY_SETTINGS: KeyTable = KeyTable {
    name: "ProxySettings",
    path: "proxySettings",
    doc: "Another outbound that connections to the server take; `dialerProxy` of `sockopt` says the same.",
    keys: &[
        Key::new("tag", Form::Text, "Its tag."),
        Key::new(
            "transportLayer",
            Form::Flag,
            "Whether what is laid over TCP is kept; it has to be `true` for transports other than `tcp`.",
        ),
    ],
};

/// Reads which outbound another one goes through; whether it exists is checked at the end of the file.
pub(super) fn read(
    outbound: &Object<'_>,
    stream: &Stream<'_, ClientTls>,
    report: &mut Report<'_>,
) -> Option<Spanned<Tag>> {
    let settings = outbound.object("proxySettings", &PROXY_SETTINGS, report);
    let keeps_layer = settings.as_ref().and_then(|settings| settings.flag("transportLayer", report));
    let tag = settings.as_ref().and_then(|settings| settings.text("tag", report));
    let tag = tag.filter(|tag| !tag.value.is_empty());
    if let (Some(tag), Some(_)) = (tag, stream.dialer) {
        report
            .error(tag.span, "`proxySettings` and `dialerProxy` exclude each other")
            .help("they say the same; remove `proxySettings`");
        return None;
    }
    if let Some(tag) = tag
        && stream.transport.layer != Layer::Raw
        && !keeps_layer.is_some_and(|keeps| keeps.value)
    {
        report
            .error(
                tag.span,
                "without `transportLayer` V2Ray leaves the transport out, and the server would not understand what it gets",
            )
            .help("add `\"transportLayer\": true` to `proxySettings`");
    }
    let tag = tag.or(stream.dialer)?;
    Some(Spanned::new(Tag::from(tag.value), tag.span))
}
