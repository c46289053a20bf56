//! Accounts that are shared: by runs, by tenants, and by questions. The simulator's journal is the judge.

use super::access::{caller_in, create_in, ended, make_export, make_tenant, reason, start, to_host};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, Order, RetryAfter, SimConfig};
use ferry_testkit::{Client, HOST, LIST, Stage, StageOptions, TENANT, canary, eventually};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use tonic::Code;
use tonic_types::StatusExt;

const SOON: Duration = Duration::from_secs(90);
/// Batches of one run.
const BATCHES: usize = 20;
const PEOPLE: usize = BATCHES * 250;
const OTHER_LIST: u32 = 4;

/// The same people, with names that tell the source.
fn people(source: &str, numbers: impl Iterator<Item = usize>) -> String {
    canary::csv(
        numbers.map(|number| format!("{},{}\n", canary::email(number), canary::name(format!("{number} {source}")))),
    )
}

/// A stage whose account works off its batches in any order.
async fn shuffled() -> Stage {
    Stage::with_sim(StageOptions { time_scale: 20.0 }, |config| {
        config.options.order = Order::Shuffled;
        let account = config.accounts.remove(0).with_list(OTHER_LIST, "Other");
        config.accounts.insert(0, account);
    })
    .await
}

/// Runs a segment to a list.
async fn run(stage: &Stage, id: &str, segment: &str, list: u32) -> pb::Run {
    let mut export = stage.export("newsletter", segment);
    let settings = pb::ActiveCampaignExport { list_id: list.to_string(), exclude_automations: None };
    let settings = pb::export_settings::Settings::Activecampaign(settings);
    export.settings = Some(pb::ExportSettings { settings: Some(settings) });
    let export = stage.create_export(id, export).await;
    stage.run(&export.name).await
}

async fn succeeded(stage: &Stage, run: &pb::Run, confirmed: usize) {
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!(ended.state(), State::Succeeded, "{:?}", ended.error);
    assert_eq!(ended.counts.unwrap().confirmed, i64::try_from(confirmed).unwrap());
}

/// Names by address of each batch that was queued, in that order.
fn batches(stage: &Stage) -> Vec<HashMap<String, String>> {
    let text = std::fs::read_to_string(stage.path("journal.jsonl")).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let records = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let contacts = records.filter_map(|record| record["request"]["import"]["contacts"].as_array().cloned());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    contacts.map(|all| all.iter().map(|one| (text(&one["e"]), text(&one["f"]))).collect()).collect()
}

/// Whether some batch of the one came before, and some after, a batch of the other.
fn met(batches: &[HashMap<String, String>], source: &str) -> bool {
    let of_source: Vec<bool> = batches.iter().map(|batch| batch.values().any(|name| name.ends_with(source))).collect();
    let (first, last) = (of_source.iter().position(|is| *is), of_source.iter().rposition(|is| *is));
    let (first, last) = (first.unwrap(), last.unwrap());
    of_source[first..=last].iter().any(|is| !is)
}

#[tokio::test]
async fn the_last_value_that_was_sent_is_the_one_that_stays() {
    let stage = shuffled().await;
    // The one must still be sending when the first of it are settled and the other may begin.
    let count = 3 * PEOPLE;
    stage.segment("one", "csv", people("one", 0..count).as_bytes());
    stage.segment("other", "csv", people("other", (0..count).rev()).as_bytes());
    stage.create_connection("newsletter").await;
    let (one, other) = (run(&stage, "first", "one", LIST).await, run(&stage, "other", "other", LIST).await);
    succeeded(&stage, &one, count).await;
    succeeded(&stage, &other, count).await;
    let report = stage.sim.report();
    assert_eq!((report.overlapping_contacts, report.windows_exceeded), (0, 0));
    let batches = batches(&stage);
    assert_eq!(batches.len(), 2 * 3 * BATCHES);
    assert!(met(&batches, "one") && met(&batches, "other"), "the two were sent one after the other");
    let mut last = HashMap::new();
    batches.into_iter().for_each(|batch| last.extend(batch));
    let stays: HashMap<String, String> =
        stage.sim.contacts(HOST, LIST).into_iter().map(|contact| (contact.email, contact.first_name)).collect();
    let differ = last.iter().filter(|(email, name)| stays.get(*email).is_none_or(|stays| stays != *name)).count();
    assert_eq!(differ, 0, "an earlier value was applied after a later one");
}

#[tokio::test]
async fn one_segment_to_two_lists_of_an_account_gets_there_on_both() {
    let stage = shuffled().await;
    stage.segment("people", "csv", people("people", 0..PEOPLE).as_bytes());
    stage.create_connection("newsletter").await;
    let (one, other) = (run(&stage, "first", "people", LIST).await, run(&stage, "other", "people", OTHER_LIST).await);
    succeeded(&stage, &one, PEOPLE).await;
    succeeded(&stage, &other, PEOPLE).await;
    let report = stage.sim.report();
    assert_eq!((report.overlapping_contacts, report.extra_deliveries, report.windows_exceeded), (0, 0, 0));
    let on_list = |list| stage.sim.contacts(HOST, list).len();
    assert_eq!((on_list(LIST), on_list(OTHER_LIST)), (PEOPLE, PEOPLE));
}

