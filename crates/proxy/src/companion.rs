//! What follows the configuration besides the proxy itself.

use std::{fmt, future::Future, pin::Pin};

use waypost_config::model::Config;

/// What is done when a configuration comes into force.
pub type Commit = Box<dyn FnOnce() + Send>;
/// The preparation for a configuration.
pub type Preparing<'a> = Pin<Box<dyn Future<Output = Result<Commit, String>> + Send + 'a>>;

/// Somebody who follows the configuration, such as a server for remote control.
///
/// All that can fail is done before a configuration comes into force: a server that has to listen
/// elsewhere does so, and says no if it cannot. What was prepared and is dropped leaves no trace.
pub trait Companion: fmt::Debug + Send + Sync {
    /// Prepares for a configuration.
    ///
    /// # Errors
    ///
    /// Why it cannot be followed; it is refused then.
    fn prepare<'a>(&'a self, config: &'a Config) -> Preparing<'a>;
}

/// Has all of them prepare; the first that cannot ends it.
pub(crate) async fn prepare_all(
    companions: &[std::sync::Arc<dyn Companion>],
    config: &Config,
) -> Result<Vec<Commit>, String> {
    let mut commits = Vec::with_capacity(companions.len());
    for companion in companions {
        commits.push(companion.prepare(config).await?);
    }
    Ok(commits)
}

/// A future that is boxed for [`Companion::prepare`].
pub fn preparing<'a>(future: impl Future<Output = Result<Commit, String>> + Send + 'a) -> Preparing<'a> {
    Box::pin(future)
}
