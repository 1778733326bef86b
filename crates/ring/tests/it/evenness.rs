use std::num::NonZeroU16;

use waypost_ring::{Member, Ring};

use crate::{keys, names, ring};

const N_KEYS: usize = 100_000;

/// How many of the keys each member owns.
fn shares(ring: &Ring, keys: &[Vec<u8>]) -> Vec<f64> {
    let mut n_owned = vec![0_u32; ring.len()];
    for key in keys {
        n_owned[ring.owner(key).unwrap().get()] += 1;
    }
    n_owned.into_iter().map(f64::from).collect()
}

/// Measures the keys of the busiest member, relative to the mean, on three rings that only differ in
/// salt: they are independent, so that no lucky set of names can pass for all.
#[track_caller]
fn check(n_members: usize, mean_limit: f64, worst_limit: f64) {
    let (names, keys) = (names(n_members), Vec::from_iter(keys(N_KEYS)));
    let max_over_mean = |salt| {
        let shares = shares(&ring(&names, salt), &keys);
        shares.iter().copied().fold(0.0, f64::max) * n_members as f64 / N_KEYS as f64
    };
    let measured = ["", "salt1", "salt2"].map(max_over_mean);
    let mean = measured.iter().sum::<f64>() / measured.len() as f64;
    let worst = measured.into_iter().fold(0.0, f64::max);
    let report = format!("max/mean of {n_members} members: mean {mean:.4} of {measured:.4?}");
    assert!(mean <= mean_limit && worst <= worst_limit, "{report}");
}

#[test]
fn four_members_share_evenly() {
    check(4, 1.06, 1.10);
}

#[test]
fn ten_members_share_evenly() {
    check(10, 1.06, 1.10);
}

#[test]
fn a_hundred_members_share_evenly() {
    // With 1000 keys for each of 100 members, an ideal choice at random comes to 1.08.
    check(100, 1.12, 1.14);
}

#[test]
fn a_quarter_of_the_keys_moves_when_one_of_four_goes() {
    let ring = ring(&names(4), "");
    for removed in 0..4 {
        let n_moved = keys(N_KEYS)
            .filter(|key| ring.owner(key) != ring.owner_where(key, |member| member.get() != removed))
            .count();
        let moved = n_moved as f64 / N_KEYS as f64;
        assert!((0.23..0.27).contains(&moved), "without member {removed}: {moved}");
    }
}

#[test]
fn the_keys_of_a_removed_member_spread_over_all_others() {
    let names = names(5);
    let ring = ring(&names, "");
    for removed in 0..5 {
        let mut n_taken = [0_u32; 5];
        for key in keys(N_KEYS / 4) {
            let mut walk = ring.walk(&key);
            if walk.next().unwrap().get() == removed {
                n_taken[walk.next().unwrap().get()] += 1;
            }
        }
        let total: u32 = n_taken.iter().sum();
        for (member, n_taken) in n_taken.into_iter().enumerate().filter(|&(member, _)| member != removed) {
            let taken = f64::from(n_taken) / f64::from(total);
            assert!((0.15..0.35).contains(&taken), "member {member} takes {taken}");
        }
    }
}

#[test]
fn weights_give_proportional_shares() {
    let weights = [1, 2, 3, 4];
    let names = names(4);
    let members = names
        .iter()
        .zip(weights)
        .map(|(name, weight)| Member::new(name).with_weight(NonZeroU16::new(weight).unwrap()));
    for (share, weight) in shares(&ring(members, ""), &Vec::from_iter(keys(N_KEYS))).into_iter().zip(weights)
    {
        let expected = f64::from(weight) / 10.0;
        let actual = share / N_KEYS as f64;
        assert!((actual / expected - 1.0).abs() < 0.08, "weight {weight}: {actual}");
    }
}
