use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{sync::Notify, time::advance};

use super::*;
use crate::{Answer, LookupFuture, Pattern};

/// Knows `good`, does not know `bad`, never answers for `hung`, and answers for `slow` when told to.
#[derive(Debug, Default)]
struct Table {
    asked: AtomicUsize,
    go_on: Notify,
}

impl SystemLookup for Table {
    fn lookup<'a>(&'a self, name: &'a str) -> LookupFuture<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            match name {
                "good" => {}
                "slow" => self.go_on.notified().await,
                "hung" => pending().await,
                _ => return Err(io::ErrorKind::NotFound.into()),
            }
            Ok(vec!["::ffff:10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()])
        })
    }
}

fn resolver(table: &Arc<Table>) -> Resolver {
    let alias = (Pattern::Full("alias".into()), Answer::Alias(name("good")));
    Resolver::with_lookup(Hosts::from_iter([alias]), table.clone())
}

fn name(text: &str) -> DomainName {
    DomainName::new(text).unwrap()
}

fn asked(table: &Table) -> usize {
    table.asked.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn the_system_is_asked_once_a_minute() {
    let table = Arc::new(Table::default());
    let resolver = resolver(&table);
    for family in [Family::V4, Family::V6, Family::Any] {
        let found = resolver.resolve(&name("alias."), family).await.unwrap();
        assert_eq!(found.len(), if family == Family::Any { 2 } else { 1 });
    }
    assert_eq!(resolver.resolve(&name("good"), Family::V4).await.unwrap()[0].to_string(), "10.0.0.1");
    assert_eq!(asked(&table), 1);
    advance(Duration::from_secs(60)).await;
    resolver.resolve(&name("good"), Family::Any).await.unwrap();
    assert_eq!(asked(&table), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_remembered_for_five_seconds() {
    let table = Arc::new(Table::default());
    let resolver = resolver(&table);
    for _ in 0..2 {
        let result = resolver.resolve(&name("bad"), Family::Any).await;
        assert!(matches!(result, Err(ResolveError::System { .. })), "{result:?}");
    }
    assert_eq!(asked(&table), 1);
    advance(Duration::from_secs(5)).await;
    assert!(resolver.resolve(&name("bad"), Family::Any).await.is_err());
    assert_eq!(asked(&table), 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_want_the_same_name_share_one_look_up() {
    let table = Arc::new(Table::default());
    let resolver = resolver(&table);
    let slow = name("slow");
    let mut first = Box::pin(resolver.resolve(&slow, Family::Any));
    assert!(timeout(Duration::from_secs(1), &mut first).await.is_err());
    let second = resolver.resolve(&slow, Family::V4);
    // The look-up outlives the one who asked first.
    drop(first);
    table.go_on.notify_one();
    assert_eq!(second.await.unwrap().len(), 1);
    assert_eq!(asked(&table), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_five_seconds() {
    let table = Arc::new(Table::default());
    let resolver = resolver(&table);
    let start = Instant::now();
    for round in 1..=2 {
        let result = resolver.resolve(&name("hung"), Family::Any).await;
        assert!(matches!(result, Err(ResolveError::Timeout { .. })), "{result:?}");
        assert_eq!(start.elapsed().as_secs(), 5 * round);
    }
    assert_eq!(asked(&table), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_64_look_ups_run_at_a_time() {
    #[derive(Debug)]
    struct Hung(AtomicUsize);
    impl SystemLookup for Hung {
        fn lookup<'a>(&'a self, _name: &'a str) -> LookupFuture<'a> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(pending())
        }
    }
    let hung = Arc::new(Hung(AtomicUsize::new(0)));
    let resolver = Resolver::with_lookup(Hosts::default(), hung.clone());
    let waiting: Vec<_> = (0..MAX_LOOKUPS + 1)
        .map(|n| {
            let (resolver, name) = (resolver.clone(), name(&format!("n{n}")));
            tokio::spawn(async move { resolver.resolve(&name, Family::Any).await })
        })
        .collect();
    for task in waiting {
        assert!(matches!(task.await.unwrap(), Err(ResolveError::Timeout { .. })));
    }
    assert_eq!(hung.0.load(Ordering::Relaxed), MAX_LOOKUPS);
}

#[tokio::test(start_paused = true)]
async fn an_address_is_its_own_answer() {
    let table = Arc::new(Table::default());
    let resolver = resolver(&table);
    assert_eq!(resolver.resolve(&name("10.0.0.9"), Family::Any).await.unwrap().len(), 1);
    let result = resolver.resolve(&name("10.0.0.9"), Family::V6).await;
    assert!(matches!(result, Err(ResolveError::NoData { .. })), "{result:?}");
    assert_eq!(asked(&table), 0);
}

#[tokio::test]
async fn the_system_knows_localhost() {
    let found = Resolver::new(Hosts::default()).resolve(&name("localhost"), Family::Any).await.unwrap();
    assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
}
