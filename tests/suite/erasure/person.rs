//! D1 and D3: a person is nowhere after their erasure, and old files go.

use super::*;
use ferry_proto::v1::run::State;
use sea_orm::{DatabaseBackend, Statement};
use std::collections::BTreeSet;
use tonic::Code;

async fn uid_of_connection(stage: &Stage) -> String {
    let name = format!("tenants/{TENANT}/connections/newsletter");
    let mut client = stage.client("administrator").await;
    let found = client.connections.get_connection(pb::GetConnectionRequest { name }).await.unwrap();
    found.into_inner().connection.unwrap().uid
}

/// Tables in which a digest stands in any column.
async fn tables_with(stage: &Stage, digest: [u8; 16]) -> BTreeSet<String> {
    let path = stage.path("data").join("ferry.db");
    let database = Database::connect(format!("sqlite://{}?mode=ro", path.display())).await.unwrap();
    let words = async |query: String| -> Vec<String> {
        let rows = database.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, query)).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    };
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut found = BTreeSet::new();
    for table in words("SELECT name FROM sqlite_master WHERE type = 'table'".to_owned()).await {
        let columns = words(format!("SELECT name FROM pragma_table_info('{table}')")).await;
        let any: Vec<String> = columns
            .iter()
            .flat_map(|column| {
                let blob = format!("instr(\"{column}\", x'{hex}') > 0");
                [blob, format!("instr(lower(CAST(\"{column}\" AS TEXT)), '{hex}') > 0")]
            })
            .collect();
        let query = format!("SELECT '{table}' FROM \"{table}\" WHERE {} LIMIT 1", any.join(" OR "));
        found.extend(words(query).await);
    }
    database.close().await.unwrap();
    found
}

async fn recipients(stage: &Stage, person: &str) -> Vec<pb::Recipient> {
    let request = pb::FindRecipientsRequest { parent: format!("tenants/{TENANT}"), email: canary::email(person) };
    let mut client = stage.client("administrator").await;
    client.audit.find_recipients(request).await.unwrap().into_inner().recipients
}

#[tokio::test]
async fn d1_a_person_who_was_erased_is_in_no_file_on_no_list_and_in_no_later_run() {
    let (mut stage, export) = stage(&["ada", "bob", "excluded"]).await;
    assert_eq!(run(&stage, &export).await.counts.unwrap().confirmed, 2);
    let uid = uid_of_connection(&stage).await;
    // A dry run whose plan holds her, of values that changed.
    let changed = csv(&["bob", "excluded"]) + &format!("{},{}\n", canary::email("ada"), canary::name("changed"));
    std::fs::write(stage.path("segments").join(TENANT).join("people"), &changed).unwrap();
    let mut client = stage.client("administrator").await;
    let plan = pb::PlanExportRequest { name: export.clone(), ..Default::default() };
    let dry = client.exports.plan_export(plan).await.unwrap().into_inner().run.unwrap();
    assert_eq!(stage.ended(&dry.name, SOON).await.plan_summary.unwrap().changes, 1);
    assert_eq!(recipients(&stage, "ada").await.len(), 1);
    stage.kill();
    let before = Everything::read(&stage, &uid);
    assert!(before.places_of("ada").len() >= 5, "{:?}", before.places_of("ada"));
    drop(before);
    stage.start().await;

    let receipts = erase(&stage, "ada").await;
    assert_eq!(receipts.len(), 1, "{receipts:?}");
    let receipts = erased(&stage, "ada", Outcome::Done).await;
    let recipient = receipts[0].recipient.clone().unwrap();
    assert_eq!((recipient.host.as_str(), recipient.list_id.as_str()), (HOST, "3"));
    assert!(receipts[0].audit_entry > 0 && receipts[0].run.contains("/runs/"), "{receipts:?}");
    assert!(!is_on_list(&stage, "ada") && is_on_list(&stage, "bob"));
    over(&stage).await;
    assert!(recipients(&stage, "ada").await.is_empty() && recipients(&stage, "bob").await.len() == 1);
    let mut client = stage.client("administrator").await;
    let carry = pb::RunExportRequest { name: export.clone(), plan: dry.name, ..Default::default() };
    let refused = client.exports.run_export(carry).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "the plan holds her: {refused:?}");

    // The source still has her.
    let later = run(&stage, &export).await;
    let counts = later.counts.unwrap();
    assert_eq!((later.state(), counts.excluded), (State::Succeeded, 2), "her and who was refused: {counts:?}");
    assert!(!is_on_list(&stage, "ada"));
    let request = pb::ListRejectedProfilesRequest { name: later.name.clone(), ..Default::default() };
    let mut client = stage.client("administrator").await;
    let rows = client.runs.list_rejected_profiles(request).await.unwrap().into_inner().rejected_profiles;
    let hers: Vec<_> = rows.iter().filter(|row| row.reason == "SUPPRESSED").collect();
    assert!(hers.len() == 1 && hers[0].email.is_empty(), "{rows:?}");

    let kinds = [("PERSON_ERASURE_REQUESTED", 1), ("PERSON_ERASURE_OUTCOME", 1), ("PERSON_ERASED", 1)];
    for (kind, times) in kinds {
        let count = format!("SELECT COUNT(*) FROM audit_entries WHERE kind = '{kind}'");
        assert_eq!(number_on_record(&stage, &count).await, times, "{kind}");
    }
    stage.kill();
    let after = Everything::read(&stage, &uid);
    assert_eq!(after.places_of("ada"), Vec::<String>::new(), "of {} sealed files", after.sealed);
    assert!(after.places_of("bob").len() >= 3 && after.sealed >= 4);
    assert_eq!(tables_with(&stage, after.digest("ada")).await, BTreeSet::from(["suppressions".to_owned()]));
}

