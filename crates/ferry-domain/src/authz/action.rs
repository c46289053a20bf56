//! One type for each thing that can be done; a [`super::Permit`] is for exactly one of them.

use super::target::{ExportTarget, NewExport, OperatedTenant, RunTarget, Target, Tenants};
use crate::name::RunParent;
use crate::{ConnectionName, ExportName, RunName, SegmentName, TenantName};

/// Something that can be done, by the RPC that does it.
pub trait Action {
    /// The RPC, as `Service/Method`; the key of the policy table.
    const METHOD: &'static str;
    /// What it is done to.
    type Target: Target;
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident($method:literal) on $target:ty;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;
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
    /// Reads the rows of a run that did not go.
    ListRejectedProfiles("RunService/ListRejectedProfiles") on RunTarget;
    /// Stores a tenant.
    CreateTenant("TenantService/CreateTenant") on Tenants;
    /// Reads a tenant.
    GetTenant("TenantService/GetTenant") on OperatedTenant;
}
