//! What stands in for Shadowsocks in a program that was built without it: nothing that could be made.

use std::{convert::Infallible, ops::Range, sync::Arc};

use waypost_config::model::{ShadowsocksInbound, ShadowsocksKey};
use waypost_net::Target;
use waypost_transport::Io;

use crate::{Stream, stream::Base};

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this program was built without Shadowsocks (the feature `shadowsocks`)")]
pub struct KeyError;

/// A client, of which there is none.
#[derive(Debug)]
pub(crate) struct Client(Infallible);

/// A session of datagrams, of which there is none.
#[derive(Debug)]
pub(crate) struct ClientSession(Infallible);

pub(crate) fn client(_key: &ShadowsocksKey) -> Result<Client, KeyError> {
    Err(KeyError)
}

impl Client {
    pub(crate) fn stream(&self, base: Base, _target: &Target) -> impl Io + use<> {
        match self.0 {}
        #[expect(unreachable_code, reason = "there is no client")]
        base
    }

    pub(crate) fn session(&self) -> ClientSession {
        match self.0 {}
    }
}

impl ClientSession {
    pub(crate) fn seal(
        &mut self,
        _target: &Target,
        _payload: &[u8],
        _sealed: &mut Vec<u8>,
    ) -> Result<(), Infallible> {
        match self.0 {}
    }

    pub(crate) fn open(&mut self, _sealed: &mut [u8]) -> Result<(Target, Range<usize>), Infallible> {
        match self.0 {}
    }
}

/// A server, of which there is none.
#[derive(Debug)]
pub(crate) struct Server(Infallible);

/// A client that has said where it wants to go.
pub(crate) struct Accepted {
    pub(crate) user: Option<Arc<str>>,
    pub(crate) target: Target,
    pub(crate) stream: Stream,
}

/// One that is no client.
pub(crate) struct Rejected {
    pub(crate) stream: Option<Stream>,
    pub(crate) reason: String,
}

pub(crate) fn server(_inbound: &ShadowsocksInbound) -> Result<Server, KeyError> {
    Err(KeyError)
}

impl Server {
    pub(crate) async fn accept(&self, _stream: Stream) -> Result<Accepted, Rejected> {
        match self.0 {}
    }
}
