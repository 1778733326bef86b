//! Sessions whose datagrams an outbound answers itself, as one that answers DNS questions does.

use waypost_net::Flow;

use crate::{dispatch::Shared, snapshot::Outbound};

/// What answers the datagrams of a session in place of its target.
#[derive(Debug, Clone)]
pub(super) struct Answering;

impl Answering {
    /// What answers for an outbound, if it answers itself.
    pub(super) fn at(_shared: Shared<'_>, outbound: &Outbound, _flow: &Flow) -> Option<Self> {
        outbound.dialer.answers_itself().then_some(Self)
    }

    /// The answer to a datagram; `None` if it gets none.
    #[expect(clippy::unused_async, reason = "an answer may take a question to somebody else")]
    pub(super) async fn answer(self, _datagram: Vec<u8>) -> Option<Vec<u8>> {
        None
    }
}
