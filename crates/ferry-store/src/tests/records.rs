//! Records that wait together: what they share, and what they do not.

use super::*;
use futures::future::join_all;
use sea_orm::ConnectionTrait;

/// Rows of each batch of the tests below.
const ROWS: u32 = 10;

async fn other_run(store: &Store) -> Lease {
    let export = ExportName::parse("tenants/acme/exports/daily").unwrap();
    let connection = ConnectionName::parse("tenants/acme/connections/news").unwrap().connection;
    let target = NewExport { name: export.clone(), connection, access: ACCESS };
    let new = new_export("e-2", "Daily");
    store.export_create(permit::<CreateExport>(&administrator(), target).unwrap(), new, write(1)).await.unwrap();
    queue_of(store, &export, "run-2", None, 3).await.unwrap();
    claimed(store).await.lease
}

/// Two runs that are being carried out.
async fn two_runs(folder: &Path) -> (Store, [Lease; 2]) {
    let store = stage(folder).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let first = claimed(&store).await.lease;
    let second = other_run(&store).await;
    (store, [first, second])
}

#[tokio::test]
async fn many_records_share_a_commit_and_a_bad_one_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    let before = store.commits();
    // Every fifth attempt repeats an id, which the database refuses.
    let all = (0..300_u32).map(|number| {
        let (store, lease) = (store.clone(), lease.clone());
        async move {
            let id = if number % 5 == 4 { "same".to_owned() } else { format!("a-{number}") };
            store.intent_record(&lease, intent(&id, number), at(20)).await.is_ok()
        }
    });
    let good = join_all(all).await.into_iter().filter(|good| *good).count();
    assert_eq!(good, 241);
    assert_eq!(store.batches(&lease).await.unwrap().len(), 241);
    let commits = store.commits() - before;
    assert!(commits < 10, "{commits} commits for 300 records");
}

/// Whoever lost the lease, and whoever's plan was made for another connection, writes nothing; the others do.
#[tokio::test]
async fn each_record_is_judged_by_its_own_lease() {
    let folder = tempfile::tempdir().unwrap();
    let (store, [first, second]) = two_runs(folder.path()).await;
    store.leases_reset(at(12)).await.unwrap();
    let current = store.run_claim("other", at(13)).await.unwrap().unwrap().lease;
    assert_eq!(current.run(), first.run());
    let before = store.commits();
    let leases = [&first, &current, &second];
    let all = (0..90_u32).map(|number| {
        let lease = leases[number as usize % 3];
        let intent = intent(&format!("a-{number}"), number);
        let store = &store;
        async move { store.intent_record(lease, intent, at(20)).await.map(|_| ()) }
    });
    let answers = join_all(all).await;
    for (number, answer) in answers.iter().enumerate() {
        match number % 3 {
            0 => assert!(matches!(answer, Err(IntentRefused::Fenced)), "{number}: {answer:?}"),
            _ => assert!(answer.is_ok(), "{number}: {answer:?}"),
        }
    }
    assert!(store.commits() - before <= 3);
    assert_eq!(store.batches(&current).await.unwrap().len(), 30);
    assert_eq!(store.batches(&second).await.unwrap().len(), 30);
}

fn answer(number: u32) -> (AttemptOutcome, BatchAfter, CountsDelta) {
    let rows = i64::from(ROWS);
    let none = CountsDelta::default();
    let refused = vec![RefusedRow { offset: number % ROWS, reason: "R".to_owned() }];
    match number % 6 {
        0 | 1 => {
            let remote_id = format!("b-{number}");
            let after = BatchAfter::Queued { remote_id: remote_id.clone(), sent_time: at(30) };
            (AttemptOutcome::Queued { remote_id }, after, CountsDelta { queued: rows, not_sent: -rows, ..none })
        }
        2 => (AttemptOutcome::Unknown, BatchAfter::Due, none),
        3 => (AttemptOutcome::RateLimited, BatchAfter::Due, none),
        4 => {
            let delta = CountsDelta { refused: 1, not_sent: -1, ..none };
            (AttemptOutcome::ContactsRefused, BatchAfter::Split { refused }, delta)
        }
        _ => {
            let delta = CountsDelta { unknown: rows, not_sent: -rows, batches_settled: 1, ..none };
            (AttemptOutcome::Unknown, BatchAfter::Unknown, delta)
        }
    }
}

fn result(number: u32) -> (BatchAfter, CountsDelta) {
    let rows = i64::from(ROWS);
    let delta = CountsDelta { queued: -rows, confirmed: rows, batches_settled: 1, ..CountsDelta::default() };
    match number % 6 {
        0 => (BatchAfter::Settled { confirmed: ROWS, refused: Vec::new() }, delta),
        _ => (BatchAfter::Due, CountsDelta::default()),
    }
}

