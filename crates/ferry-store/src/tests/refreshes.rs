//! The refresh of a tenant, and what becomes of the exports that go with it.

use super::schedules::{MINUTE, cancel, every_minute, make, named, new_run, runs, serve, target, tick};
use super::*;
use ferry_domain::authz::action::{GetRefreshSchedule, ListSegments, StartRefresh, UpdateRefreshSchedule};
use ferry_domain::{Cadence, RefreshSchedule, SegmentId, TenantName};
use std::collections::BTreeMap;

fn acme() -> TenantName {
    TenantName { tenant: TenantId::parse("acme").unwrap() }
}

fn segment(id: &str) -> SegmentId {
    SegmentId::parse(id).unwrap()
}

async fn schedule(store: &Store) -> RefreshSchedule {
    store.refresh_schedule_get(permit::<GetRefreshSchedule>(&administrator(), acme()).unwrap()).await.unwrap().0
}

fn daily(times: &[&str]) -> RefreshScheduleChange {
    RefreshScheduleChange {
        active: Some(true),
        cadence: Some(Cadence::Daily),
        times: Some(times.iter().map(|time| (*time).to_owned()).collect()),
        time_zone: Some("UTC".to_owned()),
        ..Default::default()
    }
}

async fn update(store: &Store, change: RefreshScheduleChange, millis: i64) -> ferry_domain::Result<RefreshSchedule> {
    let permit = permit::<UpdateRefreshSchedule>(&administrator(), acme()).unwrap();
    store.refresh_schedule_update(permit, change, write(millis)).await
}

/// A refresh that a caller asks for, of these segments or of all.
async fn start(store: &Store, id: &str, segments: Option<&[&str]>, millis: i64) -> OpenRefresh {
    let segments = segments.map(|named| named.iter().map(|id| segment(id)).collect());
    let new = NewRefresh { id: id.to_owned(), segments, failed: Vec::new() };
    store.refresh_start(permit::<StartRefresh>(&administrator(), acme()).unwrap(), new, write(millis)).await.unwrap()
}

fn counted(of: &[(&str, Refreshed)]) -> Counted {
    Counted { of: of.iter().map(|(id, came)| (segment(id), came.clone())).collect(), all_else: None }
}

async fn finish(store: &Store, open: &OpenRefresh, of: &[(&str, Refreshed)], millis: i64) -> QueuedRuns {
    store.refresh_finish(open, counted(of), new_run, at(millis)).await.unwrap()
}

#[tokio::test]
async fn s01_a_tenant_has_a_schedule_that_is_off_and_one_change_of_two_loses() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let untouched = schedule(&store).await;
    assert_eq!(untouched, RefreshSchedule::untouched(acme().tenant));
    assert!(store.ticks_due(at(i64::MAX)).await.unwrap().is_empty());
    let first = update(&store, daily(&["00:05", "12:00"]), 10).await.unwrap();
    assert_eq!((first.version, first.updated_by.as_str(), first.next_time), (1, "ada", Some(at(5 * MINUTE))));
    assert_eq!(first.update_time, Some(at(10)));
    let stale = update(&store, daily(&["00:06"]), 11).await.unwrap_err();
    assert!(matches!(stale, Error::Aborted { .. }), "{stale}");
    let seen = RefreshScheduleChange { version: 1, seen_version: Some(0), ..daily(&["00:06"]) };
    assert!(matches!(update(&store, seen, 12).await.unwrap_err(), Error::Aborted { .. }));
    let off = RefreshScheduleChange { version: 1, active: Some(false), ..Default::default() };
    let off = update(&store, off, 13).await.unwrap();
    assert_eq!((off.active, off.next_time, off.times.len()), (false, None, 2));
    assert!(store.ticks_due(at(i64::MAX)).await.unwrap().is_empty());
}

