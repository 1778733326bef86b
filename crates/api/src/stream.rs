//! Frames that come again and again: as a WebSocket, or as lines of a body without end.

mod feeds;

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{
        FromRequestParts, WebSocketUpgrade,
        ws::{Message, Utf8Bytes, WebSocket},
    },
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use tokio::sync::{mpsc, watch};

pub(crate) use self::feeds::{Before, Feeds, Kind};
use crate::{
    app::Shared,
    files::Pieces,
    guard::wants_websocket,
    logs::Subscription,
    respond::{Arguments, JSON, Refusal},
    serve::Peer,
};

/// Clients have nothing to say.
const MAX_RECEIVED: usize = 4 << 10;
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// Shorter intervals count as this one, longer ones as the other.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3600);

/// How a client wants to read a stream.
pub(crate) enum Reader {
    WebSocket(WebSocketUpgrade, Peer),
    Lines(Peer),
}

/// Where frames come from.
pub(crate) enum Source {
    Frames {
        /// What is sent before the first of the feed.
        first: Option<Utf8Bytes>,
        feed: watch::Receiver<Utf8Bytes>,
    },
    Logs {
        lines: Subscription,
        is_structured: bool,
    },
}

impl FromRequestParts<Shared> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Refusal> {
        const INVALID: Refusal = Refusal::of(StatusCode::BAD_REQUEST, "WebSocket handshake invalid");
        // Every connection has one.
        let Some(peer) = parts.extensions.get::<Peer>().cloned() else { return Err(Refusal::NOT_FOUND) };
        if !wants_websocket(&parts.headers) {
            return Ok(Self::Lines(peer));
        }
        let upgrade = WebSocketUpgrade::from_request_parts(parts, app).await.map_err(|_| INVALID)?;
        Ok(Self::WebSocket(upgrade.max_message_size(MAX_RECEIVED).max_frame_size(MAX_RECEIVED), peer))
    }
}

impl Reader {
    /// Sends frames until there are no more, the reader goes, or the interface stops.
    pub(crate) fn send(self, app: &Shared, source: Source) -> Response {
        let stop = app.stop.clone();
        match self {
            Self::WebSocket(upgrade, peer) => upgrade.on_upgrade(async move |socket| {
                stop.run_until_cancelled(talk(socket, source)).await;
                drop(peer);
            }),
            Self::Lines(peer) => {
                let (sender, pieces) = mpsc::channel(1);
                tokio::spawn(async move {
                    stop.run_until_cancelled(write(sender, source)).await;
                    drop(peer);
                });
                let mut response = Response::new(Body::new(Pieces(pieces)));
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
                response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
                response
            }
        }
    }
}

impl Source {
    /// The next frame. One that was not waited for to the end is not lost, unless a newer one takes its
    /// place.
    async fn next(&mut self) -> Option<Utf8Bytes> {
        match self {
            Self::Frames { first, feed } => match first.take() {
                Some(first) => Some(first),
                None => {
                    feed.changed().await.ok()?;
                    Some(feed.borrow_and_update().clone())
                }
            },
            Self::Logs { lines, is_structured } => {
                let line = lines.next().await?;
                Some(line.to_json(*is_structured).into())
            }
        }
    }
}

async fn talk(mut socket: WebSocket, mut source: Source) {
    loop {
        tokio::select! {
            frame = source.next() => {
                let Some(frame) = frame else { return };
                if socket.send(Message::Text(frame)).await.is_err() {
                    return;
                }
            }
            // Pings are answered below this.
            received = socket.recv() => match received {
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        }
    }
}

async fn write(to: mpsc::Sender<std::io::Result<Bytes>>, mut source: Source) {
    loop {
        let frame = tokio::select! {
            frame = source.next() => frame,
            () = to.closed() => return,
        };
        let Some(frame) = frame else { return };
        if to.send(Ok(frame.into())).await.is_err() {
            return;
        }
    }
}

/// How often a client wants a frame.
pub(crate) struct Interval(pub(crate) Duration);

impl FromRequestParts<Shared> for Interval {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Refusal> {
        let Some(text) = Arguments::of(parts).given("interval").map(str::to_owned) else {
            return Ok(Self(DEFAULT_INTERVAL));
        };
        let millis = text.parse::<u64>().ok().filter(|&millis| millis > 0).ok_or(Refusal::BODY_INVALID)?;
        Ok(Self(Duration::from_millis(millis).clamp(SHORTEST, LONGEST)))
    }
}

/// The answer to a request for a stream of one kind.
pub(crate) fn frames(app: &Shared, reader: Reader, kind: Kind, every: Duration) -> Response {
    reader.send(app, app.feeds.follow(app, kind, every))
}

/// Whether somebody wants a WebSocket where there also is a plain answer.
pub(crate) struct IfWebSocket(pub(crate) Option<Reader>);

impl FromRequestParts<Shared> for IfWebSocket {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Refusal> {
        if !wants_websocket(&parts.headers) {
            return Ok(Self(None));
        }
        Reader::from_request_parts(parts, app).await.map(|reader| Self(Some(reader)))
    }
}
