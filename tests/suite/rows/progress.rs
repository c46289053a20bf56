//! How far a run has come, and what is left of it once it was stopped.

use super::{SOON, cancel, hold_imports_after, millis, of, refresh, shows};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::{Phase, State, Trigger};
use ferry_testkit::canary::people;
use ferry_testkit::{Stage, adds_up};

/// The refresh is the job, its runs are the tasks, and their phases and batches the steps.
#[tokio::test]
async fn r03_a_refresh_shows_its_runs_and_a_run_its_phase_its_batches_n_of_m_its_time_and_its_warnings() {
    let (stage, _) = of(Stage::new().await, &(people(1_000) + "no address,\n")).await;
    hold_imports_after(&stage, 2);
    let mut client = stage.client("administrator").await;
    let runs = refresh(&mut client, &[]).await;
    assert_eq!((runs.len(), runs[0].trigger()), (1, Trigger::Refresh));
    let name = runs[0].name.clone();
    let half = shows(&stage, &name, |run| run.batches_settled == 2).await;
    assert_eq!((half.state(), half.phase(), half.batches_total), (State::Processing, Phase::Sending, 4));
    let counts = half.counts.unwrap();
    assert_eq!((counts.members, counts.rejected, counts.confirmed), (1_001, 1, 500));
    assert_eq!(counts.queued + counts.not_sent + counts.unknown, 500, "{counts:?}");
    assert!(half.end_time.is_none() && half.estimated_end_time.is_some());
    assert!(millis(half.create_time.as_ref()) <= millis(half.start_time.as_ref()));
    assert_eq!(half.warnings.len(), 1, "{:?}", half.warnings);
    stage.sim.faults().clear();
    let ended = stage.ended(&name, SOON).await;
    assert_eq!((ended.state(), ended.batches_settled, ended.batches_total), (State::Succeeded, 4, 4));
    assert_eq!((ended.counts.unwrap().confirmed, &ended.warnings), (1_000, &half.warnings));
    assert!(millis(ended.start_time.as_ref()) < millis(ended.end_time.as_ref()));
}

#[tokio::test]
async fn r04_a_cancelled_run_ends_soon_tells_what_went_and_leaves_the_rest_for_the_next() {
    let (stage, export) = of(Stage::new().await, &people(5_000)).await;
    hold_imports_after(&stage, 3);
    let run = stage.run(&export.name).await;
    shows(&stage, &run.name, |run| run.batches_settled == 3).await;
    let mut client = stage.client("administrator").await;
    cancel(&mut client, &run).await;
    // Imports without an answer are given up after eight seconds; nothing else is waited for.
    let ended = stage.ended(&run.name, SOON).await;
    let counts = ended.counts.unwrap();
    assert!(ended.state() == State::Cancelled && adds_up(&counts), "{ended:?}");
    assert_eq!((counts.members, counts.confirmed), (5_000, 750));
    assert!(counts.unknown <= 4 * 250, "of four imports nobody can say whether they arrived: {counts:?}");
    assert_eq!(counts.not_sent, 5_000 - 750 - counts.unknown);
    stage.sim.faults().clear();
    let next = stage.ended(&stage.run(&export.name).await.name, SOON).await;
    let counts = next.counts.unwrap();
    assert_eq!((next.state(), counts.unchanged, counts.confirmed), (State::Succeeded, 750, 4_250));
}

#[tokio::test]
async fn r07_three_bad_rows_of_a_thousand_are_a_success_with_a_warning_that_counts_them_by_reason() {
    let csv = people(997) + "no address,\n,Nobody\nno address either,\n";
    let (stage, export) = of(Stage::new().await, &csv).await;
    let run = stage.ended(&stage.run(&export.name).await.name, SOON).await;
    let counts = run.counts.unwrap();
    assert_eq!((run.state(), counts.members, counts.confirmed, counts.rejected), (State::Succeeded, 1_000, 997, 3));
    let says = "3 of 1000 rows of the segments cannot go as they are (2 EMAIL_MALFORMED, 1 EMAIL_MISSING)";
    assert!(run.warnings.len() == 1 && run.warnings[0].starts_with(says), "{:?}", run.warnings);
    let request = pb::ListRejectedProfilesRequest { name: run.name, ..Default::default() };
    let mut client = stage.client("administrator").await;
    let rows = client.runs.list_rejected_profiles(request).await.unwrap().into_inner().rejected_profiles;
    let rows: Vec<_> = rows.iter().map(|row| (row.line.unwrap(), row.reason.as_str())).collect();
    assert_eq!(rows, [(999, "EMAIL_MALFORMED"), (1_000, "EMAIL_MISSING"), (1_001, "EMAIL_MALFORMED")]);
}
