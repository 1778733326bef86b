//! Bodies on their way through.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::{
    Request, StatusCode,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    ext::on_informational,
};
use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep_until},
};

use super::exchange::UnderWay;

/// How long a body waits for the origin server to want it; curl waits for 1 s as well.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// What a client sends.
pub(super) enum RequestBody {
    Empty,
    Incoming(Incoming),
    /// It is not read before the origin server has said `100 Continue`, or nothing for a while.
    Waiting {
        body: Incoming,
        wanted: oneshot::Receiver<()>,
        patience: Pin<Box<Sleep>>,
    },
}

/// What a client gets.
pub(super) struct ResponseBody {
    pub(super) content: Content,
    /// The request is under way until this is dropped.
    pub(super) _under_way: UnderWay,
}

pub(super) enum Content {
    /// A text of this proxy; `None` when it has been read.
    Text(Option<Bytes>),
    Origin(Incoming),
}

impl RequestBody {
    /// Takes the body of a request as it is.
    pub(super) fn take(request: Request<Incoming>) -> Request<Self> {
        request.map(|body| if body.is_end_stream() { Self::Empty } else { Self::Incoming(body) })
    }

    /// Makes the body of a request wait for `100 Continue`.
    pub(super) fn await_continue(request: &mut Request<Self>) {
        let body = std::mem::replace(request.body_mut(), Self::Empty);
        let Self::Incoming(body) = body else {
            *request.body_mut() = body;
            return;
        };
        let (tell, wanted) = oneshot::channel();
        let tell = Mutex::new(Some(tell));
        on_informational(request, move |response| {
            if response.status() == StatusCode::CONTINUE
                && let Some(tell) = tell.lock().take()
            {
                // Who does not wait any more need not know.
                let _gone = tell.send(());
            }
        });
        let patience = Box::pin(sleep_until(Instant::now() + CONTINUE_WAIT));
        *request.body_mut() = Self::Waiting { body, wanted, patience };
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        if let Self::Waiting { wanted, patience, .. } = this {
            if Pin::new(wanted).poll(context).is_pending() {
                ready!(patience.as_mut().poll(context));
            }
            if let Self::Waiting { body, .. } = std::mem::replace(this, Self::Empty) {
                *this = Self::Incoming(body);
            }
        }
        match this {
            Self::Empty | Self::Waiting { .. } => Poll::Ready(None),
            Self::Incoming(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Incoming(body) | Self::Waiting { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Incoming(body) | Self::Waiting { body, .. } => body.size_hint(),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.get_mut().content {
            Content::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Content::Origin(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_none(),
            Content::Origin(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Content::Origin(body) => body.size_hint(),
        }
    }
}
