//! Lanes over a real store.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use crate::people::{Marker, People};
use crate::{AccountLimits, Class, Lane, Lanes, Mark, Slot, TimeScale, UNANSWERED_IMPORTS, Wish};
use ferry_domain::Timestamp;
use ferry_store::{Store, StoreConfig};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

const HOST: &str = "demo.example.com";
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

async fn store(folder: &TempDir) -> Store {
    let store = Store::open(&StoreConfig { path: folder.path().join("ferry.db") }).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// Lanes whose destination's clock runs so many times as fast.
async fn lanes(scale: f64) -> (TempDir, Lanes) {
    let folder = tempfile::tempdir().unwrap();
    let lanes = Lanes::new(store(&folder).await, TimeScale::new(scale).unwrap());
    (folder, lanes)
}

async fn lane(lanes: &Lanes) -> Lane {
    lanes.lane(HOST, now()).await.unwrap()
}

async fn import(lane: &Lane) -> Slot {
    lane.slot(Class::ImportMany).await.unwrap()
}

#[tokio::test]
async fn no_more_imports_are_on_their_way_than_a_crash_may_repeat() {
    let (_folder, lanes) = lanes(1_000.0).await;
    let lane = lane(&lanes).await;
    let mut held = Vec::new();
    for _ in 0..UNANSWERED_IMPORTS {
        held.push(import(&lane).await);
    }
    let next = tokio::time::timeout(Duration::from_millis(100), import(&lane)).await;
    assert!(next.is_err());
    held.pop().unwrap().answered();
    import(&lane).await.answered();
}

/// In real time: with limits kept, the tenth of these requests would wait for a second.
#[tokio::test]
async fn lifted_limits_leave_only_a_bound_on_what_is_on_its_way_and_the_waits_that_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let limits = AccountLimits::Lifted { unanswered_imports: 8 };
    let lanes = Lanes::new(store(&folder).await, TimeScale::REAL).limited_by(limits);
    let lane = lane(&lanes).await;
    let all = async {
        for _ in 0..200 {
            lane.slot(Class::Poll).await.unwrap().answered();
            import(&lane).await.answered();
        }
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(import(&lane).await);
        }
        held
    };
    let held = tokio::time::timeout(Duration::from_secs(5), all).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), import(&lane)).await.is_err(), "a ninth");
    drop(held);
    lane.asked_to_wait(Duration::from_secs(60), now()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), import(&lane)).await.is_err(), "a wait");
}

#[tokio::test]
async fn a_slot_for_a_caller_that_is_gone_goes_to_the_next() {
    let (_folder, lanes) = lanes(1_000.0).await;
    let (lane, next) = (lane(&lanes).await, lane(&lanes).await);
    for _ in 0..10 * UNANSWERED_IMPORTS {
        let gone = tokio::time::timeout(Duration::ZERO, import(&lane)).await;
        drop(gone);
    }
    import(&next).await.answered();
}

