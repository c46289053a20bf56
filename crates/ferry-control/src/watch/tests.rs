//! Queues and the hub, without a transport.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::hub::Hub;
use super::token::Position;
use super::watcher::{Change, Moving, Reader, Taken, Watcher};
use super::{WatchEvent, hub};
use ferry_domain::authz::action::{CreateTenant, WatchRuns};
use ferry_domain::authz::target::Tenants;
use ferry_domain::authz::{Actor, Role, Standing, Token, permit};
use ferry_domain::name::RunParent;
use ferry_domain::{ConnectionId, Counts, Error, Run, RunName, RunState, TenantId, TenantKind, Timestamp, Trigger};
use ferry_store::{NewTenant, RunChange, Store, StoreConfig, WatchNews, WatchSnapshot, Watched, Write};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const RUN: &str = "tenants/acme/exports/weekly/runs/run-1";

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn reader() -> Reader {
    let acme = TenantId::parse("acme").unwrap();
    let token = Token {
        subject: "ada".to_owned(),
        tenants: [(acme.clone(), Role::Administrator)].into(),
        lists_tenants: true,
        operator: true,
        issue_time: at(1),
        expire_time: at(i64::MAX),
    };
    let standing = Standing { tenants: [(acme, None)].into() };
    Reader { actor: Actor::admit(token.clone(), &standing), token }
}

/// Only the store says what may be watched.
async fn watched() -> Watched {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&StoreConfig { path: folder.path().join("ferry.db") }).await.unwrap();
    store.migrate().await.unwrap();
    let actor = reader().actor;
    let new = NewTenant {
        id: TenantId::parse("acme").unwrap(),
        uid: "t".to_owned(),
        display_name: "Acme".to_owned(),
        kind: TenantKind::Sandbox,
        audit_retention: None,
    };
    let write = Write { now: at(1), request: None };
    store.tenant_create(permit::<CreateTenant>(&actor, Tenants).unwrap(), new, write).await.unwrap();
    let all = RunParent::parse("tenants/acme/exports/-").unwrap();
    store.watch_begin(permit::<WatchRuns>(&actor, all).unwrap(), None).await.unwrap().0
}

fn run(version: i64, confirmed: u64) -> Run {
    Run {
        name: RunName::parse(RUN).unwrap(),
        state: RunState::Processing,
        phase: None,
        trigger: Trigger::OnDemand,
        started_by: "ada".to_owned(),
        connection: ConnectionId::parse("news").unwrap(),
        counts: Counts { members: 10, confirmed, ..Counts::default() },
        batches_total: 1,
        batches_settled: 0,
        dry_run: false,
        plan_summary: None,
        plan_of: None,
        approval: None,
        pause_reason: None,
        resume_time: None,
        waited: Duration::ZERO,
        warnings: Vec::new(),
        error: None,
        estimated_end_time: None,
        create_time: at(1),
        start_time: None,
        end_time: None,
        version,
    }
}

fn change(number: u64, version: i64) -> RunChange {
    RunChange { number, run: run(version, 0), bytes: 1_000 }
}

fn news(through: u64, changes: Vec<RunChange>, moving: Vec<Run>) -> Vec<WatchNews> {
    vec![WatchNews { tenant: TenantId::parse("acme").unwrap(), changes, through, more: false, moving }]
}

/// The next thing, as `v` and the version of a run, and the token's position.
fn taken(watcher: &Watcher) -> (String, Option<Position>) {
    match watcher.take(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => ("nothing".to_owned(), None),
        Poll::Ready(Taken::Event(WatchEvent::Run(run), at)) => (format!("v{}", run.version), Some(at)),
        Poll::Ready(Taken::Event(WatchEvent::SnapshotComplete, at)) => ("complete".to_owned(), Some(at)),
        Poll::Ready(Taken::Event(WatchEvent::Heartbeat, at)) => ("heartbeat".to_owned(), Some(at)),
        Poll::Ready(Taken::Read(at)) => ("more".to_owned(), Some(at)),
        Poll::Ready(Taken::Failed(Error::ResourceExhausted { .. })) => ("too slow".to_owned(), None),
        Poll::Ready(Taken::Failed(error)) => (error.to_string(), None),
        Poll::Ready(Taken::Over) => ("over".to_owned(), None),
    }
}

fn all_taken(watcher: &Watcher) -> Vec<String> {
    let next = || Some(taken(watcher).0).filter(|what| what != "nothing");
    std::iter::from_fn(next).take(20).collect()
}

/// One that has begun with a snapshot of these, taken up to number 10, and has joined.
async fn joined(runs: Vec<Run>) -> (Hub, Arc<Watcher>, hub::Entered) {
    let hub = Hub::default();
    let watcher = Arc::new(Watcher::new(watched().await, reader(), Position::Anew, false));
    let entered = hub.enter(&watcher);
    watcher.begin(WatchSnapshot { through: 10, runs });
    hub.join(&watcher);
    (hub, watcher, entered)
}

#[tokio::test]
async fn a_slow_reader_gets_every_change_and_the_newest_of_what_moved() {
    let (hub, watcher, _entered) = joined(vec![run(1, 0)]).await;
    for version in 2..=5 {
        let read = hub.begin_read().unwrap().0;
        hub.tell(read, news(10, Vec::new(), vec![run(version, 1)]));
    }
    let read = hub.begin_read().unwrap().0;
    hub.tell(read, news(12, vec![change(11, 6), change(12, 8)], vec![run(9, 2)]));
    let mut positions = Vec::new();
    let mut events = Vec::new();
    for _ in 0..6 {
        let (event, at) = taken(&watcher);
        events.push(event);
        positions.extend(at);
    }
    assert_eq!(events, ["v1", "complete", "v6", "v8", "v9", "nothing"]);
    let through = |number| Position::Through(number);
    assert_eq!(positions, [Position::Anew, through(10), through(11), through(12), through(12)]);
}

