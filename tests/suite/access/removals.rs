//! Connections that go: the rows C17 to C19 and D5 of the feature table, and what is left afterwards (S9, R12).

use super::{
    cause, clock, counts, create, ended, export, journal, keys, make_export, people, reason, start, to_host, verify,
};
use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, ForbiddenShape, When};
use ferry_testkit::judge::number_on_record;
use ferry_testkit::{Client, HOST, OTHER_HOST, Stage, StageOptions, TENANT, eventually};
use std::time::{Duration, Instant};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What Ferry promises: the answer of a removal is there within a second. A debug build that logs everything, beside
/// other tests, has less of the machine.
const IN_TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 3 } else { 1 });
/// By then every run of a removed connection has come to an end.
const SECONDS: Duration = Duration::from_secs(10);
const REQUEST: &str = "0c5d2b3e-7a52-4f0e-9f53-2b1d2b9f4c11";

async fn remove(client: &mut Client, name: &str, force: bool) -> Result<pb::RemovalReceipt, Status> {
    let request = pb::DeleteConnectionRequest { name: name.to_owned(), force, ..Default::default() };
    Ok(client.connections.delete_connection(request).await?.into_inner().receipt.unwrap())
}

/// Removes a connection and tells when the answer was there, as the journal counts.
async fn remove_in_time(client: &mut Client, name: &str) -> (pb::RemovalReceipt, f64) {
    let begun = Instant::now();
    let receipt = remove(client, name, true).await.unwrap();
    let (took, at) = (begun.elapsed(), clock());
    assert!(took <= IN_TIME, "the answer took {took:?}");
    (receipt, at)
}

async fn delete_export(client: &mut Client, name: &str) {
    let request = pb::DeleteExportRequest { name: name.to_owned(), ..Default::default() };
    client.exports.delete_export(request).await.unwrap();
}

async fn exports_on(client: &mut Client, connection: &str) -> Vec<String> {
    let request = pb::ListExportsRequest {
        parent: format!("tenants/{TENANT}"),
        filter: format!("connection = \"{connection}\""),
        ..Default::default()
    };
    let listed = client.exports.list_exports(request).await.unwrap().into_inner();
    listed.exports.into_iter().map(|export| export.name).collect()
}

/// Waits until an account has been sent so many imports.
async fn imports_of(stage: &Stage, account: &str, most: usize) {
    eventually(super::SOON, || async {
        let seen = journal(stage).iter().filter(|asked| asked.is_import && asked.account == account).count();
        if seen >= most { Ok(()) } else { Err(seen) }
    })
    .await;
}

/// Waits for the end of a run of a removed connection, and holds its account against its batches on record.
async fn ended_by_removal(stage: &Stage, client: &Client, name: &str) -> pb::RunCounts {
    let begun = Instant::now();
    let run = ended(client, name).await;
    assert!(begun.elapsed() <= SECONDS, "it ended after {:?}", begun.elapsed());
    assert_eq!((run.state(), cause(&run)), (State::Cancelled, "CONNECTION_REMOVED"));
    let counts = counts(&run);
    let id = name.rsplit('/').next().unwrap();
    let sum = |what: &str, which: &str| format!("SELECT SUM({what}) FROM batches WHERE run = '{id}' AND {which}");
    let open = "state IN ('queued', 'intended', 'unknown') OR (state = 'due' AND may_have_arrived)";
    let on_record = [
        number_on_record(stage, &sum("confirmed", "state = 'settled'")).await,
        number_on_record(stage, &sum("rows", &format!("({open})"))).await,
    ];
    assert_eq!([counts.confirmed, counts.unknown], on_record, "{counts:?}");
    counts
}

/// Gives a detached export another connection, as AttachExport will.
async fn attach(stage: &mut Stage, export: &str, connection: &str) {
    use sea_orm::{ConnectionTrait, Database};
    assert_eq!(stage.stop().await.unwrap(), Some(0));
    let path = stage.path("data/ferry.db").display().to_string();
    let database = Database::connect(format!("sqlite://{path}?mode=rw")).await.unwrap();
    let id = export.rsplit('/').next().unwrap();
    let connection = connection.rsplit('/').next().unwrap();
    let statement = format!("UPDATE exports SET connection = '{connection}', version = version + 1 WHERE id = '{id}'");
    database.execute_unprepared(&statement).await.unwrap();
    database.close().await.unwrap();
    stage.start().await;
}

