//! Answers that are wrong, by mistake or on purpose.

use std::sync::Arc;

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::rdata::opt::{EdnsCode, EdnsOption},
};
use tokio::time::Instant;
use waypost_dns::Family;

use crate::world::{Asked, SECOND, World, look_up, resolver, tcp, udp, wire};

const TRUTH: &str = "192.0.2.80";

fn truth(asked: &Asked) -> Vec<u8> {
    asked.response().address(60, TRUTH).bytes()
}

/// What somebody sends who cannot see the query, or who answers another one.
fn lies(asked: &Asked) -> Vec<Vec<u8>> {
    let lie = || asked.response().address(60, "203.0.113.66");
    let mut wrong_id = lie();
    wrong_id.0.metadata.id ^= 1;
    let mut wrong_name = lie();
    wrong_name.0.queries[0].set_name(wire("other.test"));
    let mut wrong_type = lie();
    wrong_type.0.queries[0].set_query_type(hickory_proto::rr::RecordType::MX);
    let mut two_questions = lie();
    let twice = two_questions.0.queries[0].clone();
    two_questions.0.add_query(twice);
    let mut no_question = lie();
    no_question.0.queries.clear();
    let mut a_query = lie();
    a_query.0.metadata.message_type = MessageType::Query;
    let mut cut = lie().bytes();
    cut.pop();
    // A name that is a pointer to itself (RFC 1035 §4.1.4).
    let mut pointer_loop = asked.response().bytes();
    pointer_loop[7] = 1;
    pointer_loop.extend_from_slice(&[
        0xc0,
        u8::try_from(pointer_loop.len()).unwrap(),
        0,
        1,
        0,
        1,
        0,
        0,
        0,
        60,
        0,
        4,
        1,
        2,
        3,
        4,
    ]);
    // 65535 records are announced.
    let mut many = lie().bytes();
    many[6..8].fill(0xff);
    let id = asked.message.metadata.id.to_be_bytes().to_vec();
    let parsed = [wrong_id, wrong_name, wrong_type, two_questions, no_question, a_query];
    let mut all: Vec<Vec<u8>> = parsed.into_iter().map(crate::world::Response::bytes).collect();
    all.extend([cut, pointer_loop, many, id, vec![0; 12]]);
    all
}

