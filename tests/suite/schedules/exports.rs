//! Schedules of many exports, all at once, and the life of an export.

use super::{SOON, acme, fields, get, make, off, own, reason, runs, stage, with_refresh};
use ferry_proto::v1 as pb;
use ferry_proto::v1::batch_update_schedules_request::Mode;
use ferry_proto::v1::connection::Access;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, When};
use ferry_testkit::{Client, Stage};
use tonic::{Code, Status};
use tonic_types::StatusExt;

async fn batch(
    client: &mut Client,
    names: &[&str],
    mode: Mode,
    schedule: Option<pb::ExportSchedule>,
    active: Option<bool>,
) -> Result<Vec<pb::Export>, Status> {
    let request = pb::BatchUpdateSchedulesRequest {
        parent: acme(),
        names: names.iter().map(|id| format!("{}/exports/{id}", acme())).collect(),
        mode: mode.into(),
        schedule,
        active,
        ..Default::default()
    };
    Ok(client.exports.batch_update_schedules(request).await?.into_inner().exports)
}

fn schedules(exports: &[pb::Export]) -> Vec<Option<pb::ExportSchedule>> {
    exports.iter().map(|export| export.schedule.clone()).collect()
}

async fn share(stage: &Stage) {
    let mut client = stage.client("administrator").await;
    let name = format!("{}/connections/newsletter", acme());
    let found = client.connections.get_connection(pb::GetConnectionRequest { name }).await.unwrap().into_inner();
    let connection =
        pb::Connection { access: Access::AdministratorsAndContributors.into(), ..found.connection.unwrap() };
    let request = pb::UpdateConnectionRequest {
        connection: Some(connection),
        update_mask: super::mask(&["access"]),
        ..Default::default()
    };
    client.connections.update_connection(request).await.unwrap();
}

#[tokio::test]
async fn s06_many_schedules_are_switched_as_they_are_or_replaced_all_or_none() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let (early, late) = (own("0 6 * * *", "Europe/Lisbon"), own("0 18 * * 1-5", "Asia/Tokyo"));
    for (id, schedule) in [("early", early.clone()), ("late", late.clone()), ("default", None), ("quiet", off())] {
        make(&stage, id, schedule).await;
    }
    let all = ["early", "late", "default", "quiet"];
    let first = batch(&mut client, &all, Mode::KeepIndividual, None, Some(false)).await.unwrap();
    assert!(first.iter().all(|export| export.schedule == off()));
    let etags = |exports: &[pb::Export]| exports.iter().map(|export| export.etag.clone()).collect::<Vec<_>>();
    assert_eq!(etags(&first), ["\"2\"", "\"2\"", "\"2\"", "\"1\""], "the last was off before");
    let back = batch(&mut client, &all, Mode::KeepIndividual, None, Some(true)).await.unwrap();
    assert_eq!(schedules(&back), [early, late, with_refresh(), with_refresh()]);
    let again = batch(&mut client, &all, Mode::KeepIndividual, None, Some(true)).await.unwrap();
    assert_eq!(etags(&again), etags(&back), "what is on is left alone");
    let noon = own("0 12 * * *", "UTC");
    let replaced = batch(&mut client, &["late", "early"], Mode::OverrideAll, noon.clone(), None).await.unwrap();
    assert_eq!(
        replaced.iter().map(|export| export.name.rsplit('/').next().unwrap()).collect::<Vec<_>>(),
        ["late", "early"]
    );
    assert_eq!(schedules(&replaced), [noon.clone(), noon.clone()]);
    let none = batch(&mut client, &["default", "nowhere"], Mode::OverrideAll, noon.clone(), None).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    assert_eq!(get(&mut client, &back[2].name).await.schedule, with_refresh(), "none of them was changed");
    let wrong = [
        (Mode::Unspecified, None, Some(true), "mode"),
        (Mode::KeepIndividual, None, None, "active"),
        (Mode::KeepIndividual, noon.clone(), Some(true), "schedule"),
        (Mode::OverrideAll, None, None, "schedule"),
        (Mode::OverrideAll, noon, Some(true), "active"),
        (Mode::OverrideAll, own("0 0 30 2 *", "UTC"), None, "schedule.recurrence.cron"),
        (Mode::OverrideAll, own("0 0 * * *", "Mars"), None, "schedule.recurrence.time_zone"),
    ];
    for (mode, schedule, active, field) in wrong {
        let refused = batch(&mut client, &["early"], mode, schedule, active).await.unwrap_err();
        assert_eq!(fields(&refused), [field]);
    }
    let twice = batch(&mut client, &["early", "early"], Mode::KeepIndividual, None, Some(true)).await.unwrap_err();
    assert_eq!(fields(&twice), ["names[1]"]);
}