/// Intends, answers and settles batches of two runs, `together` at a time; then intends those anew that are due.
async fn play(folder: &Path, together: usize) -> (Vec<Vec<BatchRecord>>, Vec<Counts>) {
    let (store, leases) = two_runs(folder).await;
    let numbers: Vec<u32> = (0..48).collect();
    let lease = |number: u32| &leases[number as usize % 2];
    for step in 0..4 {
        for some in numbers.chunks(together) {
            let all = some.iter().map(|number| {
                // Both runs have batches of the same numbers.
                let (store, lease, number, seq) = (&store, lease(*number), *number, *number / 2);
                async move {
                    let id = format!("a-{number}");
                    match step {
                        0 => drop(store.intent_record(lease, intent(&id, seq), at(20)).await.unwrap()),
                        1 => {
                            let (outcome, after, delta) = answer(number);
                            store.attempt_record(lease, &id, outcome, after, delta, at(21)).await.unwrap();
                        }
                        2 if number % 6 < 2 => {
                            let (after, delta) = result(number);
                            store.batch_record(lease, seq, after, delta, at(22)).await.unwrap();
                        }
                        3 if matches!(number % 6, 1..=3) => {
                            let again = intent(&format!("again-{number}"), seq);
                            drop(store.intent_record(lease, again, at(23)).await.unwrap());
                        }
                        _ => {}
                    }
                }
            });
            join_all(all).await;
        }
    }
    let (mut batches, mut counts) = (Vec::new(), Vec::new());
    for lease in &leases {
        batches.push(store.batches(lease).await.unwrap());
        counts.push(store.run_counts(lease).await.unwrap());
    }
    (batches, counts)
}

#[tokio::test]
async fn records_say_the_same_whether_they_are_written_together_or_alone() {
    let folder = tempfile::tempdir().unwrap();
    let alone = play(&folder.path().join("alone"), 1).await;
    let together = play(&folder.path().join("together"), 48).await;
    assert_eq!(alone, together);
    let (batches, _) = together;
    let of = |number: u32| &batches[number as usize % 2][number as usize / 2];
    let state = |number: u32| (of(number).state, of(number).attempts, of(number).may_have_arrived);
    assert_eq!(state(0), (BatchState::Settled, 1, false));
    assert_eq!(state(1), (BatchState::Intended, 2, true), "queued, given up, and sent again");
    assert_eq!(state(2), (BatchState::Intended, 2, true), "a lost answer, and sent again");
    assert_eq!(state(3), (BatchState::Intended, 2, false), "a rate limit, and sent again");
    assert_eq!(state(4), (BatchState::Split, 1, false));
    assert_eq!(state(5), (BatchState::Unknown, 1, false));
    assert_eq!(of(4).refused, [RefusedRow { offset: 4, reason: "R".to_owned() }]);
    assert_eq!((of(0).remote_id.as_deref(), of(0).confirmed), (Some("b-0"), ROWS));
}

#[tokio::test]
async fn an_answer_without_an_intent_is_refused_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (store, [lease, _]) = two_runs(folder.path()).await;
    store.intent_record(&lease, intent("a-1", 1), at(20)).await.unwrap();
    let record = |id: &'static str| {
        let (outcome, after, delta) = answer(0);
        store.attempt_record(&lease, id, outcome, after, delta, at(21))
    };
    let (good, bad) = futures::join!(record("a-1"), record("never-intended"));
    assert!(good.is_ok() && matches!(bad, Err(LeaseError::Failed(_))), "{good:?} {bad:?}");
    let batches = store.batches(&lease).await.unwrap();
    assert_eq!((batches.len(), batches[0].state), (1, BatchState::Queued));
    let counts = store.run_counts(&lease).await.unwrap();
    assert_eq!((counts.queued, counts.not_sent), (10, 0), "counted once");
}

/// A backup, or somebody with the database's own tool, takes the lock for a moment; that costs time and no job.
#[tokio::test]
async fn a_record_waits_while_somebody_else_writes_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (store, [first, _]) = two_runs(folder.path()).await;
    let path = folder.path().join("ferry.db");
    let mut options = sea_orm::ConnectOptions::new(format!("sqlite://{}?mode=rw", path.display()));
    options.max_connections(1).sqlx_logging(false);
    let other = sea_orm::Database::connect(options).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let mut writing = std::pin::pin!(store.intent_record(&first, intent("a-1", 0), at(20)));
    let held = tokio::time::timeout(std::time::Duration::from_millis(300), &mut writing).await;
    assert!(held.is_err(), "written, or refused, although another has the lock");
    other.execute_unprepared("ROLLBACK").await.unwrap();
    assert!(writing.await.is_ok());
    assert_eq!(store.batches(&first).await.unwrap().len(), 1);
}
