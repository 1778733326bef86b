//! Listening where somebody is about to close.

use std::{future::Future, time::Duration};

use tokio::time::sleep;

/// How often it is tried, and how long is waited between two tries: whoever closes has been told already.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Listens as soon as the address is free.
///
/// # Errors
///
/// What the last try says.
pub(crate) async fn when_free<T, E, F>(bind: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    for _ in 1..TRIES {
        if let Ok(bound) = bind().await {
            return Ok(bound);
        }
        sleep(PAUSE).await;
    }
    bind().await
}
