mod members;

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use waypost_testkit::tcp_pair;

use super::*;
use crate::{
    DialError, Relay, Terms,
    walk::{Ending, Pace, Patience},
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\nhi";

/// What silence is told from slowness by; real time, because sockets know no other.
const DELAY: Duration = Duration::from_millis(40);
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

/// A plan whose attempts yield what was laid down for them.
struct Laid {
    streams: Mutex<Vec<Option<TcpStream>>>,
    /// The attempts that never end.
    hanging: &'static [usize],
    /// What came from the target of an attempt with the handshake already.
    rests: Vec<Vec<u8>>,
    delay: Duration,
    found: Mutex<Vec<Evidence>>,
}

impl Attempts for Laid {
    type Reached = Dialed;
    type Error = DialError;

    fn count(&self) -> usize {
        self.streams.lock().unwrap().len()
    }

    fn choose(&self, _left: &[usize]) -> usize {
        0
    }

    fn patience(&self, _number: usize) -> Patience {
        Patience { delay: LONG, measured: false }
    }

    async fn attempt(&self, number: usize) -> Result<Dialed, DialError> {
        if self.hanging.contains(&number) {
            return std::future::pending().await;
        }
        let stream = self.streams.lock().unwrap()[number].take().ok_or(DialError::NoAddress)?;
        let bound = stream.local_addr().unwrap();
        Ok(Dialed { stream: stream.into(), rest: self.rests[number].clone(), bound })
    }

    fn is_final(&self, _number: usize, _error: &DialError) -> bool {
        false
    }

    fn may_succeed_later(&self, _error: &DialError) -> bool {
        false
    }

    fn ended(&self, _number: usize, _ending: Ending<'_, DialError>, _took: Duration) {}
}

impl Replays for Laid {
    fn delay(&self, _number: usize) -> Duration {
        self.delay
    }

    fn found(&self, evidence: Evidence) {
        self.found.lock().unwrap().push(evidence);
    }
}

impl Laid {
    fn found(&self) -> Vec<Evidence> {
        self.found.lock().unwrap().clone()
    }

    /// The attempts found silent.
    fn silent(&self) -> Vec<usize> {
        let number = |evidence: &Evidence| match evidence {
            Evidence::Silent { number, after } => {
                assert!(*after >= self.delay, "{after:?}");
                Some(*number)
            }
            Evidence::FirstByte { .. } | Evidence::ClosedEarly { .. } => None,
        };
        self.found().iter().filter_map(number).collect()
    }

    /// The attempt whose first byte came.
    fn first_byte(&self) -> Option<usize> {
        self.found().iter().find_map(|evidence| match evidence {
            Evidence::FirstByte { number, .. } => Some(*number),
            Evidence::Silent { .. } | Evidence::ClosedEarly { .. } => None,
        })
    }
}

/// A connection with its client and all its targets in the test's hands.
struct Fixture {
    client: TcpStream,
    targets: Vec<TcpStream>,
    waiting: JoinSet<FirstAnswer>,
    laid: &'static Laid,
    conduit: &'static Conduit,
}

/// How a test differs from others.
#[derive(Clone)]
struct Setting {
    /// How many attempts there are, and which of them fail or never end.
    targets: usize,
    undialled: &'static [usize],
    hanging: &'static [usize],
    delay: Duration,
    limit: Duration,
    idle: Duration,
    /// What the client has sent before, and what came from each target with its handshake.
    client_rest: &'static [u8],
    target_rests: [&'static [u8]; 2],
}

const SETTING: Setting = Setting {
    targets: 2,
    undialled: &[],
    hanging: &[],
    delay: DELAY,
    limit: LONG,
    idle: LONG,
    client_rest: b"",
    target_rests: [b"", b""],
};

/// Starts the wait for a first answer with the first target.
async fn start(setting: Setting) -> Fixture {
    let (mut targets, mut streams) = (Vec::new(), Vec::new());
    for number in 0..setting.targets {
        let (target, stream) = tcp_pair().await;
        targets.push(target);
        streams.push((!setting.undialled.contains(&number)).then_some(stream));
    }
    let mut rests: Vec<Vec<u8>> = setting.target_rests.map(<[u8]>::to_vec).into();
    rests.resize(setting.targets, Vec::new());
    let Setting { hanging, delay, .. } = setting;
    let laid = Laid { streams: Mutex::new(streams), hanging, rests, delay, found: Mutex::default() };
    let laid: &'static Laid = Box::leak(Box::new(laid));
    let conduit: &'static Conduit = Box::leak(Box::default());
    let (client, client_side) = tcp_pair().await;
    let mut waiting = JoinSet::new();
    waiting.spawn(async move {
        let mut walk = Walk::new(laid, Pace { abreast: 3, deadline: Instant::now() + LONG });
        let WalkEnd::Reached(number, dialed) = walk.next().await else { panic!("no first target") };
        let client = Side { stream: client_side.into(), rest: setting.client_rest.to_vec() };
        let (limit, idle) = (setting.limit, setting.idle);
        let terms = ReplayTerms { abreast: 3, limit, idle, conduit };
        first_answer(client, (number, dialed), walk, &terms).await
    });
    Fixture { client, targets, waiting, laid, conduit }
}

impl Fixture {
    async fn end(&mut self) -> FirstAnswer {
        self.waiting.join_next().await.unwrap().unwrap()
    }

    /// Waits until a target has the bytes.
    #[track_caller]
    fn got<'f>(&'f mut self, number: usize, bytes: &'f [u8]) -> impl Future<Output = ()> + 'f {
        let caller = std::panic::Location::caller();
        async move {
            let mut buffer = vec![0; bytes.len()];
            self.targets[number].read_exact(&mut buffer).await.unwrap();
            assert_eq!(buffer, bytes, "at {caller}");
        }
    }

    /// Expects that a target carries the connection; yields what is left for it, and what it said.
    #[track_caller]
    fn carried(&mut self, expected: usize) -> impl Future<Output = (Side, Side)> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            match self.end().await {
                FirstAnswer::Carry { number, client, target } => {
                    assert_eq!(number, expected, "at {caller}");
                    (client, target)
                }
                FirstAnswer::Ended(reason) => panic!("ended: {reason:?} at {caller}"),
            }
        }
    }

    fn up(&self) -> u64 {
        self.conduit.counters.up.load(Ordering::Relaxed)
    }
}

/// Reads until the end; true if it is a reset.
async fn is_reset(stream: &mut TcpStream) -> bool {
    stream
        .read_to_end(&mut Vec::new())
        .await
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn an_answer_of_the_first_target_ends_the_wait() {
    let mut fixture = start(SETTING).await;
    fixture.client.write_all(GET).await.unwrap();
    fixture.got(0, GET).await;
    fixture.targets[0].write_all(b"HTTP/1.1 ").await.unwrap();
    let (client, target) = fixture.carried(0).await;
    assert_eq!((&*client.rest, &*target.rest, fixture.up()), (&b""[..], &b"HTTP/1.1 "[..], GET.len() as u64));
    assert!(matches!(fixture.laid.found()[..], [Evidence::FirstByte { number: 0, .. }]));
}

#[tokio::test]
async fn a_silent_target_is_joined_by_the_next_which_gets_the_same() {
    let mut fixture = start(SETTING).await;
    let (head, tail) = GET.split_at(10);
    fixture.client.write_all(head).await.unwrap();
    fixture.got(0, head).await;
    fixture.client.write_all(tail).await.unwrap();
    fixture.got(0, tail).await;
    fixture.got(1, GET).await;
    fixture.targets[1].write_all(b"yes").await.unwrap();
    let (client, target) = fixture.carried(1).await;
    assert_eq!((&*client.rest, &*target.rest, fixture.up()), (&b""[..], &b"yes"[..], GET.len() as u64));
    assert_eq!((fixture.laid.silent(), fixture.laid.first_byte()), (vec![0], Some(1)));
    assert!(is_reset(&mut fixture.targets[0]).await);
}

#[tokio::test]
async fn a_slow_target_may_still_win() {
    let mut fixture = start(Setting { client_rest: GET, ..SETTING }).await;
    fixture.got(1, GET).await;
    fixture.targets[0].write_all(b"at last").await.unwrap();
    let (_client, target) = fixture.carried(0).await;
    assert_eq!(target.rest, b"at last");
    assert_eq!((fixture.laid.silent(), fixture.laid.first_byte()), (vec![], Some(0)));
    assert!(is_reset(&mut fixture.targets[1]).await);
}

#[tokio::test]
async fn replays_go_on_while_there_are_members_and_the_first_keeps_its_place() {
    let mut fixture = start(Setting { targets: 5, undialled: &[2], client_rest: GET, ..SETTING }).await;
    for number in [0, 1, 3] {
        fixture.got(number, GET).await;
    }
    // Three have it: the second one makes room.
    fixture.got(4, GET).await;
    assert!(is_reset(&mut fixture.targets[1]).await);
    fixture.targets[4].write_all(b"yes").await.unwrap();
    fixture.carried(4).await;
    let mut silent = fixture.laid.silent();
    silent.sort_unstable();
    assert_eq!((silent, fixture.up()), (vec![0, 1, 3], GET.len() as u64));
}

#[tokio::test]
async fn nothing_is_sent_again_within_the_delay() {
    let mut fixture = start(Setting { delay: LONG, client_rest: GET, ..SETTING }).await;
    fixture.got(0, GET).await;
    assert!(tokio::time::timeout(2 * DELAY, fixture.targets[1].readable()).await.is_err());
    fixture.targets[0].write_all(b"yes").await.unwrap();
    fixture.carried(0).await;
}

#[tokio::test]
async fn nothing_is_sent_again_after_the_limit() {
    let setting = Setting { targets: 3, limit: DELAY / 2, client_rest: GET, ..SETTING };
    let mut fixture = start(setting).await;
    fixture.got(1, GET).await;
    assert!(tokio::time::timeout(3 * DELAY, fixture.targets[2].readable()).await.is_err());
    fixture.targets[0].write_all(b"yes").await.unwrap();
    fixture.carried(0).await;
}

#[tokio::test]
async fn the_limit_begins_anew_with_what_the_client_sends() {
    let mut fixture = start(Setting { targets: 3, limit: DELAY / 2, ..SETTING }).await;
    drop(fixture.targets.remove(0));
    assert!(tokio::time::timeout(DELAY, fixture.targets[0].readable()).await.is_err());
    fixture.client.write_all(GET).await.unwrap();
    fixture.got(0, GET).await;
    fixture.got(1, GET).await;
}

#[tokio::test]
async fn an_open_flight_waits_for_its_end_and_is_not_sent_again() {
    let mut fixture = start(Setting { client_rest: b"GET / HTTP/1.1\r\n", ..SETTING }).await;
    fixture.got(0, b"GET / HTTP/1.1\r\n").await;
    assert!(tokio::time::timeout(3 * DELAY, fixture.targets[1].readable()).await.is_err());
    fixture.client.write_all(b"\r\n").await.unwrap();
    fixture.got(1, b"GET / HTTP/1.1\r\n\r\n").await;
}

#[tokio::test]
async fn what_may_not_be_sent_twice_is_the_relays_at_once() {
    let mut fixture = start(Setting { client_rest: POST, ..SETTING }).await;
    let (client, target) = fixture.carried(0).await;
    assert_eq!((&*client.rest, &*target.rest, fixture.up()), (POST, &b""[..], 0));

    let mut fixture = start(SETTING).await;
    fixture.client.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    let (client, _target) = fixture.carried(0).await;
    assert_eq!((&*client.rest, fixture.up()), (&b"SSH-2.0-x\r\n"[..], 0));
    assert_eq!(fixture.laid.found(), []);
}

#[tokio::test]
async fn a_client_that_goes_on_stays_with_the_first_target() {
    let mut fixture = start(Setting { client_rest: GET, ..SETTING }).await;
    fixture.got(0, GET).await;
    fixture.got(1, GET).await;
    fixture.client.write_all(POST).await.unwrap();
    let (client, _target) = fixture.carried(0).await;
    assert_eq!((&*client.rest, fixture.up()), (POST, GET.len() as u64));
    assert!(is_reset(&mut fixture.targets[1]).await);
}

#[tokio::test]
async fn a_server_that_speaks_first_is_carried() {
    let mut fixture = start(SETTING).await;
    fixture.targets[0].write_all(b"220 ready").await.unwrap();
    let (_client, target) = fixture.carried(0).await;
    assert_eq!(target.rest, b"220 ready");
    assert_eq!(fixture.laid.found(), []);

    let mut fixture = start(Setting { target_rests: [b"220", b""], client_rest: GET, ..SETTING }).await;
    let (client, target) = fixture.carried(0).await;
    assert_eq!((&*client.rest, &*target.rest), (GET, &b"220"[..]));
}

#[tokio::test]
async fn what_came_with_the_handshake_of_another_target_is_its_answer() {
    let mut fixture = start(Setting { client_rest: GET, target_rests: [b"", b"220"], ..SETTING }).await;
    let (client, target) = fixture.carried(1).await;
    assert_eq!((&*client.rest, &*target.rest, fixture.up()), (GET, &b"220"[..], 0));
    assert_eq!(fixture.laid.silent(), [0]);
}

#[tokio::test]
async fn a_client_that_closes_its_side_is_the_relays() {
    let mut fixture = start(Setting { delay: LONG, client_rest: GET, ..SETTING }).await;
    fixture.got(0, GET).await;
    fixture.client.shutdown().await.unwrap();
    let (client, target) = fixture.carried(0).await;
    assert_eq!((fixture.up(), target.rest.len()), (GET.len() as u64, 0));
    // The relay finds the end again.
    let relaying = tokio::spawn(async move {
        Relay::new(client, target, Arc::new(Terms { idle: LONG, ..Terms::default() }), fixture.conduit).await
    });
    let mut rest = Vec::new();
    fixture.targets[0].read_to_end(&mut rest).await.unwrap();
    fixture.targets[0].write_all(b"the answer").await.unwrap();
    drop(fixture.targets);
    fixture.client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"the answer");
    let end = relaying.await.unwrap();
    assert_eq!((end.up, end.down, end.reason), (GET.len() as u64, 10, EndReason::Finished));
}

#[tokio::test]
async fn a_race_goes_on_when_the_client_closes_its_side() {
    let mut fixture = start(Setting { client_rest: GET, ..SETTING }).await;
    fixture.got(1, GET).await;
    fixture.client.shutdown().await.unwrap();
    fixture.targets[1].write_all(b"yes").await.unwrap();
    fixture.carried(1).await;
    assert_eq!(fixture.laid.silent(), [0]);
}

#[tokio::test]
async fn others_are_still_tried_when_the_client_has_closed_its_side() {
    let mut fixture = start(Setting { targets: 3, client_rest: GET, ..SETTING }).await;
    fixture.got(0, GET).await;
    drop(fixture.targets.remove(0));
    fixture.got(0, GET).await;
    fixture.client.shutdown().await.unwrap();
    fixture.got(1, GET).await;
    fixture.targets[1].write_all(b"yes").await.unwrap();
    fixture.carried(2).await;
}

#[tokio::test]
async fn a_target_that_closes_is_followed_by_the_next_at_once() {
    for reset in [false, true] {
        let mut fixture = start(Setting { delay: LONG, client_rest: GET, ..SETTING }).await;
        fixture.got(0, GET).await;
        let closed = fixture.targets.remove(0);
        if reset {
            closed.set_zero_linger().unwrap();
        }
        drop(closed);
        fixture.got(0, GET).await;
        fixture.targets[0].write_all(b"yes").await.unwrap();
        let (_client, target) = fixture.carried(1).await;
        assert_eq!((&*target.rest, fixture.up()), (&b"yes"[..], GET.len() as u64));
        assert_eq!(fixture.laid.found()[0], Evidence::ClosedEarly { number: 0, fault: None });
        assert_eq!(fixture.laid.first_byte(), Some(1));
    }
}

#[tokio::test]
async fn a_target_that_closes_before_it_has_anything_is_replaced_for_any_protocol() {
    let mut fixture = start(Setting { delay: LONG, ..SETTING }).await;
    drop(fixture.targets.remove(0));
    while fixture.laid.found().is_empty() {
        tokio::task::yield_now().await;
    }
    fixture.client.write_all(POST).await.unwrap();
    let (client, _target) = fixture.carried(1).await;
    assert_eq!((&*client.rest, fixture.up()), (POST, 0));
    assert_eq!(fixture.laid.found(), [Evidence::ClosedEarly { number: 0, fault: None }]);
}

#[tokio::test]
async fn what_nobody_has_got_goes_to_the_one_that_is_being_dialled() {
    let mut fixture = start(Setting { delay: LONG, ..SETTING }).await;
    // Both happen before the other side looks, which sees the close first.
    drop(fixture.targets.remove(0));
    assert_eq!(fixture.client.try_write(POST).unwrap(), POST.len());
    let (client, _target) = fixture.carried(1).await;
    assert_eq!((&*client.rest, fixture.up()), (POST, 0));
}

#[tokio::test]
async fn what_somebody_has_got_in_part_goes_to_nobody_else() {
    let mut fixture = start(Setting { hanging: &[1], delay: LONG, client_rest: b"GE", ..SETTING }).await;
    fixture.got(0, b"GE").await;
    drop(fixture.targets.remove(0));
    while fixture.laid.found().is_empty() {
        tokio::task::yield_now().await;
    }
    fixture.client.write_all(b"NERATE").await.unwrap();
    // At once, not when dialling others has come to its limit.
    let carried = tokio::time::timeout(LONG / 2, fixture.carried(0)).await;
    let (client, mut target) = carried.unwrap();
    assert_eq!((&*client.rest, fixture.up()), (&b"NERATE"[..], 2));
    assert_eq!(target.stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_that_was_unused_for_a_while_may_be_closed() {
    let mut fixture = start(Setting { delay: Duration::ZERO, ..SETTING }).await;
    drop(fixture.targets.remove(0));
    let (mut client, mut target) = fixture.carried(0).await;
    assert_eq!((target.stream.read(&mut [0; 1]).await.unwrap(), target.rest.len()), (0, 0));
    assert_eq!(fixture.laid.found(), []);
    fixture.client.write_all(b"x").await.unwrap();
    client.stream.read_exact(&mut [0; 1]).await.unwrap();
}

#[tokio::test]
async fn the_client_sees_the_close_or_reset_when_nobody_is_left() {
    let mut fixture = start(Setting { undialled: &[1], client_rest: GET, ..SETTING }).await;
    fixture.got(0, GET).await;
    fixture.targets.remove(0).shutdown().await.unwrap();
    let (_client, mut target) = fixture.carried(0).await;
    assert_eq!((target.stream.read(&mut [0; 1]).await.unwrap(), fixture.up()), (0, GET.len() as u64));

    let mut fixture = start(Setting { undialled: &[1], client_rest: GET, ..SETTING }).await;
    fixture.got(0, GET).await;
    fixture.targets.remove(0).set_zero_linger().unwrap();
    let end = fixture.end().await;
    let reset = EndReason::TargetFailed(io::ErrorKind::ConnectionReset);
    assert!(matches!(end, FirstAnswer::Ended(reason) if reason == reset), "{end:?}");
    assert_eq!(fixture.up(), GET.len() as u64);
    assert!(is_reset(&mut fixture.client).await);
}

#[tokio::test]
async fn a_client_that_is_gone_ends_everything() {
    let mut fixture = start(Setting { client_rest: GET, ..SETTING }).await;
    fixture.got(0, GET).await;
    fixture.got(1, GET).await;
    fixture.client.set_zero_linger().unwrap();
    let (gone, _other) = tcp_pair().await;
    drop(std::mem::replace(&mut fixture.client, gone));
    let end = fixture.end().await;
    let failed = EndReason::ClientFailed(io::ErrorKind::ConnectionReset);
    assert!(matches!(end, FirstAnswer::Ended(reason) if reason == failed), "{end:?}");
    for target in &mut fixture.targets {
        assert!(is_reset(target).await);
    }
    assert_eq!(fixture.laid.found(), []);
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let mut fixture = start(Setting { idle: DELAY, ..SETTING }).await;
    assert!(matches!(fixture.end().await, FirstAnswer::Ended(EndReason::Idle)));
}

#[tokio::test]
async fn a_connection_that_is_closed_from_outside_ends() {
    let mut fixture = start(Setting { client_rest: GET, ..SETTING }).await;
    fixture.got(0, GET).await;
    fixture.conduit.close.cancel();
    assert!(matches!(fixture.end().await, FirstAnswer::Ended(EndReason::Closed)));
    assert_eq!(fixture.up(), GET.len() as u64);
}

#[tokio::test]
async fn a_plan_with_one_member_is_not_waited_for() {
    let mut fixture = start(Setting { targets: 1, client_rest: GET, ..SETTING }).await;
    let (client, _target) = fixture.carried(0).await;
    assert_eq!((&*client.rest, fixture.up()), (GET, 0));
}
