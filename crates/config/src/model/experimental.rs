//! `experimental` of sing-box.

use std::net::SocketAddr;

use waypost_net::Secret;

use crate::Spanned;

/// `experimental`.
#[derive(Debug, Clone, Default)]
pub struct Experimental {
    /// `clash_api`.
    pub clash_api: Option<ClashApi>,
    /// `cache_file`, if it is switched on.
    pub cache_file: Option<CacheFile>,
}

/// `experimental.clash_api` of sing-box, or `clashApi` in a file of V2Ray: remote control in the manner of
/// Clash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClashApi {
    /// `external_controller`: where to listen; `None` where nothing listens.
    pub listen: Option<Spanned<ApiListen>>,
    /// `secret`; without one, one is made.
    pub secret: Option<Secret>,
    /// `default_mode`: the mode that `clash_mode` conditions see first.
    pub default_mode: Option<Box<str>>,
    /// `external_ui`: the folder of a web page.
    pub external_ui: Option<Spanned<Box<str>>>,
    /// `access_control_allow_origin`: pages from elsewhere that may use it.
    pub allowed_origins: Vec<Box<str>>,
    /// `access_control_allow_private_network`: whether public pages may use it.
    pub allow_private_network: bool,
    /// `allowed_hosts`: other names that it may be reached by.
    pub allowed_hosts: Vec<Box<str>>,
}

/// Where the control API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiListen {
    /// At an address.
    Tcp(SocketAddr),
    /// At a path.
    Unix(Box<str>),
}

impl std::fmt::Display for ApiListen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// `experimental.cache_file`: what is kept from one run to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheFile {
    /// `path`; `None` means `cache.db`.
    pub path: Option<Box<str>>,
    /// `cache_id`: keeps what several configurations store apart.
    pub id: Option<Box<str>>,
}
