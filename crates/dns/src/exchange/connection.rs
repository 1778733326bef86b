use parking_lot::Mutex;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use super::{Request, ServerError};

/// Questions that may wait for one connection to take them.
const MAX_QUEUED: usize = 256;

/// A query that a connection is to carry.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) reply: oneshot::Sender<Result<Vec<u8>, ServerError>>,
}

/// The connection that all questions to one server share, if there is one. A task owns it.
#[derive(Default)]
pub(super) struct SharedConnection(Mutex<Option<mpsc::Sender<Asked>>>);

impl SharedConnection {
    /// Asks over the connection that is there, and once more over a new one if that ends before the
    /// answer.
    /// `start` begins the task of a connection.
    pub(super) async fn exchange(
        &self,
        request: Request,
        start: impl Fn(mpsc::Receiver<Asked>),
    ) -> Result<Vec<u8>, ServerError> {
        let mut is_retry = false;
        loop {
            let sender = self.sender(&start);
            let (reply, answer) = oneshot::channel();
            let result = match sender.try_send(Asked { request: request.clone(), reply }) {
                Ok(()) => answer.await.unwrap_or(Err(ServerError::Lost)),
                Err(TrySendError::Full(_)) => Err(ServerError::Busy),
                Err(TrySendError::Closed(_)) => Err(ServerError::Lost),
            };
            if is_retry || !matches!(result, Err(ServerError::Lost)) {
                return result;
            }
            is_retry = true;
        }
    }

    fn sender(&self, start: &impl Fn(mpsc::Receiver<Asked>)) -> mpsc::Sender<Asked> {
        let mut current = self.0.lock();
        if let Some(sender) = current.as_ref().filter(|sender| !sender.is_closed()) {
            return sender.clone();
        }
        let (sender, asked) = mpsc::channel(MAX_QUEUED);
        *current = Some(sender.clone());
        start(asked);
        sender
    }
}

/// Tells everybody who waits for a connection why there will be none.
pub(super) async fn refuse_all(mut asked: mpsc::Receiver<Asked>, error: &ServerError) {
    asked.close();
    while let Some(Asked { reply, .. }) = asked.recv().await {
        // Whoever has left needs no reason.
        let _left = reply.send(Err(error.clone()));
    }
}