#[tokio::test]
async fn c17_a_list_by_connection_returns_exactly_its_exports() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3, "example.com").as_bytes());
    let (first, second) = (stage.create_connection("first").await.name, stage.create_connection("second").await.name);
    let mut made = Vec::new();
    for (id, on) in [("daily", "first"), ("weekly", "second"), ("yearly", "first")] {
        made.push(stage.create_export(id, stage.export(on, "people")).await.name);
    }
    let mut client = stage.client("administrator").await;
    assert_eq!(exports_on(&mut client, &first).await, [made[0].clone(), made[2].clone()]);
    assert_eq!(exports_on(&mut client, &second).await, [made[1].clone()]);
    delete_export(&mut client, &made[0]).await;
    assert_eq!(exports_on(&mut client, &first).await, [made[2].clone()]);
    remove(&mut client, &first, true).await.unwrap();
    assert!(exports_on(&mut client, &first).await.is_empty(), "a detached one uses no connection");
    assert_eq!(exports_on(&mut client, &second).await, [made[1].clone()]);
}

#[tokio::test]
async fn c18_a_removal_names_every_export_in_its_way_and_goes_through_without_them() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3, "example.com").as_bytes());
    let connection = stage.create_connection("newsletter").await;
    let mut made = Vec::new();
    for id in ["daily", "weekly"] {
        made.push(stage.create_export(id, stage.export("newsletter", "people")).await.name);
    }
    let mut client = stage.client("administrator").await;
    let blocked = remove(&mut client, &connection.name, false).await.unwrap_err();
    assert_eq!((blocked.code(), reason(&blocked).as_str()), (Code::FailedPrecondition, "CONNECTION_IN_USE"));
    let violations = blocked.get_details_precondition_failure().unwrap().violations;
    let named: Vec<&str> = violations.iter().map(|violation| violation.subject.as_str()).collect();
    assert_eq!(named, [made[0].as_str(), made[1].as_str()]);
    delete_export(&mut client, &made[0]).await;
    let blocked = remove(&mut client, &connection.name, false).await.unwrap_err();
    assert_eq!(blocked.get_details_precondition_failure().unwrap().violations.len(), 1);
    delete_export(&mut client, &made[1]).await;
    let stale =
        pb::DeleteConnectionRequest { name: connection.name.clone(), etag: "\"99\"".to_owned(), ..Default::default() };
    assert_eq!(client.connections.delete_connection(stale).await.unwrap_err().code(), Code::Aborted);
    let receipt = remove(&mut client, &connection.name, false).await.unwrap();
    assert_eq!((receipt.connection.as_str(), receipt.keys_destroyed), (connection.name.as_str(), 2));
    assert!(receipt.detached_exports.is_empty() && receipt.stopped_runs.is_empty() && receipt.remove_time.is_some());
    assert_eq!(receipt.audit_entries.last(), Some(&receipt.covered_from));
    assert!(!keys(&stage).iter().any(|key| key.contains(&connection.uid)));
    let again = remove(&mut client, &connection.name, false).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    let told = format!("audit entry {}", receipt.covered_from);
    assert!(again.message().contains("was already removed, at 20") && again.message().contains(&told), "{again}");
}

#[tokio::test]
async fn c19_after_a_removal_nothing_is_sent_and_the_export_goes_on_elsewhere() {
    let mut stage = Stage::with(StageOptions { time_scale: 20.0 }).await;
    stage.segment("people", "csv", people(20_000, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let connection = create(&mut client, stage.connection()).await.unwrap();
    let before = make_export(&stage, &mut client, TENANT).await;
    let run = start(&mut client, &before.name).await.unwrap().name;
    imports_of(&stage, HOST, 8).await;
    let (receipt, answered) = remove_in_time(&mut client, &connection.name).await;
    assert_eq!((&receipt.detached_exports, &receipt.stopped_runs), (&vec![before.name.clone()], &vec![run.clone()]));
    let counted = ended_by_removal(&stage, &client, &run).await;
    assert!(counted.not_sent > 0 && counted.confirmed + counted.unknown > 0, "{counted:?}");
    let after = export(&mut client, &before.name).await;
    let settings = |export: &pb::Export| {
        (export.segments.clone(), export.settings.clone(), export.field_mappings.clone(), export.schedule.clone())
    };
    assert_eq!(settings(&after), settings(&before), "it keeps its settings");
    assert_eq!(after.connection, "");
    let refused = start(&mut client, &before.name).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "EXPORT_DETACHED"));
    assert!(!keys(&stage).iter().any(|key| key.contains(&connection.uid)), "its keys are there");
    let rejected = pb::ListRejectedProfilesRequest { name: run, ..Default::default() };
    let refused = client.runs.list_rejected_profiles(rejected).await.unwrap_err();
    assert!(refused.message().contains("was removed"), "{refused}");

    // The same id, another connection: what is known of the old one means nothing here.
    let other = create(&mut client, to_host(&stage, OTHER_HOST)).await.unwrap();
    assert_ne!(other.uid, connection.uid);
    attach(&mut stage, &before.name, &other.name).await;
    let mut client = stage.client("administrator").await;
    let run = super::run(&mut client, &before.name).await;
    assert_eq!((run.state(), counts(&run).confirmed), (State::Succeeded, 20_000), "everybody is sent there");
    let late: Vec<_> = journal(&stage).into_iter().filter(|a| a.account == HOST && a.at > answered).collect();
    assert!(late.is_empty(), "requests after the answer at {answered}: {late:?}");
}

