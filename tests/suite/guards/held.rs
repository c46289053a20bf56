//! Runs that wait: for another administrator, or for a key.

use super::plans::{carry_out, plan};
use super::{SOON, people, reason, set_field, stage, update};
use ferry_proto::v1 as pb;
use ferry_proto::v1::plan_sample::Action;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, ForbiddenShape, When};
use ferry_testkit::{Client, Stage, TENANT, adds_up, eventually};
use prost_types::FieldMask;
use tonic::Code;

pub(crate) async fn another_administrator(stage: &Stage) -> Client {
    let tenants = serde_json::json!({ TENANT: "administrator" });
    Client::connect(stage.addr(), &stage.sign("another", &[("tenants", tenants)])).await
}

/// Waits until a run is in a state.
async fn reaches(stage: &Stage, name: &str, state: State) -> pb::Run {
    eventually(SOON, || async {
        let run = stage.get_run(name).await;
        if run.state() == state { Ok(run) } else { Err(run) }
    })
    .await
}

/// An export most of whose people have left since its last run.
async fn deserted() -> (Stage, pb::Export) {
    let (stage, export) = stage().await;
    let export = pb::Export { leave_policy: set_field(1, "in", "out"), ..export };
    let export = update(&stage, export, &["leave_policy"]).await.unwrap();
    let first = stage.run(&export.name).await;
    assert_eq!(stage.ended(&first.name, SOON).await.state(), State::Succeeded);
    std::fs::write(stage.path("segments").join(TENANT).join("people"), people(2)).unwrap();
    (stage, export)
}

/// A run that would mark them as having left.
pub(crate) async fn held() -> (Stage, pb::Run) {
    let (stage, export) = deserted().await;
    let run = stage.run(&export.name).await;
    let held = reaches(&stage, &run.name, State::AwaitingApproval).await;
    (stage, held)
}

#[tokio::test]
async fn nobody_approves_a_run_of_their_own_or_one_that_is_not_held() {
    let (stage, export) = stage().await;
    let run = stage.run(&export.name).await;
    let ended = stage.ended(&run.name, SOON).await;
    let approve =
        |etag: &str| pb::ApproveRunRequest { name: run.name.clone(), etag: etag.to_owned(), ..Default::default() };
    let mut starter = stage.client("administrator").await;
    let own = starter.runs.approve_run(approve("")).await.unwrap_err();
    assert_eq!(reason(&own), (Code::PermissionDenied, "OWN_RUN".to_owned()));
    let mut another = another_administrator(&stage).await;
    let refused = another.runs.approve_run(approve(&ended.etag)).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "RUN_NOT_HELD".to_owned()));
    let stale = another.runs.approve_run(approve("\"99\"")).await.unwrap_err();
    assert_eq!(reason(&stale), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let mut contributor = stage.client("contributor").await;
    let denied = contributor.runs.approve_run(approve("")).await.unwrap_err();
    assert_eq!(reason(&denied), (Code::PermissionDenied, "ROLE_TOO_LOW".to_owned()));
}

