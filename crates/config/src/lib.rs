//! Parse and validate a configuration file of V2Ray or sing-box.
//!
//! [`parse`] turns the text of a file into one typed [`model::Config`], or into a list of
//! everything that is wrong with it: every [`Diagnostic`] has a place, and most have a way out.
//! There is no half-read configuration: one error, and there is none. The crate reads no file
//! and no environment, needs no runtime and does not panic, whatever the text is.
//!
//! Start from [`Source`] and [`parse`]; [`render`] shows the result to people, and [`key_tables`]
//! lists every key there is.
//!
//! ```
//! use waypost_config::{Options, Source, Style, parse, render};
//!
//! let text = r#"{
//!     // A SOCKS port for this machine; what no rule takes goes out directly.
//!     "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 1080}],
//!     "outbounds": [{"protocol": "freedom"}, {"protocol": "blackhole", "tag": "no"}],
//!     "routing": {"rules": [{"port": 25, "outboundTag": "no"}]},
//! }"#;
//! let source = Source::new("config.json", text)?;
//! let outcome = parse(&source, &Options::default());
//! print!("{}", render(&source, &outcome.diagnostics, Style::Plain));
//! let config = outcome.config.ok_or("not usable")?;
//! assert_eq!(config.routing.rules.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod checks;
mod credentials;
mod detect;
mod diagnostic;
mod dialect;
mod duration;
mod groups;
mod host;
mod json;
pub mod keys;
pub mod link;
pub mod model;
mod names;
mod nearest;
mod object;
mod options;
mod pins;
mod probe_url;
mod remote;
mod render;
mod report;
pub mod rule_set;
mod shadowsocks;
mod singbox;
mod source;
mod span;
mod transport;
mod user_id;
mod v2ray;
mod write;

pub use diagnostic::{Diagnostic, Severity};
pub use dialect::{Dialect, key_tables};
pub use nearest::nearest;
pub use options::{Options, Outcome, UnknownKeys, parse};
pub use probe_url::UrlError;
pub use render::{DiagnosticRecord, Style, render};
pub use source::{Position, Source, SourceError};
pub use span::{Span, Spanned};
pub use write::{Written, rule_text, write};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
