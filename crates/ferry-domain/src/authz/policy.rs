//! The table: the least role for every RPC of `ferry.v1`. An RPC without a line stops the build of `ferry-server`, an
//! action without one that of this crate, and a test compares the whole with the API's descriptors.

use super::Role;

/// What an RPC asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Least {
    /// At least this role in the tenant.
    Role(Role),
    /// An administrator, or a contributor where the connection behind the target is shared.
    ContributorIfShared,
    /// The operator's plane; no role of a tenant opens it.
    Operator,
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `Service/Method`.
    pub method: &'static str,
    /// What it asks.
    pub least: Least,
}

const fn viewer(method: &'static str) -> Rule {
    Rule { method, least: Least::Role(Role::Viewer) }
}

const fn contributor(method: &'static str) -> Rule {
    Rule { method, least: Least::Role(Role::Contributor) }
}

const fn administrator(method: &'static str) -> Rule {
    Rule { method, least: Least::Role(Role::Administrator) }
}

const fn shared(method: &'static str) -> Rule {
    Rule { method, least: Least::ContributorIfShared }
}

const fn operator(method: &'static str) -> Rule {
    Rule { method, least: Least::Operator }
}

/// Every RPC, grouped by service.
pub const POLICY: &[Rule] = &[
    administrator("ConnectionService/CreateConnection"),
    contributor("ConnectionService/GetConnection"),
    contributor("ConnectionService/ListConnections"),
    administrator("ConnectionService/UpdateConnection"),
    administrator("ConnectionService/BindExportUser"),
    administrator("ConnectionService/VerifyConnection"),
    administrator("ConnectionService/DeleteConnection"),
    viewer("ConnectionService/ListDestinationTypes"),
    viewer("SegmentService/ListSegments"),
    viewer("SegmentService/GetSegment"),
    contributor("SegmentService/PreviewSegment"),
    shared("ExportService/CreateExport"),
    shared("ExportService/UpdateExport"),
    shared("ExportService/DeleteExport"),
    shared("ExportService/DuplicateExport"),
    shared("ExportService/AttachExport"),
    shared("ExportService/DetachExport"),
    shared("ExportService/BatchAttachExports"),
    shared("ExportService/BatchDetachExports"),
    shared("ExportService/BatchUpdateSchedules"),
    viewer("ExportService/GetExport"),
    viewer("ExportService/ListExports"),
    shared("ExportService/ValidateExport"),
    shared("ExportService/PlanExport"),
    shared("ExportService/RunExport"),
    contributor("ExportService/RunAllExports"),
    viewer("RunService/GetRun"),
    viewer("RunService/ListRuns"),
    shared("RunService/CancelRun"),
    administrator("RunService/ApproveRun"),
    viewer("RunService/WatchRuns"),
    shared("RunService/ListRejectedProfiles"),
    viewer("NotificationService/ListNotifications"),
    administrator("NotificationService/CreateWebhook"),
    administrator("NotificationService/GetWebhook"),
    administrator("NotificationService/ListWebhooks"),
    administrator("NotificationService/UpdateWebhook"),
    administrator("NotificationService/DeleteWebhook"),
    administrator("NotificationService/TestWebhook"),
    viewer("RefreshService/ListTimeZones"),
    viewer("RefreshService/GetRefreshSchedule"),
    administrator("RefreshService/UpdateRefreshSchedule"),
    administrator("RefreshService/StartRefresh"),
    administrator("AuditService/ListAuditEntries"),
    administrator("AuditService/ExportAuditLog"),
    administrator("AuditService/FindRecipients"),
    administrator("AuditService/ErasePerson"),
    viewer("AuditService/GetCheckpoint"),
    operator("TenantService/CreateTenant"),
    operator("TenantService/GetTenant"),
    operator("TenantService/ListTenants"),
    operator("TenantService/UpdateTenant"),
    operator("TenantService/DeleteTenant"),
    administrator("TenantService/RevokePrincipal"),
];

/// The line of an RPC. Asked while compiling: an action or an RPC without a line stops the build.
#[must_use]
pub const fn line(method: &str) -> Least {
    let mut at = 0;
    while at < POLICY.len() {
        if same(POLICY[at].method, method) {
            return POLICY[at].least;
        }
        at += 1;
    }
    panic!("an RPC has no line in the policy table");
}

/// The line of a method that somebody called, if there is such an RPC.
#[must_use]
pub fn find(method: &str) -> Option<Rule> {
    POLICY.iter().find(|rule| rule.method == method).copied()
}

/// Stops the build unless each of these RPCs has a line.
pub const fn covers(methods: &[&str]) {
    let mut at = 0;
    while at < methods.len() {
        let _the_line = line(methods[at]);
        at += 1;
    }
}

/// `==` of texts is not const yet.
const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}
