use std::{fs, time::Duration};

use tokio::time::{Instant, sleep};

/// What a process takes of the system, from `/proc` (proc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Open files and sockets, but for pipes.
    pub(crate) descriptors: usize,
    /// Both ends of the pipes that are kept for later.
    pub(crate) pipes: usize,
    pub(crate) threads: usize,
    pub(crate) rss_kb: usize,
}

impl Footprint {
    pub(crate) fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        // One that is closed meanwhile is not open.
        let targets = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let (pipes, others): (Vec<_>, Vec<_>) =
            targets.partition(|target| target.to_string_lossy().starts_with("pipe:"));
        Self {
            descriptors: others.len(),
            pipes: pipes.len(),
            threads: field("Threads:"),
            rss_kb: field("VmRSS:"),
        }
    }

    /// Waits until the process has no more descriptors than `before`, or else until their number stays
    /// the same for three seconds; at most for `limit`.
    pub(crate) async fn at_rest(pid: u32, before: Option<Self>, limit: Duration) -> Self {
        let end = Instant::now() + limit;
        let (mut found, mut since) = (Self::of(pid), Instant::now());
        while Instant::now() < end {
            if before.is_some_and(|before| found.descriptors <= before.descriptors) {
                break;
            }
            if before.is_none() && since.elapsed() > Duration::from_secs(12) {
                break;
            }
            sleep(Duration::from_millis(100)).await;
            let now = Self::of(pid);
            if now.descriptors != found.descriptors {
                since = Instant::now();
            }
            found = now;
        }
        found
    }
}
