/// What a member has done since the start of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemberTotals {
    /// Connections that it carried. One that moved on before its first answer counts for both.
    pub carried: u64,
    /// Attempts that failed by its fault: it could not be reached, or it broke off.
    pub failed: u64,
    /// Dials that took so long that another member was faster, though it began later.
    pub overtaken: u64,
    /// Connections in which it said nothing where another member brought an answer.
    pub silent: u64,
}

impl MemberTotals {
    /// How many attempts had to go on with another member.
    #[must_use]
    pub fn moved_on(&self) -> u64 {
        self.failed.saturating_add(self.overtaken).saturating_add(self.silent)
    }

    pub(crate) fn add(self, other: Self) -> Self {
        Self {
            carried: self.carried.saturating_add(other.carried),
            failed: self.failed.saturating_add(other.failed),
            overtaken: self.overtaken.saturating_add(other.overtaken),
            silent: self.silent.saturating_add(other.silent),
        }
    }
}
