//! What is due by itself is run once: whoever races, whatever was missed, whatever goes on.

use super::*;
use ferry_domain::TenantName;
use ferry_domain::authz::action::{BatchUpdateSchedules, DetachExport, ListRuns, UpdateExport};
use ferry_domain::name::RunParent;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const MINUTE: i64 = 60_000;
static RUNS: AtomicU64 = AtomicU64::new(0);

pub(super) fn new_run() -> ferry_domain::Result<RunId> {
    let (process, number) = (std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    RunId::parse(&format!("scheduled-{process}-{number:07}")).map_err(|error| Error::internal("a run's id", error))
}

#[allow(clippy::unnecessary_wraps, reason = "it stands in the place of one that makes ids")]
fn no_run() -> ferry_domain::Result<RunId> {
    Err(Error::internal("the process died", "here"))
}

pub(super) fn every_minute() -> Schedule {
    Schedule::Own { cron: "* * * * *".to_owned(), time_zone: "UTC".to_owned() }
}

pub(super) fn named(id: &str) -> ExportName {
    ExportName::parse(&format!("tenants/acme/exports/{id}")).unwrap()
}

/// Makes an export with a schedule at the time 1.
pub(super) async fn make(store: &Store, id: &str, schedule: Schedule, segments: &[&str]) {
    let connection = ConnectionName::parse("tenants/acme/connections/news").unwrap().connection;
    let target = NewExport { name: named(id), connection, access: ACCESS };
    let segments = segments.iter().map(|id| ferry_domain::SegmentId::parse(id).unwrap()).collect();
    let new = NewExportRow { schedule, segments, ..new_export(id, id) };
    store.export_create(permit::<CreateExport>(&administrator(), target).unwrap(), new, write(1)).await.unwrap();
}

pub(super) fn target(id: &str, version: i64) -> ExportTarget {
    ExportTarget { name: named(id), access: ACCESS, version }
}

pub(super) async fn runs(store: &Store, id: &str) -> Vec<Run> {
    let permit = permit::<ListRuns>(&administrator(), RunParent::Export(named(id))).unwrap();
    store.run_list(permit, Page { after: None, size: 500 }).await.unwrap().items
}

pub(super) async fn cancel(store: &Store, run: &Run, millis: i64) {
    let target = RunTarget { name: run.name.clone(), access: ACCESS };
    store.run_cancel(permit::<CancelRun>(&administrator(), target).unwrap(), write(millis)).await.unwrap();
}

/// Claims all that is due.
pub(super) async fn tick(store: &Store, missed: Missed, millis: i64) -> Vec<Ticked> {
    let mut ticked = Vec::new();
    for due in store.ticks_due(at(millis)).await.unwrap() {
        ticked.push(store.tick_claim(due, missed, new_run, at(millis)).await.unwrap());
    }
    ticked
}

pub(super) async fn serve(store: &Store, millis: i64) -> Vec<Ticked> {
    let mut ticked = Vec::new();
    for waiting in store.ticks_waiting().await.unwrap() {
        ticked.push(store.tick_serve(waiting, new_run, at(millis)).await.unwrap());
    }
    ticked
}

/// The lock keeps a second process out by the name of the file. Under another name it is let in: two writers, each with
/// connections of its own, on one database.
pub(super) async fn second_process(folder: &Path) -> Store {
    let other = folder.join("other.db");
    std::os::unix::fs::symlink(folder.join("ferry.db"), &other).unwrap();
    Store::open(&StoreConfig { path: other }).await.unwrap()
}

#[tokio::test]
async fn s12_a_claim_that_comes_to_no_commit_leaves_the_tick_due_and_one_that_was_made_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "minutely", every_minute(), &[]).await;
    let due = store.ticks_due(at(MINUTE)).await.unwrap().remove(0);
    assert_eq!(due.of(), "tenants/acme/exports/minutely");
    assert!(store.tick_claim(due.clone(), Missed::RunOnce, no_run, at(MINUTE)).await.is_err());
    assert!(runs(&store, "minutely").await.is_empty());
    assert_eq!(store.ticks_due(at(MINUTE)).await.unwrap(), std::slice::from_ref(&due), "nothing of it was written");
    let claim = || store.tick_claim(due.clone(), Missed::RunOnce, new_run, at(MINUTE));
    assert_eq!(claim().await.unwrap(), Ticked::Queued);
    assert_eq!(claim().await.unwrap(), Ticked::Gone);
    assert_eq!(runs(&store, "minutely").await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_claimed_holds_up_nothing_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let names: Vec<String> = (0..600).map(|number| format!("export-{number:04}")).collect();
    futures::future::join_all(names.iter().map(|name| make(&store, name, every_minute(), &[]))).await;
    let (mut seen, mut last) = (Vec::new(), None);
    loop {
        let due = store.ticks_due_after(at(MINUTE), last.as_ref()).await.unwrap();
        let Some(end) = due.last().cloned() else { break };
        seen.extend(due.iter().map(DueTick::of));
        last = Some(end);
    }
    let expected: Vec<String> = names.iter().map(|id| named(id).to_string()).collect();
    assert_eq!(seen, expected, "none is claimed, and each is seen once");
}

