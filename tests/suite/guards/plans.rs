//! Plans of dry runs, and runs that carry them out.

use super::{SOON, fields, people, reason, stage, update};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_testkit::{Client, Stage, TENANT, adds_up, canary};
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub(super) async fn plan(stage: &Stage, client: &mut Client, export: &str) -> pb::Run {
    let request = pb::PlanExportRequest { name: export.to_owned(), ..Default::default() };
    let run = client.exports.plan_export(request).await.unwrap().into_inner().run.unwrap();
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!(ended.state(), State::Succeeded);
    ended
}

pub(super) async fn carry_out(
    client: &mut Client,
    export: &str,
    plan: &str,
    request_id: &str,
) -> Result<pb::Run, Status> {
    let request = pb::RunExportRequest {
        name: export.to_owned(),
        plan: plan.to_owned(),
        request_id: request_id.to_owned(),
        ..Default::default()
    };
    client.exports.run_export(request).await.map(|answer| answer.into_inner().run.unwrap())
}

#[tokio::test]
async fn rule_3_a_plan_is_carried_out_as_it_was_made() {
    let (stage, export) = stage().await;
    stage.segment("mixed", "csv", (people(7) + ",nobody\n").as_bytes());
    let export = update(
        &stage,
        pb::Export { segments: vec![format!("tenants/{TENANT}/segments/mixed")], ..export },
        &["segments"],
    )
    .await
    .unwrap();
    let mut client = stage.client("administrator").await;
    let dry = plan(&stage, &mut client, &export.name).await;
    let summary = dry.plan_summary.clone().unwrap();
    assert_eq!((summary.adds, summary.changes, summary.removals, summary.refusals), (7, 0, 0, 0));
    assert!(dry.estimated_end_time.is_some() && dry.plan.is_empty());
    let shown: Vec<&str> = summary.samples.iter().map(|sample| sample.email.as_str()).collect();
    assert!(shown.len() == 7 && shown.contains(&canary::email(3).as_str()), "{} samples", shown.len());
    let listed = pb::ListRunsRequest { parent: export.name.clone(), ..Default::default() };
    let listed = client.runs.list_runs(listed).await.unwrap().into_inner().runs;
    assert!(listed[0].plan_summary.as_ref().unwrap().samples.is_empty(), "a list shows nobody");
    // On a connection that is not shared, a contributor may not run the export.
    for role in ["viewer", "contributor"] {
        let mut below = stage.client(role).await;
        let seen = below.runs.get_run(pb::GetRunRequest { name: dry.name.clone() }).await.unwrap().into_inner();
        let seen = seen.run.unwrap().plan_summary.unwrap();
        assert!(seen.adds == 7 && seen.samples.is_empty(), "{role}");
    }
    let run = carry_out(&mut client, &export.name, &dry.name, "").await.unwrap();
    assert_eq!(run.plan, dry.name);
    let ended = stage.ended(&run.name, SOON).await;
    let counts = ended.counts.unwrap();
    assert_eq!((ended.state(), counts.confirmed, counts.rejected), (State::Succeeded, 7, 1));
    assert!(adds_up(&counts));
    let request = pb::ListRejectedProfilesRequest { name: run.name, ..Default::default() };
    let rejected = client.runs.list_rejected_profiles(request).await.unwrap().into_inner().rejected_profiles;
    assert_eq!(rejected.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["EMAIL_MISSING"]);
}

#[tokio::test]
async fn rule_3_a_plan_that_no_longer_stands_is_refused_and_says_what_has_moved() {
    let (stage, export) = stage().await;
    let mut client = stage.client("administrator").await;
    let dry = plan(&stage, &mut client, &export.name).await.name;
    let request_id = "5b0b9a2e-6f0e-4c39-9d3c-0f2f1f4c7a01";
    let first = carry_out(&mut client, &export.name, &dry, request_id).await.unwrap();
    stage.ended(&first.name, SOON).await;
    // Renaming is a change of the export; the file is another one with the very same rows.
    let export = update(&stage, pb::Export { display_name: "Other".to_owned(), ..export }, &["display_name"]).await;
    let export = export.unwrap();
    let file = stage.path("segments").join(TENANT).join("people");
    std::fs::write(file.with_extension("new"), people(5)).unwrap();
    std::fs::rename(file.with_extension("new"), &file).unwrap();
    let refused = carry_out(&mut client, &export.name, &dry, "").await.unwrap_err();
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "PLAN_EXPIRED".to_owned()));
    let state = "another run has changed what is known of the destination";
    for moved in ["the export was changed", state, "segment `people` was changed"] {
        assert!(refused.message().contains(moved), "{}", refused.message());
    }
    let violation = &refused.get_details_precondition_failure().unwrap().violations[0];
    assert_eq!((violation.r#type.as_str(), violation.subject.as_str()), ("PLAN", dry.as_str()));
    let again = carry_out(&mut client, &export.name, &dry, request_id).await.unwrap();
    assert_eq!((again.state(), again.name), (State::Succeeded, first.name), "a repeat asks for nothing new");
}

#[tokio::test]
async fn rule_3_a_plan_is_that_of_a_dry_run_of_this_export() {
    let (stage, export) = stage().await;
    let other = stage.create_export("daily", stage.export("newsletter", "people")).await;
    let mut client = stage.client("administrator").await;
    let dry = plan(&stage, &mut client, &export.name).await.name;
    for plan in [dry.as_str(), "no name", &dry.replace(TENANT, "zeta")] {
        let refused = carry_out(&mut client, &other.name, plan, "").await.unwrap_err();
        assert_eq!(fields(&refused), ["plan"], "{plan}");
    }
    let request =
        pb::RunExportRequest { name: export.name.clone(), plan: dry.clone(), full_resync: true, ..Default::default() };
    assert_eq!(fields(&client.exports.run_export(request).await.unwrap_err()), ["full_resync"]);
    let nowhere = format!("{}/runs/00000000-0000-7000-8000-000000000000", export.name);
    assert_eq!(carry_out(&mut client, &export.name, &nowhere, "").await.unwrap_err().code(), Code::NotFound);
    let run = stage.run(&export.name).await.name;
    stage.ended(&run, SOON).await;
    let refused = carry_out(&mut client, &export.name, &run, "").await.unwrap_err();
    assert_eq!(fields(&refused), ["plan"]);
    let described = &refused.get_details_bad_request().unwrap().field_violations[0].description;
    assert!(described.contains("is no dry run"), "{described}");
}

#[tokio::test]
async fn whoever_may_run_an_export_sees_people_of_any_run_of_it_and_nobody_else_does() {
    let (stage, export) = stage().await;
    let run = stage.run(&export.name).await;
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!(ended.state(), State::Succeeded);
    for (role, seen) in [("administrator", 5), ("contributor", 0), ("viewer", 0)] {
        let mut client = stage.client(role).await;
        let found = client.runs.get_run(pb::GetRunRequest { name: run.name.clone() }).await.unwrap().into_inner();
        let samples = found.run.unwrap().plan_summary.unwrap().samples;
        assert_eq!(samples.len(), seen, "{role}");
    }
}
