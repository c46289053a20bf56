//! L1: every write of the policy table leaves exactly one entry of its own, with who did it, the role held and the one
//! required, what happened to what, how it ended, when, and in which call.

use super::{acme, database};
use crate::guards::held;
use ferry_ledger::{Entry, EntryResult};
use ferry_proto::v1 as pb;
use ferry_proto::v1::connection::Access;
use ferry_testkit::{Client, Stage, TENANT, canary};
use prost_types::FieldMask;
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use std::collections::BTreeSet;
use tonic::{Request, Response, Status};

/// Writes that are built: the RPC, the kind of its entry, the role that it takes where the connection is not shared.
const WRITES: [(&str, &str, &str); 29] = [
    ("ConnectionService/CreateConnection", "CONNECTION_CREATED", "administrator"),
    ("ConnectionService/UpdateConnection", "CONNECTION_UPDATED", "administrator"),
    ("ConnectionService/BindExportUser", "EXPORT_USER_BOUND", "administrator"),
    ("ConnectionService/VerifyConnection", "CONNECTION_VERIFIED", "administrator"),
    ("ConnectionService/DeleteConnection", "CONNECTION_REMOVED", "administrator"),
    ("ExportService/CreateExport", "EXPORT_CREATED", "administrator"),
    ("ExportService/UpdateExport", "EXPORT_UPDATED", "administrator"),
    ("ExportService/DeleteExport", "EXPORT_DELETED", "administrator"),
    ("ExportService/PlanExport", "RUN_PLAN_QUEUED", "administrator"),
    ("ExportService/RunExport", "RUN_QUEUED", "administrator"),
    ("ExportService/DuplicateExport", "EXPORT_CREATED", "administrator"),
    ("ExportService/AttachExport", "EXPORT_ATTACHED", "administrator"),
    ("ExportService/DetachExport", "EXPORT_DETACHED", "administrator"),
    ("ExportService/BatchAttachExports", "EXPORT_ATTACHED", "administrator"),
    ("ExportService/BatchDetachExports", "EXPORT_DETACHED", "administrator"),
    ("ExportService/BatchUpdateSchedules", "EXPORT_UPDATED", "administrator"),
    ("ExportService/RunAllExports", "EXPORTS_RUN", "contributor"),
    ("RefreshService/UpdateRefreshSchedule", "REFRESH_SCHEDULE_UPDATED", "administrator"),
    ("RefreshService/StartRefresh", "REFRESH_STARTED", "administrator"),
    ("RunService/CancelRun", "RUN_CANCEL_REQUESTED", "administrator"),
    ("RunService/ApproveRun", "RUN_APPROVED", "administrator"),
    ("TenantService/CreateTenant", "TENANT_CREATED", "operator"),
    ("TenantService/UpdateTenant", "TENANT_UPDATED", "operator"),
    ("TenantService/DeleteTenant", "TENANT_REMOVED", "operator"),
    ("TenantService/RevokePrincipal", "PRINCIPAL_REVOKED", "administrator"),
    ("AuditService/ErasePerson", "PERSON_ERASURE_REQUESTED", "administrator"),
    ("NotificationService/CreateWebhook", "WEBHOOK_CREATED", "administrator"),
    ("NotificationService/UpdateWebhook", "WEBHOOK_UPDATED", "administrator"),
    ("NotificationService/DeleteWebhook", "WEBHOOK_REMOVED", "administrator"),
];
/// What changes nothing. `FindRecipients` is recorded all the same, and tested with what it finds.
const READS: [&str; 25] = [
    "ConnectionService/GetConnection",
    "ConnectionService/ListConnections",
    "ConnectionService/ListDestinationTypes",
    "SegmentService/ListSegments",
    "SegmentService/GetSegment",
    "SegmentService/PreviewSegment",
    "ExportService/GetExport",
    "ExportService/ListExports",
    "ExportService/ValidateExport",
    "RunService/GetRun",
    "RunService/ListRuns",
    "RunService/WatchRuns",
    "RunService/ListRejectedProfiles",
    "AuditService/ListAuditEntries",
    "AuditService/ExportAuditLog",
    "AuditService/FindRecipients",
    "AuditService/GetCheckpoint",
    "TenantService/GetTenant",
    "TenantService/ListTenants",
    "NotificationService/ListNotifications",
    "NotificationService/GetWebhook",
    "NotificationService/ListWebhooks",
    "NotificationService/TestWebhook",
    "RefreshService/ListTimeZones",
    "RefreshService/GetRefreshSchedule",
];

