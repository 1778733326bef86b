use std::num::{NonZeroU8, NonZeroU16};

use waypost_ring::{Algorithm, Member, Placement, Ring, RingSpec};

use crate::{keys, names, placement};

const N_KEYS: usize = 100_000;

/// How many of the keys each member owns.
fn shares(placement: &Placement, keys: &[Vec<u8>]) -> Vec<f64> {
    let mut n_owned = vec![0_u32; placement.len()];
    for key in keys {
        n_owned[placement.owner(key).unwrap().get()] += 1;
    }
    n_owned.into_iter().map(f64::from).collect()
}

/// Measures the keys of the busiest member, relative to the mean, on three placements that only differ
/// in salt: they are independent, so that no lucky set of names can pass for all.
#[track_caller]
fn check(algorithm: Algorithm, n_members: usize, n_keys: usize, [mean_limit, worst_limit]: [f64; 2]) {
    let (names, keys) = (names(n_members), Vec::from_iter(keys(n_keys)));
    let max_over_mean = |salt| {
        let shares = shares(&placement(algorithm, &names, salt), &keys);
        shares.iter().copied().fold(0.0, f64::max) * n_members as f64 / n_keys as f64
    };
    let measured = ["", "salt1", "salt2"].map(max_over_mean);
    let mean = measured.iter().sum::<f64>() / measured.len() as f64;
    let worst = measured.into_iter().fold(0.0, f64::max);
    let report = format!("max/mean of {n_members} members: mean {mean:.4} of {measured:.4?}");
    assert!(mean <= mean_limit && worst <= worst_limit, "{algorithm:?}: {report}");
}

#[test]
fn four_members_of_a_ring_share_evenly() {
    check(Algorithm::Ring, 4, N_KEYS, [1.06, 1.08]);
}

#[test]
fn ten_members_of_a_ring_share_evenly() {
    check(Algorithm::Ring, 10, N_KEYS, [1.06, 1.10]);
}

#[test]
fn a_hundred_members_of_a_ring_share_evenly() {
    // With 1000 keys for each of 100 members, an ideal choice at random comes to 1.08.
    check(Algorithm::Ring, 100, N_KEYS, [1.12, 1.14]);
}

#[test]
fn the_other_algorithms_share_as_evenly_as_chance_allows() {
    // Four standard deviations of the keys of one member are 5 % of 5000 and 8 % of 2000.
    for algorithm in [Algorithm::Rendezvous, Algorithm::Maglev] {
        check(algorithm, 4, 20_000, [1.04, 1.05]);
        check(algorithm, 10, 20_000, [1.06, 1.08]);
    }
}

#[test]
fn weights_give_proportional_shares() {
    let weights = [1, 2, 3, 4];
    let names = names(4);
    let n_keys = 40_000;
    let keys = Vec::from_iter(keys(n_keys));
    // Four standard deviations of the keys of weight 1 are 6 %.
    for (algorithm, limit) in Algorithm::ALL.into_iter().zip([0.10, 0.06, 0.06]) {
        let members = names
            .iter()
            .zip(weights)
            .map(|(name, weight)| Member::new(name).with_weight(NonZeroU16::new(weight).unwrap()));
        for (share, weight) in shares(&placement(algorithm, members, ""), &keys).into_iter().zip(weights) {
            let expected = f64::from(weight) / 10.0;
            let actual = share / n_keys as f64;
            assert!((actual / expected - 1.0).abs() < limit, "{algorithm:?} weight {weight}: {actual}");
        }
    }
}

#[test]
fn a_far_heavier_member_leaves_the_others_their_share() {
    let heavy = NonZeroU16::new(97).unwrap();
    let members = ["a", "b", "c"].map(Member::new::<str>).into_iter();
    let members = members.chain([Member::new("heavy").with_weight(heavy)]);
    let shares = shares(&placement(Algorithm::Rendezvous, members, ""), &Vec::from_iter(keys(N_KEYS)));
    // Four standard deviations of a binomial with p = 1/100 are 126.
    assert!(shares[..3].iter().all(|share| (share - 1000.0).abs() < 126.0), "{shares:?}");
}

#[test]
fn more_probes_share_more_evenly() {
    let (names, keys) = (names(10), Vec::from_iter(keys(20_000)));
    let busiest = [1, 5, 64].map(|probes| {
        let spec = RingSpec { probes: NonZeroU8::new(probes).unwrap(), ..RingSpec::default() };
        let ring = Ring::try_new(&names, &spec).unwrap();
        let mut n_owned = [0_u32; 10];
        keys.iter().for_each(|key| n_owned[ring.owner(key).unwrap().get()] += 1);
        n_owned.into_iter().max()
    });
    assert!(busiest[0] > busiest[1] && busiest[1] > busiest[2], "{busiest:?}");
}
