//! Going on with what groups remembered before a reload.

use waypost_net::Tag;

use crate::{Group, GroupStates, Groups};

impl Groups {
    /// Has groups go on where those of the same name were: tier, choice, the fastest, and whose turn it
    /// is. A group that chooses in another way now, and a member that is gone, begin anew.
    pub fn inherit(&self, states: &mut GroupStates, old: &Self, old_states: &GroupStates) {
        for (id, group) in self.iter() {
            let known = old.iter().find(|(_, known)| known.tag() == group.tag());
            let Some((old_id, known)) = known else { continue };
            if known.spec().strategy != group.spec().strategy {
                continue;
            }
            let (Some(state), Some(before)) =
                (states.0.get_mut(id.index()), old_states.0.get(old_id.index()))
            else {
                continue;
            };
            let places = Places { group, known };
            state.inherit(before, |place| places.of(place), |place| places.before(place));
            group.go_on_from_turn(known);
        }
    }
}

/// Where the members of a group are now, and where they were.
struct Places<'a> {
    group: &'a Group,
    known: &'a Group,
}

impl Places<'_> {
    /// Where a member is now.
    fn of(&self, before: u32) -> Option<u32> {
        place_of(self.group, &self.known.member(before as usize)?.tag)
    }

    /// Where a member was.
    fn before(&self, now: usize) -> Option<u32> {
        place_of(self.known, &self.group.member(now)?.tag)
    }
}

fn place_of(group: &Group, tag: &Tag) -> Option<u32> {
    u32::try_from(group.members().position(|member| member.tag == *tag)?).ok()
}
