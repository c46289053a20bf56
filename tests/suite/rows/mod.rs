//! What a run shows of itself: rows R1 to R10 of the feature table, and what an export may carry (E17 to E19). Each state
//! is held by the simulator for as long as it is looked at.

mod bounds;
mod culprits;
mod history;
mod progress;
mod states;

use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, When};
use ferry_testkit::{Client, Stage, TENANT, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);

/// A stage with a segment `people` of these rows, a connection and an export of them.
async fn of(stage: Stage, csv: &str) -> (Stage, pb::Export) {
    stage.segment("people", "csv", csv.as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    (stage, export)
}

/// So many imports are taken. Those after them are taken up by nobody until the faults are cleared.
fn hold_imports_after(stage: &Stage, imports: u64) {
    let on_imports = |kind| FaultRule::once(kind).on(Endpoint::Import);
    // The first rule that fits strikes: one that does nothing lets pass.
    let passes = FaultKind::DelayAnswer { delay_ms: 0 };
    if imports > 0 {
        stage.sim.faults().add(on_imports(passes).when(When::Next(imports)));
    }
    stage.sim.faults().add(on_imports(FaultKind::HoldBefore).when(When::Always));
}

/// Waits until a run shows something.
async fn shows(stage: &Stage, name: &str, what: impl Fn(&pb::Run) -> bool) -> pb::Run {
    eventually(SOON, || async {
        let run = stage.get_run(name).await;
        if what(&run) { Ok(run) } else { Err(run) }
    })
    .await
}

async fn reaches(stage: &Stage, name: &str, state: State) -> pb::Run {
    shows(stage, name, |run| run.state() == state).await
}

async fn cancel(client: &mut Client, run: &pb::Run) -> pb::Run {
    let request = pb::CancelRunRequest { name: run.name.clone(), ..Default::default() };
    client.runs.cancel_run(request).await.unwrap().into_inner().run.unwrap()
}

/// The tenant's refresh of all segments but those that failed.
async fn refresh(client: &mut Client, failed: &[&str]) -> Vec<pb::Run> {
    let failed = failed.iter().map(|id| pb::FailedSegment {
        segment: format!("tenants/{TENANT}/segments/{id}"),
        cause: "the source was late".to_owned(),
    });
    let request = pb::StartRefreshRequest {
        parent: format!("tenants/{TENANT}"),
        failed_segments: failed.collect(),
        ..Default::default()
    };
    client.refresh.start_refresh(request).await.unwrap().into_inner().runs
}

fn millis(time: Option<&prost_types::Timestamp>) -> i64 {
    let time = time.unwrap();
    time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000
}