#[tokio::test]
async fn a_recurrence_that_says_nothing_is_refused_at_save() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let wrong = [
        (own("* * * *", "UTC"), "cron"),
        (own("0 0 31 4 *", "UTC"), "cron"),
        (own(&format!("{}0 * * * *", "0,".repeat(60)), "UTC"), "cron"),
        (own("0 0 * * *", ""), "time_zone"),
        (own("0 0 * * *", "Atlantis"), "time_zone"),
    ];
    for (schedule, field) in wrong {
        let export = pb::Export { schedule, ..stage.export("newsletter", "people") };
        let request = pb::CreateExportRequest { parent: acme(), export: Some(export), ..Default::default() };
        let refused = client.exports.create_export(request).await.unwrap_err();
        assert_eq!(fields(&refused), [format!("export.schedule.recurrence.{field}")]);
    }
}

#[tokio::test]
async fn s08_one_runs_with_its_schedule_off_and_not_detached() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let export = make(&stage, "quiet", off()).await;
    let run = stage.run(&export.name).await;
    assert_eq!(stage.ended(&run.name, SOON).await.state(), State::Succeeded);
    let detach = pb::DetachExportRequest { name: export.name.clone(), ..Default::default() };
    client.exports.detach_export(detach).await.unwrap();
    let request = pb::RunExportRequest { name: export.name.clone(), ..Default::default() };
    let refused = client.exports.run_export(request).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "EXPORT_DETACHED".to_owned()));
}

#[tokio::test]
async fn s09_run_all_runs_those_that_are_scheduled_attached_and_the_callers_to_run() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let with_refresh = make(&stage, "by-default", None).await;
    let custom = make(&stage, "custom", own("0 0 1 1 *", "UTC")).await;
    make(&stage, "switched-off", off()).await;
    let detached = make(&stage, "detached", None).await;
    let detach = pb::DetachExportRequest { name: detached.name.clone(), ..Default::default() };
    client.exports.detach_export(detach).await.unwrap();
    let request =
        pb::RunAllExportsRequest { parent: acme(), request_id: "6e0f7d0a-3a57-4a0c-9f0a-5b8a41d3b002".to_owned() };
    // Nothing is shared with contributors, so there is nothing that they may run.
    let mut contributor = stage.client("contributor").await;
    let none = contributor.exports.run_all_exports(request.clone()).await.unwrap().into_inner();
    assert!(none.runs.is_empty() && none.already_running.is_empty());
    share(&stage).await;
    let other = pb::RunAllExportsRequest { parent: acme(), ..Default::default() };
    let all = contributor.exports.run_all_exports(other.clone()).await.unwrap().into_inner();
    let ran: Vec<&str> = all.runs.iter().map(|run| run.export.as_str()).collect();
    assert_eq!(ran, [&*with_refresh.name, &*custom.name]);
    assert!(all.runs.iter().all(|run| run.started_by == "contributor" && run.trigger() == pb::run::Trigger::OnDemand));
    for run in &all.runs {
        stage.ended(&run.name, SOON).await;
    }
    let again = contributor.exports.run_all_exports(request).await.unwrap().into_inner();
    assert!(again.runs.is_empty(), "a repeat of the call that found nothing: {again:?}");
    let denied = stage.client("viewer").await.exports.run_all_exports(other).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn s12_while_one_runs_a_second_request_is_told_which() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let export = make(&stage, "held", None).await;
    let held = FaultRule::once(FaultKind::HoldBefore).on(Endpoint::Import).when(When::Always);
    stage.sim.faults().add(held);
    let run = stage.run(&export.name).await;
    let request = pb::RunExportRequest { name: export.name.clone(), ..Default::default() };
    let refused = client.exports.run_export(request).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::AlreadyExists, "RUN_IN_PROGRESS".to_owned()));
    assert_eq!(refused.get_details_resource_info().unwrap().resource_name, run.name);
    let all = pb::RunAllExportsRequest { parent: acme(), ..Default::default() };
    let all = client.exports.run_all_exports(all).await.unwrap().into_inner();
    assert_eq!((all.runs.len(), all.already_running), (0, vec![export.name.clone()]));
    let refreshed = super::start_refresh(&mut client, &[], &[]).await.unwrap();
    assert_eq!((refreshed.runs.len(), refreshed.already_running), (0, vec![export.name.clone()]));
    let cancel = pb::CancelRunRequest { name: run.name.clone(), ..Default::default() };
    client.runs.cancel_run(cancel).await.unwrap();
    stage.ended(&run.name, SOON).await;
    assert_eq!(runs(&mut client, &export.name).await.len(), 1);
}