#[tokio::test]
async fn a_held_run_is_approved_once_however_often_it_is_asked() {
    let (stage, held) = held().await;
    let approval = held.approval.unwrap();
    assert!(!approval.reasons.is_empty() && approval.approved_by.is_empty() && approval.approve_time.is_none());
    let lapses = approval.expire_time.unwrap().seconds - held.start_time.unwrap().seconds;
    assert!((24 * 3_600..24 * 3_600 + 60).contains(&lapses), "{lapses} s");
    assert_eq!(held.plan_summary.unwrap().removals, 3);
    let request = pb::ApproveRunRequest {
        name: held.name.clone(),
        etag: held.etag,
        request_id: "5b0b9a2e-6f0e-4c39-9d3c-0f2f1f4c7a02".to_owned(),
    };
    let mut starter = stage.client("administrator").await;
    assert_eq!(starter.runs.approve_run(request.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    let mut another = another_administrator(&stage).await;
    let approved = another.runs.approve_run(request.clone()).await.unwrap().into_inner().run.unwrap();
    assert_eq!(approved.state(), State::Processing);
    let again = another.runs.approve_run(request).await.unwrap().into_inner().run.unwrap();
    assert_eq!(again.approval, approved.approval);
    let ended = stage.ended(&held.name, SOON).await;
    let counts = ended.counts.unwrap();
    assert_eq!((ended.state(), counts.unchanged, counts.removals_confirmed), (State::Succeeded, 2, 3));
    let approval = ended.approval.unwrap();
    assert!(approval.approved_by == "another" && approval.approve_time.is_some() && approval.expire_time.is_none());
}

#[tokio::test]
async fn a_held_run_that_is_cancelled_ends_at_once_and_has_sent_nothing() {
    let (stage, held) = held().await;
    let before = stage.sim.report().batches_accepted;
    let mut client = stage.client("administrator").await;
    let request = pb::CancelRunRequest { name: held.name.clone(), ..Default::default() };
    let cancelled = client.runs.cancel_run(request).await.unwrap().into_inner().run.unwrap();
    assert_eq!(cancelled.state(), State::Cancelled);
    let counts = cancelled.counts.unwrap();
    assert!(adds_up(&counts) && cancelled.end_time.is_some() && cancelled.error.is_none(), "{cancelled:?}");
    assert_eq!((counts.unchanged, counts.removals, counts.removals_not_sent), (2, 3, 3));
    let mut another = another_administrator(&stage).await;
    let request = pb::ApproveRunRequest { name: held.name, ..Default::default() };
    let refused = another.runs.approve_run(request).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "RUN_NOT_HELD".to_owned()));
    assert_eq!(stage.sim.report().batches_accepted, before);
}

#[tokio::test]
async fn a_paused_run_goes_on_with_a_new_key() {
    let (stage, export) = stage().await;
    let refused = FaultRule::once(FaultKind::Forbidden { shape: ForbiddenShape::Empty }).on(Endpoint::Import);
    stage.sim.faults().add(refused.when(When::Always));
    let run = stage.run(&export.name).await;
    let paused = reaches(&stage, &run.name, State::Paused).await;
    assert_eq!(paused.pause_reason(), pb::run::PauseReason::Credentials);
    let error = paused.error.unwrap();
    assert_eq!((error.reason.as_str(), paused.end_time), ("CREDENTIALS_REFUSED", None));
    stage.sim.faults().clear();
    let mut client = stage.client("administrator").await;
    let name = export.connection;
    let read = pb::GetConnectionRequest { name: name.clone() };
    let found = client.connections.get_connection(read).await.unwrap().into_inner().connection.unwrap();
    assert_eq!(found.state(), pb::connection::State::NeedsAttention);
    let request = pb::UpdateConnectionRequest {
        connection: Some(pb::Connection { name, etag: found.etag, ..stage.connection() }),
        update_mask: Some(FieldMask { paths: vec!["settings.activecampaign.api_key".to_owned()] }),
        ..Default::default()
    };
    client.connections.update_connection(request).await.unwrap();
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!((ended.state(), ended.counts.unwrap().confirmed), (State::Succeeded, 5), "{:?}", ended.error);
    assert!(ended.error.is_none() && ended.pause_reason() == pb::run::PauseReason::Unspecified);
}

#[tokio::test]
async fn a_guard_holds_a_run_that_carries_out_a_plan_as_well() {
    let (stage, export) = deserted().await;
    let mut planner = stage.client("administrator").await;
    let dry = plan(&stage, &mut planner, &export.name).await;
    let removed = |sample: &&pb::PlanSample| sample.action() == Action::Remove;
    assert_eq!(dry.plan_summary.unwrap().samples.iter().filter(removed).count(), 3);
    let reasons = dry.approval.unwrap().reasons;
    let mut starter = another_administrator(&stage).await;
    let run = carry_out(&mut starter, &export.name, &dry.name, "").await.unwrap();
    let held = reaches(&stage, &run.name, State::AwaitingApproval).await;
    assert_eq!(held.approval.unwrap().reasons, reasons, "what the plan has said");
    let request = || pb::ApproveRunRequest { name: run.name.clone(), ..Default::default() };
    let own = starter.runs.approve_run(request()).await.unwrap_err();
    assert_eq!(reason(&own), (Code::PermissionDenied, "OWN_RUN".to_owned()));
    planner.runs.approve_run(request()).await.unwrap();
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!((ended.state(), ended.counts.unwrap().removals_confirmed), (State::Succeeded, 3), "{:?}", ended.error);
}
