//! A run that waits can be cancelled, and stays so over a restart. What makes it wait, and that it goes on where it
//! stopped: `faults/account.rs`.

use super::{SOON, Scene, eventually};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::{PauseReason, State};
use ferry_sim::{FaultKind, FaultRule, ForbiddenShape, When};
use ferry_testkit::TENANT;

/// A run of many batches that waits for a key: every request is refused once some have gone.
async fn paused() -> (Scene, pb::Run) {
    let people: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    let people: Vec<(&str, &str)> = people.iter().map(|person| (person.as_str(), "Name")).collect();
    let scene = Scene::new(&people).await;
    let mut client = scene.stage.client("administrator").await;
    let request = pb::RunExportRequest { name: scene.export.name.clone(), ..Default::default() };
    let run = client.exports.run_export(request).await.unwrap().into_inner().run.unwrap();
    eventually(SOON, || async { if scene.imports() >= 2 { Ok(()) } else { Err(()) } }).await;
    let refused = FaultKind::Forbidden { shape: ForbiddenShape::Empty };
    scene.stage.sim.faults().add(FaultRule::once(refused).when(When::Always));
    let paused = scene.rests(&run.name).await;
    assert_eq!((paused.state(), paused.pause_reason()), (State::Paused, PauseReason::Credentials));
    (scene, paused)
}

async fn verify(scene: &Scene) {
    let mut client = scene.stage.client("administrator").await;
    let request = pb::VerifyConnectionRequest { name: format!("tenants/{TENANT}/connections/newsletter") };
    client.connections.verify_connection(request).await.unwrap();
}

async fn goes_on(scene: &Scene, run: &pb::Run) {
    scene.stage.sim.faults().clear();
    verify(scene).await;
    let ended = scene.stage.ended(&run.name, SOON).await;
    assert_eq!(ended.state(), State::Succeeded, "{:?}", ended.error);
    assert_eq!((ended.counts.unwrap().confirmed, ended.pause_reason()), (10_000, PauseReason::Unspecified));
    let report = scene.stage.sim.report();
    assert_eq!((report.contacts_confirmed, report.windows_exceeded), (10_000, 0));
    assert_eq!(report.extra_deliveries, 0, "it went on where it stopped");
}

#[tokio::test]
async fn a_paused_run_can_be_cancelled_and_reports_what_went() {
    let (scene, run) = paused().await;
    let mut client = scene.stage.client("administrator").await;
    client.runs.cancel_run(pb::CancelRunRequest { name: run.name.clone(), ..Default::default() }).await.unwrap();
    let ended = scene.stage.ended(&run.name, SOON).await;
    let counts = ended.counts.unwrap();
    assert_eq!(ended.state(), State::Cancelled);
    assert_eq!((counts.confirmed + counts.unknown).cast_unsigned(), scene.stage.sim.report().contacts_accepted);
}

#[tokio::test]
async fn a_paused_run_stays_so_over_a_restart() {
    let (mut scene, run) = paused().await;
    let before = scene.stage.sim.report().requests;
    scene.stage.kill();
    scene.stage.start().await;
    assert_eq!(scene.stage.get_run(&run.name).await.state(), State::Paused);
    assert_eq!(scene.stage.sim.report().requests, before);
    goes_on(&scene, &run).await;
}