#[tokio::test]
async fn a_read_that_is_older_than_the_snapshot_takes_no_run_back() {
    let hub = Hub::default();
    let watcher = Arc::new(Watcher::new(watched().await, reader(), Position::Anew, false));
    let other = Arc::new(Watcher::new(watched().await, reader(), Position::Anew, false));
    let (_entered, _other) = (hub.enter(&watcher), hub.enter(&other));
    other.begin(WatchSnapshot { through: 10, runs: Vec::new() });
    hub.join(&other);
    // The read was begun, then somebody took a newer snapshot, and only then it is told.
    let (read, _) = hub.begin_read().unwrap();
    watcher.begin(WatchSnapshot { through: 12, runs: vec![run(7, 3)] });
    hub.join(&watcher);
    hub.tell(read, news(11, vec![change(11, 4)], vec![run(5, 1)]));
    assert_eq!(all_taken(&watcher), ["v7", "complete"]);
    let (read, _) = hub.begin_read().unwrap();
    hub.tell(read, news(12, vec![change(12, 6)], vec![run(7, 3)]));
    assert_eq!(all_taken(&watcher), Vec::<String>::new(), "it is known");
    let (read, _) = hub.begin_read().unwrap();
    hub.tell(read, news(12, Vec::new(), vec![run(8, 4)]));
    assert_eq!(all_taken(&watcher), ["v8"]);
    assert_eq!(all_taken(&other), ["complete", "v4", "v6", "v8"]);
}

#[tokio::test]
async fn whoever_is_behind_the_publisher_reads_once_more() {
    let (hub, first, _entered) = joined(Vec::new()).await;
    let (read, _) = hub.begin_read().unwrap();
    hub.tell(read, news(11, vec![change(11, 4)], Vec::new()));
    let late = Arc::new(Watcher::new(watched().await, reader(), Position::Anew, false));
    let _late = hub.enter(&late);
    late.begin(WatchSnapshot { through: 10, runs: vec![run(3, 0)] });
    hub.join(&late);
    assert_eq!(all_taken(&late)[..3], ["v3", "complete", "more"]);
    late.go_on(vec![change(11, 4)], 11, false);
    hub.join(&late);
    assert_eq!(all_taken(&late), ["v4"]);
    assert_eq!(all_taken(&first), ["complete", "v4"]);
}

#[tokio::test]
async fn counters_that_go_back_are_not_told() {
    let (hub, watcher, _entered) = joined(vec![run(1, 0)]).await;
    all_taken(&watcher);
    for (version, confirmed, expected) in [(2, 5, "v2"), (3, 4, "nothing"), (4, 6, "v4")] {
        let read = hub.begin_read().unwrap().0;
        hub.tell(read, news(10, Vec::new(), vec![run(version, confirmed)]));
        assert_eq!(taken(&watcher).0, expected);
    }
}

#[tokio::test]
async fn sixty_four_kib_of_changes_are_too_many() {
    let (hub, watcher, _entered) = joined(Vec::new()).await;
    let offer = |number| watcher.offer(&Arc::new(Change { number, run: Arc::new(run(2, 0)), bytes: 16 * 1024 }));
    (11..15).for_each(offer);
    assert_eq!(taken(&watcher).0, "complete");
    assert_eq!(taken(&watcher), ("v2".to_owned(), Some(Position::Through(11))));
    (15..17).for_each(offer);
    let (read, _) = hub.begin_read().unwrap();
    hub.tell(read, news(17, vec![change(17, 4)], vec![run(5, 0)]));
    assert_eq!(taken(&watcher).0, "too slow");
    assert_eq!(watcher.position(), Position::Through(11), "what was given up is not told");
    assert_eq!(all_taken(&watcher)[..2], ["over", "over"]);
}

#[tokio::test]
async fn a_minute_without_a_reader_is_too_long_and_a_quarter_of_it_without_news_is_a_heartbeat() {
    let (hub, watcher, _entered) = joined(Vec::new()).await;
    all_taken(&watcher);
    let now = Instant::now();
    watcher.look_after(now + Duration::from_secs(14));
    assert_eq!(taken(&watcher).0, "nothing");
    let name = RunName::parse(&RUN.replace("acme", "globex")).unwrap();
    watcher.offer(&Arc::new(Change { number: 15, run: Arc::new(Run { name, ..run(2, 0) }), bytes: 1 }));
    let (read, _) = hub.begin_read().unwrap();
    hub.tell(read, news(10, Vec::new(), Vec::new()));
    watcher.look_after(now + Duration::from_secs(16));
    assert_eq!(taken(&watcher), ("heartbeat".to_owned(), Some(Position::Through(15))), "it moves the token on");
    let moving = Arc::new(Moving::new(Arc::new(run(2, 0))));
    watcher.moved(&moving, &moving.newest());
    watcher.look_after(Instant::now() + Duration::from_secs(59));
    assert_eq!(taken(&watcher).0, "v2");
    watcher.moved(&moving, &moving.newest());
    watcher.look_after(Instant::now() + Duration::from_secs(61));
    assert_eq!(taken(&watcher).0, "too slow");
}

#[tokio::test]
async fn nobody_is_remembered() {
    let (hub, _watcher, entered) = joined(Vec::new()).await;
    assert!(hub.begin_read().is_some() && hub.all().len() == 1);
    drop(entered);
    assert!(hub.begin_read().is_none() && hub.all().is_empty());
}