/// Questions of callers are requests too, and wait for their turn before they are put.
#[tokio::test]
async fn d5_after_a_removal_no_question_is_put_to_the_destination() {
    let stage = Stage::with(StageOptions { time_scale: 1.0 }).await;
    let mut client = stage.client("administrator").await;
    let connection = create(&mut client, stage.connection()).await.unwrap();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (mut client, name) = (client.clone(), connection.name.clone());
        asking.spawn(async move {
            let request = pb::VerifyConnectionRequest { name };
            while client.connections.verify_connection(request.clone()).await.is_ok() {}
        });
    }
    eventually(super::SOON, || async {
        let seen = journal(&stage).len();
        if seen >= 6 { Ok(()) } else { Err(seen) }
    })
    .await;
    let (_, answered) = remove_in_time(&mut client, &connection.name).await;
    while asking.join_next().await.is_some() {}
    tokio::time::sleep(Duration::from_millis(500)).await;
    let late: Vec<_> = journal(&stage).into_iter().filter(|asked| asked.at > answered).collect();
    assert!(late.is_empty(), "questions after the answer at {answered}: {late:?}");
    let get = pb::GetConnectionRequest { name: connection.name };
    assert_eq!(client.connections.get_connection(get).await.unwrap_err().code(), Code::NotFound);
}

