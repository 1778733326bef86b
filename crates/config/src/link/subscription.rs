//! What a text is, and its links.

use super::{
    LinkError, Node, Rejected, Subscription, SubscriptionError, clash, plain, share_url::ShareUrl, ss, text,
    trojan, vless, vmess, yaml::Yaml,
};
use crate::{Diagnostic, Options, Source, Span, model::Config, parse};

/// The largest text that is read; lists of thousands of servers have less than 1 MiB.
pub const MAX_LIST_BYTES: usize = 16 << 20;
/// The most entries that are read; no group has a use for more.
pub const MAX_NODES: usize = 20_000;

/// How often base64 is taken off; some providers do it twice.
const MAX_LAYERS: usize = 2;

/// Protocols that other programs have links for.
const FOREIGN: [&str; 17] = [
    "ssr",
    "hysteria",
    "hysteria2",
    "hy2",
    "tuic",
    "wireguard",
    "wg",
    "warp",
    "snell",
    "naive",
    "naive+https",
    "naive+quic",
    "ssh",
    "anytls",
    "juicity",
    "mieru",
    "socks4",
];

/// Reads whatever holds links: links one a line, base64 of that, `proxies` of Clash, `servers` of SIP008, or
/// a configuration, which is read with these options.
///
/// # Errors
///
/// If there is nothing of that in it; what is wrong with one link is in the list.
pub fn read(source: &Source, options: &Options<'_>) -> Result<Subscription, SubscriptionError> {
    let bytes = source.text().len();
    if bytes > MAX_LIST_BYTES {
        return Err(SubscriptionError::TooLarge { bytes, most: MAX_LIST_BYTES });
    }
    let mut layer = None;
    for _layer in 0..=MAX_LAYERS {
        let source = layer.as_ref().unwrap_or(source);
        if let Some(read) = read_layer(source, options) {
            return read;
        }
        let decoded =
            text::base64_bytes(source.text()).and_then(|bytes| Source::new(source.name(), bytes).ok());
        let Some(decoded) = decoded else { break };
        layer = Some(decoded);
    }
    Err(SubscriptionError::Unknown)
}

/// Reads a text that is not in base64; `None` if it is nothing that is known.
fn read_layer(source: &Source, options: &Options<'_>) -> Option<Result<Subscription, SubscriptionError>> {
    let whole = source.text().trim_start_matches('\u{feff}');
    let first = lines(whole).next();
    let Some((_, first)) = first else { return Some(Err(SubscriptionError::Empty)) };
    if first.starts_with('<') {
        return Some(Err(SubscriptionError::WebPage));
    }
    if first.starts_with(['{', '[']) || first.starts_with("/*") {
        return Some(read_object(whole, source, options));
    }
    if lines(whole).take(MAX_NODES).any(|(_, line)| ShareUrl::split(line).is_some()) && !is_clash(whole) {
        return Some(read_links(whole));
    }
    is_clash(whole).then(|| {
        let root = Yaml::parse(whole)?;
        root.get("proxies").map_or(Err(SubscriptionError::Unknown), clash::read)
    })
}

fn is_clash(text: &str) -> bool {
    text.lines()
        .any(|line| line.strip_prefix("proxies").is_some_and(|rest| rest.trim_start().starts_with(':')))
}

/// Lines that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered =
        (1..).zip(text.lines().map(|line| line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', ';']) && !line.starts_with("//"))
}

fn read_links(text: &str) -> Result<Subscription, SubscriptionError> {
    let mut list = Subscription::default();
    for (line, link) in lines(text) {
        if list.nodes.len() + list.rejected.len() >= MAX_NODES {
            return Err(SubscriptionError::TooMany { most: MAX_NODES });
        }
        let Some(url) = ShareUrl::split(link) else {
            list.rejected.push(Rejected { name: Box::default(), line, error: LinkError::NoLink });
            continue;
        };
        let (name, server) = match url.scheme.as_str() {
            "ss" => (url.name.clone(), ss::read(&url)),
            "vmess" => vmess::read(&url),
            "vless" => {
                let name = if url.name.is_empty() { url.get("remarks") } else { &url.name };
                (name.to_owned(), vless::read(&url))
            }
            "trojan" => (url.name.clone(), trojan::read(&url)),
            "socks" | "socks5" | "socks5h" => (url.name.clone(), plain::read_socks(&url)),
            "http" | "https" => (url.name.clone(), plain::read_http(&url)),
            foreign if FOREIGN.contains(&foreign) => {
                (url.name.clone(), Err(LinkError::Unavailable(foreign.into())))
            }
            unknown => (url.name.clone(), Err(LinkError::Unknown(unknown.into()))),
        };
        list.push(&name, line, server);
    }
    Ok(list)
}

/// Reads JSON, which is YAML, too: Clash, SIP008 or a configuration.
fn read_object(
    text: &str,
    source: &Source,
    options: &Options<'_>,
) -> Result<Subscription, SubscriptionError> {
    let mut extended = None;
    if let Ok(root) = Yaml::parse(text) {
        if let Some(proxies) = root.get("proxies") {
            return clash::read(proxies);
        }
        if let Some(servers) = root.get("servers").filter(|servers| servers.is_list()) {
            return clash::read_sip008(servers);
        }
        extended = with_inbound(&root, source);
    }
    let outcome = parse(extended.as_ref().unwrap_or(source), options);
    match outcome.config {
        Some(config) => Ok(of_config(config, &outcome.diagnostics, source)),
        None => Err(SubscriptionError::Configuration(outcome.diagnostics)),
    }
}

/// Adds an inbound to outbounds without any, which are no configuration alone.
fn with_inbound(root: &Yaml, source: &Source) -> Option<Source> {
    let first = root.get("outbounds").and_then(|outbounds| outbounds.items().first())?;
    let inbound = match first.get("type") {
        _ if root.get("inbounds").is_some_and(|inbounds| !inbounds.items().is_empty()) => return None,
        Some(_) => r#"{"inbounds": [{"type": "socks", "listen": "127.0.0.1", "listen_port": 1080}]}"#,
        None => r#"{"inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 1080}]}"#,
    };
    let files = [(source.name(), source.text()), ("(inbound)", inbound)];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    Source::of_files(source.name(), files).ok()
}

/// The outbounds of a configuration that lead to servers, each with what was said of it.
fn of_config(config: Config, said: &[Diagnostic], source: &Source) -> Subscription {
    let mut list = Subscription::default();
    for mut outbound in config.outbounds.into_iter().filter(|one| one.protocol.has_server()) {
        let line = source.position(outbound.span.start).line;
        let tag = outbound.tag.take();
        let name = tag.as_ref().map(|tag| text::clean_name(&tag.value)).unwrap_or_default();
        match outbound.detour.take() {
            Some(detour) => {
                let error = LinkError::Detour(text::clean_name(&detour.value));
                list.rejected.push(Rejected { name, line, error });
            }
            None => {
                let Span { start, end } = outbound.span;
                // What uses it there does not matter: it becomes the member of a group.
                let of_use = tag.map(|tag| tag.span);
                let of_it = said
                    .iter()
                    .filter(|said| (start..end).contains(&said.span.start) && Some(said.span) != of_use);
                let warnings = of_it.map(|said| said.message.as_str().into()).collect();
                list.nodes.push(Node { name, line, outbound, warnings });
            }
        }
    }
    list
}
