//! What the system knows of this process.

use std::time::Duration;

use crate::messages::stats::SysStatsResponse;

const STATUS: &str = "/proc/self/status";

/// Memory and time. Of the fields that tell of Go's runtime, `Alloc` is the memory that belongs to no file, and
/// `Sys` all that is in use; the others are 0: there is no garbage collector, and no goroutine.
pub(super) async fn read(uptime: Duration) -> SysStatsResponse {
    // Where there is no such file, nothing is known.
    let status = tokio::task::spawn_blocking(|| std::fs::read_to_string(STATUS).unwrap_or_default()).await;
    let status = status.unwrap_or_default();
    SysStatsResponse {
        alloc: bytes(&status, "RssAnon:"),
        sys: bytes(&status, "VmRSS:"),
        uptime: u32::try_from(uptime.as_secs()).unwrap_or(u32::MAX),
        ..SysStatsResponse::default()
    }
}

/// A line such as `VmRSS:      1234 kB`, in bytes (proc_pid_status(5)).
fn bytes(status: &str, key: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = value.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_bytes() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\tmany kB\n";
        assert_eq!(bytes(status, "VmRSS:"), 1234 * 1024);
        assert_eq!(bytes(status, "RssAnon:"), 0);
        assert_eq!(bytes(status, "VmSwap:"), 0);
    }

    #[tokio::test]
    async fn this_process_has_memory() {
        let stats = read(Duration::from_secs(5)).await;
        assert_eq!(stats.uptime, 5);
        assert!(stats.sys >= stats.alloc && stats.alloc > 0, "{stats:?}");
    }
}
