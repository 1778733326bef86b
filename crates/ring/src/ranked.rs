//! Members in the order that decides ties: by identity, never by their place in the given list.

use crate::{BuildError, MAX_MEMBERS, Member, MemberIndex};

/// A member with what tells it from all others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranked<'m> {
    pub(crate) index: MemberIndex,
    pub(crate) member: Member<'m>,
    /// How many members before it in the list have the same identity.
    pub(crate) occurrence: u32,
}

/// The members ordered by identity, and equal ones by their place in the list.
pub(crate) fn rank_members<'m>(
    members: impl IntoIterator<Item = impl Into<Member<'m>>>,
) -> Result<Vec<Ranked<'m>>, BuildError> {
    let mut members = members.into_iter();
    let ranked = (0..).map(MemberIndex::new).zip(members.by_ref().take(MAX_MEMBERS as usize));
    let mut ranked: Vec<Ranked<'m>> =
        ranked.map(|(index, member)| Ranked { index, member: member.into(), occurrence: 0 }).collect();
    let n_beyond = members.count();
    if n_beyond > 0 {
        return Err(BuildError::TooManyMembers { requested: ranked.len() + n_beyond });
    }
    ranked.sort_unstable_by_key(|ranked| (ranked.member.identity(), ranked.index));
    let mut before: Option<(&[u8], u32)> = None;
    for ranked in &mut ranked {
        if let Some((identity, occurrence)) = before
            && identity == ranked.member.identity()
        {
            ranked.occurrence = occurrence + 1;
        }
        before = Some((ranked.member.identity(), ranked.occurrence));
    }
    Ok(ranked)
}

/// Where the members of each rank stand in the given list.
pub(crate) fn indexes(ranked: &[Ranked<'_>]) -> Box<[MemberIndex]> {
    ranked.iter().map(|ranked| ranked.index).collect()
}

/// A set of ranks, one bit each.
#[derive(Clone)]
pub(crate) struct RankSet(Box<[u64]>);

impl RankSet {
    pub(crate) fn new(n_members: usize) -> Self {
        Self(vec![0; n_members.div_ceil(64)].into())
    }

    /// Adds a rank; false if it was there, or is beyond the members.
    pub(crate) fn insert(&mut self, rank: u32) -> bool {
        let Some(word) = self.0.get_mut(rank as usize / 64) else { return false };
        let bit = 1 << (rank % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}
