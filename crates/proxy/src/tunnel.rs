//! Protocols with keys of their own, server side: who a client is, and what it wants.

mod refusal;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use waypost_config::model::{Fallback, ShadowsocksInbound, TrojanInbound, User, UserId};
use waypost_net::{Network, Target};
use waypost_transport::{Coded, DatagramStream, Datagrams};
use waypost_wire::{
    Open, OpenDatagrams, ReplayFilter, Seal, SealDatagrams, TrojanAccepted, TrojanOpening, TrojanServer,
    TrojanUser, Uuid, VlessAccepted, VlessServer, VmessServer, VmessUser,
};

pub(crate) use self::refusal::Refusal;
use crate::{
    Stream,
    shadowsocks::{self, KeyError},
    stream::{Base, Layered},
    system::{thread_rng, unix_seconds},
    wire_io::{DriveError, drive},
};

/// What an inbound speaks, and with whom.
#[derive(Debug, Clone)]
pub(crate) struct Tunnel {
    protocol: Protocol,
    /// The names of the users, in the order that the protocol counts them in.
    names: Box<[Option<Arc<str>>]>,
}

#[derive(Debug, Clone)]
enum Protocol {
    Shadowsocks(Arc<shadowsocks::Server>),
    Vmess { users: Arc<[VmessUser]>, replays: Arc<Mutex<ReplayFilter>> },
    Vless(Arc<[Uuid]>),
    Trojan { users: Arc<[TrojanUser]>, fallback: Option<Fallback> },
}

/// What has come in, of all inbounds and whatever the configuration was, so that it is not taken again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replays {
    vmess: Arc<Mutex<ReplayFilter>>,
    shadowsocks: shadowsocks::Salts,
}

/// A client that has said what it wants.
#[derive(Debug)]
pub(crate) struct Entered {
    /// Who it is, if its name is known.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) target: Target,
    pub(crate) carries: Carries,
}

/// What a client sends.
#[derive(Debug)]
pub(crate) enum Carries {
    /// With what it has sent for the target already.
    Stream(Stream, Vec<u8>),
    Datagrams(Box<dyn Datagrams>),
}

/// What became of one that came in.
#[derive(Debug)]
pub(crate) enum Outcome {
    Entered(Entered),
    /// It is no client, and goes to a site with what was read of it.
    Fallback {
        stream: Stream,
        read: Vec<u8>,
        site: Fallback,
        refusal: Refusal,
    },
    /// It is no client. Nothing is told to it, and it is read until `until`, whatever was wrong.
    Refused {
        stream: Stream,
        refusal: Refusal,
        until: Instant,
    },
}

impl Tunnel {
    /// Shadowsocks. `replays` is what has come in before.
    ///
    /// # Errors
    ///
    /// If a key cannot be used.
    pub(crate) fn shadowsocks(settings: &ShadowsocksInbound, replays: &Replays) -> Result<Self, KeyError> {
        let server = shadowsocks::Server::try_new(settings, &replays.shadowsocks)?;
        Ok(Self::of_server(Arc::new(server)))
    }

    /// Shadowsocks, with what the server has.
    pub(crate) fn of_server(server: Arc<shadowsocks::Server>) -> Self {
        Self { protocol: Protocol::Shadowsocks(server), names: Box::default() }
    }

    /// VMess. `replays` is what has come in before.
    pub(crate) fn vmess(users: &[User<UserId>], replays: &Replays) -> Self {
        let ids = users.iter().map(|user| VmessUser::new(&uuid(user))).collect();
        let protocol = Protocol::Vmess { users: ids, replays: replays.vmess.clone() };
        Self { protocol, names: names(users) }
    }

    /// VLESS.
    pub(crate) fn vless(users: &[User<UserId>]) -> Self {
        Self { protocol: Protocol::Vless(users.iter().map(uuid).collect()), names: names(users) }
    }

    /// Trojan.
    pub(crate) fn trojan(settings: &TrojanInbound) -> Self {
        let TrojanInbound { users, fallback } = settings;
        let hashes = users.iter().map(|user| TrojanUser::new(user.credential.expose())).collect();
        let protocol = Protocol::Trojan { users: hashes, fallback: fallback.clone() };
        Self { protocol, names: names(users) }
    }

    /// The server that takes datagrams, if it speaks Shadowsocks.
    pub(crate) fn sealed(&self) -> Option<&Arc<shadowsocks::Server>> {
        match &self.protocol {
            Protocol::Shadowsocks(server) => Some(server),
            Protocol::Vmess { .. } | Protocol::Vless(_) | Protocol::Trojan { .. } => None,
        }
    }

