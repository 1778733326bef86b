//! How much clients may have at a time.

use std::time::Duration;

/// What gRPC clients take themselves if nobody tells them otherwise.
pub(crate) const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Requests of one connection that are under way.
pub(crate) const MAX_STREAMS: u32 = 128;
/// Tools open one connection each; a panel that forgets to close its own must not shut others out soon.
pub(crate) const MAX_CONNECTIONS: usize = 128;
/// All that the headers of a request may take.
pub(crate) const MAX_HEADER_BYTES: u32 = 16 << 10;
/// What may wait for a client that does not read.
pub(crate) const MAX_SEND_BUFFER_BYTES: usize = 64 << 10;
/// From the connection to the preface of HTTP/2 (RFC 9113 §3.4).
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing comes before the client is asked whether it lives.
pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to say so.
pub(crate) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the head of a request to the head of its answer. Reading large geo files again takes seconds.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// What requests that are under way have left when the API stops.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// Decisions that wait for a subscriber; those that find no place are lost to it.
pub(crate) const MAX_WAITING_DECISIONS: usize = 256;
/// The longest message of a status: it travels in a header.
pub(crate) const MAX_STATUS_BYTES: usize = 2048;
/// Who may watch decisions at a time, so that what waits for all of them is bounded.
pub(crate) const MAX_SUBSCRIBERS: usize = 64;
/// What a decision that a client has published may take: it waits for every subscriber.
pub(crate) const MAX_PUBLISHED_BYTES: usize = 4 << 10;
