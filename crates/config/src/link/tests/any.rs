//! Whatever a text is, it has an outcome.

use proptest::{collection::vec, prelude::*};

use super::*;

/// Pieces of links, so that chance makes texts that are almost right.
const PIECES: &[&str] = &[
    "ss://",
    "vmess://",
    "vless://",
    "trojan://",
    "socks://",
    "http://",
    "@",
    ":",
    "#",
    "?",
    "&",
    "=",
    "%",
    "%ff",
    "[",
    "]",
    "::1",
    "a.example",
    "443",
    "65536",
    "type=ws",
    "security=tls",
    "path=/?ed=",
    "sni=",
    "eyJhZGQiOiJhIn0=",
    "YTpiQGM6MQ",
    "\n",
    "\r\n",
    "proxies:\n",
    "- {name: a, type: ",
    "ss",
    "*a",
    "&a ",
    "{",
    "}",
    "ü",
    "\u{0}",
    "23ad6b10-8d1a-40f7-8ad0-e3e35cd38297",
];

fn check_any(bytes: Vec<u8>) {
    let Ok(source) = Source::new("any", bytes) else { return };
    if let Ok(list) = read(&source, &Options::default()) {
        for node in &list.nodes {
            let _links = to_links(&node.outbound);
        }
        let (nodes, _duplicates) = without_duplicates(list.nodes);
        let _config = bare(nodes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_an_outcome(bytes in vec(any::<u8>(), 0..200)) {
        check_any(bytes.clone());
        check_any(STANDARD.encode(&bytes).into_bytes());
        check_any(format!("vmess://{}\nss://{}", STANDARD.encode(&bytes), STANDARD.encode(&bytes)).into_bytes());
    }

    #[test]
    fn any_text_of_pieces_has_an_outcome(pieces in vec(prop::sample::select(PIECES), 0..30)) {
        let text = pieces.concat();
        check_any(STANDARD.encode(&text).into_bytes());
        check_any(text.into_bytes());
    }

    #[test]
    fn passwords_come_back(password in "\\PC{1,30}", name in "\\PC{0,20}") {
        let escaped = text::escape(&password);
        let first = node(&format!("trojan://{escaped}@a.example:1#{}", text::escape(&name)));
        let OutboundProtocol::Trojan(servers) = &first.outbound.protocol else { panic!() };
        prop_assert_eq!(servers[0].account.expose(), &*password);
        let link = to_links(&first.outbound).unwrap().remove(0);
        prop_assert_eq!(words(&link), words(&format!("trojan://{escaped}@a.example:1")));
    }
}