    /// Learns from a client who it is and what it wants, for which it has time until `until`; `None` if it
    /// went away.
    pub(crate) async fn enter(&self, mut stream: Stream, until: Instant) -> Option<Outcome> {
        Some(match &self.protocol {
            Protocol::Shadowsocks(server) => {
                let mut machine = server.handshake();
                match timeout_at(until, drive(&mut stream, &mut machine)).await {
                    Ok(Ok((accepted, rest))) => {
                        let entered = server.entered(accepted, stream, rest);
                        let shadowsocks::Entered { user, target, stream, first } = entered;
                        Outcome::Entered(Entered { user, target, carries: Carries::Stream(stream, first) })
                    }
                    Ok(Err(error)) => self.refused(stream, Refusal::of(error)?, until),
                    Err(_elapsed) => self.refused(stream, Refusal::timeout(), until),
                }
            }
            Protocol::Vmess { users, replays } => {
                let now = unix_seconds();
                let is_first = |auth_id| replays.lock().insert(auth_id, now);
                let mut machine = VmessServer::new(users.clone(), now, &mut thread_rng(), is_first);
                match timeout_at(until, drive(&mut stream, &mut machine)).await {
                    Ok(Ok((accepted, rest))) => {
                        let (sealer, opener) = (accepted.sealer, accepted.opener);
                        let carries = match accepted.network {
                            Network::Tcp => in_stream(stream, sealer, opener, rest),
                            Network::Udp => in_datagrams(stream, sealer, opener, rest),
                        };
                        self.entered(accepted.user, accepted.target, carries)
                    }
                    Ok(Err(error)) => self.refused(stream, Refusal::of(error)?, until),
                    Err(_elapsed) => self.refused(stream, Refusal::timeout(), until),
                }
            }
            Protocol::Vless(users) => {
                let mut machine = VlessServer::new(users.clone());
                match timeout_at(until, drive(&mut stream, &mut machine)).await {
                    Ok(Ok((accepted, rest))) => {
                        let carries = match accepted.network {
                            Network::Tcp => {
                                let (sealer, opener) = VlessAccepted::stream();
                                in_stream(stream, sealer, opener, rest)
                            }
                            Network::Udp => {
                                let (sealer, opener) = VlessAccepted::datagrams();
                                in_datagrams(stream, sealer, opener, rest)
                            }
                        };
                        self.entered(accepted.user, accepted.target, carries)
                    }
                    Ok(Err(error)) => self.refused(stream, Refusal::of(error)?, until),
                    Err(_elapsed) => self.refused(stream, Refusal::timeout(), until),
                }
            }
            Protocol::Trojan { users, fallback } => {
                let mut machine = TrojanServer::new(users.clone());
                let (refusal, read) = match timeout_at(until, drive(&mut stream, &mut machine)).await {
                    Ok(Ok((TrojanOpening::Accepted(accepted), rest))) => {
                        let carries = match accepted.network {
                            Network::Tcp => {
                                let (sealer, opener) = TrojanAccepted::stream();
                                in_stream(stream, sealer, opener, rest)
                            }
                            Network::Udp => {
                                let (sealer, opener) = TrojanAccepted::datagrams();
                                in_datagrams(stream, sealer, opener, rest)
                            }
                        };
                        return Some(self.entered(accepted.user, accepted.target, carries));
                    }
                    Ok(Ok((TrojanOpening::Fallback(why), read))) => (Refusal::new(why), read),
                    // It may wait for the answer of a site.
                    Ok(Err(DriveError::Closed)) => (Refusal::closed(), machine.give_up()),
                    Ok(Err(DriveError::Io(_))) => return None,
                    Ok(Err(DriveError::Failed { error, .. })) => match error {},
                    Err(_elapsed) => (Refusal::timeout(), machine.give_up()),
                };
                match fallback {
                    Some(site) if !read.is_empty() => {
                        Outcome::Fallback { stream, read, site: site.clone(), refusal }
                    }
                    Some(_) | None => self.refused(stream, refusal, until),
                }
            }
        })
    }

    fn entered(&self, user: usize, target: Target, carries: Carries) -> Outcome {
        let user = self.names.get(user).cloned().flatten();
        Outcome::Entered(Entered { user, target, carries })
    }

    fn refused(&self, stream: Stream, mut refusal: Refusal, until: Instant) -> Outcome {
        refusal.name(&self.names);
        Outcome::Refused { stream, refusal, until }
    }
}

fn uuid(user: &User<UserId>) -> Uuid {
    Uuid::from_bytes(user.credential.expose())
}

fn names<C>(users: &[User<C>]) -> Box<[Option<Arc<str>>]> {
    users.iter().map(|user| user.name.clone()).collect()
}

fn in_stream<K, O>(stream: Stream, sealer: K, opener: O, rest: Vec<u8>) -> Carries
where
    K: Seal + Send + Sync + Unpin + 'static,
    O: Open + Send + Sync + Unpin + 'static,
    O::Error: std::error::Error + Send + Sync + 'static,
{
    let (base, abort) = Base::new(stream);
    Carries::Stream(Layered::new(Coded::server(base, sealer, opener, rest), abort).into(), Vec::new())
}

fn in_datagrams<K, O>(stream: Stream, sealer: K, opener: O, rest: Vec<u8>) -> Carries
where
    K: SealDatagrams + Send + 'static,
    O: OpenDatagrams + Send + 'static,
    O::Error: std::error::Error + Send + Sync + 'static,
{
    Carries::Datagrams(Box::new(DatagramStream::server(stream, sealer, opener, rest)))
}
