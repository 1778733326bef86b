//! What remote rule sets are fetched with.

use std::collections::BTreeMap;

use waypost_net::Tag;

use super::{dial, names::Names};
use crate::{
    Spanned,
    keys::{Form, Key, KeyTable},
    object::Object,
    report::{Report, quote},
};

const DIRECT: &str = "it is not available in this version; use `detour` with an outbound that has it";
const OWN: &str = "files are fetched by HTTP/1.1 in a connection of their own";

pub(super) static HTTP_CLIENT: KeyTable = KeyTable {
    name: "HttpClient",
    path: "http_clients[]",
    doc: "By which outbound files are fetched.",
    keys: &[
        Key::new("tag", Form::Text, "The name for `http_client`."),
        Key::new("detour", Form::Text, "The outbound; the rules decide without it."),
        Key::new("domain_resolver", dial::RESOLVER, "Who resolves names.")
            .no_effect("the outbound resolves names in its own way"),
        Key::new("connect_timeout", Form::Duration, "How long connecting may take.")
            .no_effect("fetching has a limit as a whole"),
        Key::new("engine", Form::Text, "The library that is used.").no_effect(OWN),
        Key::new("version", Form::Any, "The version of HTTP.").no_effect(OWN),
        Key::new("disable_version_fallback", Form::Flag, "Belongs to `version`.").no_effect(OWN),
        Key::new("idle_timeout", Form::Duration, "How long a connection is kept.").no_effect(OWN),
        Key::new("keep_alive_period", Form::Duration, "How often an idle connection is tried.")
            .no_effect(OWN),
        Key::new("headers", Form::Map, "Further headers of requests.")
            .only_off("it is not available in this version"),
        Key::new("tls", Form::Map, "How TLS is spoken.")
            .only_off("the certificate has to be for the host of the URL, and to come from an authority that is trusted"),
        Key::new("bind_interface", Form::Text, "The network interface that is used.").only_off(DIRECT),
        Key::new("inet4_bind_address", Form::Text, "The local address.").only_off(DIRECT),
        Key::new("inet6_bind_address", Form::Text, "The local address.").only_off(DIRECT),
        Key::new("routing_mark", dial::MARK, "A mark for the firewall.").only_off(DIRECT),
    ],
};

/// The clients of a file: by which outbound each fetches, where that is said.
#[derive(Default)]
pub(super) struct HttpClients {
    by_tag: BTreeMap<Tag, Option<Spanned<Tag>>>,
    /// That of rule sets that name none.
    pub(super) default: Option<Spanned<Tag>>,
}

impl HttpClients {
    /// Reads `http_clients` of the file and `default_http_client` of `route`.
    pub(super) fn read(
        file: &Object<'_>,
        route: &Object<'_>,
        names: &mut Names,
        report: &mut Report<'_>,
    ) -> Self {
        let mut clients = Self::default();
        for (index, value) in file.items("http_clients", report).iter().enumerate() {
            let Some(client) = Object::read(value, "http_clients[]", &HTTP_CLIENT, report) else { continue };
            let detour = read_detour(&client, names, report);
            if index == 0 {
                clients.default.clone_from(&detour);
            }
            let Some(tag) = client.text("tag", report).filter(|tag| !tag.value.is_empty()) else {
                report
                    .error(client.span, "an HTTP client needs a `tag`")
                    .help("rule sets refer to it by its tag");
                continue;
            };
            if clients.by_tag.insert(tag.value.into(), detour).is_some() {
                let message = format!("another HTTP client has the tag {} already", quote(tag.value));
                report.error(tag.span, message).help("give each its own tag");
            }
        }
        if let Some(tag) = route.text("default_http_client", report).filter(|tag| !tag.value.is_empty()) {
            clients.default = clients.find(tag, report);
        }
        clients
    }

    /// Reads `http_client` of a rule set: a tag, or an object.
    pub(super) fn detour_of(
        &self,
        set: &Object<'_>,
        names: &mut Names,
        report: &mut Report<'_>,
    ) -> Option<Spanned<Tag>> {
        let Some(field) = set.get("http_client").filter(|field| !field.value.is_off()) else {
            return self.default.clone();
        };
        match field.value.text() {
            Some(tag) => self.find(Spanned::new(tag, field.value.span), report),
            None => read_detour(&set.object("http_client", &HTTP_CLIENT, report)?, names, report),
        }
    }

    fn find(&self, tag: Spanned<&str>, report: &mut Report<'_>) -> Option<Spanned<Tag>> {
        let Some(detour) = self.by_tag.get(&Tag::from(tag.value)) else {
            report
                .error(tag.span, format!("there is no HTTP client with the tag {}", quote(tag.value)))
                .help("`http_clients` of the file holds them");
            return None;
        };
        detour.clone()
    }
}

fn read_detour(client: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Option<Spanned<Tag>> {
    let detour = client.text("detour", report).filter(|tag| !tag.value.is_empty())?;
    names.outbounds.find(detour, "outbound", report)
}
