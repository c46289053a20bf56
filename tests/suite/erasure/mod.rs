//! Erasing a person, and files that go with time.

mod files;
mod person;

use ferry_proto::v1 as pb;
use ferry_proto::v1::erasure_receipt::Outcome;
use ferry_testkit::judge::number_on_record;
use ferry_testkit::{HOST, LIST, Stage, TENANT, canary, eventually};
use files::Everything;
use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn csv(people: &[&str]) -> String {
    canary::csv(people.iter().map(canary::row))
}

/// A stage with an export `weekly` of these people.
async fn stage(people: &[&str]) -> (Stage, String) {
    let stage = Stage::new().await;
    stage.segment("people", "csv", csv(people).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    (stage, export.name)
}

async fn run(stage: &Stage, export: &str) -> pb::Run {
    let run = stage.run(export).await;
    stage.ended(&run.name, SOON).await
}

async fn erase(stage: &Stage, person: &str) -> Vec<pb::ErasureReceipt> {
    let request = pb::ErasePersonRequest {
        parent: format!("tenants/{TENANT}"),
        email: canary::email(person).to_uppercase(),
        ..Default::default()
    };
    let mut client = stage.client("administrator").await;
    client.audit.erase_person(request).await.unwrap().into_inner().receipts
}

/// Asks again until every recipient has this outcome.
async fn erased(stage: &Stage, person: &str, outcome: Outcome) -> Vec<pb::ErasureReceipt> {
    eventually(SOON, || async {
        let receipts = erase(stage, person).await;
        if receipts.iter().all(|receipt| receipt.outcome() == outcome) { Ok(receipts) } else { Err(receipts) }
    })
    .await
}

/// Waits until all that an erasure brings with it is done.
async fn over(stage: &Stage) {
    eventually(SOON, || async {
        let open = number_on_record(stage, "SELECT COUNT(*) FROM erasures WHERE end_time IS NULL").await;
        if open == 0 { Ok(()) } else { Err(open) }
    })
    .await;
}

fn is_on_list(stage: &Stage, person: &str) -> bool {
    let email = canary::email(person);
    stage.sim.contacts(HOST, LIST).iter().any(|contact| contact.email.eq_ignore_ascii_case(&email))
}

/// Changes the database of a service that does not run.
async fn change(stage: &Stage, statement: &str) {
    let path = stage.path("data").join("ferry.db");
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rw", path.display()));
    options.max_connections(1).sqlx_logging(false);
    let database = Database::connect(options).await.unwrap();
    database.execute_unprepared(statement).await.unwrap();
    database.close().await.unwrap();
}