#[tokio::test]
async fn what_was_missed_runs_once_or_not_at_all_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "minutely", every_minute(), &[]).await;
    // Three hours of ticks, and a half.
    let back = 180 * MINUTE + MINUTE / 2;
    assert_eq!(tick(&store, Missed::RunOnce, back).await, [Ticked::Queued]);
    assert!(tick(&store, Missed::RunOnce, back).await.is_empty());
    assert!(tick(&store, Missed::RunOnce, 181 * MINUTE - 1).await.is_empty(), "the next is after now");
    let first = runs(&store, "minutely").await.remove(0);
    cancel(&store, &first, back).await;
    assert_eq!(tick(&store, Missed::Skip, 400 * MINUTE).await, [Ticked::Missed]);
    assert_eq!(runs(&store, "minutely").await.len(), 1);
    // A restart is no miss.
    assert_eq!(tick(&store, Missed::Skip, 401 * MINUTE + 4 * MINUTE).await, [Ticked::Queued]);
    assert_eq!(runs(&store, "minutely").await.len(), 2);
}

#[tokio::test]
async fn s12_while_a_run_goes_on_one_waits_and_no_more_and_it_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "minutely", every_minute(), &[]).await;
    assert_eq!(tick(&store, Missed::RunOnce, MINUTE).await, [Ticked::Queued]);
    for minute in 2..=4 {
        assert_eq!(tick(&store, Missed::RunOnce, minute * MINUTE).await, [Ticked::Waits], "{minute}");
    }
    assert!(serve(&store, 4 * MINUTE).await.is_empty(), "its run goes on");
    let first = runs(&store, "minutely").await.remove(0);
    cancel(&store, &first, 4 * MINUTE + 1).await;
    // A process that dies here has taken nothing.
    let waiting = store.ticks_waiting().await.unwrap().remove(0);
    assert_eq!(waiting.of(), "tenants/acme/exports/minutely");
    assert!(store.tick_serve(waiting.clone(), no_run, at(4 * MINUTE + 2)).await.is_err());
    let serve_once = || store.tick_serve(waiting.clone(), new_run, at(4 * MINUTE + 2));
    assert_eq!(serve_once().await.unwrap(), Ticked::Queued);
    assert_eq!(serve_once().await.unwrap(), Ticked::Gone);
    assert!(store.ticks_waiting().await.unwrap().is_empty());
    let found = runs(&store, "minutely").await;
    assert_eq!((found.len(), found[0].trigger), (2, Trigger::Schedule));
}

