//! Groups whose member somebody chooses.

use waypost_net::{Network, Tag};

use crate::{
    Group, Role, Strategy, Tier,
    standing::{Class, Ladder},
};

/// Whom a selector begins with, and what follows its choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SelectorSpec {
    /// The member that is chosen until somebody chooses another, by its place, primaries first.
    pub initial: usize,
    /// Whether the other members are tried when the choice fails. Without it a connection goes through
    /// the choice or not at all: who chose a way out by hand does not want to leave by another.
    pub others_follow: bool,
}

/// Why a member cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// There is no such group.
    #[error("there is no such group")]
    UnknownGroup,
    /// The group chooses by itself.
    #[error("`{group}` is no selector, it chooses by itself ({strategy})")]
    NotASelector {
        /// The group.
        group: Tag,
        /// How it chooses.
        strategy: Strategy,
    },
    /// The group has no such member.
    #[error("`{group}` has no member `{member}`")]
    NoSuchMember {
        /// The group.
        group: Tag,
        /// What was asked for.
        member: Tag,
    },
}

impl Group {
    /// Whether somebody may choose a member, whatever the strategy says.
    ///
    /// # Errors
    ///
    /// If nobody may.
    pub(crate) fn takes_choice(&self) -> Result<(), SelectError> {
        let (group, strategy) = (self.tag().clone(), self.spec().strategy);
        if self.spec().takes_choice { Ok(()) } else { Err(SelectError::NotASelector { group, strategy }) }
    }

    /// The place of a member that may be chosen.
    pub(crate) fn selectable(&self, member: &str) -> Result<u32, SelectError> {
        self.takes_choice()?;
        let group = self.tag().clone();
        let place = self.members().position(|known| known.tag.as_str() == member);
        let place = place.and_then(|place| u32::try_from(place).ok());
        place.ok_or_else(|| SelectError::NoSuchMember { group, member: Tag::from(member) })
    }

    pub(crate) fn initially_selected(&self) -> Option<u32> {
        let initial = u32::try_from(self.spec().selector.initial).ok();
        initial.filter(|_| self.spec().strategy == Strategy::Selector)
    }

    /// Whether a selector leads nowhere but through its choice.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.spec().strategy == Strategy::Selector && !self.spec().selector.others_follow
    }
}

impl Ladder {
    /// The choice alone, whatever is known of it.
    pub(crate) fn only(group: &Group, network: Network, selected: u32, is_bad: [bool; 2]) -> Self {
        let carries = |tier| group.members_of(tier, network).any(|member| member == selected);
        let Some(tier) = [Tier::Primary, Tier::Backup].into_iter().find(|&tier| carries(tier)) else {
            return Self { yields: true, ..Self::default() };
        };
        let [is_down, is_ejected] = is_bad.map(usize::from);
        let classes = vec![Class::new(group, tier, Role::Selected, vec![selected])];
        Self { classes, n_members: 1, n_down: is_down, n_ejected: is_ejected, yields: true }
    }

    /// Takes the choice out of its class and puts it before all others, unless it is ejected or down.
    pub(crate) fn put_first(&mut self, group: &Group, selected: u32) {
        let stands = |class: &&mut Class| {
            class.contains(selected) && !matches!(class.role, Role::Ejected | Role::Down)
        };
        let Some(class) = self.classes.iter_mut().find(stands) else { return };
        let others = class.members.iter().copied().filter(|&member| member != selected).collect();
        let (tier, role) = (class.tier, class.role);
        *class = Class::new(group, tier, role, others);
        self.classes.retain(|class| !class.members.is_empty());
        self.classes.insert(0, Class::new(group, tier, Role::Selected, vec![selected]));
    }
}
