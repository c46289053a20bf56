//! The last runs of an export.

use super::{SOON, millis, of, refresh};
use crate::schedules::due::{first_run, make_due};
use crate::schedules::{acme, own};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::{State, Trigger};
use ferry_testkit::canary::people;
use ferry_testkit::{Client, Stage, TENANT};

async fn page(client: &mut Client, export: &str, page_token: String) -> pb::ListRunsResponse {
    let request = pb::ListRunsRequest { parent: export.to_owned(), page_size: 2, page_token };
    client.runs.list_runs(request).await.unwrap().into_inner()
}

/// Samples of a plan are people, and in no list.
fn as_listed(mut run: pb::Run) -> pb::Run {
    if let Some(summary) = &mut run.plan_summary {
        summary.samples.clear();
    }
    run
}

#[tokio::test]
async fn r05_the_last_runs_tell_what_started_them_when_and_what_came_of_them() {
    let (mut stage, export) = of(Stage::new().await, &people(3)).await;
    let ended = async |stage: &Stage, name: &str| stage.ended(name, SOON).await;
    let on_demand = ended(&stage, &stage.run(&export.name).await.name).await;
    std::fs::write(stage.path("segments").join(TENANT).join("people"), people(5)).unwrap();
    let refreshed = refresh(&mut stage.client("administrator").await, &[]).await.remove(0);
    let refreshed = ended(&stage, &refreshed.name).await;
    let mut client = stage.client("administrator").await;
    let plan = pb::PlanExportRequest { name: export.name.clone(), ..Default::default() };
    let plan = client.exports.plan_export(plan).await.unwrap().into_inner().run.unwrap();
    let plan = ended(&stage, &plan.name).await;
    let other = pb::Export { schedule: own("0 0 1 1 *", "UTC"), ..stage.export("newsletter", "people") };
    let other = stage.create_export("custom", other).await;
    stage.kill();
    make_due(&stage, 1).await;
    stage.start().await;
    let mut client = stage.client("viewer").await;
    let scheduled = first_run(&client, &other.name).await;
    let scheduled = ended(&stage, &scheduled.name).await;
    // The newest first, some at a time.
    let first = page(&mut client, &export.name, String::new()).await;
    let second = page(&mut client, &export.name, first.next_page_token).await;
    assert!(second.next_page_token.is_empty());
    let history = [first.runs, second.runs].concat();
    assert_eq!(history, [plan, refreshed, on_demand].map(as_listed));
    let told = |run: &pb::Run| {
        let counts = run.counts.unwrap();
        (run.trigger(), run.dry_run, run.state(), counts.members, counts.confirmed, counts.unchanged)
    };
    assert_eq!(
        history.iter().map(told).collect::<Vec<_>>(),
        [
            (Trigger::OnDemand, true, State::Succeeded, 5, 0, 5),
            (Trigger::Refresh, false, State::Succeeded, 5, 2, 3),
            (Trigger::OnDemand, false, State::Succeeded, 3, 3, 0),
        ]
    );
    assert_eq!(told(&scheduled).0, Trigger::Schedule);
    for run in &history {
        let [created, started, ended] =
            [&run.create_time, &run.start_time, &run.end_time].map(|time| millis(time.as_ref()));
        assert!(created <= started && started <= ended, "{run:?}");
    }
    // Of all exports together.
    let all = page(&mut client, &format!("{}/exports/-", acme()), String::new()).await.runs;
    assert_eq!(all[0], as_listed(scheduled));
}
