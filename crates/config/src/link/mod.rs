//! Share links and subscriptions: from text to outbounds, and back.
//!
//! [`read`] takes whatever people paste – links one a line, base64 of that, a file of Clash or a
//! configuration – and gives [`Node`]s, each an outbound with the name that somebody gave it. What
//! cannot be used is in the list too, with its line and the reason: nothing is left out in silence.
//! [`assemble`] makes a configuration of nodes, and [`to_links`] links of an outbound.
//!
//! What a link says is judged by the same code that reads `outbounds` of a file of V2Ray, so that both
//! refuse the same things in the same words. No message has a password or an id.
//!
//! ```
//! use waypost_config::{Options, Source, link};
//!
//! let text = "trojan://secret@proxy.example:443?sni=www.example#Tokyo\nhysteria2://x@proxy.example:443#Fast\n";
//! let list = link::read(&Source::new("list.txt", text)?, &Options::default())?;
//! assert_eq!(&*list.nodes[0].name, "Tokyo");
//! assert_eq!((list.rejected[0].line, &*list.rejected[0].name), (2, "Fast"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assemble;
mod clash;
mod error;
mod export;
mod made;
mod plain;
mod server;
mod share_url;
mod ss;
mod stream;
mod subscription;
mod text;
mod trojan;
mod vless;
mod vmess;
mod yaml;

pub use assemble::{Assembly, Duplicate, assemble, bare, default_name, without_duplicates};
pub use error::{LinkError, Part, SubscriptionError};
pub use export::{NoLink, to_links};
pub use subscription::{MAX_LIST_BYTES, MAX_NODES, read};

use crate::model::Outbound;

/// An outbound of a link, or of an entry of a list.
#[derive(Debug, Clone)]
pub struct Node {
    /// The name that it was given, without control characters; may be empty.
    pub name: Box<str>,
    /// The line that it stands on, of the text that it was in after base64 was taken off, from 1.
    pub line: usize,
    /// The outbound, without a tag.
    pub outbound: Outbound,
    /// What is doubtful about it.
    pub warnings: Vec<Box<str>>,
}

/// A link, or an entry of a list, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The name that it was given, without control characters; may be empty.
    pub name: Box<str>,
    /// The line that it stands on, as in [`Node::line`].
    pub line: usize,
    /// Why.
    pub error: LinkError,
}

/// What a text held, in its order.
#[derive(Debug, Clone, Default)]
pub struct Subscription {
    /// What can be used.
    pub nodes: Vec<Node>,
    /// What cannot.
    pub rejected: Vec<Rejected>,
}

impl Subscription {
    fn push(&mut self, name: &str, line: usize, server: Result<server::Server, LinkError>) {
        let name = text::clean_name(name);
        match server.and_then(|server| server.outbound()) {
            Ok((outbound, warnings)) => self.nodes.push(Node { name, line, outbound, warnings }),
            Err(error) => self.rejected.push(Rejected { name, line, error }),
        }
    }
}

#[cfg(test)]
mod tests;
