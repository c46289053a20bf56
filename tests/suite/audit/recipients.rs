//! Where a person's data has gone: after a run and while it goes on, when they were taken off, and when the destination is
//! gone.

use super::{SOON, acme, alter, column, entries, fields, reason};
use ferry_proto::v1 as pb;
use ferry_proto::v1::leave_policy::{Policy, Unsubscribe};
use ferry_proto::v1::run::State;
use ferry_sim::{Endpoint, FaultKind, FaultRule, When};
use ferry_testkit::{Client, HOST, Stage, TENANT, canary, eventually};
use tonic::Code;

async fn found(client: &mut Client, email: &str) -> Vec<pb::Recipient> {
    let request = pb::FindRecipientsRequest { parent: acme(), email: email.to_owned() };
    client.audit.find_recipients(request).await.unwrap().into_inner().recipients
}

/// Waits until nothing is left to be folded.
async fn folded(stage: &Stage) {
    eventually(SOON, || async {
        match column(stage, "SELECT run FROM plan_indexes WHERE folded = 0").await {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        }
    })
    .await;
}

async fn other_tenant(stage: &Stage) -> Client {
    let request = pb::CreateTenantRequest {
        tenant_id: "other".to_owned(),
        tenant: Some(pb::Tenant {
            display_name: "Other".to_owned(),
            kind: pb::tenant::Kind::Sandbox.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    stage.operator().await.tenants.create_tenant(request).await.unwrap();
    Client::connect(stage.addr(), &stage.token_in("other", "administrator")).await
}

#[tokio::test]
async fn d2_who_was_sent_is_found_with_fields_purpose_and_times_and_nobody_else() {
    let stage = Stage::new().await;
    let run = stage.run_csv(&canary::people(300)).await;
    assert_eq!(run.state(), State::Succeeded, "{:?}", run.error);
    let mut client = stage.client("administrator").await;
    let before = found(&mut client, &canary::email(7)).await;
    folded(&stage).await;
    let recipients = found(&mut client, &canary::email(7).to_uppercase()).await;
    assert_eq!(recipients, before, "the file says what the index said");
    let [recipient] = recipients.as_slice() else { panic!("{recipients:?}") };
    assert_eq!(recipient.connection, format!("tenants/{TENANT}/connections/newsletter"));
    assert_eq!((recipient.host.as_str(), recipient.list_id.as_str()), (HOST, "3"));
    assert_eq!(recipient.fields, ["email", "first_name"]);
    assert_eq!((recipient.purpose.as_str(), recipient.removed), ("Export", false));
    let (first, last) = (recipient.first_time.unwrap(), recipient.last_time.unwrap());
    let (begin, end) = (run.start_time.unwrap(), run.end_time.unwrap());
    let order = |time: prost_types::Timestamp| (time.seconds, time.nanos);
    assert!(order(begin) <= order(first) && order(first) <= order(last) && order(last) <= order(end));
    assert!(found(&mut client, "nobody@example.com").await.is_empty());
    let read = entries(&mut client, &acme(), "kind = \"RECIPIENTS_READ\"").await;
    let counts: Vec<_> = read.iter().map(|entry| entry.details["recipients"].as_str()).collect();
    assert_eq!(counts, ["0", "1", "1"]);
    assert!(read.iter().all(|entry| entry.object == acme() && entry.details.len() == 1));
    let mut other = other_tenant(&stage).await;
    let request = |parent: &str, email: String| pb::FindRecipientsRequest { parent: parent.to_owned(), email };
    let theirs = other.audit.find_recipients(request("tenants/other", canary::email(7))).await.unwrap();
    assert!(theirs.into_inner().recipients.is_empty());
    let status = other.audit.find_recipients(request(&acme(), canary::email(7))).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = client.audit.find_recipients(request(&acme(), "no address".to_owned())).await.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["email".to_owned()]));
    assert!(!status.message().contains("no address"));
}

#[tokio::test]
async fn d2_a_run_that_goes_on_is_looked_at_and_a_kill_loses_nobody() {
    let mut stage = Stage::new().await;
    let slow = FaultRule::once(FaultKind::DelayAnswer { delay_ms: 8_000 }).on(Endpoint::Import).when(When::Always);
    stage.sim.faults().add(slow);
    stage.segment("people", "csv", canary::people(300).as_bytes());
    stage.create_connection("newsletter").await;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await;
    let run = stage.run(&export.name).await;
    let client = stage.client("administrator").await;
    let recipients = eventually(SOON, || {
        let mut client = client.clone();
        async move {
            let found = found(&mut client, &canary::email(7)).await;
            if found.is_empty() { Err(found) } else { Ok(found) }
        }
    })
    .await;
    assert!(stage.get_run(&run.name).await.end_time.is_none(), "it goes on");
    assert_eq!((recipients[0].list_id.as_str(), recipients[0].removed), ("3", false));
    stage.kill();
    stage.start().await;
    let mut client = stage.client("administrator").await;
    assert_eq!(found(&mut client, &canary::email(7)).await.len(), 1);
}

#[tokio::test]
async fn d2_who_was_taken_off_is_still_told_of_and_so_is_who_went_to_a_removed_destination() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", canary::people(3).as_bytes());
    stage.create_connection("newsletter").await;
    let mut export = stage.export("newsletter", "people");
    let policy = Unsubscribe { acknowledge_irreversible: true };
    export.leave_policy = Some(pb::LeavePolicy { policy: Some(Policy::Unsubscribe(policy)) });
    export.removal_guard = Some(pb::RemovalGuard { max_percent: Some(100), max_number: Some(1_000) });
    let export = stage.create_export("weekly", export).await;
    let first = stage.run(&export.name).await;
    stage.ended(&first.name, SOON).await;
    std::fs::write(stage.path("segments").join(TENANT).join("people"), canary::people(2)).unwrap();
    let second = stage.run(&export.name).await;
    eventually(SOON, || async {
        let run = stage.get_run(&second.name).await;
        if run.state() == State::AwaitingApproval { Ok(()) } else { Err(run.state()) }
    })
    .await;
    let claims = [("tenants", serde_json::json!({ TENANT: "administrator" }))];
    let mut approver = Client::connect(stage.addr(), &stage.sign("second administrator", &claims)).await;
    let approve = pb::ApproveRunRequest { name: second.name.clone(), ..Default::default() };
    approver.runs.approve_run(approve).await.unwrap();
    assert_eq!(stage.ended(&second.name, SOON).await.state(), State::Succeeded);
    let mut client = stage.client("administrator").await;
    let before = [found(&mut client, &canary::email(2)).await, found(&mut client, &canary::email(1)).await];
    assert_eq!(before.iter().map(|found| found[0].removed).collect::<Vec<_>>(), [true, false]);
    folded(&stage).await;
    assert_eq!([found(&mut client, &canary::email(2)).await, found(&mut client, &canary::email(1)).await], before);
    let delete = pb::DeleteExportRequest { name: export.name, ..Default::default() };
    client.exports.delete_export(delete).await.unwrap();
    let delete = pb::DeleteConnectionRequest { name: export.connection.clone(), ..Default::default() };
    client.connections.delete_connection(delete).await.unwrap();
    let after = found(&mut client, &canary::email(1)).await;
    assert_eq!(after[..], before[1][..]);
    assert_eq!((after[0].connection.as_str(), after[0].host.as_str()), (export.connection.as_str(), HOST));
}

#[tokio::test]
async fn d2_an_answer_that_cannot_be_recorded_or_would_not_be_whole_is_none() {
    let stage = Stage::new().await;
    stage.run_csv(&canary::people(3)).await;
    folded(&stage).await;
    let mut client = stage.client("administrator").await;
    let request = || pb::FindRecipientsRequest { parent: acme(), email: canary::email(1) };
    alter(&stage, "ALTER TABLE audit_entries RENAME TO elsewhere").await;
    let status = client.audit.find_recipients(request()).await.unwrap_err();
    assert_eq!(reason(&status), "INTERNAL");
    alter(&stage, "ALTER TABLE elsewhere RENAME TO audit_entries").await;
    assert_eq!(client.audit.find_recipients(request()).await.unwrap().into_inner().recipients.len(), 1);
    std::fs::remove_dir_all(stage.path("data/runs").join(TENANT).join("recipients")).unwrap();
    let status = client.audit.find_recipients(request()).await.unwrap_err();
    assert_eq!(reason(&status), "INTERNAL");
}