/// A request that was on its way is told of, and its answer is still recorded.
#[tokio::test]
async fn c19_a_request_on_its_way_is_counted_and_its_answer_is_recorded() {
    let stage = Stage::with(StageOptions { time_scale: 100.0 }).await;
    stage.segment("people", "csv", people(600, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let connection = create(&mut client, stage.connection()).await.unwrap();
    let weekly = make_export(&stage, &mut client, TENANT).await;
    stage.sim.faults().add(FaultRule::once(FaultKind::HoldAnswer).on(Endpoint::Import));
    let run = start(&mut client, &weekly.name).await.unwrap().name;
    let open = "SELECT COUNT(*) FROM attempts WHERE outcome IS NULL";
    eventually(super::SOON, || async {
        let held = number_on_record(&stage, "SELECT COUNT(*) FROM attempts WHERE outcome = 'queued'").await;
        if held == 2 && number_on_record(&stage, open).await == 1 { Ok(()) } else { Err(held) }
    })
    .await;
    let (receipt, _) = remove_in_time(&mut client, &connection.name).await;
    assert_eq!(receipt.requests_in_flight, 1);
    stage.sim.faults().clear();
    let counts = ended_by_removal(&stage, &client, &run).await;
    assert_eq!(number_on_record(&stage, open).await, 0, "its answer is on record");
    assert_eq!((counts.confirmed + counts.unknown, counts.not_sent), (600, 0));
}

/// Nobody carries such a run: what was sent is known from the record alone.
#[tokio::test]
async fn a_paused_run_of_a_removed_connection_ends_with_its_account() {
    let stage = Stage::with(StageOptions { time_scale: 20.0 }).await;
    stage.segment("people", "csv", people(5_000, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let connection = create(&mut client, stage.connection()).await.unwrap();
    let weekly = make_export(&stage, &mut client, TENANT).await;
    let run = start(&mut client, &weekly.name).await.unwrap().name;
    imports_of(&stage, HOST, 3).await;
    let refused = FaultRule::once(FaultKind::Forbidden { shape: ForbiddenShape::Empty }).when(When::Always);
    stage.sim.faults().add(refused);
    eventually(super::SOON, || async {
        let state = stage.get_run(&run).await.state();
        if state == State::Paused { Ok(()) } else { Err(state) }
    })
    .await;
    remove_in_time(&mut client, &connection.name).await;
    let counts = ended_by_removal(&stage, &client, &run).await;
    assert!(counts.unknown + counts.confirmed > 0 && counts.not_sent > 0, "{counts:?}");
    assert_eq!(verify_is_refused(&mut client, &connection.name).await, Code::NotFound);
}

async fn verify_is_refused(client: &mut Client, name: &str) -> Code {
    let request = pb::VerifyConnectionRequest { name: name.to_owned() };
    client.connections.verify_connection(request).await.unwrap_err().code()
}

/// Removes connections in the middle of runs at full rate, on two accounts in turn: while one is used again, the other
/// shows whether something comes late.
async fn removals_at_full_rate(times: usize) {
    let unlimited = |config: &mut ferry_sim::SimConfig| config.options = ferry_sim::Options::unlimited();
    let mut stage = Stage::with_sim(StageOptions { time_scale: 100.0 }, unlimited).await;
    stage.restart_and(&["--development-unlimited=32".to_owned()], &[]).await;
    // A run must be far from its end when it is seen to send.
    let many = if cfg!(debug_assertions) { 50_000 } else { 250_000 };
    stage.segment("people", "csv", people(many, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let mut quiet_since = [None::<f64>; 2];
    let (mut runs, mut slowest, mut in_flight) = (Vec::new(), Duration::ZERO, 0);
    for number in 0..times {
        let host = [HOST, OTHER_HOST][number % 2];
        let late = |since: f64, stage: &Stage| {
            let late = journal(stage).into_iter().filter(|asked| asked.account == host && asked.at > since);
            late.collect::<Vec<_>>()
        };
        if let Some(since) = quiet_since[number % 2] {
            let late = late(since, &stage);
            assert!(late.is_empty(), "removal {number}: requests after the answer at {since}: {late:?}");
        }
        // Not by the journal, which grows, and whose reading would take longer than a run.
        let before = stage.sim.report().batches_accepted;
        let id = format!("news-{number}");
        let request = pb::CreateConnectionRequest {
            parent: format!("tenants/{TENANT}"),
            connection_id: id.clone(),
            connection: Some(to_host(&stage, host)),
            skip_verification: true,
            ..Default::default()
        };
        let connection = client.connections.create_connection(request).await.unwrap().into_inner().connection.unwrap();
        let weekly = stage.create_export(&format!("weekly-{number}"), stage.export(&id, "people")).await;
        runs.push(start(&mut client, &weekly.name).await.unwrap().name);
        let some = before + 5 + number as u64 % 7;
        eventually(super::SOON, || async {
            let seen = stage.sim.report().batches_accepted;
            if seen >= some { Ok(()) } else { Err(seen) }
        })
        .await;
        let begun = Instant::now();
        let (receipt, answered) = remove_in_time(&mut client, &connection.name).await;
        slowest = slowest.max(begun.elapsed());
        in_flight += receipt.requests_in_flight;
        quiet_since[number % 2] = Some(answered);
    }
    for run in &runs {
        ended_by_removal(&stage, &client, run).await;
    }
    for (host, since) in [HOST, OTHER_HOST].into_iter().zip(quiet_since) {
        let since = since.unwrap();
        let late: Vec<_> = journal(&stage).into_iter().filter(|a| a.account == host && a.at > since).collect();
        assert!(late.is_empty(), "requests after the answer at {since}: {late:?}");
    }
    #[allow(clippy::print_stderr, reason = "the figures are of interest")]
    {
        eprintln!("{times} removals: the slowest answer after {slowest:?}, {in_flight} requests on their way");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_no_request_begins_after_the_answer_of_a_removal_at_full_rate() {
    removals_at_full_rate(5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_r12_a_hundred_removals_at_full_rate() {
    if ferry_testkit::asked() {
        // Ten times: the simulator's journal is read again and again, and grows.
        for _ in 0..10 {
            removals_at_full_rate(10).await;
        }
    }
}

/// Only those whom the export put there, by runs with outcomes of their own; then the key goes.
#[tokio::test]
async fn people_are_taken_off_before_the_connection_goes_if_that_is_asked_for() {
    let stage = Stage::with(StageOptions { time_scale: 100.0 }).await;
    stage.segment("people", "csv", people(600, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let connection = create(&mut client, stage.connection()).await.unwrap();
    let weekly = make_export(&stage, &mut client, TENANT).await;
    assert_eq!(super::run(&mut client, &weekly.name).await.state(), State::Succeeded);
    let subscribed = || stage.sim.contacts(HOST, ferry_testkit::LIST).len();
    assert_eq!(subscribed(), 600);
    let request = |force: bool| pb::DeleteConnectionRequest {
        name: connection.name.clone(),
        force,
        retract: true,
        request_id: REQUEST.to_owned(),
        ..Default::default()
    };
    let refused = client.connections.delete_connection(request(false)).await.unwrap_err();
    assert_eq!(super::fields(&refused), ["retract"]);
    let begun = client.connections.delete_connection(request(true)).await.unwrap().into_inner().receipt.unwrap();
    assert_eq!((begun.retraction_runs.len(), begun.remove_time, begun.keys_destroyed), (1, None, 0));
    let refused = start(&mut client, &weekly.name).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "CONNECTION_REMOVED"));
    super::needs_attention(&super::read(&mut client, &connection.name).await, "CONNECTION_REMOVED");
    let taken_off = counts(&ended(&client, &begun.retraction_runs[0]).await);
    assert_eq!((taken_off.removals, taken_off.removals_confirmed), (600, 600), "{taken_off:?}");
    let removed = eventually(super::SOON, || {
        let (mut client, request) = (client.clone(), request(true));
        async move {
            let told = client.connections.delete_connection(request).await.unwrap().into_inner().receipt.unwrap();
            if told.remove_time.is_some() { Ok(told) } else { Err(told) }
        }
    })
    .await;
    assert_eq!((removed.retraction_runs, removed.detached_exports), (begun.retraction_runs, vec![weekly.name.clone()]));
    assert_eq!(subscribed(), 0);
    assert!(!keys(&stage).iter().any(|key| key.contains(&connection.uid)));
}

#[tokio::test]
async fn a_retraction_is_ended_at_once_by_a_second_removal() {
    let stage = Stage::with(StageOptions { time_scale: 20.0 }).await;
    stage.segment("people", "csv", people(10_000, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let connection = create(&mut client, stage.connection()).await.unwrap();
    let weekly = make_export(&stage, &mut client, TENANT).await;
    let sending = start(&mut client, &weekly.name).await.unwrap().name;
    imports_of(&stage, HOST, 3).await;
    let request =
        pb::DeleteConnectionRequest { name: connection.name.clone(), force: true, retract: true, ..Default::default() };
    let begun = client.connections.delete_connection(request).await.unwrap().into_inner().receipt.unwrap();
    assert_eq!((&begun.stopped_runs, begun.retraction_runs.len()), (&vec![sending], 1));
    let (receipt, answered) = remove_in_time(&mut client, &connection.name).await;
    assert_eq!(receipt.retraction_runs, begun.retraction_runs);
    ended_by_removal(&stage, &client, &begun.retraction_runs[0]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let late: Vec<_> = journal(&stage).into_iter().filter(|asked| asked.at > answered).collect();
    assert!(late.is_empty(), "requests after the answer at {answered}: {late:?}");
}

#[tokio::test]
async fn the_same_request_gets_the_same_receipt() {
    let stage = Stage::new().await;
    let connection = stage.create_connection("newsletter").await.name;
    let mut client = stage.client("administrator").await;
    let request = |force: bool| pb::DeleteConnectionRequest {
        name: connection.clone(),
        force,
        request_id: REQUEST.to_owned(),
        ..Default::default()
    };
    let first = client.connections.delete_connection(request(true)).await.unwrap().into_inner();
    assert!(first.receipt.as_ref().unwrap().remove_time.is_some());
    let again = client.connections.delete_connection(request(true)).await.unwrap().into_inner();
    assert_eq!(again, first);
    assert_eq!(reason(&client.connections.delete_connection(request(false)).await.unwrap_err()), "REQUEST_ID_REUSED");
    // Not even where the id is used again.
    stage.create_connection("newsletter").await;
    assert_eq!(client.connections.delete_connection(request(true)).await.unwrap().into_inner(), first);
    assert_eq!(verify(&mut client, &connection).await.0, "OK");
}
