//! What stands in for Shadowsocks in a program that was built without it: nothing that could be made.

use std::{convert::Infallible, net::SocketAddr, ops::Range};

use waypost_config::model::{ShadowsocksInbound, ShadowsocksKey};
use waypost_net::Target;
use waypost_transport::Io;
use waypost_wire::{Machine, Step};

use super::{Entered, Received};
use crate::{Stream, stream::Base};

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this program was built without Shadowsocks (the feature `shadowsocks`)")]
pub struct KeyError;

/// Why a client is none.
pub(crate) type HandshakeError = KeyError;

/// A client, of which there is none.
#[derive(Debug)]
pub(crate) struct Client(Infallible);

/// A session of datagrams, of which there is none.
#[derive(Debug)]
pub(crate) struct ClientSession(Infallible);

/// A server, of which there is none.
#[derive(Debug)]
pub(crate) struct Server(Infallible);

/// The salts that have been used: none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Salts;

/// The begin of a connection, of which there is none.
#[derive(Debug)]
pub(crate) struct Handshake(Infallible);

/// What datagrams of a client belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(Infallible);

impl Client {
    pub(crate) fn try_new(_key: &ShadowsocksKey) -> Result<Self, KeyError> {
        Err(KeyError)
    }

    pub(crate) fn stream(&self, server: Base, _target: &Target) -> impl Io + use<> {
        let Self(never) = self;
        // Never reached, but a type has to be named.
        std::convert::identity::<(&Infallible, Base)>((never, server)).1
    }

    pub(crate) fn session(&self) -> ClientSession {
        ClientSession(self.0)
    }
}

impl ClientSession {
    pub(crate) fn seal(
        &mut self,
        _target: &Target,
        _payload: &[u8],
        _sealed: &mut Vec<u8>,
    ) -> Result<(), KeyError> {
        match self.0 {}
    }

    pub(crate) fn open(&mut self, _sealed: &mut [u8]) -> Result<(Target, Range<usize>), KeyError> {
        match self.0 {}
    }
}

impl Server {
    pub(crate) fn try_new(_inbound: &ShadowsocksInbound, _salts: &Salts) -> Result<Self, KeyError> {
        Err(KeyError)
    }

    pub(crate) fn handshake(&self) -> Handshake {
        Handshake(self.0)
    }

    pub(crate) fn entered(&self, accepted: Infallible, _stream: Stream, _rest: Vec<u8>) -> Entered {
        match accepted {}
    }

    pub(crate) fn open(&self, _source: SocketAddr, _sealed: &[u8]) -> Option<Received> {
        match self.0 {}
    }

    pub(crate) fn seal(
        &self,
        session: SessionId,
        _from: &Target,
        _payload: &[u8],
    ) -> Option<(SocketAddr, Vec<u8>)> {
        match session.0 {}
    }

    pub(crate) fn forget(&self, session: SessionId) {
        match session.0 {}
    }
}

impl Machine for Handshake {
    type Output = Infallible;
    type Error = KeyError;

    fn advance(&mut self, _input: &[u8]) -> Step<Infallible, KeyError> {
        match self.0 {}
    }
}
