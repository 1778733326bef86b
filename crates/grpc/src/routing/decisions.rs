//! Connections as they are decided, for whoever watches.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{self, error::RecvError},
    mpsc,
};
use tonic::Status;
use waypost_net::{Host, Network};
use waypost_proxy::{Connection, Control};

use super::context::{Selection, write_ip};
use crate::{
    limits::MAX_WAITING_DECISIONS,
    messages::{common, router::RoutingContext},
};

/// Decisions for one subscriber. One that does not read loses them; they take no more memory.
#[derive(Debug)]
pub(crate) struct Decisions(mpsc::Receiver<RoutingContext>);

impl Stream for Decisions {
    type Item = Result<RoutingContext, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|next| next.map(Ok))
    }
}

impl Decisions {
    /// Tells of connections from now on, and of what is `published`, until the subscriber goes.
    pub(super) fn start(
        control: &Control,
        published: broadcast::Receiver<RoutingContext>,
        (selection, permit): (Selection, OwnedSemaphorePermit),
    ) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_WAITING_DECISIONS);
        tokio::spawn(watch(
            control.connections().follow(),
            published,
            Subscriber { sender, selection, _permit: permit },
        ));
        Self(receiver)
    }
}

/// Where decisions go.
struct Subscriber {
    sender: mpsc::Sender<RoutingContext>,
    selection: Selection,
    /// The place among all subscribers.
    _permit: OwnedSemaphorePermit,
}

impl Subscriber {
    /// Tells of a decision, or loses it if too many wait.
    fn tell(&self, context: RoutingContext) {
        let _lost_if_full = self.sender.try_send(self.selection.of(context));
    }
}

async fn watch(
    mut entered: broadcast::Receiver<Arc<Connection>>,
    mut published: broadcast::Receiver<RoutingContext>,
    subscriber: Subscriber,
) {
    loop {
        let next = tokio::select! {
            () = subscriber.sender.closed() => return,
            connection = entered.recv() => connection.map(|connection| context_of(&connection)),
            context = published.recv() => context,
        };
        match next {
            Ok(context) => subscriber.tell(context),
            Err(RecvError::Lagged(_)) => {}
            // What tells of them is gone, and so is the API.
            Err(RecvError::Closed) => return,
        }
    }
}

/// A connection as a message.
fn context_of(connection: &Connection) -> RoutingContext {
    let (info, path) = (&connection.info, connection.path());
    let network = match info.network {
        Network::Tcp => common::Network::Tcp,
        Network::Udp => common::Network::Udp,
    };
    let (target_domain, target_ips) = match &info.target.host {
        Host::Domain(name) => (name.to_string(), Vec::new()),
        Host::Ip(address) => {
            let sniffed = info.sniffed.as_ref().map_or_else(String::new, ToString::to_string);
            (sniffed, vec![write_ip(*address)])
        }
    };
    RoutingContext {
        inbound_tag: info.inbound.as_ref().map_or_else(String::new, ToString::to_string),
        network: network.into(),
        source_ips: info.source.map(|source| write_ip(source.ip())).into_iter().collect(),
        target_ips,
        source_port: info.source.map_or(0, |source| source.port().into()),
        target_port: info.target.port.into(),
        target_domain,
        protocol: info.protocol.as_deref().unwrap_or_default().to_owned(),
        user: info.user.as_deref().unwrap_or_default().to_owned(),
        outbound_group_tags: path.chain.iter().map(ToString::to_string).collect(),
        outbound_tag: path.outbound.as_ref().map_or_else(String::new, ToString::to_string),
        ..RoutingContext::default()
    }
}