#[tokio::test]
async fn s05_what_is_off_or_goes_with_the_refresh_is_never_due_and_a_change_is_followed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "with-refresh", Schedule::WithRefresh, &[]).await;
    make(&store, "minutely", every_minute(), &[]).await;
    let due = store.ticks_due(at(500 * MINUTE)).await.unwrap();
    assert_eq!(due.iter().map(DueTick::of).collect::<Vec<_>>(), ["tenants/acme/exports/minutely"]);
    let update = async |change: ExportChange, version: i64, millis: i64| {
        let permit = permit::<UpdateExport>(&administrator(), target("minutely", version)).unwrap();
        store.export_update(permit, change, write(millis)).await.unwrap()
    };
    // Another name changes nothing of it.
    update(ExportChange { display_name: Some("Other".to_owned()), ..Default::default() }, 1, 90_000).await;
    assert_eq!(store.ticks_due(at(500 * MINUTE)).await.unwrap(), due);
    let hourly = Schedule::Own { cron: "0 * * * *".to_owned(), time_zone: "UTC".to_owned() };
    update(ExportChange { schedule: Some(hourly), ..Default::default() }, 2, 90_000).await;
    assert_eq!(store.tick_claim(due[0].clone(), Missed::RunOnce, new_run, at(90_001)).await.unwrap(), Ticked::Gone);
    assert!(store.ticks_due(at(60 * MINUTE - 1)).await.unwrap().is_empty());
    assert_eq!(store.ticks_due(at(60 * MINUTE)).await.unwrap().len(), 1);
    update(ExportChange { schedule: Some(Schedule::Off), ..Default::default() }, 3, 90_002).await;
    assert!(store.ticks_due(at(500 * MINUTE)).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_waits_by_a_schedule_that_was_changed_waits_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "minutely", every_minute(), &[]).await;
    tick(&store, Missed::RunOnce, MINUTE).await;
    assert_eq!(tick(&store, Missed::RunOnce, 2 * MINUTE).await, [Ticked::Waits]);
    let permit = permit::<BatchUpdateSchedules>(&administrator(), target("minutely", 1)).unwrap();
    let off = store.exports_reschedule(vec![permit], NewSchedules::Off, write(2 * MINUTE)).await.unwrap();
    assert_eq!((off[0].schedule.clone(), off[0].version, off[0].updated_by.as_str()), (Schedule::Off, 2, "ada"));
    let first = runs(&store, "minutely").await.remove(0);
    cancel(&store, &first, 2 * MINUTE + 1).await;
    assert!(serve(&store, 2 * MINUTE + 2).await.is_empty());
}

#[tokio::test]
async fn a_detached_export_is_due_and_neither_run_nor_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "minutely", every_minute(), &[]).await;
    let detach = permit::<DetachExport>(&administrator(), target("minutely", 1)).unwrap();
    let detached = store.export_detach(detach, None, write(2)).await.unwrap();
    assert!(detached[0].connection.is_none() && detached[0].schedule == every_minute());
    assert_eq!(tick(&store, Missed::RunOnce, MINUTE).await, [Ticked::Nothing]);
    assert!(runs(&store, "minutely").await.is_empty());
    // What is attached again goes on where its schedule is.
    let attach = permit::<ferry_domain::authz::action::AttachExport>(&administrator(), target("minutely", 2)).unwrap();
    let to = AttachTo { connection: ferry_domain::ConnectionId::parse("news").unwrap(), access: ACCESS };
    store.export_attach(attach, to, None, write(MINUTE + 1)).await.unwrap();
    assert_eq!(tick(&store, Missed::RunOnce, 2 * MINUTE).await, [Ticked::Queued]);
    let again = permit::<DetachExport>(&administrator(), target("minutely", 3)).unwrap();
    let refused = store.export_detach(again, None, write(2 * MINUTE + 1)).await.unwrap_err();
    assert!(matches!(refused, Error::FailedPrecondition { reason: Reason::RunInProgress, .. }), "{refused}");
}

#[tokio::test]
async fn nothing_is_run_for_a_removed_tenant_or_a_deleted_export() {
    use ferry_domain::authz::action::{DeleteExport, DeleteTenant};
    use ferry_domain::authz::target::OperatedTenant;
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "minutely", every_minute(), &[]).await;
    make(&store, "deleted", every_minute(), &[]).await;
    let delete = permit::<DeleteExport>(&administrator(), target("deleted", 1)).unwrap();
    store.export_delete(delete, None, write(2)).await.unwrap();
    assert_eq!(store.ticks_due(at(MINUTE)).await.unwrap().len(), 1);
    let acme = || TenantName { tenant: TenantId::parse("acme").unwrap() };
    let remove = permit::<DeleteTenant>(&administrator(), OperatedTenant(acme())).unwrap();
    let removed = store.tenant_delete(remove, None, write(3)).await.unwrap();
    assert_eq!(tick(&store, Missed::RunOnce, MINUTE).await, [Ticked::Nothing]);
    assert!(tick(&store, Missed::RunOnce, 2 * MINUTE).await.is_empty());
    store.tenant_purge(&removed, at(2 * MINUTE)).await.unwrap();
}
