//! One fault each, while one member could still carry every connection.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    Scene, alone,
    load::{Record, Request, percentile, until},
    nodes::{Kind, Node},
};

/// When the fault comes.
const FAULT: Duration = Duration::from_secs(2);
/// How long after the fault everything has to be as before.
const RECOVERY: Duration = Duration::from_secs(3);
const SPAN: Duration = Duration::from_secs(8);
/// Below this a set-up time is as good as any other: a busy scheduler alone takes so long. It is half of
/// what a single hedge costs.
const NOISE: Duration = Duration::from_millis(100);

const FOUR: [Kind; 4] = [Kind::Microsocks; 4];

/// The limits of a fault.
pub(super) struct Limits {
    /// Of set-up in the second after the fault, for 99 of 100.
    pub(super) setup: Duration,
    /// Of the first answer, for every connection.
    pub(super) answer: Duration,
}

pub(super) const ORDINARY: Limits =
    Limits { setup: Duration::from_millis(450), answer: Duration::from_secs(3) };

/// Checks a run, and prints its figures.
#[expect(clippy::print_stdout, reason = "the figures are what `docs/BENCHMARKS.md` quotes")]
pub(super) fn check(name: &str, records: &[Record], limits: &Limits) {
    let lost: Vec<&Record> = records.iter().filter(|record| record.lost.is_some()).collect();
    assert!(records.len() > 350, "{name}: only {} connections", records.len());
    let within = |from: Duration, to: Duration| -> Vec<&Record> {
        records.iter().filter(|record| record.at >= from && record.at < to).collect()
    };
    let normal = within(Duration::ZERO, FAULT);
    let hit = within(FAULT, FAULT + Duration::from_secs(1));
    let after = within(FAULT + RECOVERY, SPAN);
    let setup = |records: &[&Record], percent| percentile(records, percent, |record| record.setup);
    let slowest = records.iter().map(|record| record.answered).max().unwrap();
    let (before, at_fault, at_last) = (setup(&normal, 99), setup(&hit, 99), setup(&after, 99));
    println!(
        "{name}: {} connections, {} lost; set-up p99 {before:.1?} before, {at_fault:.1?} in the first second, \
         {at_last:.1?} from {RECOVERY:?} on; slowest answer {slowest:.1?}",
        records.len(),
        lost.len(),
    );
    assert!(lost.is_empty(), "{name}: {} lost, the first: {:?}", lost.len(), lost.first());
    assert!(at_fault <= limits.setup, "{name}: set-up {at_fault:?} after the fault");
    assert!(slowest <= limits.answer, "{name}: an answer took {slowest:?}");
    assert!(at_last <= (2 * before).max(NOISE), "{name}: set-up {at_last:?} at last, {before:?} before");
}

