//! What the vectors of other programs promise about any ring.
//!
//! Their hashes (MD5 or FNV-1a to 32 bits, one probe) differ from ours on purpose, so the nodes they
//! name are not ours; the keys, the members and the property of minimal remapping are.

use std::num::NonZeroU16;

use serde_json::Value;
use waypost_ring::{MemberIndex, Placement, PlacementSpec};

use crate::order;

const VECTORS: &str = include_str!("../../../../testdata/vectors/loadbalance.json");

fn vectors(name: &str) -> Vec<Value> {
    let mut vectors: Value = serde_json::from_str(VECTORS).unwrap();
    serde_json::from_value(vectors[name].take()).unwrap()
}

fn ring(tags: &[&str], virtual_nodes: NonZeroU16) -> Placement {
    let spec = PlacementSpec { virtual_nodes, ..PlacementSpec::default() };
    Placement::try_new(tags.iter().copied(), &spec).unwrap()
}

#[test]
fn removing_a_member_moves_only_its_keys_in_every_vector() {
    let vectors = vectors("ring_lookup");
    assert!(!vectors.is_empty());
    for case in &vectors {
        let virtual_nodes = u16::try_from(case["virtual_nodes"].as_u64().unwrap()).unwrap();
        let virtual_nodes = NonZeroU16::new(virtual_nodes).unwrap();
        let tags: Vec<&str> = case["tags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let whole = ring(&tags, virtual_nodes);
        for (key, theirs) in case["lookup"].as_object().unwrap() {
            let removed = theirs
                .as_object()
                .unwrap()
                .keys()
                .find_map(|name| name.strip_prefix("node_after_removing_"))
                .unwrap();
            let left: Vec<&str> = tags.iter().copied().filter(|tag| *tag != removed).collect();
            let reduced = ring(&left, virtual_nodes);
            let mut expected = order(&whole, &tags, key.as_bytes());
            expected.retain(|tag| *tag != removed);
            assert_eq!(order(&reduced, &left, key.as_bytes()), expected);
        }
    }
}

#[test]
fn the_remapping_test_of_a_peer_holds_closer_here() {
    let reference = &vectors("ring_reference_properties")[0];
    assert_eq!(reference["moved"], 238);
    let tags = ["node1", "node2", "node3", "node4"];
    let ring = ring(&tags, NonZeroU16::new(50).unwrap());
    let (mut n_moved, mut n_moved_from_survivors) = (0, 0);
    for key in (0..1000).map(|n| format!("key-{n}")) {
        let before = ring.owner(key.as_bytes());
        let after = ring.owner_where(key.as_bytes(), |member| member.get() != 2);
        n_moved += u32::from(before != after);
        n_moved_from_survivors += u32::from(before != after && before.map(MemberIndex::get) != Some(2));
    }
    assert!((200..300).contains(&n_moved), "the peer asks for 150 to 350: {n_moved}");
    assert_eq!(reference["moved_from_survivors"], n_moved_from_survivors);
}