#[tokio::test]
async fn d1_an_erasure_of_nobody_suppresses_and_asks_nobody_and_a_bad_address_is_refused() {
    let (stage, export) = stage(&["ada", "bob"]).await;
    assert!(erase(&stage, "ada").await.is_empty());
    over(&stage).await;
    let counts = run(&stage, &export).await.counts.unwrap();
    assert_eq!((counts.confirmed, counts.excluded), (1, 1));
    assert!(!is_on_list(&stage, "ada") && is_on_list(&stage, "bob"));
    let request = pb::ErasePersonRequest {
        parent: format!("tenants/{TENANT}"),
        email: "nobody".to_owned(),
        ..Default::default()
    };
    for (role, code) in [("administrator", Code::InvalidArgument), ("contributor", Code::PermissionDenied)] {
        let mut client = stage.client(role).await;
        assert_eq!(client.audit.erase_person(request.clone()).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn d3_files_of_runs_go_thirty_days_after_their_end_and_the_state_stays() {
    let (mut stage, export) = stage(&["ada", "excluded"]).await;
    let old = run(&stage, &export).await;
    let young = run(&stage, &export).await;
    let folder = |run: &str| stage.path("data").join("runs").join(TENANT).join(run);
    let orphan = folder("0198c5c6-0000-7000-8000-000000000001");
    std::fs::create_dir(&orphan).unwrap();
    std::fs::write(orphan.join("plan.new"), "half").unwrap();
    let (old_folder, young_folder) = (folder(&old.uid), folder(&young.uid));
    assert!(old_folder.exists() && young_folder.exists());
    stage.kill();
    let days_ago = std::time::SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
    std::fs::File::open(&orphan).unwrap().set_modified(days_ago).unwrap();
    let month = 30 * 24 * 60 * 60 * 1_000_i64 + 1;
    change(&stage, &format!("UPDATE runs SET end_time = end_time - {month} WHERE id = '{}'", old.uid)).await;
    stage.start().await;
    eventually(SOON, || async { if old_folder.exists() || orphan.exists() { Err("they are there") } else { Ok(()) } })
        .await;
    assert!(young_folder.exists());
    assert_eq!(number_on_record(&stage, "SELECT COUNT(*) FROM audit_entries WHERE kind = 'FILES_PURGED'").await, 1);
    let mut client = stage.client("administrator").await;
    let request = pb::ListRejectedProfilesRequest { name: old.name.clone(), ..Default::default() };
    let gone = client.runs.list_rejected_profiles(request).await.unwrap_err();
    assert!(gone.code() == Code::FailedPrecondition && gone.message().contains("30 days"), "{gone:?}");
    assert!(client.runs.get_run(pb::GetRunRequest { name: old.name }).await.is_ok());
    assert_eq!(run(&stage, &export).await.counts.unwrap().unchanged, 1, "what is there is still known");
}
