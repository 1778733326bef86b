//! Look-ups that name the server that is asked.

use std::{collections::HashMap, net::IpAddr};

use waypost_dns::Resolver;
use waypost_net::Tag;
use waypost_router::Resolve;

/// A server as a look-up wants to ask it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) server: Tag,
    pub(crate) disable_cache: bool,
    pub(crate) client_ip: Option<IpAddr>,
}

impl Wanted {
    /// What a look-up wants, if it names a server.
    pub(crate) fn new(resolve: &Resolve) -> Option<Self> {
        let Resolve { server, disable_cache, client_ip, .. } = resolve;
        Some(Self { server: server.clone()?, disable_cache: *disable_cache, client_ip: *client_ip })
    }
}

/// The servers that look-ups name, by their numbers in the resolver.
#[derive(Debug, Default)]
pub(crate) struct Lookups(HashMap<Wanted, u16>);

impl Lookups {
    pub(crate) fn insert(&mut self, wanted: Wanted, number: u16) {
        self.0.insert(wanted, number);
    }

    /// What resolves a name for a look-up: the server that it names, or whoever is asked for that name.
    pub(crate) fn resolver(&self, resolver: &Resolver, resolve: &Resolve) -> Resolver {
        let number = Wanted::new(resolve).and_then(|wanted| self.0.get(&wanted).copied());
        number.map_or_else(|| resolver.clone(), |number| resolver.with_only(number))
    }
}
