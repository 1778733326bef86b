use std::{
    collections::BTreeSet,
    num::{NonZeroU8, NonZeroU16},
};

use proptest::prelude::*;
use waypost_ring::{Algorithm, Member, MemberIndex, Placement, PlacementSpec};

use crate::{keys, names, placement};

type Weighted = (String, NonZeroU16);

/// Members with small weights, in random order.
fn member_sets() -> impl Strategy<Value = Vec<Weighted>> {
    let weight = (1_u16..4).prop_filter_map("weights are not zero", NonZeroU16::new);
    let members = prop::collection::btree_map("[a-z|:]{0,6}", weight, 1..24);
    members.prop_map(Vec::from_iter).prop_shuffle()
}

fn specs(algorithms: &'static [Algorithm]) -> impl Strategy<Value = PlacementSpec<'static>> {
    let virtual_nodes = (1_u16..13).prop_filter_map("virtual nodes are not zero", NonZeroU16::new);
    let probes = prop_oneof![Just(21), 1_u8..65].prop_filter_map("probes are not zero", NonZeroU8::new);
    let algorithm = prop::sample::select(algorithms);
    let salt = prop::sample::select(vec![b"".as_slice(), b"s", b"another salt"]);
    (algorithm, virtual_nodes, probes, salt).prop_map(|(algorithm, virtual_nodes, probes, salt)| {
        PlacementSpec { algorithm, virtual_nodes, probes, salt }
    })
}

fn weighted(members: &[Weighted], spec: &PlacementSpec<'_>) -> Placement {
    let members = members.iter().map(|(name, weight)| Member::new(name).with_weight(*weight));
    Placement::try_new(members, spec).unwrap()
}

fn weighted_order<'m>(placement: &Placement, members: &'m [Weighted], key: &[u8]) -> Vec<&'m str> {
    placement.walk(key).map(|member| members[member.get()].0.as_str()).collect()
}

proptest! {
    // A Maglev table takes some milliseconds to fill.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_members_does_not_matter(
        members in member_sets(),
        spec in specs(&Algorithm::ALL),
        key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut sorted = members.clone();
        sorted.sort();
        prop_assert_eq!(
            weighted_order(&weighted(&members, &spec), &members, &key),
            weighted_order(&weighted(&sorted, &spec), &sorted, &key)
        );
    }

    #[test]
    fn every_member_comes_once_and_the_owner_first(
        mut members in member_sets(),
        n_equal in 0_usize..3,
        spec in specs(&Algorithm::ALL),
        key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        members.extend_from_within(..n_equal.min(members.len()));
        let placement = weighted(&members, &spec);
        let order: Vec<usize> = placement.walk(&key).map(MemberIndex::get).collect();
        prop_assert_eq!(placement.owner(&key).map(MemberIndex::get), order.first().copied());
        prop_assert_eq!(order.len(), members.len());
        let distinct: BTreeSet<usize> = order.into_iter().collect();
        prop_assert_eq!(distinct, (0..members.len()).collect::<BTreeSet<_>>());
    }

}

proptest! {
    #[test]
    fn walking_past_members_equals_a_placement_without_them(
        members in member_sets(),
        spec in specs(&[Algorithm::Ring, Algorithm::Rendezvous]),
        gone in prop::collection::vec(any::<bool>(), 24),
        key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let is_left = |index: usize| !gone[index];
        let left: Vec<Weighted> =
            (0..members.len()).filter(|&index| is_left(index)).map(|index| members[index].clone()).collect();
        let (whole, reduced) = (weighted(&members, &spec), weighted(&left, &spec));
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
    for algorithm in Algorithm::ALL {
        let placement = placement(algorithm, &names, "");
        for key in keys(50) {
            let mut asked = Vec::new();
            let owner = placement.owner_where(&key, |member| {
                asked.push(member);
                false
            });
            assert_eq!(owner, None);
            assert!(asked.into_iter().eq(placement.walk(&key)));
        }
    }
}

#[test]
fn another_salt_is_another_placement() {
    for algorithm in Algorithm::ALL {
        let (one, two) = (placement(algorithm, &names(4), "one"), placement(algorithm, &names(4), "two"));
        let n_same = keys(4000).filter(|key| one.owner(key) == two.owner(key)).count();
        assert!((800..1200).contains(&n_same), "{algorithm:?}: {n_same} of 4000 keys kept their owner");
        assert_ne!(one.position(b"key"), two.position(b"key"));
    }
}

#[test]
fn fields_are_hashed_with_their_length() {
    for algorithm in Algorithm::ALL {
        let salted = placement(algorithm, ["node1", "node2", "node3", "node4"], "ab");
        let shifted = placement(algorithm, ["node1", "node2", "node3", "node4"], "a");
        let with_b = |key: &[u8]| [b"b".as_slice(), key].concat();
        let n_same = keys(4000).filter(|key| salted.owner(key) == shifted.owner(&with_b(key))).count();
        assert!((800..1200).contains(&n_same), "{algorithm:?}: {n_same} of 4000 keys kept their owner");
    }
}

#[test]
fn the_position_of_a_key_is_the_same_for_all_algorithms_and_members() {
    let positions = Algorithm::ALL.map(|algorithm| {
        [placement(algorithm, ["a"], "s").position(b"key"), placement(algorithm, ["b"], "s").position(b"key")]
    });
    assert!(
        positions.as_flattened().iter().all(|position| *position == 0xd8e5_294e_6c82_d83b),
        "{positions:x?}"
    );
}
