//! One type for each thing that can be done; a [`super::Permit`] is for exactly one of them.

use super::policy::{self, Least};
use super::target::{AuditParent, ExportTarget, HeldRun, NewExport, OperatedTenant, RunTarget, Target, Tenants};
use crate::name::RunParent;
use crate::{ConnectionName, ExportName, RunName, SegmentName, TenantName, WebhookName};

/// Something that can be done, by the RPC that does it.
pub trait Action {
    /// The RPC, as `Service/Method`; the key of the policy table.
    const METHOD: &'static str;
    /// What the table asks of its caller.
    const LEAST: Least = policy::line(Self::METHOD);
    /// What it is done to.
    type Target: Target;
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident($method:literal) on $target:ty;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;
            const _: Least = policy::line($method);
            impl Action for $name {
                const METHOD: &'static str = $method;
                type Target = $target;
            }
        )+
    };
}

actions! {
    /// Stores a connection.
    CreateConnection("ConnectionService/CreateConnection") on ConnectionName;
    /// Reads a connection.
    GetConnection("ConnectionService/GetConnection") on ConnectionName;
    /// Reads a tenant's connections.
    ListConnections("ConnectionService/ListConnections") on TenantName;
    /// Changes a connection.
    UpdateConnection("ConnectionService/UpdateConnection") on ConnectionName;
    /// Makes the caller the export user.
    BindExportUser("ConnectionService/BindExportUser") on ConnectionName;
    /// Asks the destination whether it takes the credentials.
    VerifyConnection("ConnectionService/VerifyConnection") on ConnectionName;
    /// Removes a connection.
    DeleteConnection("ConnectionService/DeleteConnection") on ConnectionName;
    /// Reads the descriptors.
    ListDestinationTypes("ConnectionService/ListDestinationTypes") on TenantName;
    /// Reads a tenant's segments.
    ListSegments("SegmentService/ListSegments") on TenantName;
    /// Reads a segment.
    GetSegment("SegmentService/GetSegment") on SegmentName;
    /// Reads rows of a segment.
    PreviewSegment("SegmentService/PreviewSegment") on SegmentName;
    /// Stores an export.
    CreateExport("ExportService/CreateExport") on NewExport;
    /// Reads an export.
    GetExport("ExportService/GetExport") on ExportName;
    /// Reads a tenant's exports.
    ListExports("ExportService/ListExports") on TenantName;
    /// Changes an export.
    UpdateExport("ExportService/UpdateExport") on ExportTarget;
    /// Removes an export.
    DeleteExport("ExportService/DeleteExport") on ExportTarget;
    /// Asks the destination about an export's settings.
    ValidateExport("ExportService/ValidateExport") on ExportTarget;
    /// Copies an export.
    DuplicateExport("ExportService/DuplicateExport") on ExportTarget;
    /// Gives an export another connection.
    AttachExport("ExportService/AttachExport") on ExportTarget;
    /// Takes an export off its connection.
    DetachExport("ExportService/DetachExport") on ExportTarget;
    /// Gives an export another connection, as one of many.
    BatchAttachExports("ExportService/BatchAttachExports") on ExportTarget;
    /// Takes an export off its connection, as one of many.
    BatchDetachExports("ExportService/BatchDetachExports") on ExportTarget;
    /// Changes an export's schedule, as one of many.
    BatchUpdateSchedules("ExportService/BatchUpdateSchedules") on ExportTarget;
    /// Queues a run of each export that the caller may run.
    RunAllExports("ExportService/RunAllExports") on TenantName;
    /// Queues a run that sends nothing.
    PlanExport("ExportService/PlanExport") on ExportTarget;
    /// Queues a run.
    RunExport("ExportService/RunExport") on ExportTarget;
    /// Reads a run.
    GetRun("RunService/GetRun") on RunName;
    /// Reads runs.
    ListRuns("RunService/ListRuns") on RunParent;
    /// Stops a run.
    CancelRun("RunService/CancelRun") on RunTarget;
    /// Lets a held run go on.
    ApproveRun("RunService/ApproveRun") on HeldRun;
    /// Follows runs.
    WatchRuns("RunService/WatchRuns") on RunParent;
    /// Reads the rows of a run that did not go.
    ListRejectedProfiles("RunService/ListRejectedProfiles") on RunTarget;
    /// Reads what a person must know.
    ListNotifications("NotificationService/ListNotifications") on TenantName;
    /// Stores a webhook.
    CreateWebhook("NotificationService/CreateWebhook") on WebhookName;
    /// Reads a webhook.
    GetWebhook("NotificationService/GetWebhook") on WebhookName;
    /// Reads a tenant's webhooks.
    ListWebhooks("NotificationService/ListWebhooks") on TenantName;
    /// Changes a webhook.
    UpdateWebhook("NotificationService/UpdateWebhook") on WebhookName;
    /// Removes a webhook.
    DeleteWebhook("NotificationService/DeleteWebhook") on WebhookName;
    /// Sends a trial to a webhook.
    TestWebhook("NotificationService/TestWebhook") on WebhookName;
    /// Reads the known time zones.
    ListTimeZones("RefreshService/ListTimeZones") on TenantName;
    /// Reads a tenant's schedule.
    GetRefreshSchedule("RefreshService/GetRefreshSchedule") on TenantName;
    /// Changes a tenant's schedule.
    UpdateRefreshSchedule("RefreshService/UpdateRefreshSchedule") on TenantName;
    /// Says that segments were refreshed.
    StartRefresh("RefreshService/StartRefresh") on TenantName;
    /// Reads the audit log.
    ListAuditEntries("AuditService/ListAuditEntries") on AuditParent;
    /// Reads the audit log as a stream.
    ExportAuditLog("AuditService/ExportAuditLog") on TenantName;
    /// Reads where a person's data has gone.
    FindRecipients("AuditService/FindRecipients") on TenantName;
    /// Takes a person off every list.
    ErasePerson("AuditService/ErasePerson") on TenantName;
    /// Reads the newest checkpoint.
    GetCheckpoint("AuditService/GetCheckpoint") on TenantName;
    /// Stores a tenant.
    CreateTenant("TenantService/CreateTenant") on Tenants;
    /// Reads a tenant.
    GetTenant("TenantService/GetTenant") on OperatedTenant;
    /// Reads all tenants.
    ListTenants("TenantService/ListTenants") on Tenants;
    /// Changes a tenant.
    UpdateTenant("TenantService/UpdateTenant") on OperatedTenant;
    /// Removes a tenant.
    DeleteTenant("TenantService/DeleteTenant") on OperatedTenant;
    /// Ends a person's rights in a tenant.
    RevokePrincipal("TenantService/RevokePrincipal") on TenantName;
}
