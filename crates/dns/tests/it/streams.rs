//! Connections that carry many questions, on a clock of their own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::time::{Instant, sleep};
use waypost_dns::Family;

use crate::world::{SECOND, World, look_up, resolver, tcp};

#[tokio::test(start_paused = true)]
async fn questions_share_a_connection_until_nobody_asks_for_ten_seconds() {
    let world = Arc::new(World::default());
    world.serve_always("192.0.2.1", |response| response.address(60, "10.0.0.1"));
    let resolver = resolver(&world, vec![tcp("192.0.2.1")]);
    for n in 0..20 {
        assert_eq!(look_up(&resolver, &format!("n{n}.test"), Family::Any).await, "10.0.0.1");
        sleep(9 * SECOND).await;
    }
    assert_eq!(world.connections(), 1);
    sleep(2 * SECOND).await;
    assert_eq!(look_up(&resolver, "last.test", Family::Any).await, "10.0.0.1");
    assert_eq!(world.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_has_closed_costs_nothing() {
    let world = Arc::new(World::default());
    // Each connection is good for one question.
    world.serve("192.0.2.1", |asked| vec![asked.response().address(60, "10.0.0.1").bytes(), Vec::new()]);
    let resolver = resolver(&world, vec![tcp("192.0.2.1")]);
    let start = Instant::now();
    for n in 0..5 {
        assert_eq!(look_up(&resolver, &format!("n{n}.test"), Family::V4).await, "10.0.0.1");
    }
    assert_eq!((world.connections(), start.elapsed().as_secs()), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_gone_silent_is_given_up_for_a_new_one() {
    let world = Arc::new(World::default());
    let asked_so_far = Arc::new(AtomicUsize::new(0));
    world.serve("192.0.2.1", move |asked| {
        // The second question is never answered on the connection that it comes on first.
        match asked_so_far.fetch_add(1, Ordering::Relaxed) {
            1 => Vec::new(),
            _ => vec![asked.response().address(60, "10.0.0.1").bytes()],
        }
    });
    let resolver = resolver(&world, vec![tcp("192.0.2.1")]);
    assert_eq!(look_up(&resolver, "a.test", Family::V4).await, "10.0.0.1");
    let start = Instant::now();
    assert_eq!(look_up(&resolver, "b.test", Family::V4).await, "10.0.0.1");
    assert_eq!((world.connections(), start.elapsed()), (2, 2 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn answers_come_in_any_order_and_in_pieces() {
    let world = Arc::new(World::default());
    let held: Arc<std::sync::Mutex<Vec<Vec<u8>>>> = Arc::default();
    world.serve("192.0.2.1", move |asked| {
        // The first two wait for the third, and then come after it.
        let mut held = held.lock().unwrap();
        let digit = asked.name().chars().nth(1).unwrap();
        held.push(asked.response().address(60, &format!("10.0.0.{digit}")).bytes());
        if held.len() < 3 { Vec::new() } else { held.drain(..).rev().collect() }
    });
    let resolver = resolver(&world, vec![tcp("192.0.2.1")]);
    let (a, b, c) = tokio::join!(
        look_up(&resolver, "n1.test", Family::V4),
        look_up(&resolver, "n2.test", Family::V4),
        look_up(&resolver, "n3.test", Family::V4),
    );
    assert_eq!([a, b, c], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert_eq!(world.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_every_connection_is_tried_twice() {
    let world = Arc::new(World::default());
    world.serve("192.0.2.1", |_| vec![Vec::new()]);
    let resolver = resolver(&world, vec![tcp("192.0.2.1")]);
    let result = look_up(&resolver, "a.test", Family::V4).await;
    assert!(result.ends_with("it closed the connection before it answered"), "{result}");
    assert_eq!(world.connections(), 2);
}