/// A run that has many batches waiting, and one that comes later with a few.
#[tokio::test]
async fn runs_that_share_an_account_are_served_in_turn() {
    let (_folder, lanes) = lanes(200.0).await;
    let (many, few) = (Arc::new(lane(&lanes).await), Arc::new(lane(&lanes).await));
    let (given, mut order) = tokio::sync::mpsc::unbounded_channel();
    many.asked_to_wait(Duration::from_secs(20), now()).await.unwrap();
    let mut waiting = Vec::new();
    for (lane, name, requests) in [(&many, "many", 20), (&few, "few", 5)] {
        for _ in 0..requests {
            let (lane, given) = (Arc::clone(lane), given.clone());
            waiting.push(tokio::spawn(async move {
                let slot = import(&lane).await;
                given.send(name).unwrap();
                slot.answered();
            }));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for task in waiting {
        task.await.unwrap();
    }
    let order: Vec<&str> = std::iter::from_fn(|| order.try_recv().ok()).collect();
    let first: Vec<&str> = order.iter().copied().take(10).collect();
    assert_eq!(first.iter().filter(|name| **name == "few").count(), 5, "{order:?}");
}

#[tokio::test]
async fn a_hold_stops_everybody_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let lanes = Lanes::new(store.clone(), TimeScale::REAL);
    let (one, other) = (lane(&lanes).await, lane(&lanes).await);
    let slot = import(&one).await;
    assert!(!slot.is_held());
    one.asked_to_wait(Duration::from_secs(600), now()).await.unwrap();
    assert!(slot.is_held(), "what was not sent yet is not sent any more");
    assert!(other.held_for().unwrap() > Duration::from_secs(590));
    assert_eq!(other.long_hold(now()), None, "ten minutes are not long");
    drop((lanes, one, other, slot));
    let lanes = Lanes::new(store, TimeScale::REAL);
    let lane = lane(&lanes).await;
    assert!(lane.held_for().unwrap() > Duration::from_secs(590));
    for class in [Class::ImportMany, Class::ImportOne, Class::Poll, Class::Other] {
        assert!(tokio::time::timeout(Duration::from_millis(20), lane.slot(class)).await.is_err(), "{class:?}");
    }
}

#[tokio::test]
async fn a_wait_of_more_than_an_hour_is_told_with_its_end_and_none_is_longer_than_ten_days() {
    let (_folder, lanes) = lanes(1.0).await;
    let lane = lane(&lanes).await;
    lane.asked_to_wait(DAY * 400, now()).await.unwrap();
    let until = lane.long_hold(now()).unwrap().since(now());
    assert!(until <= DAY * 10 && until > DAY * 9, "{until:?}");
}

#[tokio::test]
async fn an_account_that_nobody_uses_is_forgotten_and_its_wait_is_not() {
    let (_folder, lanes) = lanes(1_000.0).await;
    let used = lane(&lanes).await;
    let account = Arc::clone(&used.account);
    used.asked_to_wait(DAY, now()).await.unwrap();
    let other = lanes.lane("other.example.com", now()).await.unwrap();
    assert!(!account.end_if_unused(Duration::ZERO), "it has a user");
    drop(used);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert!(account.end_if_unused(Duration::ZERO));
    let begun = Instant::now();
    while Arc::strong_count(&account) > 2 {
        assert!(begun.elapsed() < Duration::from_secs(10), "its task goes on");
        tokio::task::yield_now().await;
    }
    assert_eq!(other.held_for(), None);
}

fn marks(persons: &[&str]) -> Vec<Mark> {
    static MARKER: LazyLock<Marker> = LazyLock::new(Marker::default);
    persons.iter().map(|person| MARKER.mark(person)).collect()
}

#[test]
fn nobody_is_on_the_way_twice() {
    let people = Arc::new(People::default());
    let first = people.take(marks(&["a@b.cd", "e@f.gh", "A@b.cd"])).unwrap_or_else(|_| panic!("all are free"));
    let wish = people.take(marks(&["i@j.kl", "A@B.CD"])).err().unwrap();
    let wish = wish.granted().err().unwrap();
    let mut released = people.released();
    released.mark_unchanged();
    let again = first.clone();
    drop(first);
    let wish = wish.granted().err().unwrap();
    assert!(!released.has_changed().unwrap(), "the batch is on its way until its last clone is gone");
    drop(again);
    assert!(released.has_changed().unwrap());
    assert!(wish.granted().is_ok());
}

#[test]
fn who_wished_first_is_first() {
    let people = Arc::new(People::default());
    let taken = people.take(marks(&["a@b.cd"])).ok().unwrap();
    let older: Wish = people.take(marks(&["a@b.cd", "e@f.gh"])).err().unwrap();
    let newer: Wish = people.take(marks(&["e@f.gh"])).err().unwrap();
    drop(taken);
    let newer = newer.granted().err().unwrap();
    let older = older.granted().ok().unwrap();
    let newer = newer.granted().err().unwrap();
    drop(older);
    assert!(newer.granted().is_ok());
    let taken = people.take(marks(&["a@b.cd"])).ok().unwrap();
    drop(people.take(marks(&["a@b.cd", "x@y.zz"])));
    assert!(people.take(marks(&["x@y.zz"])).is_ok(), "a wish that was given up stands in nobody's way");
    drop(taken);
}

#[test]
fn nobody_is_taken_before_an_earlier_processs_people_are_known() {
    let people = Arc::new(People::default());
    let recovering = people.recovering();
    let wish = people.take(marks(&["e@f.gh"])).err().unwrap();
    let found = people.take_up(marks(&["a@b.cd"]));
    recovering.done();
    recovering.done();
    drop(recovering);
    assert!(wish.granted().is_ok());
    assert!(people.take(marks(&["a@b.cd"])).is_err());
    drop(found);
    assert!(people.take(marks(&["a@b.cd"])).is_ok(), "the wish before it was given up");
}

#[test]
fn a_mark_joins_cases_and_parts_persons() {
    let of = |person| marks(&[person])[0];
    let long = "x".repeat(300);
    assert!(of("Ada@B.cd") == of("aDA@b.CD") && of("JOÃO@B.cd") == of("joão@b.cd") && of(&long) == of(&long));
    assert!(of("ada@b.cd") != of("adam@b.cd") && of("\u{212a}@b.cd") == of("k@b.cd"));
}
