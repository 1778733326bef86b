//! What no other program has: the whole picture, and why.

mod explain;
pub(crate) mod live;
mod why;

use axum::{
    Router,
    routing::{get, post},
};

use crate::app::Shared;

/// What the outbound without a tag is called; there is at most one.
pub(crate) const UNTAGGED: &str = "(untagged)";

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/waypost/live", get(live::show))
        .route("/waypost/explain", post(explain::explain))
        .route("/waypost/why/{connection}", get(why::why))
}
