use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waypost_config::model::{OutboundProtocol, ProxyServer, SocketOptions};
use waypost_dns::{Hosts, Resolver};
use waypost_net::{Host, Target};
use waypost_testkit::{Behaviour, HttpOrigin, Socks5Node};

use super::{
    Attempts, DELAY, DialError, Dialed, Duration, Ending, Evidence, FirstAnswer, GET, Instant, LONG, POST,
    Pace, Patience, ReplayTerms, Replays, Side, Walk, WalkEnd, first_answer, tcp_pair,
};
use crate::{Conduit, Dialer, Relay, Terms};

/// A plan over SOCKS servers.
struct Members {
    dialers: Vec<Dialer>,
    resolver: Resolver,
    destination: Target,
    delay: Duration,
}

impl Attempts for Members {
    type Reached = Dialed;
    type Error = DialError;

    fn count(&self) -> usize {
        self.dialers.len()
    }

    fn choose(&self, _left: &[usize]) -> usize {
        0
    }

    fn patience(&self, _number: usize) -> Patience {
        Patience { delay: LONG, measured: false }
    }

    async fn attempt(&self, number: usize) -> Result<Dialed, DialError> {
        self.dialers[number].dial(&self.destination, &[], &self.resolver, Instant::now() + LONG).await
    }

    fn is_final(&self, _number: usize, _error: &DialError) -> bool {
        false
    }

    fn may_succeed_later(&self, _error: &DialError) -> bool {
        false
    }

    fn ended(&self, _number: usize, _ending: Ending<'_, DialError>, _took: Duration) {}
}

impl Replays for Members {
    fn delay(&self, _number: usize) -> Duration {
        self.delay
    }

    fn found(&self, _evidence: Evidence) {}
}

/// Sends a request through the nodes to an origin; yields what the client got.
async fn ask(nodes: &[&Socks5Node], origin: &HttpOrigin, delay: Duration, request: &[u8]) -> Vec<u8> {
    let dialer = |node: &&Socks5Node| {
        let server =
            ProxyServer { host: Host::from(node.address.ip()), port: node.address.port(), account: None };
        Dialer::try_new(&OutboundProtocol::Socks(vec![server]), &SocketOptions::default()).unwrap()
    };
    let dialers = nodes.iter().map(dialer).collect();
    let resolver = Resolver::new(Hosts::default());
    let members = Members { dialers, resolver, destination: origin.address.into(), delay };
    let (mut client, client_side) = tcp_pair().await;
    let conduit = Conduit::default();
    let serving = async {
        let mut walk = Walk::new(&members, Pace { abreast: 3, deadline: Instant::now() + LONG });
        let WalkEnd::Reached(number, dialed) = walk.next().await else { panic!("no member") };
        let client = Side { stream: client_side.into(), rest: Vec::new() };
        let terms = ReplayTerms { abreast: 3, limit: LONG, idle: LONG, conduit: &conduit };
        match first_answer(client, (number, dialed), walk, &terms).await {
            FirstAnswer::Carry { client, target, .. } => {
                Relay::new(client, target, Arc::new(Terms { idle: LONG, ..Terms::default() }), &conduit)
                    .await;
            }
            FirstAnswer::Ended(_) => {}
        }
    };
    let asking = async {
        client.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an answer that lacks the rest.
        let _read = client.read_to_end(&mut answer).await;
        drop(client);
        answer
    };
    tokio::join!(serving, asking).1
}

#[tokio::test]
async fn a_get_survives_members_that_grant_and_fail() {
    let origin = HttpOrigin::start("the origin").await;
    let good = Socks5Node::start("good", Behaviour::Relay).await;
    for (behaviour, delay) in [
        (Behaviour::GrantThenSilent, DELAY),
        (Behaviour::GrantThenReset, LONG),
        (Behaviour::GrantThenClose, LONG),
    ] {
        let bad = Socks5Node::start("bad", behaviour).await;
        let worse = Socks5Node::start("worse", behaviour).await;
        let answer = ask(&[&bad, &worse, &good], &origin, delay, GET).await;
        assert!(answer.ends_with(b"the origin"), "{behaviour:?}: {}", String::from_utf8_lossy(&answer));
        assert_eq!((bad.seen().len(), worse.seen().len()), (1, 1));
    }
    assert_eq!(origin.heads().len(), 3);
}

#[tokio::test]
async fn a_post_reaches_the_origin_once_at_most() {
    let origin = HttpOrigin::start("the origin").await;
    let second = Socks5Node::start("second", Behaviour::Relay).await;
    for (behaviour, requests) in
        [(Behaviour::Relay, 1), (Behaviour::GrantThenReset, 1), (Behaviour::GrantThenClose, 1)]
    {
        let first = Socks5Node::start("first", behaviour).await;
        ask(&[&first, &second], &origin, Duration::ZERO, POST).await;
        assert_eq!((first.seen().len(), second.seen().len()), (1, 0), "{behaviour:?}");
        assert_eq!(origin.heads().len(), requests, "{behaviour:?}");
    }
}

#[tokio::test]
async fn members_that_cannot_be_dialled_are_passed_over() {
    let origin = HttpOrigin::start("the origin").await;
    let silent = Socks5Node::start("silent", Behaviour::GrantThenSilent).await;
    let refusing = Socks5Node::start("refusing", Behaviour::Refuse(1)).await;
    let good = Socks5Node::start("good", Behaviour::Relay).await;
    let answer = ask(&[&silent, &refusing, &good], &origin, DELAY, GET).await;
    assert!(answer.ends_with(b"the origin"));
}
