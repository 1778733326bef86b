use std::{collections::BTreeSet, num::NonZeroU16};

use proptest::prelude::*;
use waypost_ring::{Member, MemberIndex, Ring};

use crate::{keys, names, order, ring};

/// A ring's members with small weights, in random order, and the virtual nodes of a unit of weight.
fn member_sets() -> impl Strategy<Value = (Vec<(String, NonZeroU16)>, NonZeroU16)> {
    let weight = (1_u16..4).prop_filter_map("weights are not zero", NonZeroU16::new);
    let virtual_nodes = (1_u16..13).prop_filter_map("virtual nodes are not zero", NonZeroU16::new);
    let members = prop::collection::btree_map("[a-z|:]{0,6}", weight, 1..24);
    (members.prop_map(Vec::from_iter).prop_shuffle(), virtual_nodes)
}

fn weighted_ring(members: &[(String, NonZeroU16)], virtual_nodes: NonZeroU16, salt: &str) -> Ring {
    let members = members.iter().map(|(name, weight)| Member::new(name).with_weight(*weight));
    Ring::try_new(members, virtual_nodes, salt.as_bytes()).unwrap()
}

fn weighted_order<'m>(ring: &Ring, members: &'m [(String, NonZeroU16)], key: &[u8]) -> Vec<&'m str> {
    ring.walk(key).map(|member| members[member.get()].0.as_str()).collect()
}

proptest! {
    #[test]
    fn the_order_of_members_does_not_matter(
        (members, virtual_nodes) in member_sets(),
        salt in "[a-z]{0,4}",
        key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut sorted = members.clone();
        sorted.sort();
        prop_assert_eq!(
            weighted_order(&weighted_ring(&members, virtual_nodes, &salt), &members, &key),
            weighted_order(&weighted_ring(&sorted, virtual_nodes, &salt), &sorted, &key)
        );
    }

    #[test]
    fn every_member_comes_once_and_the_owner_first(
        (members, virtual_nodes) in member_sets(),
        key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let ring = weighted_ring(&members, virtual_nodes, "");
        let order: Vec<usize> = ring.walk(&key).map(MemberIndex::get).collect();
        prop_assert_eq!(ring.owner(&key).map(MemberIndex::get), order.first().copied());
        prop_assert_eq!(order.len(), members.len());
        let distinct: BTreeSet<usize> = order.into_iter().collect();
        prop_assert_eq!(distinct, (0..members.len()).collect::<BTreeSet<_>>());
    }

    #[test]
    fn walking_past_members_equals_a_ring_without_them(
        (members, virtual_nodes) in member_sets(),
        gone in prop::collection::vec(any::<bool>(), 24),
        key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let is_left = |index: usize| !gone[index];
        let left: Vec<_> =
            (0..members.len()).filter(|&index| is_left(index)).map(|index| members[index].clone()).collect();
        let (whole, reduced) =
            (weighted_ring(&members, virtual_nodes, ""), weighted_ring(&left, virtual_nodes, ""));
        let skipped: Vec<&str> = whole
            .walk(&key)
            .filter(|member| is_left(member.get()))
            .map(|member| members[member.get()].0.as_str())
            .collect();
        prop_assert_eq!(&skipped, &weighted_order(&reduced, &left, &key));
        let accepted = whole.owner_where(&key, |member| is_left(member.get()));
        prop_assert_eq!(
            accepted.map(|member| members[member.get()].0.as_str()),
            reduced.owner(&key).map(|member| left[member.get()].0.as_str())
        );
    }
}

#[test]
fn owner_where_asks_for_each_member_once_in_the_order_of_the_walk() {
    let names = names(70);
    let ring = ring(&names, "");
    for key in keys(50) {
        let mut asked = Vec::new();
        let owner = ring.owner_where(&key, |member| {
            asked.push(member);
            false
        });
        assert_eq!(owner, None);
        assert!(asked.into_iter().eq(ring.walk(&key)));
    }
}

#[test]
fn only_the_keys_of_a_removed_member_move() {
    for n_members in [2, 3, 4, 10, 33] {
        let names = names(n_members);
        let whole = ring(&names, "");
        for removed in 0..n_members {
            let mut left = names.clone();
            left.remove(removed);
            let reduced = ring(&left, "");
            for key in keys(500) {
                let before = &names[whole.owner(&key).unwrap().get()];
                let after = &left[reduced.owner(&key).unwrap().get()];
                assert!(before == after || *before == names[removed]);
            }
        }
    }
}

#[test]
fn a_member_that_returns_restores_the_exact_mapping() {
    let members = ["a", "b", "c", "d"];
    let before = ring(members, "");
    let returned_elsewhere = ["d", "c", "a", "b"];
    let after = ring(returned_elsewhere, "");
    for key in keys(2000) {
        assert_eq!(order(&before, &members, &key), order(&after, &returned_elsewhere, &key));
    }
}

#[test]
fn another_salt_is_another_placement() {
    let (one, two) = (ring(names(4).iter(), "one"), ring(names(4).iter(), "two"));
    let n_same = keys(4000).filter(|key| one.owner(key) == two.owner(key)).count();
    assert!((800..1200).contains(&n_same), "{n_same} of 4000 keys kept their owner");
}

#[test]
fn fields_are_hashed_with_their_length() {
    let salted = ring(["node1", "node2", "node3", "node4"], "ab");
    let shifted = ring(["node1", "node2", "node3", "node4"], "a");
    let n_same =
        keys(4000).filter(|key| salted.owner(key) == shifted.owner(&[b"b".as_slice(), key].concat())).count();
    assert!((800..1200).contains(&n_same), "{n_same} of 4000 keys kept their owner");
}
