//! Runs to their end, on good days and bad ones. The simulator's record is the judge.

use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, ForbiddenShape, RetryAfter, When};
use ferry_testkit::canary::people;
use ferry_testkit::{HOST, LIST, Stage, StageOptions, TENANT, adds_up, canary, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn counts(run: &pb::Run) -> pb::RunCounts {
    let counts = run.counts.unwrap();
    assert!(adds_up(&counts), "{counts:?}");
    counts
}

fn error(run: &pb::Run) -> (String, &'static str) {
    let error = run.error.clone().unwrap_or_default();
    (error.reason.clone(), error.culprit().as_str_name())
}

/// Imports that the simulator saw, whatever it answered.
fn imports(stage: &Stage) -> u64 {
    let requests = stage.sim.report().requests;
    ["import_many", "import_one"].iter().filter_map(|class| requests.get(*class)).sum()
}

/// The next import meets it.
fn once(kind: FaultKind) -> FaultRule {
    FaultRule::once(kind).on(Endpoint::Import)
}

#[tokio::test]
async fn every_member_is_accounted_for() {
    let stage = Stage::new().await;
    let mut csv = people(600);
    let (twin, broken) = (canary::email(1).to_uppercase(), canary::name("broken"));
    csv += &format!("{twin},Twin\n,{broken}\n{broken},{broken}\n{broken}\n");
    csv += &canary::row("excluded");
    let run = stage.run_csv(&csv).await;
    assert_eq!(run.state(), State::Succeeded);
    let counts = counts(&run);
    assert_eq!((counts.members, counts.rejected, counts.twins), (605, 3, 1));
    assert_eq!((counts.confirmed, counts.refused), (600, 1), "one is on the account's exclusion list");
    assert_eq!((run.batches_total, run.batches_settled), (3, 3));
    let report = stage.sim.report();
    assert_eq!((report.contacts_confirmed, report.windows_exceeded, report.extra_deliveries), (600, 0, 0));
    let mut client = stage.client("administrator").await;
    let request = pb::ListRejectedProfilesRequest { name: run.name.clone(), page_size: 3, ..Default::default() };
    let first = client.runs.list_rejected_profiles(request.clone()).await.unwrap().into_inner();
    let rest = pb::ListRejectedProfilesRequest { page_token: first.next_page_token, ..request };
    let second = client.runs.list_rejected_profiles(rest).await.unwrap().into_inner();
    let rows: Vec<(Option<i64>, String)> =
        first.rejected_profiles.into_iter().chain(second.rejected_profiles).map(|row| (row.line, row.reason)).collect();
    let expected = [
        (Some(603), "EMAIL_MISSING"),
        (Some(604), "EMAIL_MALFORMED"),
        (Some(605), "ROW_RAGGED"),
        (None, "DESTINATION_REASON_NOT_GIVEN"),
    ];
    let mut sorted = rows.clone();
    sorted.sort_by_key(|(line, _)| line.unwrap_or(i64::MAX));
    assert_eq!(sorted, expected.map(|(line, reason)| (line, reason.to_owned())));
}

#[tokio::test]
async fn a_second_run_meanwhile_is_refused_and_names_the_first() {
    use tonic_types::StatusExt;
    let stage = Stage::with(StageOptions { time_scale: 10.0 }).await;
    stage.segment("people", "csv", people(600).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let first = stage.run(&export.name).await;
    let mut client = stage.client("administrator").await;
    let request = pb::RunExportRequest { name: export.name, ..Default::default() };
    let status = client.exports.run_export(request).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "RUN_IN_PROGRESS");
    assert_eq!(status.get_details_resource_info().unwrap().resource_name, first.name);
}

#[tokio::test]
async fn r04_a_cancelled_run_sends_nothing_more_and_reports_what_went() {
    let stage = Stage::with(StageOptions { time_scale: 20.0 }).await;
    stage.segment("people", "csv", people(50_000).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    eventually(SOON, || async {
        let seen = stage.sim.report().batches_accepted;
        if seen >= 5 { Ok(()) } else { Err(seen) }
    })
    .await;
    let mut client = stage.client("administrator").await;
    let request = pb::CancelRunRequest { name: run.name.clone(), ..Default::default() };
    client.runs.cancel_run(request.clone()).await.unwrap();
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!(ended.state(), State::Cancelled);
    let counts = counts(&ended);
    let accepted = stage.sim.report().contacts_accepted;
    assert_eq!((counts.confirmed + counts.unknown).cast_unsigned(), accepted);
    assert!(counts.not_sent > 0);
    let again = client.runs.cancel_run(request).await.unwrap().into_inner().run.unwrap();
    assert_eq!(again.state(), State::Cancelled, "cancelling twice is once");
}

/// A bound that Ferry promises. What was sent is still asked about, but no import comes.
#[tokio::test]
async fn r04_no_import_arrives_more_than_a_second_after_a_cancel_was_answered() {
    let stage = Stage::with(StageOptions { time_scale: 10.0 }).await;
    stage.segment("people", "csv", people(50_000).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    eventually(SOON, || async { if imports(&stage) >= 5 { Ok(()) } else { Err(imports(&stage)) } }).await;
    let mut client = stage.client("administrator").await;
    client.runs.cancel_run(pb::CancelRunRequest { name: run.name.clone(), ..Default::default() }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let arrived = imports(&stage);
    let ended = stage.ended(&run.name, SOON).await;
    // Without the cancel 200 imports would take twelve seconds, so that some are left to come by now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((ended.state(), imports(&stage)), (State::Cancelled, arrived));
    assert!(counts(&ended).not_sent > 0 && arrived < 200, "{arrived} imports");
}

#[tokio::test]
async fn a_dry_run_counts_and_sends_nothing() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(300).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let mut client = stage.client("administrator").await;
    let request = pb::PlanExportRequest { name: export.name.clone(), ..Default::default() };
    let run = client.exports.plan_export(request).await.unwrap().into_inner().run.unwrap();
    let ended = stage.ended(&run.name, SOON).await;
    assert!(ended.dry_run && ended.state() == State::Succeeded);
    assert_eq!(counts(&ended).not_sent, 300);
    assert_eq!(imports(&stage), 0);
    let export = client.exports.get_export(pb::GetExportRequest { name: export.name }).await.unwrap().into_inner();
    assert_eq!(export.export.unwrap().latest_run, "");
}

#[tokio::test]
async fn an_empty_segment_succeeds_with_a_warning() {
    let stage = Stage::new().await;
    let run = stage.run_csv("email,first_name\n").await;
    assert_eq!((run.state(), run.warnings.len()), (State::Succeeded, 1));
    assert_eq!(counts(&run).members, 0);
    assert_eq!(imports(&stage), 0);
}

#[tokio::test]
async fn a_broken_csv_is_a_failed_run_with_a_clear_error() {
    let stage = Stage::new().await;
    let mut csv = people(3);
    csv += &format!("\"{}", canary::email("never closed"));
    csv += &"x".repeat(3 * 1024 * 1024);
    let run = stage.run_csv(&csv).await;
    assert_eq!(run.state(), State::Failed);
    assert_eq!(error(&run), ("SEGMENT_UNREADABLE".to_owned(), "CULPRIT_USER"));
    let text = run.error.clone().unwrap().status.unwrap().message;
    assert!(text.contains("`people`") && text.contains("never closed"), "{text}");
    assert_eq!(imports(&stage), 0);
}

#[tokio::test]
async fn a_column_that_went_missing_is_a_failed_run() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let changed = stage.path("segments").join(TENANT).join("people");
    std::fs::write(changed, format!("mail,first_name\n{}", canary::row("a"))).unwrap();
    let run = stage.run(&export.name).await;
    let run = stage.ended(&run.name, SOON).await;
    assert_eq!(error(&run), ("COLUMN_NOT_FOUND".to_owned(), "CULPRIT_USER"));
    assert_eq!(imports(&stage), 0);
}

#[tokio::test]
async fn a_wrong_list_is_a_failed_run_before_anything_is_sent() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3).as_bytes());
    stage.create_connection("newsletter").await;
    let mut export = stage.export("newsletter", "people");
    let settings = pb::ActiveCampaignExport { list_id: "99".to_owned(), exclude_automations: None };
    export.settings =
        Some(pb::ExportSettings { settings: Some(pb::export_settings::Settings::Activecampaign(settings)) });
    let export = stage.create_export("weekly", export).await;
    let run = stage.run(&export.name).await;
    let run = stage.ended(&run.name, SOON).await;
    assert_eq!(error(&run), ("LIST_NOT_FOUND".to_owned(), "CULPRIT_USER"));
    assert_eq!(imports(&stage), 0);
}

