//! What clients get.

use std::sync::Arc;

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::RecordType,
};
use waypost_dns::{Carrier, Reply, ServerAddress, ServerSpec, failure, refusal};

use crate::world::{World, resolver, udp, wire};

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(wire(name), kind));
    message
}

fn world() -> Arc<World> {
    let world = Arc::new(World::default());
    world.serve("192.0.2.1", |asked| {
        let response = asked.response();
        let response = match &*asked.name() {
            "a.test" => response.address(60, "10.0.0.1").address(60, "10.0.0.2"),
            "Mixed.Test" | "mixed.test" => response.address(60, "10.0.0.3"),
            "many.test" => (0..60).fold(response, |response, n| response.address(60, &format!("10.0.1.{n}"))),
            "nothing.test" => response.soa(60, 60),
            "broken.test" => response.code(ResponseCode::Refused),
            _ => response.code(ResponseCode::NXDomain),
        };
        vec![response.bytes()]
    });
    world
}

async fn answer(query: &Message, carrier: Carrier) -> Message {
    let resolver = resolver(&world(), vec![udp("192.0.2.1")]);
    let reply = resolver.answer(&query.to_vec().unwrap(), carrier).await;
    let Reply::Answer(answer) = reply else { unreachable!("{reply:?}") };
    Message::from_vec(&answer).unwrap()
}

#[tokio::test(start_paused = true)]
async fn addresses_are_answered_with_the_time_that_they_hold() {
    let answer = answer(&query("a.test", RecordType::A), Carrier::Datagram).await;
    let head = &answer.metadata;
    assert_eq!(
        (head.id, head.message_type, head.response_code),
        (0x1234, MessageType::Response, ResponseCode::NoError)
    );
    assert!(head.recursion_desired && head.recursion_available && !head.truncation && !head.authoritative);
    assert_eq!(answer.queries, query("a.test", RecordType::A).queries);
    let shown: Vec<String> = answer.answers.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["a.test. 60 IN A 10.0.0.1", "a.test. 60 IN A 10.0.0.2"]);
    assert!(answer.edns.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_there_is_not_has_its_code() {
    for (name, kind, code) in [
        ("nothing.test", RecordType::A, ResponseCode::NoError),
        ("nothing.test", RecordType::AAAA, ResponseCode::NoError),
        ("a.test", RecordType::AAAA, ResponseCode::NoError),
        ("unknown.test", RecordType::A, ResponseCode::NXDomain),
        ("broken.test", RecordType::A, ResponseCode::ServFail),
    ] {
        let answer = answer(&query(name, kind), Carrier::Datagram).await;
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (code, 0), "{name} {kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_for_a_datagram_says_so() {
    let mut query = query("many.test", RecordType::A);
    assert_eq!(answer(&query, Carrier::Stream).await.answers.len(), 60);
    let cut = answer(&query, Carrier::Datagram).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let mut edns = hickory_proto::op::Edns::new();
    edns.set_max_payload(4096);
    query.set_edns(edns);
    let whole = answer(&query, Carrier::Datagram).await;
    assert!(!whole.metadata.truncation && whole.answers.len() == 60);
    assert_eq!(whole.edns.unwrap().max_payload(), 1232);
}

#[tokio::test(start_paused = true)]
async fn the_name_comes_back_as_it_was_asked() {
    let answer = answer(&query("Mixed.Test", RecordType::A), Carrier::Datagram).await;
    assert_eq!(answer.answers[0].name.to_ascii(), "Mixed.Test.");
    assert_eq!(answer.queries[0].name().to_ascii(), "Mixed.Test.");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_question_is_not_answered() {
    let resolver = resolver(&world(), vec![udp("192.0.2.1")]);
    let whole = query("a.test", RecordType::A).to_vec().unwrap();
    for bytes in [&[][..], &[0; 11], &whole[..11]] {
        assert_eq!(resolver.answer(bytes, Carrier::Datagram).await, Reply::Nothing);
    }
    let mut response = query("a.test", RecordType::A);
    response.metadata.message_type = MessageType::Response;
    assert_eq!(resolver.answer(&response.to_vec().unwrap(), Carrier::Datagram).await, Reply::Nothing);
    // A head without its question is answered with its own mistake.
    for bytes in [&whole[..12], &whole[..whole.len() - 1]] {
        let Reply::Answer(answer) = resolver.answer(bytes, Carrier::Datagram).await else { unreachable!() };
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (0x1234, ResponseCode::FormErr));
    }
}

#[tokio::test(start_paused = true)]
async fn other_questions_go_on_to_the_servers_as_they_are() {
    let world = world();
    world.serve("192.0.2.1", |asked| {
        assert_eq!(asked.message.queries[0].query_type(), RecordType::TXT);
        vec![asked.response().code(ResponseCode::NotImp).bytes()]
    });
    let asks_server = resolver(&world, vec![ServerSpec::new(ServerAddress::System), udp("192.0.2.1")]);
    let query = query("a.test", RecordType::TXT).to_vec().unwrap();
    assert_eq!(asks_server.answer(&query, Carrier::Datagram).await, Reply::Other);
    let passed = asks_server.pass_on(&query, Carrier::Datagram).await.unwrap().unwrap();
    let passed = Message::from_vec(&passed).unwrap();
    assert_eq!((passed.metadata.id, passed.metadata.response_code), (0x1234, ResponseCode::NotImp));

    let only_system = resolver(&world, vec![ServerSpec::new(ServerAddress::System)]);
    assert!(only_system.pass_on(&query, Carrier::Datagram).await.is_none());
    for (answer, code) in
        [(refusal(&query), ResponseCode::Refused), (failure(&query), ResponseCode::ServFail)]
    {
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (0x1234, code));
    }
}
