//! Datagrams: associations of clients, sessions to targets, and the carriers that both share.
//!
//! An *association* is one client that sends datagrams from one address; one task does all for it. A
//! *session* is what it exchanges with one target: decided by the rules, planned by a group and entered
//! in the table of connections like a TCP connection. A *carrier* is what an outbound sends with: the
//! sessions of an association that leave by one outbound share it, so that whoever hears of its address
//! can answer (full cone, RFC 4787 §4.1 and §5: mapping and filtering do not depend on the endpoint).

mod associate;
mod association;
mod batch;
mod carrier;
mod client;
mod dns;
mod door;
mod drops;
mod hub;
mod idle;
mod open;
mod sealed;
mod session;
mod stay;
mod streamed;
mod table;
mod waiting;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use waypost_net::Tag;

use crate::sniffing::Sniffing;

pub(crate) use self::{
    associate::{UdpPort, associate, associate_stream},
    association::Association,
    door::{Door, DoorSettings},
    drops::Drops,
    hub::Hub,
    waiting::Waiting,
};
pub use drops::DroppedDatagrams;

/// Sessions of one association. A program that asks more targets within minutes is scanning, or uses a
/// protocol that forgets the oldest as well.
const MAX_SESSIONS_OF_ASSOCIATION: usize = 1024;
/// Sessions of all associations, as sing-box has them on a machine with some memory.
const MAX_SESSIONS: usize = 16_384;

/// What all associations share.
#[derive(Debug)]
pub(crate) struct Udp {
    pub(crate) drops: Drops,
    buffers: batch::Buffers,
    sessions: Arc<Semaphore>,
}

impl Default for Udp {
    fn default() -> Self {
        Self {
            drops: Drops::default(),
            buffers: batch::Buffers::default(),
            sessions: Arc::new(Semaphore::new(MAX_SESSIONS)),
        }
    }
}

impl Udp {
    /// Takes room for a session if there is some.
    fn session_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.sessions.clone().try_acquire_owned().ok()
    }
}

/// What is known of every flow of a client.
#[derive(Debug, Clone)]
struct Facts {
    source: Option<SocketAddr>,
    local: Option<SocketAddr>,
    inbound: Option<Tag>,
    user: Option<Arc<str>>,
    /// How long a session may be idle, if its protocol does not say less.
    idle: Duration,
    /// What its sessions are sniffed by.
    sniffing: Option<Arc<Sniffing>>,
}
