//! How long answers are kept.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hickory_proto::op::ResponseCode;
use tokio::time::{advance, sleep};
use waypost_dns::{Family, ServerSpec};

use crate::world::{Response, SECOND, World, look_up, name, resolver, udp};

/// Says how often a name is asked for if it is looked up again after each of these seconds.
async fn asked_after(
    server: ServerSpec,
    answer: impl Fn(Response) -> Response + Send + Sync + 'static,
    seconds: &[u32],
) -> Vec<usize> {
    let world = Arc::new(World::default());
    world.serve_always("192.0.2.1", answer);
    let resolver = resolver(&world, vec![server]);
    let _first = look_up(&resolver, "a.test", Family::V4).await;
    let mut total = world.seen().len();
    let (mut counts, mut now) = (Vec::new(), 0);
    for &second in seconds {
        advance(SECOND * (second - now)).await;
        now = second;
        let _again = look_up(&resolver, "a.test", Family::V4).await;
        total += world.seen().len();
        counts.push(total);
    }
    counts
}

const DAY: u32 = 86_400;

#[tokio::test(start_paused = true)]
async fn answers_are_kept_as_long_as_they_say() {
    let server = || udp("192.0.2.1");
    let plain =
        |ttl| move |response: Response| response.address(ttl, "10.0.0.1").address(ttl + 1, "10.0.0.2");
    assert_eq!(asked_after(server(), plain(60), &[59, 60]).await, [1, 2]);
    assert_eq!(asked_after(server(), plain(0), &[0, 1]).await, [1, 2]);
    assert_eq!(asked_after(server(), plain(u32::MAX - 1), &[DAY - 1, DAY]).await, [1, 2]);
    let alias =
        |response: Response| response.alias("a.test", 10, "b.test").address_of("b.test", 60, "10.0.0.1");
    assert_eq!(asked_after(server(), alias, &[9, 10]).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn negative_answers_are_kept_as_long_as_the_zone_says() {
    let server = || udp("192.0.2.1");
    let no_name = |response: Response| response.code(ResponseCode::NXDomain);
    let unknown = move |ttl, minimum| move |response: Response| no_name(response).soa(ttl, minimum);
    assert_eq!(asked_after(server(), unknown(300, 30), &[29, 30]).await, [1, 2]);
    assert_eq!(asked_after(server(), unknown(30, 300), &[29, 30]).await, [1, 2]);
    assert_eq!(asked_after(server(), unknown(DAY, DAY), &[3599, 3600]).await, [1, 2]);
    assert_eq!(asked_after(server(), |response: Response| response.soa(30, 30), &[29, 30]).await, [1, 2]);
    // Without a word on how long, only a burst is spared.
    assert_eq!(asked_after(server(), no_name, &[0, 1]).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_not_kept_and_neither_is_anything_without_a_cache() {
    let fails = |response: Response| response.code(ResponseCode::ServFail);
    assert_eq!(asked_after(udp("192.0.2.1"), fails, &[0, 0]).await, [2, 3]);
    let mut server = udp("192.0.2.1");
    server.cache = false;
    let good = |response: Response| response.address(60, "10.0.0.1");
    assert_eq!(asked_after(server, good, &[0, 0]).await, [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_is_left_is_told() {
    let world = Arc::new(World::default());
    world.serve_always("192.0.2.1", |response| response.address(60, "10.0.0.1"));
    let resolver = resolver(&world, vec![udp("192.0.2.1")]);
    assert_eq!(resolver.find(&name("a.test"), Family::V4).await.unwrap().ttl, 60 * SECOND);
    advance(20 * SECOND).await;
    assert_eq!(resolver.find(&name("a.test"), Family::V4).await.unwrap().ttl, 40 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn those_who_want_the_same_share_one_question() {
    let world = Arc::new(World::default());
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    world.serve("192.0.2.1", move |asked| {
        // The first datagram is lost, so that all of them wait.
        match counter.fetch_add(1, Ordering::Relaxed) {
            0 => Vec::new(),
            _ => vec![asked.response().address(60, "10.0.0.1").bytes()],
        }
    });
    let resolver = resolver(&world, vec![udp("192.0.2.1")]);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let resolver = resolver.clone();
            tokio::spawn(async move { look_up(&resolver, "a.test", Family::V4).await })
        })
        .collect();
    // Whoever asked first may leave.
    sleep(SECOND / 2).await;
    tasks[0].abort();
    for task in tasks.into_iter().skip(1) {
        assert_eq!(task.await.unwrap(), "10.0.0.1");
    }
    assert_eq!(sent.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn stale_answers_are_given_while_a_new_one_is_fetched() {
    let world = Arc::new(World::default());
    world.serve_always("192.0.2.1", |response| response.address(60, "10.0.0.1"));
    let mut server = udp("192.0.2.1");
    server.stale = Some(30 * SECOND);
    let resolver = resolver(&world, vec![server]);
    assert_eq!(look_up(&resolver, "a.test", Family::V4).await, "10.0.0.1");

    // The server is gone: the old answer is given at once, again and again.
    world.serve("192.0.2.1", |_| Vec::new());
    advance(61 * SECOND).await;
    for _ in 0..3 {
        let found = resolver.find(&name("a.test"), Family::V4).await.unwrap();
        assert_eq!((found.addresses.len(), found.ttl), (1, 30 * SECOND));
    }
    advance(5 * SECOND).await;

    // It is back with another address, which the second caller gets.
    world.serve_always("192.0.2.1", |response| response.address(60, "10.0.0.2"));
    assert_eq!(look_up(&resolver, "a.test", Family::V4).await, "10.0.0.1");
    sleep(SECOND / 10).await;
    assert_eq!(look_up(&resolver, "a.test", Family::V4).await, "10.0.0.2");

    // What is older than is allowed is not given.
    world.serve("192.0.2.1", |_| Vec::new());
    advance(91 * SECOND).await;
    assert!(look_up(&resolver, "a.test", Family::V4).await.contains("did not answer"));
}
