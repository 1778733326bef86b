//! The memory that connections need until they stand.

use std::{cell::RefCell, future::Future};

use tokio_util::sync::ReusableBoxFuture;

use crate::serve::Lasting;

/// How many connections of a thread may be on their way at a time without memory being asked for;
/// each takes some kilobytes.
const MAX_KEPT: usize = 8;

type Setup = ReusableBoxFuture<'static, Option<Lasting>>;

thread_local! {
    static KEPT: RefCell<Vec<Setup>> = const { RefCell::new(Vec::new()) };
}

/// Runs what brings a connection to where it stands, in memory that an earlier one has used: it is far
/// more than what the connection needs later, and so much that the allocator's slow path would serve
/// it.
pub(crate) fn run<F>(setup: F) -> impl Future<Output = Option<Lasting>> + Send
where
    F: Future<Output = Option<Lasting>> + Send + 'static,
{
    // Placed before the first poll, or what is returned would be as large.
    let mut boxed = place(setup);
    async move {
        let standing = boxed.get_pin().await;
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < MAX_KEPT {
                kept.push(boxed);
            }
        });
        standing
    }
}

fn place<F>(setup: F) -> Setup
where
    F: Future<Output = Option<Lasting>> + Send + 'static,
{
    match KEPT.with_borrow_mut(Vec::pop) {
        Some(mut boxed) => {
            boxed.set(setup);
            boxed
        }
        None => ReusableBoxFuture::new(setup),
    }
}