/// Somebody else's tenant with a connection to the same account.
async fn neighbour(stage: &Stage, csv: &str) -> (Client, pb::Export) {
    make_tenant(stage, "globex", csv).await;
    let mut client = caller_in(stage, "globex", "boss", "administrator").await;
    create_in(&mut client, "globex", to_host(stage, HOST), true).await.unwrap();
    let export = make_export(stage, &mut client, "globex").await;
    (client, export)
}

#[tokio::test]
async fn a_person_of_two_tenants_is_one_person_of_the_account() {
    let stage = shuffled().await;
    stage.segment("people", "csv", people("ours", 0..PEOPLE).as_bytes());
    stage.create_connection("newsletter").await;
    let theirs = people("theirs", 0..PEOPLE).replace("@example.com", "@EXAMPLE.com");
    let (mut client, export) = neighbour(&stage, &theirs).await;
    let ours = run(&stage, "ours", "people", LIST).await;
    let theirs = start(&mut client, &export.name).await.unwrap();
    succeeded(&stage, &ours, PEOPLE).await;
    assert_eq!(ended(&client, &theirs.name).await.state(), State::Succeeded);
    assert_eq!(stage.sim.report().overlapping_contacts, 0);
}

/// `kill -9` while all of one run waits for its results, and all of another for the people of the first.
#[tokio::test]
async fn who_was_on_the_way_at_a_crash_is_on_the_way_after_it() {
    let mut stage = Stage::with_sim(StageOptions { time_scale: 20.0 }, |config: &mut SimConfig| {
        config.options.batch_latency_s = 60.0;
    })
    .await;
    stage.segment("one", "csv", people("one", 0..PEOPLE).as_bytes());
    stage.segment("other", "csv", people("other", 0..PEOPLE).as_bytes());
    stage.create_connection("newsletter").await;
    let one = run(&stage, "first", "one", LIST).await;
    eventually(SOON, || async {
        let run = stage.get_run(&one.name).await;
        if run.phase() == pb::run::Phase::Settling { Ok(()) } else { Err(run.phase()) }
    })
    .await;
    let other = run(&stage, "other", "other", LIST).await;
    eventually(SOON, || async {
        let run = stage.get_run(&other.name).await;
        if run.phase() == pb::run::Phase::Sending { Ok(()) } else { Err(run.phase()) }
    })
    .await;
    assert_eq!(stage.sim.report().batches_completed, 0, "the first is settled already");
    stage.kill();
    stage.start().await;
    succeeded(&stage, &one, PEOPLE).await;
    succeeded(&stage, &other, PEOPLE).await;
    let report = stage.sim.report();
    assert_eq!((report.overlapping_contacts, report.extra_deliveries), (0, PEOPLE as u64), "each went once a run");
}

/// One tenant has many batches waiting, another comes to the same account.
#[tokio::test]
async fn who_comes_later_does_not_wait_for_who_has_more() {
    let stage = Stage::with(StageOptions { time_scale: 2.0 }).await;
    stage.segment("people", "csv", people("ours", 0..PEOPLE).as_bytes());
    stage.create_connection("newsletter").await;
    let (mut client, export) = neighbour(&stage, &people("theirs", PEOPLE..PEOPLE + 1_000)).await;
    run(&stage, "ours", "people", LIST).await;
    eventually(SOON, || async {
        let seen = stage.sim.report().batches_accepted;
        if seen >= 2 { Ok(()) } else { Err(seen) }
    })
    .await;
    let theirs = start(&mut client, &export.name).await.unwrap();
    eventually(SOON, || {
        let mut client = client.clone();
        let name = theirs.name.clone();
        async move {
            let run = client.runs.get_run(pb::GetRunRequest { name }).await.unwrap().into_inner().run.unwrap();
            if run.phase() == pb::run::Phase::Sending { Ok(()) } else { Err(run.phase()) }
        }
    })
    .await;
    let before = batches(&stage).len();
    assert!(before < BATCHES / 2, "too late to tell");
    assert_eq!(ended(&client, &theirs.name).await.state(), State::Succeeded);
    let is_theirs: Vec<bool> =
        batches(&stage).iter().map(|batch| batch.values().any(|name| name.ends_with("theirs"))).collect();
    let first = is_theirs.iter().position(|is| *is).unwrap();
    assert!(first <= before + 3, "{first} after {before}");
    let turns = &is_theirs[first..first + 7];
    assert_eq!(turns, [true, false, true, false, true, false, true], "{is_theirs:?}");
}

