use std::num::NonZeroU16;

use waypost_ring::{BuildError, DEFAULT_VIRTUAL_NODES, MAX_VIRTUAL_NODES, Member, MemberIndex, Ring};

use crate::{keys, names, ring};

#[test]
fn an_empty_ring_yields_nothing() {
    let ring = Ring::try_new([""; 0], DEFAULT_VIRTUAL_NODES, b"").unwrap();
    assert!(ring.is_empty());
    assert_eq!(ring.owner(b"key"), None);
    assert_eq!(ring.owner_where(b"key", |_| true), None);
    assert_eq!(ring.walk(b"key").next(), None);
}

#[test]
fn a_single_member_with_a_single_virtual_node_owns_every_key() {
    let ring = Ring::try_new(["only"], NonZeroU16::MIN, b"").unwrap();
    for key in keys(1000) {
        assert_eq!(ring.owner(&key).map(MemberIndex::get), Some(0));
        assert_eq!(ring.walk(&key).count(), 1);
    }
}

#[test]
fn an_identity_that_occurs_twice_is_an_error_that_names_both_places() {
    let error = Ring::try_new(["b", "a", "c", "a"], DEFAULT_VIRTUAL_NODES, b"").unwrap_err();
    assert_eq!(error, BuildError::DuplicateMember { identity: (*b"a").into(), first: 1, second: 3 });
    assert_eq!(error.to_string(), "duplicate ring member: `a`");
}

#[test]
fn virtual_nodes_are_bounded_before_any_memory_is_taken() {
    let heavy = |name| Member::new::<str>(name).with_weight(NonZeroU16::MAX);
    let error = Ring::try_new([heavy("a"), heavy("b")], NonZeroU16::MAX, b"").unwrap_err();
    let requested = 2 * u64::from(u16::MAX) * u64::from(u16::MAX);
    assert_eq!(error, BuildError::TooManyVirtualNodes { requested });
    assert_eq!(error.to_string(), "too many virtual nodes on the ring, the limit is 1048576: `8589672450`");
}

#[test]
fn the_limit_itself_is_allowed_and_one_more_member_is_not() {
    let virtual_nodes = NonZeroU16::new(1 << 10).unwrap();
    let names = names((MAX_VIRTUAL_NODES >> 10) as usize + 1);
    assert!(Ring::try_new(&names[1..], virtual_nodes, b"").is_ok());
    let requested = u64::from(MAX_VIRTUAL_NODES) + 1024;
    assert_eq!(
        Ring::try_new(&names, virtual_nodes, b"").unwrap_err(),
        BuildError::TooManyVirtualNodes { requested }
    );
}

#[test]
fn a_walk_knows_how_many_members_are_left() {
    let ring = ring(["a", "b", "c"], "");
    let mut walk = ring.walk(b"key");
    for n_left in [3, 2, 1, 0, 0] {
        assert_eq!(walk.len(), n_left);
        assert_eq!(walk.next().is_some(), n_left > 0);
    }
}

#[test]
fn debug_output_is_short_and_holds_no_identity() {
    let ring = ring(["secret"], "");
    assert_eq!(format!("{ring:?}"), "Ring { members: 1, virtual_nodes: 10, .. }");
    assert_eq!(format!("{:?}", ring.walk(b"key")), "Walk { n_unvisited: 1, .. }");
}
