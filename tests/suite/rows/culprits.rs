//! Whose fault it is, and how bad.

use super::{SOON, of};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_proto::v1::run_error::{Culprit, Severity};
use ferry_sim::{Endpoint, FaultKind, FaultRule, RetryAfter, When};
use ferry_testkit::canary::people;
use ferry_testkit::{Stage, TENANT};

async fn failed(stage: &Stage, export: &pb::Export) -> (String, Culprit, Severity) {
    let run = stage.ended(&stage.run(&export.name).await.name, SOON).await;
    assert_eq!(run.state(), State::Failed, "{run:?}");
    let error = run.error.unwrap();
    let (culprit, severity) = (error.culprit(), error.severity());
    (error.reason, culprit, severity)
}

/// What the destination answers is the destination's, unless it is about what somebody configured there or here: its
/// refusal of a key is for whoever set it.
#[tokio::test]
async fn r08_a_destination_that_answers_too_many_requests_or_not_at_all_is_to_blame_itself() {
    let too_many = FaultKind::RateLimit429 { retry_after: RetryAfter::Huge };
    for (kind, reason) in [(too_many, "DESTINATION_RATE_LIMITED"), (FaultKind::ServerError, "DESTINATION_FAILED")] {
        let (stage, export) = of(Stage::new().await, &people(3)).await;
        stage.sim.faults().add(FaultRule::once(kind).on(Endpoint::Other).when(When::Always));
        let found = failed(&stage, &export).await;
        assert_eq!(found, (reason.to_owned(), Culprit::Destination, Severity::Temporary));
    }
}

#[tokio::test]
async fn r08_a_mapping_that_does_not_fit_is_the_users_and_stays() {
    let (stage, export) = of(Stage::new().await, &people(3)).await;
    std::fs::write(stage.path("segments").join(TENANT).join("people"), "email,given_name\n").unwrap();
    let found = failed(&stage, &export).await;
    assert_eq!(found, ("COLUMN_NOT_FOUND".to_owned(), Culprit::User, Severity::Permanent));
}

#[tokio::test]
async fn r08_what_goes_wrong_inside_is_the_systems_and_tells_nothing_of_it() {
    let (stage, export) = of(Stage::new().await, &people(3)).await;
    // Where the folder of the tenant's runs is to be, there is a file.
    let runs = stage.path("data").join("runs");
    std::fs::create_dir_all(&runs).unwrap();
    std::fs::write(runs.join(TENANT), "").unwrap();
    let found = failed(&stage, &export).await;
    assert_eq!(found, ("INTERNAL".to_owned(), Culprit::System, Severity::Temporary));
    std::fs::remove_file(runs.join(TENANT)).unwrap();
    let again = stage.ended(&stage.run(&export.name).await.name, SOON).await;
    assert_eq!(again.state(), State::Succeeded, "once the operator has mended it: {:?}", again.error);
}
