//! `api` of V2Ray and Xray.

use std::net::SocketAddr;

use waypost_net::Tag;

use crate::{Span, Spanned};

/// `api`: remote control over gRPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// `tag`: by which rules send connections to it; `None` if the name was taken.
    pub tag: Option<Spanned<Tag>>,
    /// `services`.
    pub services: Vec<ApiService>,
    /// `listen`: where it listens itself; a loopback address.
    pub listen: Option<Spanned<SocketAddr>>,
    /// The whole object.
    pub span: Span,
}

/// A service of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApiService {
    /// Adds and removes inbounds, outbounds and users.
    Handler,
    /// Opens the log anew.
    Logger,
    /// Counts.
    Stats,
    /// Asks and changes rules and balancers.
    Routing,
    /// What is known of outbounds.
    Observatory,
    /// Which services there are.
    Reflection,
}

impl ApiService {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Handler, Self::Logger, Self::Stats, Self::Routing, Self::Observatory, Self::Reflection];

    /// The name in a file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Handler => "HandlerService",
            Self::Logger => "LoggerService",
            Self::Stats => "StatsService",
            Self::Routing => "RoutingService",
            Self::Observatory => "ObservatoryService",
            Self::Reflection => "ReflectionService",
        }
    }

    /// The service of a name, whatever its letter case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name().eq_ignore_ascii_case(name))
    }
}
