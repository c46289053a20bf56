//! What cannot be put on record is not sent: A20, with a database that refuses a tenant's entries, and one that is slow.

use ferry_proto::v1 as pb;
use ferry_proto::v1::run::State;
use ferry_testkit::canary::people;
use ferry_testkit::judge::{self, Judge, change_database, held_database};
use ferry_testkit::{Client, HOST, OTHER_HOST, Stage, StageOptions, TENANT, canary, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const OTHER: &str = "globex";
const PEOPLE: usize = 3_000;
const MANY: usize = 10_000;
/// Deliveries of a batch whose answer could not be put on record: at most those on their way at once.
const UNRECORDED: u64 = 4 * 250;

/// Imports that the simulator saw for an account.
fn imports(stage: &Stage, host: &str) -> usize {
    let history = ferry_sim::read_history(&stage.journal()).unwrap();
    history.requests.iter().filter(|request| request.is_import && request.account.as_deref() == Some(host)).count()
}

/// Another tenant, with an account of its own, and its run.
async fn run_of_another(stage: &Stage) -> (Client, String) {
    let tenant = pb::Tenant { display_name: "Globex".to_owned(), ..pb::Tenant::default() };
    let request = pb::CreateTenantRequest { tenant_id: OTHER.to_owned(), tenant: Some(tenant), ..Default::default() };
    stage.operator().await.tenants.create_tenant(request).await.unwrap();
    let (from, to) = (stage.path("segments").join(TENANT), stage.path("segments").join(OTHER));
    std::fs::create_dir_all(&to).unwrap();
    for name in ["people", "catalogue.toml"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    // Somebody else than who is in the first tenant: a token lists all of its holder's tenants.
    let claims = [("tenants", serde_json::json!({ OTHER: "administrator" }))];
    let mut client = Client::connect(stage.addr(), &stage.sign("another administrator", &claims)).await;
    let mut connection = stage.connection();
    let settings = pb::ActiveCampaignConnection {
        host: OTHER_HOST.to_owned(),
        api_key: stage.api_key.clone(),
        ..pb::ActiveCampaignConnection::default()
    };
    let settings = pb::connection_settings::Settings::Activecampaign(settings);
    connection.settings = Some(pb::ConnectionSettings { settings: Some(settings) });
    let request = pb::CreateConnectionRequest {
        parent: format!("tenants/{OTHER}"),
        connection_id: "newsletter".to_owned(),
        connection: Some(connection),
        skip_verification: true,
        ..pb::CreateConnectionRequest::default()
    };
    client.connections.create_connection(request).await.unwrap();
    let mut export = stage.export("newsletter", "people");
    export.connection = format!("tenants/{OTHER}/connections/newsletter");
    export.segments = vec![format!("tenants/{OTHER}/segments/people")];
    let request = pb::CreateExportRequest {
        parent: format!("tenants/{OTHER}"),
        export_id: "weekly".to_owned(),
        export: Some(export),
        ..pb::CreateExportRequest::default()
    };
    let export = client.exports.create_export(request).await.unwrap().into_inner().export.unwrap();
    let request = pb::RunExportRequest { name: export.name, ..pb::RunExportRequest::default() };
    let run = client.exports.run_export(request).await.unwrap().into_inner().run.unwrap();
    (client, run.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a20_nothing_leaves_for_a_tenant_whose_entries_are_refused_and_no_other_waits() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(PEOPLE).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    // The first intents get through, so that the run is stopped in its midst.
    let refuse = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON audit_entries \
         WHEN NEW.tenant = '{TENANT}' AND NEW.chain <> '' AND NEW.number > 3 \
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    );
    change_database(&stage, &refuse).await;
    let run = stage.run(&export.name).await;
    let (client, other) = run_of_another(&stage).await;
    let ended = eventually(SOON, || {
        let (mut client, name) = (client.clone(), other.clone());
        async move {
            let run = client.runs.get_run(pb::GetRunRequest { name }).await.unwrap().into_inner().run.unwrap();
            if run.end_time.is_some() { Ok(run) } else { Err(run) }
        }
    });
    let other = ended.await;
    assert_eq!(other.state(), State::Succeeded, "{:?}", other.error);
    assert_eq!(other.counts.unwrap().confirmed, i64::try_from(PEOPLE).unwrap());
    let seen = imports(&stage, HOST);
    assert!(seen <= 3, "{seen} imports, and only three entries could be written");
    assert_eq!(stage.get_run(&run.name).await.state(), State::Processing, "it waits for its record");
    change_database(&stage, "DROP TRIGGER refuse").await;
    let healed = stage.ended(&run.name, SOON).await;
    assert_eq!(healed.state(), State::Succeeded, "{:?}", healed.error);
    let due = (0..PEOPLE).map(canary::email);
    Judge::of(&stage, &run.name, due).allowing(UNRECORDED).verdict().await.holds("refused entries");
    judge::whole_chains(&stage).await;
}

/// An entry that takes longer than an intent is good for: it is on record as void, and nothing was sent by it.
#[tokio::test(flavor = "multi_thread")]
async fn a20_what_took_too_long_to_record_is_void() {
    // Forty imports in two seconds and a half: some are about to be sent whenever the database is taken.
    let stage = Stage::with(StageOptions { time_scale: 10.0 }).await;
    stage.segment("people", "csv", people(MANY).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    eventually(SOON, || async { if imports(&stage, HOST) > 0 { Ok(()) } else { Err("nothing was sent yet") } }).await;
    // Where the database is taken between two intents, nothing is too late yet.
    let mut outcomes = Vec::new();
    let is_void = |outcome: &Option<String>| outcome.as_deref() == Some("void");
    while !outcomes.iter().any(is_void) && stage.get_run(&run.name).await.end_time.is_none() {
        held_database(&stage, Duration::from_millis(1_500)).await;
        outcomes = judge::attempts_on_record(&stage).await;
    }
    let ended = stage.ended(&run.name, SOON).await;
    assert_eq!(ended.state(), State::Succeeded, "{:?}", ended.error);
    let outcomes = judge::attempts_on_record(&stage).await;
    assert!(outcomes.iter().any(is_void), "{outcomes:?}");
    let due = (0..MANY).map(canary::email);
    Judge::of(&stage, &run.name, due).allowing(UNRECORDED).verdict().await.holds("slow entries");
}

/// Whoever can write the database but not the checkpoints is found out: by the links, by the anchors, or by the attempts.
#[tokio::test]
async fn a18_a_chain_that_was_cut_or_changed_is_found_out() {
    let stage = Stage::new().await;
    let run = stage.run_csv(&people(600)).await;
    let found = async || {
        let verdict = Judge::of(&stage, &run.name, (0..600).map(canary::email)).verdict().await;
        verdict.findings
    };
    assert_eq!(found().await, Vec::<String>::new());
    let of_run = format!("chain = '{}'", run.uid);
    let keep = format!("CREATE TABLE kept AS SELECT * FROM audit_entries WHERE {of_run}");
    change_database(&stage, &keep).await;
    let back = format!("DELETE FROM audit_entries WHERE {of_run}; INSERT INTO audit_entries SELECT * FROM kept;");
    let last = format!("(SELECT max(number) FROM audit_entries WHERE {of_run})");
    for (what, change, says) in [
        ("cut", format!("DELETE FROM audit_entries WHERE {of_run} AND number = {last}"), "RUN_ENDED anchors"),
        ("gap", format!("DELETE FROM audit_entries WHERE {of_run} AND number = 2"), "does not follow"),
        (
            "word",
            format!("UPDATE audit_entries SET body = replace(body, 'put', 'pat') WHERE {of_run} AND number = 1"),
            "does not follow",
        ),
        (
            "swap",
            format!(
                "UPDATE audit_entries SET body = (SELECT body FROM kept WHERE number = 1) WHERE {of_run} AND number = 3"
            ),
            "has the intents",
        ),
    ] {
        change_database(&stage, &change).await;
        let found = found().await;
        assert!(found.iter().any(|finding| finding.contains(says)), "{what}: {found:#?}");
        change_database(&stage, &back).await;
    }
    // Cut together with the run's own row: only the tenant's chain still knows.
    change_database(
        &stage,
        &format!(
            "DELETE FROM audit_entries WHERE {of_run} AND number = {last}; \
             UPDATE runs SET entries = entries - 1, entries_head = (SELECT hash FROM audit_entries WHERE {of_run} AND number = {last}) \
             WHERE id = '{}'",
            run.uid
        ),
    )
    .await;
    let found = found().await;
    assert!(found.iter().any(|finding| finding.contains("RUN_ENDED anchors")), "{found:#?}");
}