#[tokio::test]
async fn e12_a_copy_has_a_new_id_equal_settings_no_runs_and_is_off() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let export = make(&stage, "original", own("0 6 * * *", "UTC")).await;
    stage.ended(&stage.run(&export.name).await.name, SOON).await;
    let request = pb::DuplicateExportRequest {
        name: export.name.clone(),
        request_id: "6e0f7d0a-3a57-4a0c-9f0a-5b8a41d3b003".to_owned(),
        ..Default::default()
    };
    let copy = client.exports.duplicate_export(request.clone()).await.unwrap().into_inner().export.unwrap();
    assert!(copy.name != export.name && copy.uid != export.uid);
    assert!(copy.latest_run.is_empty() && runs(&mut client, &copy.name).await.is_empty());
    assert_eq!((copy.schedule.clone(), copy.etag.as_str()), (off(), "\"1\""));
    let settings = |export: &pb::Export| {
        let export = export.clone();
        (export.display_name, export.connection, export.segments, export.settings, export.field_mappings)
    };
    assert_eq!(settings(&copy), settings(&export));
    assert_eq!((&copy.leave_policy, &copy.removal_guard), (&export.leave_policy, &export.removal_guard));
    let again = client.exports.duplicate_export(request).await.unwrap().into_inner().export.unwrap();
    assert_eq!(again.name, copy.name, "a repeat makes no other");
    let taken = pb::DuplicateExportRequest {
        name: export.name.clone(),
        export_id: "original".to_owned(),
        display_name: "Second".to_owned(),
        ..Default::default()
    };
    let refused = client.exports.duplicate_export(taken.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::AlreadyExists, "RESOURCE_EXISTS".to_owned()));
    let named = pb::DuplicateExportRequest { export_id: "second".to_owned(), ..taken };
    let named = client.exports.duplicate_export(named).await.unwrap().into_inner().export.unwrap();
    assert_eq!((named.name, named.display_name), (format!("{}/exports/second", acme()), "Second".to_owned()));
    // What is switched on is what the original has.
    let on = batch(&mut client, &["second"], Mode::KeepIndividual, None, Some(true)).await.unwrap();
    assert_eq!(on[0].schedule, export.schedule);
}

#[tokio::test]
async fn e13_a_detached_export_keeps_its_settings_and_runs_nowhere_until_it_is_attached() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let export = make(&stage, "weekly", own("0 6 * * *", "UTC")).await;
    stage.ended(&stage.run(&export.name).await.name, SOON).await;
    let detach = pb::DetachExportRequest { name: export.name.clone(), etag: export.etag.clone(), ..Default::default() };
    let detached = client.exports.detach_export(detach.clone()).await.unwrap().into_inner().export.unwrap();
    assert_eq!((detached.connection.as_str(), &detached.schedule), ("", &export.schedule));
    assert_eq!((&detached.segments, &detached.field_mappings), (&export.segments, &export.field_mappings));
    let stale = client.exports.detach_export(detach).await.unwrap_err();
    assert_eq!(reason(&stale), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    assert!(super::start_refresh(&mut client, &[], &[]).await.unwrap().runs.is_empty());
    let attach = |connection: &str| pb::AttachExportRequest {
        name: export.name.clone(),
        connection: format!("{}/connections/{connection}", acme()),
        ..Default::default()
    };
    let missing = client.exports.attach_export(attach("nowhere")).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let attached = client.exports.attach_export(attach("newsletter")).await.unwrap().into_inner().export.unwrap();
    assert_eq!(attached.connection, export.connection);
    let run = stage.ended(&stage.run(&export.name).await.name, SOON).await;
    let counts = run.counts.unwrap();
    assert_eq!(
        (run.state(), counts.confirmed, counts.unchanged),
        (State::Succeeded, 3, 0),
        "nothing is known of there"
    );
    // Detached, it is for administrators.
    share(&stage).await;
    let mut contributor = stage.client("contributor").await;
    let detach = pb::DetachExportRequest { name: export.name.clone(), ..Default::default() };
    contributor.exports.detach_export(detach).await.unwrap();
    let denied = contributor.exports.attach_export(attach("newsletter")).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn e14_many_are_detached_and_attached_in_one_call_all_or_none() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let mut names = Vec::new();
    for id in ["first", "second", "third"] {
        names.push(make(&stage, id, None).await.name);
    }
    let detach = |names: &[String]| pb::BatchDetachExportsRequest {
        parent: acme(),
        names: names.to_vec(),
        ..Default::default()
    };
    let with_another = [names.clone(), vec![format!("{}/exports/nowhere", acme())]].concat();
    let none = client.exports.batch_detach_exports(detach(&with_another)).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    assert!(!get(&mut client, &names[0]).await.connection.is_empty());
    let done = client.exports.batch_detach_exports(detach(&names)).await.unwrap().into_inner().exports;
    assert_eq!(done.iter().map(|export| export.name.clone()).collect::<Vec<_>>(), names, "a result for each, in order");
    assert!(done.iter().all(|export| export.connection.is_empty()));
    let connection = format!("{}/connections/newsletter", acme());
    let attach =
        pb::BatchAttachExportsRequest { parent: acme(), names: names.clone(), connection, ..Default::default() };
    let done = client.exports.batch_attach_exports(attach).await.unwrap().into_inner().exports;
    assert!(done.len() == 3 && done.iter().all(|export| export.connection.ends_with("/newsletter")));
    let too_many: Vec<String> = (0..101).map(|number| format!("{}/exports/export-{number}", acme())).collect();
    let refused = client.exports.batch_detach_exports(detach(&too_many)).await.unwrap_err();
    assert_eq!(fields(&refused), ["names"]);
}

