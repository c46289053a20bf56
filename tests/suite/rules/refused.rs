//! Rule 5: whom the destination refused is due again by rule.

use super::{Scene, canary};
use ferry_proto::v1 as pb;
use ferry_sim::{Endpoint, FaultKind, FaultRule, When};

#[tokio::test]
async fn rule_5_whom_the_destination_refused_is_due_when_the_values_change_or_on_request() {
    let scene = Scene::new(&[("a", "Ada"), ("excluded", "Eve")]).await;
    let first = scene.succeeds().await;
    assert_eq!((first.confirmed, first.refused), (1, 1));
    let run = scene.run().await;
    let again = run.counts.unwrap();
    assert_eq!((again.unchanged, again.excluded, scene.imports()), (1, 1, 1));
    assert_eq!(scene.rows(&run.name).await, [("STAGE_EXCLUDED", "REFUSED_BEFORE".to_owned())]);
    let request = pb::ListRejectedProfilesRequest { name: run.name, ..Default::default() };
    let mut client = scene.stage.client("administrator").await;
    let rows = client.runs.list_rejected_profiles(request).await.unwrap().into_inner().rejected_profiles;
    assert!(rows[0].reason_candidates.contains(&"EXCLUSION_LIST".to_owned()), "what may be the cause is told again");
    scene.members(&[("a", "Ada"), ("excluded", "Eva")]);
    assert_eq!(scene.succeeds().await.refused, 1, "other values are worth another try");
    let run = scene.run_as(pb::RunExportRequest { full_resync: true, ..Default::default() }).await;
    assert_eq!(run.counts.unwrap().refused, 1, "and so is a request");
}

#[tokio::test]
async fn rule_5_a_failure_that_names_no_row_is_nobodys_refusal() {
    let scene = Scene::new(&[("a", "Ada"), ("excluded", "Eve")]).await;
    // Once could be a mistake, so it is looked at again before.
    let stranger = FaultRule::once(FaultKind::FailureOfStranger).on(Endpoint::Status).when(When::Next(6));
    scene.stage.sim.faults().add(stranger);
    let counts = scene.succeeds().await;
    assert_eq!((counts.confirmed, counts.refused), (1, 1));
    assert_eq!(scene.imports(), 2, "its batch was sent again, on record");
    assert!(scene.contact("a").is_some_and(|contact| contact.first_name == canary::name("Ada")));
}

#[tokio::test]
async fn who_opted_out_is_not_subscribed_again_by_any_run() {
    let scene = Scene::new(&[("a", "Ada"), ("opted.out", "Olga")]).await;
    scene.succeeds().await;
    scene.members(&[("a", "Ada"), ("opted.out", "Other")]);
    scene.succeeds().await;
    scene.run_as(pb::RunExportRequest { full_resync: true, ..Default::default() }).await;
    assert!(!scene.is_on_list("opted.out"));
}
