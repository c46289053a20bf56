//! What is due, in the service as a process: its rows are altered while it is down, so that nobody waits for a minute.

use super::{SOON, acme, make, own, runs, stage};
use crate::audit::database;
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::{State, Trigger};
use ferry_testkit::canary::people;
use ferry_testkit::{Client, Stage, eventually};
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

/// Far enough in the future for a test, and every year.
const YEARLY: &str = "0 0 1 1 *";

/// Makes everything that is scheduled due since so many seconds.
pub(crate) async fn make_due(stage: &Stage, seconds: i64) {
    let due = now_millis() - seconds * 1_000;
    alter(stage, &format!("UPDATE ticks SET due_time = {due} WHERE due_time IS NOT NULL")).await;
}

fn now_millis() -> i64 {
    i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// Alters rows by hand; there must be some.
async fn alter(stage: &Stage, text: &str) {
    let database = database(stage).await;
    let done = database.execute_raw(Statement::from_string(DatabaseBackend::Sqlite, text)).await.unwrap();
    assert!(done.rows_affected() > 0, "no row: {text}");
    database.close().await.unwrap();
}

pub(crate) async fn first_run(client: &Client, export: &str) -> pb::Run {
    eventually(SOON, || {
        let mut client = client.clone();
        async move { runs(&mut client, export).await.pop().ok_or("there is none") }
    })
    .await
}

/// Waits until the scheduler has looked again: a second tick, made due now, is seen to be run.
pub(super) async fn looked_again(stage: &Stage, client: &Client) {
    let other = make(stage, "looked-again", own("1 1 1 1 *", "UTC")).await;
    alter(stage, "UPDATE ticks SET due_time = 1 WHERE export = 'looked-again'").await;
    first_run(client, &other.name).await;
}

#[tokio::test]
async fn s05_an_export_of_its_own_schedule_runs_by_itself_for_its_export_user() {
    let mut stage = stage().await;
    let export = make(&stage, "custom", own(YEARLY, "Australia/Lord_Howe")).await;
    stage.kill();
    make_due(&stage, 1).await;
    stage.start().await;
    let mut client = stage.client("administrator").await;
    let run = stage.ended(&first_run(&client, &export.name).await.name, SOON).await;
    assert_eq!(
        (run.state(), run.trigger(), run.started_by.as_str()),
        (State::Succeeded, Trigger::Schedule, "administrator")
    );
    looked_again(&stage, &client).await;
    assert_eq!(runs(&mut client, &export.name).await.len(), 1);
}

#[tokio::test]
async fn s07_what_is_due_while_its_segments_are_refreshed_starts_after_that() {
    let mut stage = stage().await;
    stage.segment("late", "csv", people(2).as_bytes());
    let of_late = pb::Export { schedule: own(YEARLY, "UTC"), ..stage.export("newsletter", "late") };
    let export = stage.create_export("waits", of_late).await;
    stage.kill();
    make_due(&stage, 1).await;
    // Somebody's refresh of that segment goes on: nobody takes it up for the next hour.
    let begun = now_millis() + 3_600_000;
    let refresh = format!(
        "INSERT INTO refreshes (id, tenant, asked_by, segments, failed, create_time, runs, already_running) \
         VALUES ('going-on', 'acme', 'administrator', '[\"late\"]', '[]', {begun}, '[]', '[]')"
    );
    alter(&stage, &refresh).await;
    stage.start().await;
    let mut client = stage.client("administrator").await;
    looked_again(&stage, &client).await;
    assert!(runs(&mut client, &export.name).await.is_empty());
    alter(&stage, "UPDATE refreshes SET end_time = 1 WHERE id = 'going-on'").await;
    let run = stage.ended(&first_run(&client, &export.name).await.name, SOON).await;
    assert_eq!((run.state(), run.trigger()), (State::Succeeded, Trigger::Schedule));
    assert_eq!(runs(&mut client, &export.name).await.len(), 1);
}

#[tokio::test]
async fn what_was_missed_runs_once_or_is_left_out_as_configured() {
    for (how, expected) in [("run-once", 1), ("skip", 0)] {
        let mut stage = stage().await;
        stage.restart_and(&[format!("--missed-schedules={how}")], &[]).await;
        let export = make(&stage, "custom", own("* * * * *", "UTC")).await;
        stage.kill();
        make_due(&stage, 3 * 3_600).await;
        stage.start().await;
        let mut client = stage.client("administrator").await;
        if expected == 1 {
            first_run(&client, &export.name).await;
        } else {
            let missed = || async {
                let log = std::fs::read_to_string(stage.log()).unwrap();
                if log.contains("what was due was missed") { Ok(()) } else { Err("it was not looked at") }
            };
            eventually(SOON, missed).await;
        }
        // The next minute may have come by now, with a run or one that waits.
        let found = runs(&mut client, &export.name).await.len();
        assert!(found == expected || found == expected + 1, "{how}: {found}");
    }
}

#[tokio::test]
async fn s12_killed_between_claim_and_commit_a_tick_is_run_once() {
    for point in ["tick-advanced:1", "tick-queued:1"] {
        let mut stage = stage().await;
        let export = make(&stage, "custom", own(YEARLY, "UTC")).await;
        stage.kill();
        make_due(&stage, 1).await;
        for _ in 0..2 {
            stage.start_to_die(point).await;
            stage.died().await;
        }
        stage.start().await;
        let mut client = stage.client("administrator").await;
        let run = stage.ended(&first_run(&client, &export.name).await.name, SOON).await;
        assert_eq!(run.state(), State::Succeeded, "{point}");
        looked_again(&stage, &client).await;
        assert_eq!(runs(&mut client, &export.name).await.len(), 1, "{point}");
    }
}

/// A time of the day that does not come while a test goes on.
fn in_twelve_hours() -> String {
    format!("{:02}:00", (now_millis() / 3_600_000 + 12) % 24)
}

#[tokio::test]
async fn s04_the_tenants_schedule_refreshes_and_a_kill_in_the_middle_runs_nothing_twice() {
    for point in ["refresh-opened:1", "refresh-counted:1", "refresh-some:1"] {
        let mut stage = stage().await;
        let export = make(&stage, "by-default", None).await;
        let schedule = pb::RefreshSchedule {
            name: format!("{}/refreshSchedule", acme()),
            active: true,
            cadence: pb::refresh_schedule::Cadence::Daily.into(),
            times: vec![in_twelve_hours()],
            ..Default::default()
        };
        let request = pb::UpdateRefreshScheduleRequest { refresh_schedule: Some(schedule), ..Default::default() };
        let mut client = stage.client("administrator").await;
        client.refresh.update_refresh_schedule(request).await.unwrap();
        stage.kill();
        make_due(&stage, 1).await;
        stage.start_to_die(point).await;
        stage.died().await;
        stage.start().await;
        let mut client = stage.client("administrator").await;
        let run = stage.ended(&first_run(&client, &export.name).await.name, SOON).await;
        assert_eq!((run.state(), run.trigger()), (State::Succeeded, Trigger::Refresh), "{point}");
        let found = runs(&mut client, &export.name).await;
        assert_eq!(found.len(), 1, "{point}: {found:?}");
    }
}