#[test]
fn l1_every_rpc_of_the_policy_table_is_a_read_a_write_with_an_entry_or_not_built() {
    for rule in ferry_domain::authz::policy::POLICY {
        let known = READS.contains(&rule.method)
            || WRITES.iter().any(|(method, ..)| *method == rule.method)
            || ferry_server::UNIMPLEMENTED.contains(&rule.method);
        assert!(known, "{} is new: say in audit/writes.rs what entry it leaves", rule.method);
    }
}

/// A request under the RPC's name as its id.
fn under<T>(method: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-request-id", method.parse().unwrap());
    request
}

/// All entries of the own chains of all tenants.
async fn recorded(stage: &Stage) -> Vec<Entry> {
    let database = database(stage).await;
    let query = "SELECT body FROM audit_entries WHERE chain = '' ORDER BY tenant, number";
    let rows = database.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, query)).await.unwrap();
    let body = |row: &sea_orm::QueryResult| row.try_get_by_index::<Vec<u8>>(0).unwrap();
    let entries = rows.iter().map(|row| Entry::decode(&body(row)).unwrap()).collect();
    database.close().await.unwrap();
    entries
}

/// The one entry of its own that a write has left.
fn own<'a>(entries: &'a [Entry], method: &str, object: &str, actor: &str) -> &'a Entry {
    let (_, kind, required) = WRITES.iter().find(|(known, ..)| *known == method).unwrap();
    let of_call: Vec<&Entry> = entries.iter().filter(|entry| entry.correlation_id == method).collect();
    let own: Vec<&Entry> = of_call.iter().copied().filter(|entry| entry.kind == *kind).collect();
    let [entry] = own[..] else { panic!("{method} left {of_call:#?}") };
    assert_eq!((&*entry.object, &*entry.actor), (object, actor), "{method}");
    let role = if *required == "operator" { "operator" } else { "administrator" };
    assert_eq!((&*entry.actor_role, &*entry.required_role), (role, *required), "{method}");
    assert_eq!((entry.result, &*entry.reason, &*entry.origin), (EntryResult::Ok, "", "127.0.0.1"), "{method}");
    assert!(entry.time_ms > 1_700_000_000_000, "{method}");
    entry
}

fn mask(path: &str) -> Option<FieldMask> {
    Some(FieldMask { paths: vec![path.to_owned()] })
}

#[tokio::test]
async fn l1_every_write_rpc_on_connections_leaves_one_entry_with_who_what_when_and_the_right() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let create = pb::CreateConnectionRequest {
        parent: acme(),
        connection_id: "newsletter".to_owned(),
        connection: Some(stage.connection()),
        ..Default::default()
    };
    let made = client.connections.create_connection(under("ConnectionService/CreateConnection", create)).await;
    let made = made.unwrap().into_inner().connection.unwrap();
    let update = pb::UpdateConnectionRequest {
        connection: Some(pb::Connection {
            access: Access::AdministratorsAndContributors.into(),
            display_name: "Renamed".to_owned(),
            ..made.clone()
        }),
        update_mask: mask("display_name"),
        ..Default::default()
    };
    let updated = client.connections.update_connection(under("ConnectionService/UpdateConnection", update)).await;
    let etag = updated.unwrap().into_inner().connection.unwrap().etag;
    let bind = pb::BindExportUserRequest { name: made.name.clone(), etag, ..Default::default() };
    ok(client.connections.bind_export_user(under("ConnectionService/BindExportUser", bind)).await);
    let verify = pb::VerifyConnectionRequest { name: made.name.clone() };
    ok(client.connections.verify_connection(under("ConnectionService/VerifyConnection", verify)).await);
    let entries = recorded(&stage).await;
    for method in ["CreateConnection", "UpdateConnection", "BindExportUser", "VerifyConnection"] {
        own(&entries, &format!("ConnectionService/{method}"), &made.name, "administrator");
    }
}

fn ok<T>(answer: Result<Response<T>, Status>) -> T {
    answer.unwrap().into_inner()
}

