use std::num::{NonZeroU8, NonZeroU16};

use waypost_ring::{
    Algorithm, BuildError, DEFAULT_TABLE_SIZE, MAX_MEMBERS, MAX_PROBES, MAX_TABLE_SIZE, MAX_VIRTUAL_NODES,
    Maglev, Member, MemberIndex, Rendezvous, Ring, RingSpec,
};

use crate::{keys, names, placement};

fn virtual_nodes(virtual_nodes: u16) -> RingSpec<'static> {
    RingSpec { virtual_nodes: NonZeroU16::new(virtual_nodes).unwrap(), ..RingSpec::default() }
}

#[test]
fn without_members_nothing_is_found() {
    for algorithm in Algorithm::ALL {
        let placement = placement(algorithm, [""; 0], "");
        assert!(placement.is_empty());
        assert_eq!(placement.owner(b"key"), None);
        assert_eq!(placement.owner_where(b"key", |_| true), None);
        assert_eq!(placement.walk(b"key").next(), None);
    }
}

#[test]
fn a_single_member_owns_every_key() {
    for algorithm in Algorithm::ALL {
        let placement = placement(algorithm, ["only"], "");
        assert_eq!((placement.algorithm(), placement.len()), (algorithm, 1));
        for key in keys(1000) {
            assert_eq!(placement.owner(&key).map(MemberIndex::get), Some(0));
            assert_eq!(placement.walk(&key).count(), 1);
        }
    }
    let ring = Ring::try_new(["only"], &virtual_nodes(1)).unwrap();
    assert!(keys(1000).all(|key| ring.owner(&key).map(MemberIndex::get) == Some(0)));
}

#[test]
fn members_of_equal_identity_each_get_keys_of_their_own() {
    for algorithm in Algorithm::ALL {
        let doubled = placement(algorithm, ["b", "a", "c", "a"], "");
        let single = placement(algorithm, ["b", "a", "c"], "");
        let (mut n_owned, mut n_kept) = ([0_u32; 4], 0);
        for key in keys(4000) {
            let owner = doubled.owner(&key).unwrap();
            n_owned[owner.get()] += 1;
            // The first of the two is placed as if there were no second. On a Maglev table the keys of
            // the second are then spread in another way, a quarter of all.
            n_kept += u32::from(doubled.owner_where(&key, |member| member.get() != 3) == single.owner(&key));
        }
        assert!(n_owned.iter().all(|n_owned| (800..1200).contains(n_owned)), "{algorithm:?} {n_owned:?}");
        match algorithm {
            Algorithm::Ring | Algorithm::Rendezvous => assert_eq!(n_kept, 4000),
            Algorithm::Maglev => assert!(n_kept > 3200, "{n_kept}"),
        }
    }
}

#[test]
fn virtual_nodes_are_bounded_before_any_memory_is_taken() {
    let heavy = |name| Member::new::<str>(name).with_weight(NonZeroU16::MAX);
    let error = Ring::try_new([heavy("a"), heavy("b")], &virtual_nodes(u16::MAX)).unwrap_err();
    let requested = 2 * u64::from(u16::MAX) * u64::from(u16::MAX);
    assert_eq!(error, BuildError::TooManyVirtualNodes { requested });
    assert_eq!(error.to_string(), "too many virtual nodes on the ring, the limit is 1048576: `8589672450`");
}

#[test]
fn the_limit_of_virtual_nodes_is_allowed_and_one_more_member_is_not() {
    let spec = virtual_nodes(1 << 10);
    let names = names((MAX_VIRTUAL_NODES >> 10) as usize + 1);
    assert!(Ring::try_new(&names[1..], &spec).is_ok());
    let requested = u64::from(MAX_VIRTUAL_NODES) + 1024;
    assert_eq!(Ring::try_new(&names, &spec).unwrap_err(), BuildError::TooManyVirtualNodes { requested });
}

#[test]
fn members_are_bounded() {
    let members = |n_members: u32| (0..n_members).map(|_| "same");
    assert_eq!(Rendezvous::try_new(members(MAX_MEMBERS), b"").unwrap().len(), MAX_MEMBERS as usize);
    let error = Rendezvous::try_new(members(MAX_MEMBERS + 7), b"").unwrap_err();
    assert_eq!(error, BuildError::TooManyMembers { requested: MAX_MEMBERS as usize + 7 });
    assert_eq!(error.to_string(), "too many members, the limit is 1048576: `1048583`");
}

#[test]
fn probes_are_bounded() {
    let probes = |probes| RingSpec { probes: NonZeroU8::new(probes).unwrap(), ..RingSpec::default() };
    assert!(Ring::try_new(["a"], &probes(MAX_PROBES)).is_ok());
    let error = Ring::try_new(["a"], &probes(MAX_PROBES + 1)).unwrap_err();
    assert_eq!(error, BuildError::TooManyProbes { requested: MAX_PROBES + 1 });
    assert_eq!(error.to_string(), "too many probes for each key, the limit is 64: `65`");
}

#[test]
fn a_table_has_a_prime_size_and_room_for_all_members() {
    assert!(Maglev::try_new([""; 0], MAX_TABLE_SIZE, b"").unwrap().is_empty());
    for table_size in [3, 5, 251, DEFAULT_TABLE_SIZE] {
        assert_eq!(Maglev::try_new(["a", "b", "c"], table_size, b"").unwrap().walk(b"key").count(), 3);
    }
    for requested in [0, 1, 2, 4, 65_536, 65_025, MAX_TABLE_SIZE + 12, u32::MAX] {
        let error = Maglev::try_new(["a"], requested, b"").unwrap_err();
        assert_eq!(error, BuildError::TableSize { requested });
    }
    let error = Maglev::try_new(["a", "b", "c", "d"], 3, b"").unwrap_err();
    assert_eq!(error, BuildError::TableTooSmall { table_size: 3, members: 4 });
    assert_eq!(error.to_string(), "a Maglev table of 3 slots is too small for `4` members");
}

#[test]
fn every_member_has_a_slot_however_little_it_weighs() {
    let heavy = Member::new("heavy").with_weight(NonZeroU16::MAX);
    let members: Vec<String> = names(500);
    let table = Maglev::try_new(members.iter().map(Member::from).chain([heavy]), 503, b"").unwrap();
    assert_eq!(table.walk(b"key").count(), 501);
}

#[test]
fn a_walk_knows_how_many_members_are_left() {
    for algorithm in Algorithm::ALL {
        let placement = placement(algorithm, ["a", "b", "c"], "");
        let mut walk = placement.walk(b"key");
        for n_left in [3, 2, 1, 0, 0] {
            assert_eq!(walk.len(), n_left);
            assert_eq!(walk.next().is_some(), n_left > 0);
        }
    }
}

#[test]
fn debug_output_is_short_and_holds_no_identity() {
    let shown = Algorithm::ALL.map(|algorithm| {
        let placement = placement(algorithm, ["secret"], "");
        format!("{placement:?} {:?}", placement.walk(b"key"))
    });
    assert_eq!(
        shown,
        [
            "Placement(Ring(Ring { members: 1, virtual_nodes: 10, .. })) \
             Walk(Ring(RingWalk { n_unvisited: 1, .. }))",
            "Placement(Rendezvous(Rendezvous { members: 1, .. })) \
             Walk(Rendezvous(RendezvousWalk { n_unvisited: 1, .. }))",
            "Placement(Maglev(Maglev { members: 1, slots: 65537, .. })) \
             Walk(Maglev(MaglevWalk { n_unvisited: 1, .. }))",
        ]
    );
}
