//! The table of roles in the terms of those who hold them. One caller for each column, one line for each capability.

use super::ask;
use super::scene::Scene;
use std::collections::BTreeSet;
use tonic::Code;

/// Capability; may: viewer, contributor where the connection is not shared, contributor where it is, administrator,
/// operator; by which RPCs.
const TABLE: [(&str, &str, &[&str]); 17] = [
    ("exports: view", "xxxx-", &["ExportService/GetExport", "ExportService/ListExports"]),
    ("exports: add, duplicate", "--xx-", &["ExportService/CreateExport", "ExportService/DuplicateExport"]),
    (
        "exports: edit, remove, schedule",
        "--xx-",
        &["ExportService/UpdateExport", "ExportService/DeleteExport", "ExportService/BatchUpdateSchedules"],
    ),
    (
        "exports: attach, detach",
        "--xx-",
        &[
            "ExportService/AttachExport",
            "ExportService/DetachExport",
            "ExportService/BatchAttachExports",
            "ExportService/BatchDetachExports",
        ],
    ),
    (
        "exports: run one",
        "--xx-",
        &[
            "ExportService/RunExport",
            "ExportService/PlanExport",
            "ExportService/ValidateExport",
            "RunService/CancelRun",
        ],
    ),
    ("exports: run those that one may run", "-xxx-", &["ExportService/RunAllExports"]),
    ("runs: view", "xxxx-", &["RunService/GetRun", "RunService/ListRuns", "RunService/WatchRuns"]),
    ("runs: view people that did not go", "--xx-", &["RunService/ListRejectedProfiles"]),
    ("runs: approve", "---x-", &["RunService/ApproveRun"]),
    ("connections: name and type of one", "--xx-", &["ConnectionService/GetConnection"]),
    ("connections: name and type of all that are shared", "-xxx-", &["ConnectionService/ListConnections"]),
    (
        "connections: add, edit, remove, choose who may use them",
        "---x-",
        &[
            "ConnectionService/CreateConnection",
            "ConnectionService/UpdateConnection",
            "ConnectionService/BindExportUser",
            "ConnectionService/VerifyConnection",
            "ConnectionService/DeleteConnection",
        ],
    ),
    (
        "what there is to choose from",
        "xxxx-",
        &[
            "ConnectionService/ListDestinationTypes",
            "SegmentService/ListSegments",
            "SegmentService/GetSegment",
            "RefreshService/ListTimeZones",
            "RefreshService/GetRefreshSchedule",
            "NotificationService/ListNotifications",
            "AuditService/GetCheckpoint",
        ],
    ),
    ("segments: view rows", "-xxx-", &["SegmentService/PreviewSegment"]),
    (
        "system: refresh schedule, webhooks",
        "---x-",
        &[
            "RefreshService/UpdateRefreshSchedule",
            "RefreshService/StartRefresh",
            "NotificationService/CreateWebhook",
            "NotificationService/GetWebhook",
            "NotificationService/ListWebhooks",
            "NotificationService/UpdateWebhook",
            "NotificationService/DeleteWebhook",
            "NotificationService/TestWebhook",
        ],
    ),
    (
        "system: log, persons, permissions",
        "---x-",
        &[
            "AuditService/ListAuditEntries",
            "AuditService/ExportAuditLog",
            "AuditService/FindRecipients",
            "AuditService/ErasePerson",
            "TenantService/RevokePrincipal",
        ],
    ),
    (
        "tenants",
        "----x",
        &[
            "TenantService/CreateTenant",
            "TenantService/GetTenant",
            "TenantService/ListTenants",
            "TenantService/UpdateTenant",
            "TenantService/DeleteTenant",
        ],
    ),
];

#[test]
fn the_table_of_roles_has_every_rpc_once() {
    let listed: Vec<&str> = TABLE.iter().flat_map(|(_, _, rpcs)| *rpcs).copied().collect();
    let unique: BTreeSet<&str> = listed.iter().copied().collect();
    let rpcs = ask::rpcs();
    assert_eq!(listed.len(), unique.len(), "one stands twice");
    assert_eq!(unique, rpcs.iter().map(|rpc| rpc.name.as_str()).collect());
}

#[tokio::test]
async fn p1_the_table_of_roles() {
    let scene = Scene::new().await;
    let callers = scene.callers();
    let columns = [
        ("viewer", &scene.own),
        ("contributor", &scene.hidden),
        ("contributor", &scene.own),
        ("administrator", &scene.hidden),
        ("operator", &scene.own),
    ];
    let mut wrong = Vec::new();
    for (capability, may, rpcs) in TABLE {
        for rpc in ask::rpcs().iter().filter(|rpc| rpcs.contains(&rpc.name.as_str())) {
            for ((caller, names), may) in columns.iter().zip(may.chars()) {
                let answer = scene.gently(rpc, &callers[caller], names).await;
                // What is named is there: a connection that is not found is one that is hidden.
                let hides = ["ConnectionService/GetConnection", "ExportService/CreateExport"];
                let is_hidden = answer.code == Code::NotFound && hides.contains(&rpc.name.as_str());
                let is_refused = answer.code == Code::PermissionDenied || is_hidden;
                if is_refused == (may == 'x') {
                    let shared = if *names == &scene.own { "shared" } else { "not shared" };
                    wrong.push(format!("{capability}: {} by {caller}, {shared}: {:?}", rpc.name, answer.code));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
