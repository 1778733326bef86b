//! Asking the resolver, and having it forget.

use waypost_dns::{QueryError, QueryReply, ResolverFigures};

use super::Control;

impl Control {
    /// The records of a type (`A`, `AAAA`, `TXT`…) that a name has, as a client of the resolver learns them.
    ///
    /// # Errors
    ///
    /// If that is no question, or nobody answers.
    pub async fn query_dns(&self, name: &str, kind: &str) -> Result<QueryReply, QueryError> {
        self.snapshot().resolver().query(name, kind).await
    }

    /// Forgets every answer of DNS servers and of the system.
    pub fn flush_dns(&self) {
        self.snapshot().resolver().flush();
    }

    /// What name resolution has done since the start.
    #[must_use]
    pub fn dns_figures(&self) -> ResolverFigures {
        self.0.core.dns_before.load().plus(self.snapshot().resolver().figures())
    }
}
