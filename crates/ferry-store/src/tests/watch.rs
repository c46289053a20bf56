//! The log of what became of runs.

use super::*;
use ferry_domain::authz::action::{DeleteTenant, WatchRuns};
use ferry_domain::authz::target::OperatedTenant;
use ferry_domain::name::RunParent;
use ferry_domain::{Phase, TenantName};
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

fn parent(text: &str) -> RunParent {
    RunParent::parse(text).unwrap()
}

async fn watched(store: &Store) -> Watched {
    let all = parent("tenants/acme/exports/-");
    store.watch_begin(permit::<WatchRuns>(&administrator(), all).unwrap(), None).await.unwrap().0
}

/// The changes after a number, as state and phase; nothing where the log is cut.
async fn changes(store: &Store, after: u64) -> Option<Vec<String>> {
    match store.watch_changes(&watched(store).await, after).await.unwrap() {
        WatchChanges::Cut => None,
        WatchChanges::These { changes, .. } => Some(
            changes
                .iter()
                .map(|change| format!("{} {:?} {}", change.run.id(), change.run.phase, change.run.state.as_str()))
                .collect(),
        ),
    }
}

async fn cancel(store: &Store, id: &str, millis: i64) {
    let target = RunTarget { name: run_name(id), access: ACCESS };
    store.run_cancel(permit::<CancelRun>(&administrator(), target).unwrap(), write(millis)).await.unwrap();
}

async fn text(store: &Store, query: &str) -> Vec<String> {
    let rows = store.readers.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, query)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

#[tokio::test]
async fn each_change_of_a_run_is_in_the_log_and_its_progress_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let lease = claimed(&store).await.lease;
    store.run_phase(&lease, Phase::Sending, at(11)).await.unwrap();
    store.run_phase(&lease, Phase::Sending, at(11)).await.unwrap();
    store.intent_record(&lease, intent("a-1", 0), at(12)).await.unwrap();
    let queued = AttemptOutcome::Queued { remote_id: "r".to_owned() };
    let delta = CountsDelta { queued: 10, not_sent: -10, ..CountsDelta::default() };
    let after = BatchAfter::Queued { remote_id: "r".to_owned(), sent_time: at(12) };
    store.attempt_record(&lease, "a-1", queued, after, delta, at(13)).await.unwrap();
    let news = store.watch_news(&[(&watched(&store).await, 4)]).await.unwrap();
    assert!(news[0].changes.is_empty() && news[0].through == 4, "{news:?}");
    assert_eq!((news[0].moving.len(), news[0].moving[0].counts.queued), (1, 10), "it is told beside the log");
    cancel(&store, "run-1", 14).await;
    let counts = Counts { members: 10, unknown: 10, ..Counts::default() };
    store.run_finish(&lease, RunState::Succeeded, None, counts, None, at(15)).await.unwrap();
    let expected = [
        "run-1 None queued",
        "run-1 None processing",
        "run-1 None processing",
        "run-1 Some(Sending) processing",
        "run-1 Some(Sending) cancelling",
        "run-1 None cancelled",
    ];
    assert_eq!(changes(&store, 0).await.unwrap(), expected);
    assert_eq!(changes(&store, 4).await.unwrap(), expected[4..]);
    let news = store.watch_news(&[(&watched(&store).await, 4)]).await.unwrap();
    assert_eq!((news[0].changes.len(), news[0].through, news[0].moving.len()), (2, 6, 0));
    assert_eq!(news[0].changes[1].run, run(&store, "run-1").await, "as it was then");
}

