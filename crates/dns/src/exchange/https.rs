use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request as HttpRequest, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};
use waypost_net::Target;

use super::{
    Connector, Request, ServerError,
    connection::{Asked, SharedConnection, refuse_all},
    connector::Connected,
};
use crate::message::{MAX_MESSAGE_BYTES, answer_to, id, set_id};

/// How long an unused connection stays open; a new one costs two round trips more than in plain TCP.
const IDLE: Duration = Duration::from_secs(30);
/// A connection on which a question has waited for so long gets no further ones.
const SILENCE: Duration = Duration::from_secs(3);
/// A response head that needs more is none of a DNS server.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const DNS_MESSAGE: &str = "application/dns-message";
/// RFC 8484 §4.1: one id for all, so that caches on the way can answer.
const ID: u16 = 0;

/// Asks by HTTP POST over one connection. HTTP/2 carries many questions at a time, HTTP/1.1 one after
/// the other.
pub(super) struct HttpsClient {
    connector: Arc<Connector>,
    post: Arc<Post>,
    connection: SharedConnection,
}

/// What all requests have in common.
#[derive(Debug)]
struct Post {
    authority: String,
    path: Box<str>,
}

impl HttpsClient {
    pub(super) fn new(connector: Arc<Connector>, path: &str) -> Self {
        let post = Post { authority: authority(&connector.to.target), path: path.into() };
        Self { connector, post: Arc::new(post), connection: SharedConnection::default() }
    }

    pub(super) async fn exchange(&self, request: Request) -> Result<Vec<u8>, ServerError> {
        let start = |asked| {
            let (connector, post) = (self.connector.clone(), self.post.clone());
            tokio::spawn(async move { serve(&connector, &post, asked).await });
        };
        self.connection.exchange(request, start).await
    }
}

/// The default port is left out, as browsers do.
fn authority(target: &Target) -> String {
    let text = target.to_string();
    text.strip_suffix(":443").map_or_else(|| text.clone(), str::to_owned)
}

async fn serve(connector: &Connector, post: &Arc<Post>, asked: mpsc::Receiver<Asked>) {
    let connected = match connector.connect().await {
        Ok(connected) => connected,
        Err(error) => return refuse_all(asked, &error).await,
    };
    let result = if connected.is_http2 {
        serve_http2(connected, post, asked).await
    } else {
        serve_http1(connected, post, asked).await
    };
    // Whoever still waits is told by its channel, which closes here.
    drop(result);
}

async fn serve_http2(
    connected: Connected,
    post: &Arc<Post>,
    mut asked: mpsc::Receiver<Asked>,
) -> hyper::Result<()> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
    let (sender, connection) = builder.handshake(TokioIo::new(connected.stream)).await?;
    let mut connection = std::pin::pin!(connection);
    let mut exchanges: JoinSet<bool> = JoinSet::new();
    loop {
        let is_idle = exchanges.is_empty();
        tokio::select! {
            next = asked.recv() => {
                let Some(next) = next else { break };
                let (mut sender, post) = (sender.clone(), post.clone());
                exchanges.spawn(async move {
                    let Some(http_request) = post.request(&next.request, true) else { return refuse(next) };
                    timely(next, async move { sender.send_request(http_request).await }).await
                });
            }
            ended = &mut connection => return ended,
            Some(exchange) = exchanges.join_next() => {
                if !exchange.unwrap_or(false) {
                    break;
                }
            }
            () = sleep(IDLE), if is_idle => return Ok(()),
        }
    }
    // No further questions; those under way may still come to an end.
    drop(asked);
    loop {
        tokio::select! {
            ended = &mut connection => return ended,
            exchange = exchanges.join_next() => if exchange.is_none() { return Ok(()) },
        }
    }
}

async fn serve_http1(
    connected: Connected,
    post: &Arc<Post>,
    mut asked: mpsc::Receiver<Asked>,
) -> hyper::Result<()> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(connected.stream)).await?;
    let mut connection = std::pin::pin!(connection);
    loop {
        let next = tokio::select! {
            next = asked.recv() => next,
            ended = &mut connection => return ended,
            () = sleep(IDLE) => return Ok(()),
        };
        let Some(next) = next else { return Ok(()) };
        if next.reply.is_closed() {
            continue;
        }
        let exchange = async {
            let Some(http_request) = post.request(&next.request, false) else { return refuse(next) };
            let response = async {
                sender.ready().await?;
                sender.send_request(http_request).await
            };
            timely(next, response).await
        };
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            biased;
            is_alive = &mut exchange => if !is_alive { return Ok(()) },
            ended = &mut connection => {
                // What came before the end is still there to be read.
                let _is_alive = exchange.await;
                return ended;
            }
        }
    }
}

fn refuse(asked: Asked) -> bool {
    let _left = asked.reply.send(Err(ServerError::Question));
    true
}

impl Post {
    fn request(&self, request: &Request, is_http2: bool) -> Option<HttpRequest<Full<Bytes>>> {
        let mut bytes = request.bytes.clone();
        set_id(&mut bytes, ID);
        let builder = HttpRequest::builder().method(Method::POST);
        let builder = if is_http2 {
            builder.uri(format!("https://{}{}", self.authority, self.path))
        } else {
            builder.uri(&*self.path).header(HOST, &self.authority)
        };
        builder
            .header(CONTENT_TYPE, DNS_MESSAGE)
            .header(ACCEPT, DNS_MESSAGE)
            .body(Full::new(Bytes::from(bytes)))
            .ok()
    }
}

/// Waits for a response and hands on what it says. Says whether the connection is worth more questions.
async fn timely(asked: Asked, response: impl Future<Output = hyper::Result<Response<Incoming>>>) -> bool {
    let Asked { request, reply } = asked;
    let mut reply: oneshot::Sender<_> = reply;
    let exchange = async {
        let response = response.await.map_err(|_broken| ServerError::Lost)?;
        let mut bytes = read(response).await?;
        if answer_to(&bytes, ID, &request.question).is_none() {
            return Err(ServerError::Garbled);
        }
        set_id(&mut bytes, id(&request.bytes));
        Ok(bytes)
    };
    tokio::select! {
        result = timeout(SILENCE, exchange) => {
            let is_alive = !matches!(result, Err(_) | Ok(Err(ServerError::Lost)));
            let _left = reply.send(result.unwrap_or(Err(ServerError::Lost)));
            is_alive
        }
        () = reply.closed() => true,
    }
}

async fn read(response: Response<Incoming>) -> Result<Vec<u8>, ServerError> {
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_message = content_type
        .get(..DNS_MESSAGE.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(DNS_MESSAGE.as_bytes()));
    if response.status() != StatusCode::OK || !is_message {
        let shown: String = String::from_utf8_lossy(content_type).chars().take(60).collect();
        return Err(ServerError::Http { status: response.status().as_u16(), content_type: shown.into() });
    }
    let body = Limited::new(response.into_body(), MAX_MESSAGE_BYTES).collect().await;
    let body = body.map_err(|_too_long_or_broken| ServerError::Garbled)?;
    Ok(body.to_bytes().to_vec())
}
