//! Lists of servers, which come from providers: links, files of Clash, SIP008 and configurations.

use waypost_config::{
    Dialect, Options, Severity, Source,
    link::{self, Assembly, MAX_NODES, Node},
    model::{Config, LoadBalanceStrategy},
    parse, write,
};
use waypost_net::{Networks, Tag};

/// A list; what comes of it can be read again.
pub fn links(bytes: &[u8]) {
    let Some(nodes) = read(bytes) else { return };
    for node in &nodes {
        let Ok(links) = link::to_links(&node.outbound) else { continue };
        for link in links {
            let again = read(link.as_bytes()).map_or(0, |nodes| nodes.len());
            assert!(again == 1, "{again} servers in {link}");
        }
    }
    let (nodes, _duplicates) = link::without_duplicates(nodes);
    for dialect in [Dialect::V2ray, Dialect::SingBox] {
        let mut nodes = nodes.clone();
        nodes.retain_mut(|node| is_sayable(node, dialect));
        if nodes.is_empty() {
            continue;
        }
        let assembly = Assembly { group: Tag::from("auto"), strategy: LoadBalanceStrategy::LeastPing };
        let text = write(&link::assemble(nodes, &assembly), dialect).text;
        let Ok(source) = Source::new("(result)", text) else { panic!("the result is no text") };
        let found = parse(&source, &Options::default()).diagnostics;
        let error = found.iter().find(|found| found.severity == Severity::Error);
        assert!(error.is_none(), "{error:?} in {}", source.text());
    }
}

/// The servers of a list, if it is one.
fn read(bytes: &[u8]) -> Option<Vec<Node>> {
    let source = Source::new("list", bytes.to_vec()).ok()?;
    let list = link::read(&source, &Options::default()).ok()?;
    assert!(list.nodes.len() + list.rejected.len() <= MAX_NODES, "more than there may be");
    Some(list.nodes)
}

/// Whether a dialect has words for an outbound.
fn is_sayable(node: &mut Node, dialect: Dialect) -> bool {
    if dialect == Dialect::V2ray {
        node.outbound.networks = Networks::ALL;
    }
    let alone = Config { outbounds: vec![node.outbound.clone()], ..Config::default() };
    write(&alone, dialect).losses.iter().all(|loss| loss.severity != Severity::Error)
}