#[tokio::test]
async fn l1_every_write_rpc_on_exports_and_runs_leaves_one_entry_with_who_what_when_and_the_right() {
    let (stage, waiting) = held::held().await;
    let mut another = held::another_administrator(&stage).await;
    let approve =
        pb::ApproveRunRequest { name: waiting.name.clone(), etag: waiting.etag.clone(), ..Default::default() };
    ok(another.runs.approve_run(under("RunService/ApproveRun", approve)).await);
    stage.ended(&waiting.name, super::SOON).await;
    let mut client = stage.client("administrator").await;
    let create = pb::CreateExportRequest {
        parent: acme(),
        export_id: "daily".to_owned(),
        export: Some(stage.export("newsletter", "people")),
        ..Default::default()
    };
    let made = ok(client.exports.create_export(under("ExportService/CreateExport", create)).await).export.unwrap();
    let update = pb::UpdateExportRequest {
        export: Some(pb::Export { display_name: "Renamed".to_owned(), ..made.clone() }),
        update_mask: mask("display_name"),
        ..Default::default()
    };
    ok(client.exports.update_export(under("ExportService/UpdateExport", update)).await);
    let plan = pb::PlanExportRequest { name: made.name.clone(), ..Default::default() };
    let planned = ok(client.exports.plan_export(under("ExportService/PlanExport", plan)).await).run.unwrap();
    stage.ended(&planned.name, super::SOON).await;
    // A segment that takes its time, so that there is something to cancel.
    let people = stage.path("segments").join(TENANT).join("people");
    std::fs::write(people, canary::people(20_000)).unwrap();
    let run = pb::RunExportRequest { name: made.name.clone(), ..Default::default() };
    let run = ok(client.exports.run_export(under("ExportService/RunExport", run)).await).run.unwrap();
    let cancel = pb::CancelRunRequest { name: run.name.clone(), ..Default::default() };
    ok(client.runs.cancel_run(under("RunService/CancelRun", cancel)).await);
    stage.ended(&run.name, super::SOON).await;
    let delete = pb::DeleteExportRequest { name: made.name.clone(), ..Default::default() };
    ok(client.exports.delete_export(under("ExportService/DeleteExport", delete)).await);
    let entries = recorded(&stage).await;
    let mine = [
        ("ExportService/CreateExport", &made.name),
        ("ExportService/UpdateExport", &made.name),
        ("ExportService/PlanExport", &planned.name),
        ("ExportService/RunExport", &run.name),
        ("RunService/CancelRun", &run.name),
        ("ExportService/DeleteExport", &made.name),
    ];
    for (method, object) in mine {
        own(&entries, method, object, "administrator");
    }
    let approved = own(&entries, "RunService/ApproveRun", &waiting.name, "another");
    assert_eq!(approved.details["started_by"], "administrator");
}

#[tokio::test]
async fn l1_every_write_rpc_on_schedules_and_many_exports_leaves_one_entry_for_each_export() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", canary::people(2).as_bytes());
    let connection = stage.create_connection("newsletter").await.name;
    let export = stage.create_export("weekly", stage.export("newsletter", "people")).await.name;
    let mut client = stage.client("administrator").await;
    let copy = pb::DuplicateExportRequest { name: export.clone(), export_id: "copy".to_owned(), ..Default::default() };
    let copy = ok(client.exports.duplicate_export(under("ExportService/DuplicateExport", copy)).await).export.unwrap();
    let (name, names) = (copy.name.clone(), vec![copy.name.clone()]);
    let detach = pb::DetachExportRequest { name: name.clone(), ..Default::default() };
    ok(client.exports.detach_export(under("ExportService/DetachExport", detach)).await);
    let attach = pb::AttachExportRequest { name: name.clone(), connection: connection.clone(), ..Default::default() };
    ok(client.exports.attach_export(under("ExportService/AttachExport", attach)).await);
    let detach = pb::BatchDetachExportsRequest { parent: acme(), names: names.clone(), ..Default::default() };
    ok(client.exports.batch_detach_exports(under("ExportService/BatchDetachExports", detach)).await);
    let attach =
        pb::BatchAttachExportsRequest { parent: acme(), names: names.clone(), connection, ..Default::default() };
    ok(client.exports.batch_attach_exports(under("ExportService/BatchAttachExports", attach)).await);
    let on = pb::BatchUpdateSchedulesRequest {
        parent: acme(),
        names,
        mode: pb::batch_update_schedules_request::Mode::KeepIndividual.into(),
        active: Some(true),
        ..Default::default()
    };
    ok(client.exports.batch_update_schedules(under("ExportService/BatchUpdateSchedules", on)).await);
    let all = pb::RunAllExportsRequest { parent: acme(), ..Default::default() };
    let runs = ok(client.exports.run_all_exports(under("ExportService/RunAllExports", all)).await).runs;
    assert_eq!(runs.len(), 2);
    let schedule = pb::RefreshSchedule { name: format!("{}/refreshSchedule", acme()), ..Default::default() };
    let update = pb::UpdateRefreshScheduleRequest {
        refresh_schedule: Some(schedule.clone()),
        update_mask: mask("active"),
        ..Default::default()
    };
    ok(client.refresh.update_refresh_schedule(under("RefreshService/UpdateRefreshSchedule", update)).await);
    let start = pb::StartRefreshRequest { parent: acme(), ..Default::default() };
    ok(client.refresh.start_refresh(under("RefreshService/StartRefresh", start)).await);
    let entries = recorded(&stage).await;
    let mine = [
        ("ExportService/DuplicateExport", &name),
        ("ExportService/DetachExport", &name),
        ("ExportService/AttachExport", &name),
        ("ExportService/BatchDetachExports", &name),
        ("ExportService/BatchAttachExports", &name),
        ("ExportService/BatchUpdateSchedules", &name),
        ("ExportService/RunAllExports", &acme()),
        ("RefreshService/UpdateRefreshSchedule", &schedule.name),
        ("RefreshService/StartRefresh", &acme()),
    ];
    for (method, object) in mine {
        own(&entries, method, object, "administrator");
    }
}