/// The answer to the first call may be lost: whoever says the same again is told the same, and nothing is done twice.
#[tokio::test]
async fn a_repeat_of_a_change_of_many_finds_it_done() {
    let stage = stage().await;
    let mut client = stage.client("administrator").await;
    let first = make(&stage, "first", own("0 6 * * *", "UTC")).await;
    let names = vec![first.name.clone(), make(&stage, "second", None).await.name];
    let id = |number: u8| format!("6e0f7d0a-3a57-4a0c-9f0a-5b8a41d3b0{number:02}");
    let connection = format!("{}/connections/newsletter", acme());
    let detach = pb::DetachExportRequest { name: first.name.clone(), etag: first.etag.clone(), request_id: id(10) };
    let once = client.exports.detach_export(detach.clone()).await.unwrap().into_inner();
    assert_eq!(client.exports.detach_export(detach).await.unwrap().into_inner(), once);
    let attach = pb::AttachExportRequest {
        name: first.name.clone(),
        connection: connection.clone(),
        request_id: id(11),
        ..Default::default()
    };
    let once = client.exports.attach_export(attach.clone()).await.unwrap().into_inner();
    assert_eq!(client.exports.attach_export(attach).await.unwrap().into_inner(), once);
    let detach = pb::BatchDetachExportsRequest { parent: acme(), names: names.clone(), request_id: id(12) };
    let once = client.exports.batch_detach_exports(detach.clone()).await.unwrap().into_inner();
    assert_eq!(client.exports.batch_detach_exports(detach.clone()).await.unwrap().into_inner(), once);
    let attach = pb::BatchAttachExportsRequest { parent: acme(), names: names.clone(), connection, request_id: id(13) };
    let once = client.exports.batch_attach_exports(attach.clone()).await.unwrap().into_inner();
    assert_eq!(client.exports.batch_attach_exports(attach).await.unwrap().into_inner(), once);
    let still = client.exports.batch_detach_exports(detach).await.unwrap().into_inner();
    assert_eq!(still.exports, once.exports, "a repeat that comes late undoes nothing");
    let schedules = pb::BatchUpdateSchedulesRequest {
        parent: acme(),
        names,
        mode: Mode::OverrideAll.into(),
        schedule: with_refresh(),
        request_id: id(14),
        ..Default::default()
    };
    let once = client.exports.batch_update_schedules(schedules.clone()).await.unwrap().into_inner();
    assert_eq!(client.exports.batch_update_schedules(schedules.clone()).await.unwrap().into_inner(), once);
    let other = pb::BatchUpdateSchedulesRequest { schedule: off(), ..schedules };
    let reused = client.exports.batch_update_schedules(other).await.unwrap_err();
    assert_eq!(reason(&reused), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
}