/// In the order of the commits, which is the order of the rows, and without a gap: what was undone takes no number.
#[tokio::test]
async fn numbers_are_given_in_the_order_of_the_commits() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    for round in 0..5 {
        let ids: Vec<String> = (0..8).map(|number| format!("run-{round}-{number}")).collect();
        let asked: Vec<_> = ids.iter().map(|id| queue(&store, id, write(2))).collect();
        // One is queued, and seven are refused since it goes on.
        let queued: Vec<Run> = futures::future::join_all(asked).await.into_iter().flatten().collect();
        assert_eq!(queued.len(), 1);
        cancel(&store, queued[0].id().as_str(), 3).await;
    }
    let numbers = text(&store, "SELECT CAST(number AS TEXT) FROM run_changes ORDER BY rowid").await;
    let expected: Vec<String> = (1..=10).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn a_state_that_may_not_follow_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let before = changes(&store, 0).await;
    let job = store.writer.run(|transaction| {
        Box::pin(async move {
            let found = crate::run::load(transaction, &run_name("run-1")).await?;
            let mut row = sea_orm::IntoActiveModel::into_active_model(found.clone());
            crate::run::change_state(&mut row, RunState::TimedOut);
            crate::run_change::update(transaction, &found, row, at(3)).await.map(|_| ())
        })
    });
    assert!(matches!(job.await, Err(Error::Internal(_))));
    let unseen = store.writer.run(|transaction| {
        Box::pin(async move {
            let found = crate::run::load(transaction, &run_name("run-1")).await?;
            let mut row = sea_orm::IntoActiveModel::into_active_model(found.clone());
            crate::run::change_state(&mut row, RunState::Cancelled);
            crate::run_change::update_unseen(transaction, &found, row).await.map(|_| ())
        })
    });
    assert!(matches!(unseen.await, Err(Error::Internal(_))));
    assert_eq!((run(&store, "run-1").await.state, changes(&store, 0).await), (RunState::Queued, before));
}

#[tokio::test]
async fn the_log_is_kept_for_a_day_and_a_number_from_before_or_from_nowhere_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let day = 24 * 3_600 * 1_000;
    for (id, now) in [("run-1", 2), ("run-2", day)] {
        queue(&store, id, write(now)).await.unwrap();
        cancel(&store, id, now + 1).await;
    }
    assert!(!store.run_changes_cut(at(day + 1)).await.unwrap());
    assert_eq!(changes(&store, 0).await.unwrap().len(), 4, "none is older than a day");
    store.run_changes_cut(at(day + 10)).await.unwrap();
    assert_eq!(changes(&store, 1).await, None);
    assert_eq!(changes(&store, 2).await.unwrap().len(), 2);
    store.run_changes_cut(at(3 * day)).await.unwrap();
    assert_eq!((changes(&store, 3).await, changes(&store, 4).await), (None, Some(Vec::new())));
    assert_eq!(changes(&store, 5).await, None, "of another history");
    queue(&store, "run-3", write(3 * day)).await.unwrap();
    assert_eq!(changes(&store, 4).await.unwrap(), ["run-3 None queued"], "the numbers go on");
    store.writer.run(|transaction| Box::pin(crate::run_change::begin_anew(transaction))).await.unwrap();
    assert_eq!(changes(&store, 5).await, None, "put back from a backup, each number is another one's");
}

#[tokio::test]
async fn the_log_goes_with_its_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    queue(&store, "run-1", write(2)).await.unwrap();
    let acme = TenantName { tenant: TenantId::parse("acme").unwrap() };
    let deleting = permit::<DeleteTenant>(&administrator(), OperatedTenant(acme)).unwrap();
    let removed = store.tenant_delete(deleting, None, write(3)).await.unwrap();
    store.tenant_purge(&removed, at(4)).await.unwrap();
    let left = "SELECT tenant FROM run_changes UNION SELECT tenant FROM run_change_heads";
    assert!(text(&store, left).await.is_empty());
}

/// Writes of a run's row that go past the log, and touch nothing that it shows.
const PAST_THE_LOG: [(&str, &str); 3] =
    [("removal.rs", "Owner"), ("run_claim.rs", "Owner"), ("anchor.rs", "EntriesAnchored")];

/// No change of a run can be forgotten: there is one place that writes runs.
#[test]
fn every_write_of_a_run_goes_through_the_log() {
    let mut all = Vec::new();
    policy::sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut all);
    let mut seen = 0;
    for (file, text) in all {
        let text: String = text.split_whitespace().collect();
        for writes in
            ["run::Entity::insert(", "run::Entity::insert_many(", "run::Entity::update(", "run::Entity::delete("]
        {
            let here = text.matches(writes).count();
            assert!(here == 0 || file == "run_change.rs", "{file} writes a run past the log");
            seen += here;
        }
        assert!(!text.contains("Set(run::Column::State") && !text.contains("col_expr(run::Column::State"), "{file}");
        assert!(!text.contains(".value(run::Column::State"), "{file} writes a run's state past the log");
        if text.contains("run::Entity::update_many(") {
            let known = PAST_THE_LOG.iter().any(|(of, column)| *of == file && text.contains(column));
            assert!(known, "{file} writes runs past the log");
        }
    }
    assert_eq!(seen, 3, "the search finds what there is");
}
