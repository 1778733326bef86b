use std::fmt;

use crate::Diagnostic;

/// Why a link, or an entry of a list, cannot be used. Nothing here shows a password or an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It has no scheme.
    #[error("this is no link")]
    NoLink,
    /// A protocol that other programs have.
    #[error("`{0}` is not available in this version")]
    Unavailable(Box<str>),
    /// A protocol that nobody knows.
    #[error("unknown protocol: `{0}`")]
    Unknown(Box<str>),
    /// Something that it needs is not there.
    #[error("it has no {0}")]
    Missing(Part),
    /// Something in it cannot be read.
    #[error("its {0} cannot be read")]
    Unreadable(Part),
    /// A plugin of Shadowsocks.
    #[error("the plugin `{0}` is not available in this version")]
    Plugin(Box<str>),
    /// It goes through another outbound, which is not among links.
    #[error("its connections take another outbound: `{0}`")]
    Detour(Box<str>),
    /// What the reader of configurations has against it.
    #[error("{message}")]
    Refused {
        /// What is wrong.
        message: Box<str>,
        /// The way out.
        help: Option<Box<str>>,
    },
}

/// A part of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The name or address of the server.
    Host,
    /// Its port: a number from 1 to 65535.
    Port,
    /// The password.
    Password,
    /// The method of Shadowsocks.
    Method,
    /// The id of VMess and VLESS.
    Id,
    /// Text in base64.
    Base64,
    /// JSON inside of base64.
    Json,
    /// Characters in the form `%20`.
    Escapes,
    /// `type`.
    Type,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "server",
            Self::Port => "port",
            Self::Password => "password",
            Self::Method => "method",
            Self::Id => "id",
            Self::Base64 => "base64",
            Self::Json => "JSON",
            Self::Escapes => "form `%20` of special characters",
            Self::Type => "type",
        })
    }
}

impl LinkError {
    pub(super) fn no_udp_over_tcp() -> Self {
        Self::Refused {
            message: "datagrams inside of a TCP connection are not available in this version".into(),
            help: Some("datagrams go to the server as datagrams; switch it off on both ends".into()),
        }
    }

    /// The way out, if there is one.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::NoLink | Self::Unknown(_) | Self::Unavailable(_) => Some(
                "there are `ss`, `vmess`, `vless`, `trojan`, `socks` and `http`; ask the provider for one of these",
            ),
            Self::Missing(Part::Port) | Self::Unreadable(Part::Port) => {
                Some("expected a number from 1 to 65535 behind the server")
            }
            Self::Missing(_) | Self::Unreadable(_) => Some("it may be cut off: copy it again as a whole"),
            Self::Plugin(_) => {
                Some("ask for the server without a plugin, or for `vmess`, `vless` or `trojan` over `ws`")
            }
            Self::Detour(_) => Some("write the outbounds into a configuration by hand"),
            Self::Refused { help, .. } => help.as_deref(),
        }
    }
}

/// Why a text holds no links at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// There is nothing in it.
    #[error("there is nothing in it; expected {EXPECTED}")]
    Empty,
    /// It is nothing of what is expected.
    #[error("it holds no links; expected {EXPECTED}")]
    Unknown,
    /// It is the page of a web site.
    #[error("it is a web page; expected {EXPECTED}")]
    WebPage,
    /// It is longer than this crate reads.
    #[error("it has {bytes} bytes, at most {most} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most that is read.
        most: usize,
    },
    /// There are more entries than this crate reads.
    #[error("it has more than {most} entries")]
    TooMany {
        /// The most that is read.
        most: usize,
    },
    /// It is a file of Clash with a mistake.
    #[error("line {line}, column {column}: {message}")]
    Yaml {
        /// The line, from 1.
        line: usize,
        /// The character in it, from 1.
        column: usize,
        /// What is wrong.
        message: Box<str>,
    },
    /// It is a configuration with mistakes, in the order of their places.
    #[error("the configuration has mistakes")]
    Configuration(Vec<Diagnostic>),
}

const EXPECTED: &str = "links such as `vmess://…` one a line, base64 of that, a file of Clash with `proxies`, or a configuration of V2Ray or sing-box";