#[tokio::test]
async fn a_wrong_key_is_a_failed_run() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3).as_bytes());
    stage.create_connection("newsletter").await;
    let refused = FaultRule::once(FaultKind::Forbidden { shape: ForbiddenShape::Empty }).when(When::Always);
    stage.sim.faults().add(refused);
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    let run = stage.ended(&run.name, SOON).await;
    assert_eq!(error(&run), ("CREDENTIALS_REFUSED".to_owned(), "CULPRIT_USER"));
    let mut client = stage.client("administrator").await;
    let get = pb::GetConnectionRequest { name: format!("tenants/{TENANT}/connections/newsletter") };
    let connection = client.connections.get_connection(get).await.unwrap().into_inner().connection.unwrap();
    assert_eq!(connection.state(), pb::connection::State::NeedsAttention);
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_a_failed_run() {
    let mut stage = Stage::with(StageOptions { time_scale: 1_000.0 }).await;
    stage.segment("people", "csv", people(3).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    stage.unplug().await;
    let run = stage.run(&export.name).await;
    let run = stage.ended(&run.name, SOON).await;
    assert_eq!(run.state(), State::Failed);
    assert_eq!(error(&run), ("HOST_UNREACHABLE".to_owned(), "CULPRIT_DESTINATION"));
    assert_eq!(counts(&run).confirmed, 0);
}

#[tokio::test]
async fn e17_one_profile_too_many_skips_the_run_and_sends_nothing() {
    let stage = Stage::new().await;
    stage.segment_written("people", "csv", |path| {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        std::io::Write::write_all(&mut file, b"email,first_name\n").unwrap();
        for number in 0..1_000_001 {
            std::io::Write::write_all(&mut file, format!("{},\n", canary::email(number)).as_bytes()).unwrap();
        }
    });
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    let run = stage.ended(&run.name, Duration::from_secs(240)).await;
    assert_eq!(run.state(), State::Skipped);
    assert_eq!(error(&run), ("TOO_MANY_PROFILES".to_owned(), "CULPRIT_USER"));
    counts(&run);
    assert_eq!(imports(&stage), 0);
}

/// Faults that come and go: nobody is lost, and nobody is marked as what they are not.
#[tokio::test]
async fn passing_faults_lose_nobody() {
    let faults = [
        FaultKind::RateLimit429 { retry_after: RetryAfter::Seconds(2) },
        FaultKind::RateLimit429 { retry_after: RetryAfter::Missing },
        FaultKind::RateLimit400,
        FaultKind::ServerError,
        FaultKind::BadGateway,
        FaultKind::GatewayTimeoutAfterwards,
        FaultKind::ResetAfterwards,
        FaultKind::DropBefore,
        FaultKind::InvalidJson,
        FaultKind::MissingBatchId,
        FaultKind::SuccessCapital,
        FaultKind::HtmlPage,
        FaultKind::Forbidden { shape: ForbiddenShape::Empty },
        FaultKind::BatchFailed,
        FaultKind::BatchInterrupted,
    ];
    for kind in faults {
        let stage = Stage::new().await;
        stage.sim.faults().add(once(kind.clone()));
        let run = stage.run_csv(&people(1_200)).await;
        assert_eq!(run.state(), State::Succeeded, "{kind:?}: {:?}", run.error);
        assert_eq!(counts(&run).confirmed, 1_200, "{kind:?}");
        let report = stage.sim.report();
        assert_eq!((report.contacts_confirmed, report.windows_exceeded), (1_200, 0), "{kind:?}");
        assert!(report.extra_deliveries <= 250, "{kind:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_a_repeat() {
    let stage = Stage::new().await;
    stage.sim.faults().add(once(FaultKind::NeverAnswer));
    let run = stage.run_csv(&people(500)).await;
    assert_eq!((run.state(), counts(&run).confirmed), (State::Succeeded, 500));
    assert_eq!(stage.sim.report().extra_deliveries, 250);
}

#[tokio::test]
async fn who_opted_out_is_never_subscribed_again() {
    let stage = Stage::new().await;
    let run = stage.run_csv(&(people(19) + &canary::row("Opted.Out"))).await;
    assert_eq!((counts(&run).confirmed, counts(&run).refused), (19, 1));
    let on_list = stage.sim.contacts(HOST, LIST);
    assert!(!on_list.iter().any(|contact| contact.email.eq_ignore_ascii_case(&canary::email("opted.out"))));
}

#[tokio::test]
async fn segments_in_every_format_arrive() {
    let stage = Stage::new().await;
    let (a, b) = (canary::email("a"), canary::email("b"));
    let lines = format!("{{\"email\":\"{a}\",\"first_name\":\"Ada\"}}\n{{{b}\n");
    stage.segment("lines", "jsonl", lines.as_bytes());
    stage.segment_written("columns", "parquet", |path| {
        use arrow_array::{ArrayRef, RecordBatch, StringArray};
        let email: ArrayRef = std::sync::Arc::new(StringArray::from(vec![b, a.to_uppercase()]));
        let name: ArrayRef = std::sync::Arc::new(StringArray::from(vec![Some("Bob"), None]));
        let batch = RecordBatch::try_from_iter([("email", email), ("first_name", name)]).unwrap();
        let file = std::fs::File::create(path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    });
    stage.create_connection("newsletter").await;
    let mut export = stage.export("newsletter", "lines");
    export.segments.push(format!("tenants/{TENANT}/segments/columns"));
    let export = stage.create_export("weekly", export).await;
    let run = stage.run(&export.name).await;
    let run = stage.ended(&run.name, SOON).await;
    let counts = counts(&run);
    assert_eq!((counts.members, counts.rejected, counts.twins, counts.confirmed), (4, 1, 1, 2));
    let mut names: Vec<String> = stage.sim.contacts(HOST, LIST).into_iter().map(|contact| contact.first_name).collect();
    names.sort();
    assert_eq!(names, ["Ada", "Bob"]);
}

/// `kill -9` in the middle, three times: the same end, and no more repeats than requests were on their way.
#[tokio::test]
async fn a_killed_run_goes_on_where_it_stopped() {
    let mut stage = Stage::with(StageOptions { time_scale: 60.0 }).await;
    stage.segment("people", "csv", people(10_000).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    for goal in [5, 15, 25] {
        eventually(SOON, || async {
            let seen = stage.sim.report().batches_accepted;
            if seen >= goal { Ok(()) } else { Err(seen) }
        })
        .await;
        stage.kill();
        stage.start().await;
    }
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!((ended.state(), counts(&ended).confirmed), (State::Succeeded, 10_000));
    let report = stage.sim.report();
    assert_eq!((report.contacts_confirmed, report.windows_exceeded), (10_000, 0));
    assert!(report.extra_deliveries <= 3 * 1_000, "{} sent twice", report.extra_deliveries);
}

/// `kill -9` between a cancel and the end of what was sent: the next process settles it and ends the run.
#[tokio::test]
async fn a_cancelled_run_that_was_killed_before_it_settled_ends_all_the_same() {
    let mut stage = Stage::with(StageOptions { time_scale: 2.0 }).await;
    stage.segment("people", "csv", people(250).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    eventually(SOON, || async {
        let counts = stage.get_run(&run.name).await.counts.unwrap_or_default();
        if counts.queued > 0 { Ok(()) } else { Err(counts) }
    })
    .await;
    let mut administrator = stage.client("administrator").await;
    let cancel = pb::CancelRunRequest { name: run.name.clone(), ..Default::default() };
    let asked = administrator.runs.cancel_run(cancel).await.unwrap().into_inner().run.unwrap();
    assert_eq!(asked.state(), State::Cancelling, "what was sent is not settled yet");
    stage.kill();
    stage.start().await;
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!(ended.state(), State::Cancelled);
    assert_eq!(counts(&ended).confirmed, 250);
}
