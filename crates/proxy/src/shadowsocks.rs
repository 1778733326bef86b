//! Shadowsocks, if this program was built with it.

#[cfg(not(feature = "shadowsocks"))]
mod absent;

#[cfg(not(feature = "shadowsocks"))]
pub(crate) use absent::*;