/// Runs the load with a fault in it.
pub(super) async fn with_fault(
    scene: &mut Scene,
    request: Request,
    fault: impl AsyncFnOnce(&mut Vec<Node>),
) -> Vec<Record> {
    let mut nodes = std::mem::take(&mut scene.nodes);
    let begin = Instant::now();
    let faulty = async {
        until(begin, FAULT).await;
        fault(&mut nodes).await;
    };
    let (records, ()) = tokio::join!(scene.load(request, SPAN), faulty);
    for node in &nodes {
        // A frozen process cannot even be killed in an orderly way.
        node.thaw_if_alive().await;
    }
    scene.nodes = nodes;
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_is_killed() {
    let _alone = alone().await;
    let Some(mut scene) = Scene::start("chaos a", &FOUR, 0, &json!({})).await else { return };
    let records = with_fault(&mut scene, Request::Http, async |nodes| nodes[1].kill().await).await;
    check("a: SIGKILL of one of four", &records, &ORDINARY);
}

#[tokio::test(flavor = "multi_thread")]
async fn b_one_is_frozen() {
    let _alone = alone().await;
    let Some(mut scene) = Scene::start("chaos b", &FOUR, 0, &json!({})).await else { return };
    let records = with_fault(&mut scene, Request::Http, async |nodes| nodes[1].freeze().await).await;
    check("b: SIGSTOP of one of four", &records, &ORDINARY);
}

#[tokio::test(flavor = "multi_thread")]
async fn c_three_are_frozen() {
    let _alone = alone().await;
    let Some(mut scene) = Scene::start("chaos c", &FOUR, 0, &json!({})).await else { return };
    let freeze = async |nodes: &mut Vec<Node>| {
        for node in &nodes[1..] {
            node.freeze().await;
        }
    };
    let records = with_fault(&mut scene, Request::Http, freeze).await;
    check("c: SIGSTOP of three of four", &records, &Limits { setup: Duration::from_millis(900), ..ORDINARY });
}

#[tokio::test(flavor = "multi_thread")]
async fn d_one_flaps_by_dying() {
    let _alone = alone().await;
    let Some(mut scene) = Scene::start("chaos d", &FOUR, 0, &json!({})).await else { return };
    let flap = async |nodes: &mut Vec<Node>| {
        for _ in 0..3 {
            nodes[1].kill().await;
            sleep(Duration::from_secs(1)).await;
            nodes[1].replace(Kind::Microsocks, "chaos d").await;
            sleep(Duration::from_secs(1)).await;
        }
    };
    let records = with_fault(&mut scene, Request::Http, flap).await;
    check("d: one dies and returns every second", &records, &ORDINARY);
}

#[tokio::test(flavor = "multi_thread")]
async fn d_one_flaps_by_freezing() {
    let _alone = alone().await;
    let Some(mut scene) = Scene::start("chaos d", &FOUR, 0, &json!({})).await else { return };
    let flap = async |nodes: &mut Vec<Node>| {
        for _ in 0..3 {
            nodes[1].freeze().await;
            sleep(Duration::from_secs(1)).await;
            nodes[1].thaw().await;
            sleep(Duration::from_secs(1)).await;
        }
    };
    let records = with_fault(&mut scene, Request::Http, flap).await;
    check("d: one freezes and thaws every second", &records, &ORDINARY);
}

#[tokio::test(flavor = "multi_thread")]
async fn e_all_primaries_are_killed_and_the_backups_live() {
    let _alone = alone().await;
    let Some(mut scene) = Scene::start("chaos e", &FOUR[..2], 2, &json!({})).await else { return };
    let kill = async |nodes: &mut Vec<Node>| {
        nodes[0].kill().await;
        nodes[1].kill().await;
    };
    let records = with_fault(&mut scene, Request::Http, kill).await;
    check("e: all primaries killed, two backups", &records, &ORDINARY);
}

#[tokio::test(flavor = "multi_thread")]
async fn f_one_accepts_and_resets() {
    let _alone = alone().await;
    let Some(mut scene) = Scene::start("chaos f", &FOUR, 0, &json!({})).await else { return };
    let replace = async |nodes: &mut Vec<Node>| nodes[1].replace(Kind::Reset, "chaos f").await;
    let records = with_fault(&mut scene, Request::Http, replace).await;
    check("f: one of four accepts and resets", &records, &ORDINARY);
}

#[tokio::test(flavor = "multi_thread")]
async fn g_one_answers_nothing_to_a_tls_hello() {
    let _alone = alone().await;
    let Some(mut scene) = Scene::start("chaos g", &FOUR, 0, &json!({})).await else { return };
    let replace = async |nodes: &mut Vec<Node>| nodes[1].replace(Kind::TlsSilent, "chaos g").await;
    let records = with_fault(&mut scene, Request::TlsHello, replace).await;
    let limits = Limits { answer: Duration::from_millis(1500), ..ORDINARY };
    check("g: one of four says yes and answers nothing to a TLS hello", &records, &limits);
    let late = records.iter().filter(|record| record.answered > Duration::from_millis(500)).count();
    assert!(late > 0, "the silent member was never chosen, so nothing was tested");
    let at_last = records.iter().filter(|record| record.at > FAULT + RECOVERY);
    assert_eq!(at_last.filter(|record| record.answered > Duration::from_millis(500)).count(), 0, "found out");
}
