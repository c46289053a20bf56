//! Every state of a run. That it times out is in `bounds.rs`.

use super::{SOON, cancel, hold_imports_after, of, reaches, refresh};
use crate::guards::held::held;
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::{PauseReason, State};
use ferry_sim::{Endpoint, FaultKind, FaultRule, When};
use ferry_testkit::canary::people;
use ferry_testkit::{Stage, TENANT};

#[tokio::test]
async fn r01_a_run_is_queued_then_processing_and_once_stopped_cancelling_then_cancelled() {
    let (stage, export) = of(Stage::new().await, &people(600)).await;
    hold_imports_after(&stage, 0);
    let queued = stage.run(&export.name).await;
    assert_eq!((queued.state(), queued.start_time, queued.end_time), (State::Queued, None, None));
    let processing = reaches(&stage, &queued.name, State::Processing).await;
    assert!(processing.start_time.is_some() && processing.end_time.is_none());
    let cancelling = cancel(&mut stage.client("administrator").await, &queued).await;
    assert_eq!((cancelling.state(), cancelling.end_time), (State::Cancelling, None));
    let ended = stage.ended(&queued.name, SOON).await;
    assert_eq!((ended.state(), ended.error), (State::Cancelled, None));
}

#[tokio::test]
async fn r01_an_export_has_not_started_then_succeeds_then_fails_then_is_skipped() {
    let (stage, export) = of(Stage::new().await, &people(3)).await;
    let mut client = stage.client("administrator").await;
    let read = pb::GetExportRequest { name: export.name.clone() };
    let before = client.exports.get_export(read.clone()).await.unwrap().into_inner().export.unwrap();
    assert!(before.latest_run.is_empty() && before.latest_run_summary.is_none(), "it has not started");
    let first = stage.ended(&stage.run(&export.name).await.name, SOON).await;
    assert_eq!((first.state(), first.error), (State::Succeeded, None));
    std::fs::write(stage.path("segments").join(TENANT).join("people"), "email\n\"never closed").unwrap();
    let second = stage.ended(&stage.run(&export.name).await.name, SOON).await;
    assert_eq!(second.state(), State::Failed);
    let third = refresh(&mut client, &["people"]).await.remove(0);
    assert_eq!((third.state(), third.start_time), (State::Skipped, None));
    let after = client.exports.get_export(read).await.unwrap().into_inner().export.unwrap();
    assert_eq!(after.latest_run_summary.unwrap().state(), State::Skipped);
}

#[tokio::test]
async fn r01_a_run_that_a_guard_holds_awaits_approval_and_one_that_cannot_go_on_is_paused() {
    let (_stage, run) = held().await;
    assert_eq!((run.state(), run.end_time), (State::AwaitingApproval, None));
    let (stage, export) = of(Stage::new().await, &people(3)).await;
    let lapsed = FaultRule::once(FaultKind::PaymentRequired).on(Endpoint::Import).when(When::Always);
    stage.sim.faults().add(lapsed);
    let paused = reaches(&stage, &stage.run(&export.name).await.name, State::Paused).await;
    assert_eq!((paused.pause_reason(), paused.end_time), (PauseReason::Account, None));
}