#[tokio::test]
async fn l1_every_write_rpc_on_tenants_leaves_one_entry_with_who_what_when_and_the_right() {
    let stage = Stage::new().await;
    let mut operator = stage.operator().await;
    let tenant = pb::Tenant { display_name: "Other".to_owned(), ..Default::default() };
    let create = pb::CreateTenantRequest { tenant_id: "other".to_owned(), tenant: Some(tenant), ..Default::default() };
    let made = ok(operator.tenants.create_tenant(under("TenantService/CreateTenant", create)).await).tenant.unwrap();
    let update = pb::UpdateTenantRequest {
        tenant: Some(pb::Tenant { display_name: "Renamed".to_owned(), ..made.clone() }),
        update_mask: mask("display_name"),
        ..Default::default()
    };
    ok(operator.tenants.update_tenant(under("TenantService/UpdateTenant", update)).await);
    let mut administrator = Client::connect(stage.addr(), &stage.token_in("other", "administrator")).await;
    let revoke =
        pb::RevokePrincipalRequest { name: made.name.clone(), subject: "gone".to_owned(), ..Default::default() };
    ok(administrator.tenants.revoke_principal(under("TenantService/RevokePrincipal", revoke)).await);
    let delete = pb::DeleteTenantRequest { name: made.name.clone(), ..Default::default() };
    ok(operator.tenants.delete_tenant(under("TenantService/DeleteTenant", delete)).await);
    let entries = recorded(&stage).await;
    for method in ["CreateTenant", "UpdateTenant", "DeleteTenant"] {
        own(&entries, &format!("TenantService/{method}"), &made.name, "operator");
    }
    own(&entries, "TenantService/RevokePrincipal", &made.name, "administrator");
}

#[tokio::test]
async fn l1_every_write_rpc_on_webhooks_leaves_one_entry_with_who_what_when_and_the_right() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let hook = |name: &str| pb::Webhook {
        name: name.to_owned(),
        display_name: "Hook".to_owned(),
        url: "https://hooks.example.com/of-nobody".to_owned(),
        ..Default::default()
    };
    let create = pb::CreateWebhookRequest { parent: acme(), webhook: Some(hook("")), ..Default::default() };
    let made = ok(client.notifications.create_webhook(under("NotificationService/CreateWebhook", create)).await);
    let name = made.webhook.unwrap().name;
    let update =
        pb::UpdateWebhookRequest { webhook: Some(hook(&name)), update_mask: mask("disabled"), ..Default::default() };
    ok(client.notifications.update_webhook(under("NotificationService/UpdateWebhook", update)).await);
    let delete = pb::DeleteWebhookRequest { name: name.clone(), ..Default::default() };
    ok(client.notifications.delete_webhook(under("NotificationService/DeleteWebhook", delete)).await);
    let entries = recorded(&stage).await;
    for method in ["CreateWebhook", "UpdateWebhook", "DeleteWebhook"] {
        let entry = own(&entries, &format!("NotificationService/{method}"), &name, "administrator");
        let told: Vec<&String> = entry.details.values().collect();
        assert!(!told.iter().any(|text| text.contains("of-nobody") || text.contains("whsec")), "{told:?}");
    }
}

/// A repeat by its request id changes nothing, and so leaves nothing.
#[tokio::test]
async fn l1_a_repeat_and_a_refused_request_leave_no_entry() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let create = pb::CreateConnectionRequest {
        parent: acme(),
        connection: Some(stage.connection()),
        skip_verification: true,
        request_id: "0c6d1b52-7a7e-4b37-8f0e-7d1b0a0f9a11".to_owned(),
        ..Default::default()
    };
    ok(client.connections.create_connection(create.clone()).await);
    let before = recorded(&stage).await.len();
    ok(client.connections.create_connection(create.clone()).await);
    let bad = pb::CreateConnectionRequest { connection: None, request_id: String::new(), ..create };
    client.connections.create_connection(bad).await.unwrap_err();
    assert_eq!(recorded(&stage).await.len(), before);
    let kinds: BTreeSet<String> = recorded(&stage).await.into_iter().map(|entry| entry.kind).collect();
    assert!(kinds.iter().all(|kind| kind.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')), "{kinds:?}");
}
