//! Lists that are fetched.

use std::time::Duration;

use waypost_config::{link::MAX_LIST_BYTES, model::ProbeUrl};
use waypost_proxy::{DownloadLimits, download};

use crate::InspectError;

/// Providers answer within seconds; nobody waits longer for a command.
const LIMITS: DownloadLimits =
    DownloadLimits { time: Duration::from_secs(30), bytes: MAX_LIST_BYTES, redirects: 5 };

/// Fetches a list, and names it without what is secret in its URL: the path and the query.
pub(crate) fn list(url: &str) -> Result<(String, Vec<u8>), InspectError> {
    let url: ProbeUrl = url.parse().map_err(InspectError::Url)?;
    let scheme = if url.https { "https" } else { "http" };
    let name = format!("{scheme}://{}/…", url.target);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(InspectError::Runtime)?;
    match runtime.block_on(download(&url, LIMITS)) {
        Ok(bytes) => Ok((name, bytes)),
        Err(error) => Err(InspectError::Fetch { name, error }),
    }
}
