//! How much a run may carry, and how long it may take.

use super::{SOON, hold_imports_after, millis, of};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_proto::v1::run_error::{Culprit, Severity};
use ferry_testkit::canary::people;
use ferry_testkit::{Stage, StageOptions, TENANT, adds_up};

/// The bound of a run, in seconds: 90 minutes.
const BOUND: i64 = 90 * 60;

#[tokio::test]
async fn e18_a_million_take_forty_minutes_and_a_plan_says_when_it_would_be_done() {
    let (stage, export) = of(Stage::with(StageOptions { time_scale: 1.0 }).await, &people(600)).await;
    let catalogue = stage.path("segments").join(TENANT).join("catalogue.toml");
    let entry = std::fs::read_to_string(&catalogue).unwrap();
    let mut client = stage.client("administrator").await;
    for (members, seconds) in [(1_000_000, 2_400), (999_751, 2_400), (500, 1), (0, 0)] {
        std::fs::write(&catalogue, format!("{}\nmember_count = {members}\n", entry.trim_end())).unwrap();
        let request = pb::ValidateExportRequest { name: export.name.clone() };
        let found = client.exports.validate_export(request).await.unwrap().into_inner();
        assert_eq!(found.member_count, Some(members));
        assert_eq!(found.estimated_duration.unwrap().seconds, seconds, "100 imports of 250 a minute");
        assert!(seconds <= BOUND && found.warnings.is_empty(), "{found:?}");
    }
    std::fs::write(&catalogue, entry).unwrap();
    let request = pb::PlanExportRequest { name: export.name, ..Default::default() };
    let plan = client.exports.plan_export(request).await.unwrap().into_inner().run.unwrap();
    let plan = stage.ended(&plan.name, SOON).await;
    // Three imports, and twenty seconds until their results are there; counted from when the plan was made.
    let until = millis(plan.estimated_end_time.as_ref());
    let since_start = until - millis(plan.start_time.as_ref());
    let since_end = until - millis(plan.end_time.as_ref());
    assert!(since_end <= 21_800 && since_start >= 21_800, "{plan:?}");
}

/// The time limit of a run of this size is the bound.
#[tokio::test]
async fn r10_a_destination_that_takes_requests_and_never_answers_ends_the_run_as_timed_out() {
    let scale = 500.0;
    let (stage, export) = of(Stage::with(StageOptions { time_scale: scale }).await, &people(600)).await;
    hold_imports_after(&stage, 0);
    let run = stage.ended(&stage.run(&export.name).await.name, SOON).await;
    assert_eq!(run.state(), State::TimedOut, "{:?}", run.error);
    let error = run.error.clone().unwrap();
    let found = (error.reason.as_str(), error.culprit(), error.severity());
    assert_eq!(found, ("TIMED_OUT", Culprit::Destination, Severity::Temporary));
    let counts = run.counts.unwrap();
    assert!(adds_up(&counts) && counts.confirmed == 0 && counts.unknown + counts.not_sent == 600, "{counts:?}");
    let took = millis(run.end_time.as_ref()) - millis(run.start_time.as_ref());
    assert!(took >= (BOUND as f64 * 1_000.0 / scale) as i64, "{took} ms");
}
