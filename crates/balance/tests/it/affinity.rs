//! A key keeps its member while that one serves.

use std::{
    collections::BTreeSet,
    num::NonZeroU8,
    time::{Duration, Instant},
};

use rand::RngExt as _;
use waypost_balance::{Context, GroupId, GroupSpec, Groups, KeyPart, KeySpec, MemberTarget, Role, Strategy};
use waypost_health::{CheckSettings, Monitor, Outcome, State};
use waypost_net::{Flow, Network};
use waypost_ring::{Algorithm, Member, MemberIndex, Placement, PlacementSpec};

use crate::world::{SUSPECT, World, flow, group, rng, settled};

const N_KEYS: u32 = 600;

fn hashing(n_primary: usize, n_backup: usize) -> GroupSpec {
    let mut spec = group(Strategy::ConsistentHash, n_primary, n_backup);
    spec.hash.key = KeySpec::new([KeyPart::SrcIp], "");
    spec
}

fn owners(world: &mut World) -> Vec<usize> {
    let standings = world.update();
    (0..N_KEYS).map(|n| world.pick(&standings, &flow(n), &mut rng(1))).collect()
}

/// Whom the keys that moved left, and whom they went to.
fn moves(before: &[usize], after: &[usize]) -> (BTreeSet<usize>, BTreeSet<usize>) {
    before.iter().zip(after).filter(|(before, after)| before != after).unzip()
}

#[test]
fn only_the_keys_of_a_member_that_goes_move_and_its_return_restores_them() {
    for algorithm in Algorithm::ALL {
        let mut spec = hashing(4, 0);
        spec.hash.algorithm = algorithm;
        let mut world = World::up(spec);
        let before = owners(&mut world);
        for gone in 0..4 {
            for state in [State::Down, SUSPECT, world.ejected()] {
                world.set(gone, state);
                let after = owners(&mut world);
                let n_moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
                let n_of_gone = before.iter().filter(|&&owner| owner == gone).count();
                assert_eq!(n_moved, n_of_gone, "{algorithm:?}");
                assert!((100..=200).contains(&n_moved), "about a quarter: {n_moved} of {N_KEYS}");
                let (left, heirs) = moves(&before, &after);
                assert_eq!(left, BTreeSet::from([gone]));
                assert_eq!(heirs.len(), 3, "the others share them");
                world.set(gone, State::Up);
                assert_eq!(owners(&mut world), before, "{algorithm:?}");
            }
        }
    }
}

#[test]
fn every_place_of_a_plan_is_the_owner_without_those_before() {
    let mut world = World::up(hashing(5, 0));
    let standings = world.update();
    let plans: Vec<Vec<usize>> = (0..100)
        .map(|n| crate::world::order(&world.plan(&standings, &flow(n), &mut rng(1)).unwrap()))
        .collect();
    for (n, plan) in (0..).zip(plans) {
        for nth in 0..4 {
            assert_eq!(owner_without(&mut world, &plan[..nth], n), plan[nth]);
        }
    }
}

fn owner_without(world: &mut World, gone: &[usize], n: u32) -> usize {
    world.set_all(gone.iter().copied(), State::Down);
    let standings = world.update();
    let owner = world.pick(&standings, &flow(n), &mut rng(1));
    world.set_all(gone.iter().copied(), State::Up);
    owner
}

#[test]
fn among_the_fastest_keys_move_from_who_goes_and_to_who_comes_only() {
    let mut spec = hashing(5, 0);
    spec.top_n.primary = 3;
    let mut world = World::up(spec);
    for (status, delay) in world.statuses.iter_mut().zip([20, 30, 40, 100, 200]) {
        *status = settled(delay);
    }
    let before = owners(&mut world);
    assert_eq!(before.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 2]));
    for gone in 0..3 {
        world.set(gone, SUSPECT);
        let (left, heirs) = moves(&before, &owners(&mut world));
        assert_eq!(left, BTreeSet::from([gone]), "nobody comes for a suspect");
        assert!(heirs.iter().all(|&heir| heir < 3));

        world.set(gone, State::Down);
        let after = owners(&mut world);
        assert!(
            before
                .iter()
                .zip(&after)
                .all(|(&before, &after)| before == after || before == gone || after == 3)
        );
        assert!(!after.contains(&gone) && after.contains(&3));

        world.set(gone, State::Up);
        assert_eq!(owners(&mut world), before, "it is clearly faster than who came for it");
    }
    world.set_all([3, 4], State::Down);
    assert_eq!(owners(&mut world), before, "who does not serve has no keys to move");
}

#[test]
fn who_is_not_clearly_faster_than_his_heir_stays_out_and_moves_nothing() {
    let mut spec = hashing(4, 0);
    spec.top_n.primary = 3;
    let mut world = World::up(spec);
    for (status, delay) in world.statuses.iter_mut().zip([20, 30, 40, 48]) {
        *status = settled(delay);
    }
    owners(&mut world);
    world.set(2, State::Down);
    let without = owners(&mut world);
    world.set(2, State::Up);
    assert_eq!(owners(&mut world), without);
}