#[tokio::test]
async fn s04_a_scheduled_refresh_runs_each_export_that_goes_with_it_once_after_the_segments() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "with-refresh", Schedule::WithRefresh, &["people"]).await;
    make(&store, "yearly", Schedule::Own { cron: "0 0 1 1 *".to_owned(), time_zone: "UTC".to_owned() }, &["people"])
        .await;
    make(&store, "off-of-it", Schedule::Off, &["people"]).await;
    update(&store, daily(&["00:05"]), 10).await.unwrap();
    assert_eq!(tick(&store, Missed::RunOnce, 5 * MINUTE).await, [Ticked::RefreshBegun]);
    assert!(tick(&store, Missed::RunOnce, 6 * MINUTE).await.is_empty());
    let open = store.refreshes_open().await.unwrap();
    assert_eq!((open.len(), open[0].by_itself, open[0].segments.clone()), (1, true, None));
    assert!(runs(&store, "with-refresh").await.is_empty(), "its segments come first");
    let done = finish(&store, &open[0], &[("people", Refreshed::Counted(7))], 6 * MINUTE).await;
    assert_eq!(done.runs.len(), 1);
    let run = runs(&store, "with-refresh").await.remove(0);
    assert_eq!((run.trigger, run.started_by.as_str(), run.state), (Trigger::Refresh, "ada", RunState::Queued));
    // Whoever carries it a second time finds it done.
    assert_eq!(finish(&store, &open[0], &[("people", Refreshed::Counted(8))], 7 * MINUTE).await, done);
    for other in ["yearly", "off-of-it"] {
        assert!(runs(&store, other).await.is_empty(), "{other}");
    }
    assert!(store.refreshes_open().await.unwrap().is_empty());
    let counts = store.segment_counts(permit::<ListSegments>(&administrator(), acme()).unwrap()).await.unwrap();
    let people = SegmentCount { members: 7, time: at(6 * MINUTE) };
    assert_eq!(counts, BTreeMap::from([("people".to_owned(), people)]));
    assert_eq!(schedule(&store).await.next_time, Some(at(24 * 60 * MINUTE + 5 * MINUTE)));
}

#[tokio::test]
async fn r02_exports_of_a_failed_or_inactive_segment_are_skipped_with_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    for (id, segments) in [("good", &["people"][..]), ("broken-too", &["people", "broken"]), ("idle", &["asleep"])] {
        make(&store, id, Schedule::WithRefresh, segments).await;
    }
    let open = start(&store, "refresh-1", None, 10).await;
    assert!(!open.by_itself);
    let came = [
        ("people", Refreshed::Counted(1)),
        ("broken", Refreshed::Failed("the source was late".to_owned())),
        ("asleep", Refreshed::Inactive),
    ];
    let done = finish(&store, &open, &came, 11).await;
    let states: Vec<_> = done.runs.iter().map(|run| (run.name.export.as_str(), run.state)).collect();
    assert_eq!(states, [("broken-too", RunState::Skipped), ("good", RunState::Queued), ("idle", RunState::Skipped)]);
    let error = |at: usize| done.runs[at].error.clone().unwrap();
    assert_eq!(error(0).reason, Reason::SegmentFailed);
    assert_eq!(error(0).message, "the refresh of segment `broken` failed: the source was late");
    assert_eq!(error(2).reason, Reason::SegmentInactive);
    assert!(done.runs.iter().all(|run| run.trigger == Trigger::Refresh && run.started_by == "ada"));
    assert_eq!((done.runs[0].end_time, done.runs[0].start_time), (Some(at(11)), None));
    assert_eq!(done.runs[1].end_time, None);
}

#[tokio::test]
async fn r06_nobody_is_skipped_for_not_being_in_the_refresh() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "other-segment", Schedule::WithRefresh, &["others"]).await;
    make(&store, "minutely", every_minute(), &["people"]).await;
    make(&store, "switched-off", Schedule::Off, &["people"]).await;
    make(&store, "detached", Schedule::WithRefresh, &["people"]).await;
    make(&store, "busy", Schedule::WithRefresh, &["people"]).await;
    let detach = permit::<ferry_domain::authz::action::DetachExport>(&administrator(), target("detached", 1)).unwrap();
    store.export_detach(detach, None, write(2)).await.unwrap();
    queue_of(&store, &named("busy"), "run-of-busy", None, 3).await.unwrap();
    for (number, came) in [Refreshed::Failed(String::new()), Refreshed::Counted(1)].into_iter().enumerate() {
        let open = start(&store, &format!("refresh-{number}"), Some(&["people"]), 10).await;
        let done = finish(&store, &open, &[("people", came)], 11).await;
        assert_eq!((done.runs.len(), done.already_running), (0, vec![named("busy").to_string()]));
    }
    for idle in ["other-segment", "minutely", "switched-off", "detached"] {
        assert!(runs(&store, idle).await.is_empty(), "{idle}");
    }
    assert_eq!(runs(&store, "busy").await.len(), 1);
    // A caller was told that it is left out, so nothing waits.
    cancel(&store, &runs(&store, "busy").await[0], 12).await;
    assert!(serve(&store, 13).await.is_empty());
}