#[tokio::test]
async fn questions_count_for_the_limits_like_the_requests_of_runs() {
    let stage = Stage::with(StageOptions { time_scale: 20.0 }).await;
    stage.segment("people", "csv", people("people", 0..PEOPLE).as_bytes());
    let connection = stage.create_connection("newsletter").await;
    let sending = run(&stage, "weekly", "people", LIST).await;
    let client = stage.client("administrator").await;
    for _ in 0..4 {
        let questions: Vec<_> = (0..5)
            .map(|_| {
                let (mut client, name) = (client.clone(), connection.name.clone());
                tokio::spawn(async move {
                    let request = pb::VerifyConnectionRequest { name };
                    client.connections.verify_connection(request).await.unwrap().into_inner().outcome
                })
            })
            .collect();
        for question in questions {
            assert_eq!(question.await.unwrap(), "OK");
        }
    }
    succeeded(&stage, &sending, PEOPLE).await;
    let report = stage.sim.report();
    assert!(report.requests["other"] >= 20);
    assert_eq!((report.windows_exceeded, report.rate_limited_429), (0, 0));
    assert!(report.largest_second <= 5, "{}", report.largest_second);
}

#[tokio::test]
async fn a_question_is_told_to_come_back_while_the_destination_wants_to_be_left_alone() {
    let mut stage = Stage::with(StageOptions { time_scale: 1.0 }).await;
    stage.segment("people", "csv", people("people", 0..3).as_bytes());
    let connection = stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    stage.sim.faults().add(FaultRule::once(FaultKind::RateLimit429 { retry_after: RetryAfter::Seconds(600) }));
    let mut client = stage.client("administrator").await;
    let verify = pb::VerifyConnectionRequest { name: connection.name.clone() };
    let asked = client.connections.verify_connection(verify.clone()).await.unwrap().into_inner();
    assert_eq!(asked.outcome, "DESTINATION_RATE_LIMITED");
    for restarted in [false, true] {
        if restarted {
            stage.kill();
            stage.start().await;
        }
        let mut client = stage.client("administrator").await;
        let create = pb::CreateConnectionRequest {
            parent: format!("tenants/{TENANT}"),
            connection_id: "second".to_owned(),
            connection: Some(stage.connection()),
            ..Default::default()
        };
        let validate = pb::ValidateExportRequest { name: export.name.clone() };
        let refused = [
            client.connections.verify_connection(verify.clone()).await.unwrap_err(),
            client.connections.create_connection(create).await.unwrap_err(),
            client.exports.validate_export(validate).await.unwrap_err(),
        ];
        for status in refused {
            assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "DESTINATION_RATE_LIMITED"));
            let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
            assert!(wait > Duration::from_secs(500), "{wait:?}");
        }
    }
    let report = stage.sim.report();
    assert_eq!((report.requests["other"], report.before_retry_after), (1, 0));
}

#[tokio::test]
async fn a_run_that_waits_as_the_destination_asked_can_be_cancelled() {
    let stage = Stage::with(StageOptions { time_scale: 1.0 }).await;
    stage.sim.faults().add(FaultRule::once(FaultKind::RateLimit429 { retry_after: RetryAfter::Seconds(600) }));
    stage.segment("people", "csv", people("people", 0..3).as_bytes());
    stage.create_connection("newsletter").await;
    let waiting = run(&stage, "weekly", "people", LIST).await;
    eventually(SOON, || async {
        let seen = stage.sim.report().rate_limited_429;
        if seen == 1 { Ok(()) } else { Err(seen) }
    })
    .await;
    let request = pb::CancelRunRequest { name: waiting.name.clone(), ..Default::default() };
    stage.client("administrator").await.runs.cancel_run(request).await.unwrap();
    assert_eq!(stage.ended(&waiting.name, SOON).await.state(), State::Cancelled);
    assert_eq!(stage.sim.report().before_retry_after, 0);
}

#[tokio::test]
async fn a_run_that_is_to_wait_for_more_than_an_hour_is_set_aside_and_goes_on_by_itself() {
    let stage = Stage::with(StageOptions { time_scale: 1_000.0 }).await;
    let long = FaultKind::RateLimit429 { retry_after: RetryAfter::Seconds(4_000) };
    stage.sim.faults().add(FaultRule::once(long).on(Endpoint::Import));
    let run = stage.run_csv(&people("people", 0..3)).await;
    assert_eq!(run.state(), State::Succeeded, "{:?}", run.error);
    assert_eq!(stage.sim.report().before_retry_after, 0);
}

#[tokio::test]
async fn imports_of_one_contact_keep_to_twenty_a_minute() {
    let stage = Stage::with(StageOptions { time_scale: 20.0 }).await;
    stage.create_connection("newsletter").await;
    let ids: Vec<String> = (0..24).map(|number| format!("person-{number}")).collect();
    for (number, id) in ids.iter().enumerate() {
        stage.segment(id, "csv", people("people", number..number + 1).as_bytes());
    }
    let mut runs = Vec::new();
    for id in &ids {
        runs.push(run(&stage, id, id, LIST).await);
    }
    for run in &runs {
        succeeded(&stage, run, 1).await;
    }
    let report = stage.sim.report();
    assert_eq!((report.requests["import_one"], report.windows_exceeded, report.rate_limited_400), (24, 0, 0));
    assert!(report.largest_minute_import_one <= 20, "{}", report.largest_minute_import_one);
}