#[test]
fn the_backups_have_a_mapping_of_their_own_and_the_old_one_comes_back() {
    let mut world = World::up(hashing(4, 3));
    let before = owners(&mut world);
    world.set_all(0..4, State::Down);
    let backups = owners(&mut world);
    assert_eq!(backups.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([4, 5, 6]));
    for _ in 0..3 {
        world.set_all(0..4, State::Down);
        assert_eq!(owners(&mut world), backups, "the count and the change of tier move nothing");
    }
    world.set_all(0..4, State::Up);
    world.pass(Duration::from_secs(30));
    assert_eq!(owners(&mut world), before);
}

/// A group over a monitor, and a placement of its own to compare with.
struct Noisy {
    monitor: Monitor,
    works: Vec<bool>,
    groups: Groups,
    placement: Placement,
    now: Instant,
    flows: Vec<Flow>,
}

impl Noisy {
    const N_MEMBERS: usize = 5;

    fn new(rng: &mut rand::rngs::StdRng) -> Self {
        let mut spec = hashing(Self::N_MEMBERS, 0);
        let mut monitor = Monitor::new();
        let fall = NonZeroU8::MIN.saturating_add(1);
        let settings = CheckSettings { interval: Duration::from_secs(10), rise: NonZeroU8::MIN, fall };
        let mut watched = Vec::new();
        for member in &mut spec.primary {
            let id = monitor.add_member();
            let check = monitor.add_check(id, "http://probe/", settings);
            member.target = MemberTarget::Leaf { member: id, check: Some(check) };
            watched.push((id, Some(check)));
        }
        monitor.add_pool(&watched, Duration::from_secs(1 << 30));
        #[expect(clippy::disallowed_methods, reason = "a test begins at any moment")]
        let now = Instant::now();
        monitor.start(now, rng);
        let identities: Vec<Box<[u8]>> = spec.primary.iter().map(|member| member.identity.clone()).collect();
        let members = identities.iter().map(|identity| Member::new(&**identity));
        let placement = Placement::try_new(members, &PlacementSpec::default()).unwrap();
        let groups = Groups::try_new(vec![spec]).unwrap();
        let flows = (0..200).map(flow).collect();
        Self { monitor, works: vec![true; Self::N_MEMBERS], groups, placement, now, flows }
    }

    /// Some time passes, probes end, and connections meet this and that.
    fn go_on(&mut self, rng: &mut rand::rngs::StdRng) {
        self.now += Duration::from_millis(rng.random_range(0..3000));
        for works in &mut self.works {
            *works ^= rng.random_bool(if *works { 0.01 } else { 0.1 });
        }
        for check in self.monitor.due(self.now) {
            let member = self.monitor.probed_member(check).unwrap();
            let delay = Duration::from_millis(rng.random_range(20..400));
            let delay = Some(delay).filter(|_| self.works[member.index()]);
            self.monitor.probe_ended(check, delay, self.now, rng);
        }
        let took = Duration::from_millis(rng.random_range(20..400));
        for member in self.monitor.members() {
            let outcome = match (self.works[member.index()], rng.random_range(0..20)) {
                (true, 0) => Outcome::Overtaken,
                (true, 1) => Outcome::Silent,
                (true, _) => Outcome::FirstByte { took },
                (false, 0..10) => Outcome::Failed,
                (false, _) => continue,
            };
            self.monitor.outcome(member, outcome, self.now);
        }
    }
}

#[test]
fn noise_in_health_moves_no_key_of_a_member_that_stays() {
    let (mut n_kept, mut n_left, mut n_restored) = (0, 0, 0);
    for seed in 0..4 {
        let mut chance = rng(seed);
        let mut noisy = Noisy::new(&mut chance);
        let mut states = noisy.groups.start();
        let mut before: Option<(Vec<bool>, Vec<usize>)> = None;
        for _ in 0..150 {
            noisy.go_on(&mut chance);
            let (monitor, now) = (&noisy.monitor, noisy.now);
            let standings =
                noisy.groups.update(&mut states, |member, check| monitor.status(member, check, now), now);
            let roles = standings.get(GroupId::new(0)).unwrap().roles(Network::Tcp);
            let serves: Vec<bool> = roles.iter().map(|role| *role == Some(Role::Candidate)).collect();
            if !serves.contains(&true) {
                continue;
            }
            let pick = |flow| {
                let context = Context { standings: &standings, flow, load: &|_| 0 };
                noisy.groups.pick(GroupId::new(0), context, &mut rng(1)).unwrap().index()
            };
            let owners: Vec<usize> = noisy.flows.iter().map(pick).collect();
            for (n, &owner) in (0_u32..).zip(&owners) {
                let key = std::net::Ipv4Addr::from_bits(n).to_string();
                let accepts = |member: MemberIndex| serves[member.get()];
                let expected = noisy.placement.owner_where(key.as_bytes(), accepts).map(MemberIndex::get);
                assert_eq!(Some(owner), expected, "the owner depends on who serves, and on nothing else");
            }
            if let Some((served, previous)) = before {
                for (&was, &is) in previous.iter().zip(&owners) {
                    if was == is {
                        n_kept += 1;
                    } else if serves[was] {
                        assert!(!served[is], "a key left {was}, which serves, for {is}, which did before");
                        n_restored += 1;
                    } else {
                        n_left += 1;
                    }
                }
            }
            before = Some((serves, owners));
        }
    }
    println!("keys kept {n_kept}, of a member that left {n_left}, returned {n_restored}");
    // There was something to see.
    assert!(n_kept > 50_000 && n_left > 3_000 && n_restored > 3_000, "{n_kept} {n_left} {n_restored}");
}
