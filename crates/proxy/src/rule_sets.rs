//! Rule sets that are not in the configuration itself: files that are read again when they change, and
//! sets that are fetched. Neither stops a proxy that runs: the last good copy stays.

mod compiler;
mod content;
mod fetch;
mod local;
mod redirect;
mod remote;
mod report;
mod schedule;
mod stamp;
mod start;
mod store;

pub use redirect::RedirectError;
pub use report::{RuleSetKind, RuleSetReport, UpdateError};
pub use start::CriticalSetError;

pub(crate) use content::{Content, ContentError};
pub(crate) use redirect::follow;
pub(crate) use report::Reports;
pub(crate) use stamp::{Stamp, read as read_file};
pub(crate) use start::start;
pub(crate) use store::{Kept, Meta, Store};

/// A set that is not in the configuration, as it was found when that was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// Its rules; `None` if there is no copy, so that it is empty.
    pub(crate) content: Option<Content>,
    /// Of a file: which version of it was read.
    pub(crate) stamp: Option<Stamp>,
    /// Of a copy of a fetched set: what the server has said of it.
    pub(crate) meta: Option<Meta>,
}
