//! What moves when a member goes and when it comes back.

use waypost_ring::{Algorithm, MemberIndex};

use crate::{keys, names, order, placement};

const N_KEYS: usize = 40_000;

#[test]
fn only_the_keys_of_a_removed_member_move() {
    for algorithm in [Algorithm::Ring, Algorithm::Rendezvous] {
        for n_members in [2, 3, 4, 10, 33] {
            let names = names(n_members);
            let whole = placement(algorithm, &names, "");
            for removed in 0..n_members {
                let mut left = names.clone();
                left.remove(removed);
                let reduced = placement(algorithm, &left, "");
                for key in keys(200) {
                    let before = &names[whole.owner(&key).unwrap().get()];
                    let after = &left[reduced.owner(&key).unwrap().get()];
                    assert!(before == after || *before == names[removed], "{algorithm:?}");
                }
            }
        }
    }
}

/// The part of the keys that leave a member although it stays, when a table is built without another.
fn disruption(n_members: usize) -> f64 {
    let names = names(n_members);
    let whole = placement(Algorithm::Maglev, &names, "");
    let mut n_moved = 0;
    for removed in [0, n_members - 1] {
        let mut left = names.clone();
        left.remove(removed);
        let reduced = placement(Algorithm::Maglev, &left, "");
        for key in keys(N_KEYS / 2) {
            let before = &names[whole.owner(&key).unwrap().get()];
            let after = &left[reduced.owner(&key).unwrap().get()];
            n_moved += u32::from(before != after && *before != names[removed]);
        }
    }
    f64::from(n_moved) / N_KEYS as f64
}

#[test]
fn a_table_without_a_member_moves_few_keys_of_the_others() {
    let measured = [4, 10, 100].map(disruption);
    for (moved, limit) in measured.into_iter().zip([0.002, 0.01, 0.03]) {
        assert!(moved > 0.0 && moved < limit, "{measured:?}");
    }
}

#[test]
fn skipping_a_member_moves_no_key_of_the_others() {
    for algorithm in Algorithm::ALL {
        let placement = placement(algorithm, &names(4), "");
        for removed in 0..4 {
            let mut n_moved = 0;
            for key in keys(N_KEYS / 4) {
                let before = placement.owner(&key);
                let after = placement.owner_where(&key, |member| member.get() != removed);
                n_moved += u32::from(before != after);
                assert!(before == after || before.map(MemberIndex::get) == Some(removed));
            }
            let moved = f64::from(n_moved) * 4.0 / N_KEYS as f64;
            assert!((0.22..0.28).contains(&moved), "{algorithm:?} without {removed}: {moved}");
        }
    }
}

#[test]
fn a_member_that_returns_restores_the_exact_mapping() {
    let members = ["a", "b", "c", "d"];
    let returned_elsewhere = ["d", "c", "a", "b"];
    for algorithm in Algorithm::ALL {
        let before = placement(algorithm, members, "");
        let after = placement(algorithm, returned_elsewhere, "");
        for key in keys(2000) {
            assert_eq!(order(&before, &members, &key), order(&after, &returned_elsewhere, &key));
        }
    }
}

#[test]
fn the_keys_of_a_removed_member_spread_over_all_others() {
    for algorithm in Algorithm::ALL {
        let placement = placement(algorithm, &names(5), "");
        for removed in 0..5 {
            let mut n_taken = [0_u32; 5];
            for key in keys(N_KEYS / 4) {
                let mut walk = placement.walk(&key);
                if walk.next().unwrap().get() == removed {
                    n_taken[walk.next().unwrap().get()] += 1;
                }
            }
            let total: u32 = n_taken.iter().sum();
            for (member, n_taken) in n_taken.into_iter().enumerate().filter(|&(member, _)| member != removed)
            {
                let taken = f64::from(n_taken) / f64::from(total);
                assert!((0.15..0.35).contains(&taken), "{algorithm:?}: member {member} takes {taken}");
            }
        }
    }
}