#[tokio::test]
async fn a_scheduled_refresh_that_finds_a_run_going_on_lets_one_more_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "busy", Schedule::WithRefresh, &["people"]).await;
    update(&store, daily(&["00:05", "00:06"]), 10).await.unwrap();
    queue_of(&store, &named("busy"), "run-of-busy", None, 11).await.unwrap();
    for minute in [5, 6] {
        assert_eq!(tick(&store, Missed::RunOnce, minute * MINUTE).await, [Ticked::RefreshBegun]);
        let open = store.refreshes_open().await.unwrap().remove(0);
        assert!(finish(&store, &open, &[("people", Refreshed::Counted(1))], minute * MINUTE).await.runs.is_empty());
    }
    cancel(&store, &runs(&store, "busy").await[0], 6 * MINUTE).await;
    assert_eq!(serve(&store, 6 * MINUTE).await, [Ticked::Queued]);
    let found = runs(&store, "busy").await;
    assert_eq!((found.len(), found[0].trigger), (2, Trigger::Refresh));
}

#[tokio::test]
async fn s07_what_is_due_while_its_segments_are_refreshed_starts_after_that() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "minutely", every_minute(), &["people"]).await;
    make(&store, "elsewhere", every_minute(), &["others"]).await;
    let open = start(&store, "refresh-1", Some(&["people"]), MINUTE - 10).await;
    assert_eq!(tick(&store, Missed::RunOnce, MINUTE).await, [Ticked::Queued, Ticked::Waits], "`elsewhere` has others");
    assert!(serve(&store, MINUTE + 1).await.is_empty(), "its segments are being refreshed");
    assert!(runs(&store, "minutely").await.is_empty());
    finish(&store, &open, &[("people", Refreshed::Counted(1))], MINUTE + 2).await;
    assert_eq!(serve(&store, MINUTE + 3).await, [Ticked::Queued]);
    let found = runs(&store, "minutely").await;
    assert_eq!((found.len(), found[0].create_time), (1, at(MINUTE + 3)));
}

#[tokio::test]
async fn a_refresh_of_many_exports_goes_on_where_a_crash_left_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    let names: Vec<String> = (0..45).map(|number| format!("export-{number:02}")).collect();
    for name in &names {
        make(&store, name, Schedule::WithRefresh, &["people"]).await;
    }
    let open = start(&store, "refresh-1", None, 10).await;
    // Whoever carries it dies at the thirtieth export: what was committed before stays, and is not done again.
    static LEFT: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(30);
    fn dying() -> ferry_domain::Result<RunId> {
        match LEFT.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) {
            1.. => new_run(),
            _ => Err(Error::internal("the process died", "here")),
        }
    }
    let came = [("people", Refreshed::Counted(1))];
    assert!(store.refresh_finish(&open, counted(&came), dying, at(11)).await.is_err());
    assert_eq!(store.refreshes_open().await.unwrap().len(), 1);
    let done = finish(&store, &open, &came, 12).await;
    let exports: Vec<_> = done.runs.iter().map(|run| run.name.export.as_str().to_owned()).collect();
    assert_eq!(exports, names, "each once, in their order");
    for name in &names {
        assert_eq!(runs(&store, name).await.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_repeat_of_a_refresh_finds_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = stage(folder.path()).await;
    make(&store, "with-refresh", Schedule::WithRefresh, &["people"]).await;
    let ask = async |id: &str| {
        let request = RequestKey { id: "r".to_owned(), fingerprint: [1; 32] };
        let new = NewRefresh { id: id.to_owned(), ..Default::default() };
        let write = Write { now: at(10), request: Some(request) };
        store.refresh_start(permit::<StartRefresh>(&administrator(), acme()).unwrap(), new, write).await.unwrap()
    };
    let first = ask("refresh-1").await;
    let done = finish(&store, &first, &[("people", Refreshed::Counted(1))], 11).await;
    let again = ask("refresh-2").await;
    assert_eq!(again.id, "refresh-1");
    assert_eq!(finish(&store, &again, &[("people", Refreshed::Failed(String::new()))], 12).await, done);
}
