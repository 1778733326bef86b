//! `experimental` of sing-box.

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

/// `experimental.clash_api`: remote control in the manner of Clash.
#[derive(Debug, Clone, Default)]
pub struct ClashApi {
    /// `external_controller`: the address to listen on; `None` where nothing listens.
    pub listen: Option<Spanned<Box<str>>>,
    /// `secret`.
    pub secret: Option<Secret>,
    /// `default_mode`: the mode that `clash_mode` conditions see first.
    pub default_mode: Option<Box<str>>,
}

/// `experimental.cache_file`: what is kept from one run to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheFile {
    /// `path`; `None` means `cache.db`.
    pub path: Option<Box<str>>,
    /// `cache_id`: keeps what several configurations store apart.
    pub id: Option<Box<str>>,
}
