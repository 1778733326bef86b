//! Consistent hashing with bounded loads: `owner_where` and `capacity`.

use waypost_ring::{Algorithm, capacity};

use crate::{keys, names, placement};

/// Opens 20 000 connections that stay. Returns the load of the busiest member relative to the mean,
/// and the part of the connections that did not go to the owner of their key.
fn open_connections(algorithm: Algorithm, n_members: usize, keys: &[Vec<u8>]) -> (f64, f64) {
    let placement = placement(algorithm, &names(n_members), "");
    let mut connections = vec![0_usize; n_members];
    let mut n_elsewhere = 0_u32;
    for (n_open, key) in keys.iter().enumerate() {
        let most = capacity(n_open, 1, n_members as u64, 125);
        let member = placement.owner_where(key, |member| connections[member.get()] < most).unwrap();
        n_elsewhere += u32::from(placement.owner(key) != Some(member));
        connections[member.get()] += 1;
        assert!(connections[member.get()] <= most);
    }
    let busiest = connections.into_iter().max().unwrap() as f64;
    (busiest * n_members as f64 / keys.len() as f64, f64::from(n_elsewhere) / keys.len() as f64)
}

#[test]
fn many_clients_stay_with_their_members() {
    let keys = Vec::from_iter(keys(20_000));
    for algorithm in Algorithm::ALL {
        for n_members in [4, 10] {
            let (max_over_mean, off_affinity) = open_connections(algorithm, n_members, &keys);
            assert!(max_over_mean <= 1.25 && off_affinity < 0.005, "{max_over_mean} {off_affinity}");
        }
    }
}

#[test]
fn a_busy_client_is_spread_over_several_members() {
    // Every second connection is of one client.
    let keys: Vec<Vec<u8>> = keys(10_000).flat_map(|key| [b"busy".to_vec(), key]).collect();
    for algorithm in Algorithm::ALL {
        for n_members in [4, 10] {
            let (max_over_mean, off_affinity) = open_connections(algorithm, n_members, &keys);
            assert!(max_over_mean <= 1.2501, "{algorithm:?} {n_members}: {max_over_mean}");
            let needed = 0.5 - 1.25 / n_members as f64;
            let limits = needed..needed + 0.3;
            assert!(limits.contains(&off_affinity), "{algorithm:?} {n_members}: {off_affinity} {limits:?}");
        }
    }
}

#[track_caller]
fn check(total_connections: usize, weight: u32, total_weight: u64, factor: u32, expected: usize) {
    assert_eq!(capacity(total_connections, weight, total_weight, factor), expected);
}

#[test]
fn capacity_is_the_share_times_the_factor_rounded_up() {
    check(0, 1, 4, 125, 1);
    check(3, 1, 4, 125, 2);
    check(99, 1, 4, 125, 32);
    check(99, 3, 4, 125, 94);
    check(799, 1, 4, 100, 200);
    check(800, 1, 4, 100, 201);
}

#[test]
fn capacity_leaves_room_for_somebody_whatever_the_settings() {
    check(0, 1, 1_000_000, 125, 1);
    check(99, 1, 4, 0, 25);
    check(99, 1, 4, 99, 25);
    check(99, 5, 0, 100, 100);
    check(99, 0, 0, 100, 100);
    check(usize::MAX, u32::MAX, 1, u32::MAX, usize::MAX);
}