#[tokio::test(start_paused = true)]
async fn what_does_not_answer_the_question_does_not_end_the_look_up() {
    let world = Arc::new(World::default());
    world.serve("192.0.2.1", |asked| {
        let mut replies = lies(asked);
        replies.push(truth(asked));
        replies
    });
    for server in [udp("192.0.2.1"), tcp("192.0.2.1")] {
        let resolver = resolver(&world, vec![server]);
        let start = Instant::now();
        assert_eq!(look_up(&resolver, "a.test", Family::V4).await, TRUTH);
        assert_eq!(start.elapsed().as_secs(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn lies_alone_are_no_answer() {
    let world = Arc::new(World::default());
    world.serve("192.0.2.1", lies);
    for (server, label) in [(udp("192.0.2.1"), "udp"), (tcp("192.0.2.1"), "tcp")] {
        let start = Instant::now();
        let result = look_up(&resolver(&world, vec![server]), "a.test", Family::V4).await;
        let expected = format!(
            "the DNS server `{label}://192.0.2.1:53` has no answer for `a.test`: it did not answer within 4s"
        );
        assert_eq!((result, start.elapsed()), (expected, 4 * SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn addresses_of_other_names_are_nobodys() {
    let world = Arc::new(World::default());
    world.serve_always("192.0.2.1", |response| {
        response.address_of("bank.test", 60, "203.0.113.66").alias("bank.test", 60, "a.test").address_of(
            "x.a.test",
            60,
            "203.0.113.66",
        )
    });
    let result = look_up(&resolver(&world, vec![udp("192.0.2.1")]), "a.test", Family::V4).await;
    assert_eq!(result, "`a.test` has no ipv4 address");
}

#[tokio::test(start_paused = true)]
async fn aliases_are_followed_but_not_in_circles() {
    let chain = |length: usize| {
        move |mut response: crate::world::Response| {
            for n in (0..length).rev() {
                response = response.alias(&format!("n{n}.test"), 60, &format!("N{}.test", n + 1));
            }
            response.address_of(&format!("n{length}.test"), 60, TRUTH)
        }
    };
    let world = Arc::new(World::default());
    for (length, expected) in
        [(1, TRUTH), (16, TRUTH), (17, "the aliases in its answer go round in a circle or are too many")]
    {
        world.serve_always("192.0.2.1", chain(length));
        let result = look_up(&resolver(&world, vec![udp("192.0.2.1")]), "n0.test", Family::V4).await;
        assert!(result.ends_with(expected), "{length}: {result}");
    }
    world.serve_always("192.0.2.1", |response| {
        response.alias("a.test", 60, "b.test").alias("b.test", 60, "a.test").address_of("c.test", 60, TRUTH)
    });
    let result = look_up(&resolver(&world, vec![udp("192.0.2.1")]), "a.test", Family::V4).await;
    assert!(result.contains("go round in a circle"), "{result}");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_64_addresses_are_taken() {
    let world = Arc::new(World::default());
    world.serve_always("192.0.2.1", |mut response| {
        for n in 0..200 {
            response = response.address(60, &format!("198.51.100.{n}")).address(60, "198.51.100.0");
        }
        response
    });
    let result = look_up(&resolver(&world, vec![tcp("192.0.2.1")]), "a.test", Family::V4).await;
    assert_eq!(result.split(' ').count(), 64);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_comes_in_a_stream() {
    let world = Arc::new(World::default());
    world.serve("192.0.2.1", |asked| {
        let mut response = asked.response();
        response.0.metadata.truncation = !asked.in_stream;
        vec![if asked.in_stream { response.address(60, TRUTH).bytes() } else { response.bytes() }]
    });
    let result = look_up(&resolver(&world, vec![udp("192.0.2.1")]), "a.test", Family::V4).await;
    assert_eq!(result, TRUTH);
    assert_eq!(world.seen(), ["192.0.2.1 a.test A", "192.0.2.1 a.test A stream"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_edns_is_asked_without() {
    let world = Arc::new(World::default());
    world.serve("192.0.2.1", |asked| {
        let mut response = asked.response();
        if asked.message.edns.is_some() {
            // Nothing but the head, as old servers do.
            response.0.queries.clear();
            return vec![response.code(ResponseCode::FormErr).bytes()];
        }
        vec![response.address(60, TRUTH).bytes()]
    });
    assert_eq!(look_up(&resolver(&world, vec![udp("192.0.2.1")]), "a.test", Family::V4).await, TRUTH);
    assert_eq!(world.seen().len(), 2);
}

/// What a query tells of the client, and how much of an answer it has room for.
fn edns(query: &Message) -> (Option<String>, u16) {
    let edns = query.edns.as_ref();
    let subnet = edns.and_then(|edns| {
        let Some(EdnsOption::Subnet(subnet)) = edns.option(EdnsCode::Subnet) else { return None };
        Some(format!("{}/{}", subnet.addr(), subnet.source_prefix()))
    });
    (subnet, edns.map_or(0, hickory_proto::op::Edns::max_payload))
}

#[tokio::test(start_paused = true)]
async fn a_server_is_told_the_network_of_the_client_and_no_more() {
    for (address, subnet) in [
        (None, None),
        (Some("198.51.100.77"), Some("198.51.100.0/24")),
        (Some("2001:db8:1:ff02::3"), Some("2001:db8:1:ff00::/56")),
    ] {
        let world = Arc::new(World::default());
        world.serve("192.0.2.1", move |asked| {
            assert_eq!(edns(&asked.message), (subnet.map(str::to_owned), 1232));
            assert!(asked.message.metadata.recursion_desired);
            vec![truth(asked)]
        });
        let mut server = udp("192.0.2.1");
        server.client_subnet = address.map(|address| address.parse().unwrap());
        assert_eq!(look_up(&resolver(&world, vec![server]), "a.test", Family::V4).await, TRUTH);
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_no_message_can_hold_are_not_asked_for() {
    let world = Arc::new(World::default());
    world.serve("192.0.2.1", |asked| vec![truth(asked)]);
    let resolver = resolver(&world, vec![udp("192.0.2.1")]);
    for name in ["a..test", ".test", &format!("{}.test", "x".repeat(64))] {
        let result = look_up(&resolver, name, Family::V4).await;
        assert!(result.ends_with("no DNS message can ask that"), "{name}: {result}");
    }
    assert!(world.seen().is_empty());
}
