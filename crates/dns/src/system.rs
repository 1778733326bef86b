use std::{fmt, io, net::IpAddr, pin::Pin};

/// What a [`SystemLookup`] returns.
pub type LookupFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Asks somebody for the addresses of a name, of both families.
///
/// This is a seam: tests put a table here, and another resolver could be put here.
pub trait SystemLookup: Send + Sync + fmt::Debug {
    /// Looks `name` up. No time limit and no bound on the number of calls at a time is needed here.
    fn lookup<'a>(&'a self, name: &'a str) -> LookupFuture<'a>;
}

/// Asks the operating system by `getaddrinfo`, on tokio's threads for blocking work.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioLookup;

impl SystemLookup for TokioLookup {
    fn lookup<'a>(&'a self, name: &'a str) -> LookupFuture<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
