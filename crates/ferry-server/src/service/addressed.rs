//! Which tenant a request is about, for each request of the API. [`Call::new`](super::Call::new) asks for it, so an RPC
//! whose request has no line here does not compile.

use ferry_proto::v1::{self as pb};

/// A request that says what it is about.
pub(crate) trait Addressed {
    /// The name of a resource, or of its parent; nothing on the operator's plane.
    fn resource(&self) -> Option<&str>;
}

macro_rules! addressed {
    ($field:ident: $($message:ident),+ $(,)?) => {
        $(impl Addressed for pb::$message {
            fn resource(&self) -> Option<&str> {
                Some(&self.$field)
            }
        })+
    };
}

macro_rules! addressed_within {
    ($($message:ident: $field:ident),+ $(,)?) => {
        $(impl Addressed for pb::$message {
            fn resource(&self) -> Option<&str> {
                self.$field.as_ref().map(|written| written.name.as_str())
            }
        })+
    };
}

macro_rules! of_the_operator {
    ($($message:ident),+ $(,)?) => {
        $(impl Addressed for pb::$message {
            fn resource(&self) -> Option<&str> {
                None
            }
        })+
    };
}

addressed! {
    name:
    GetConnectionRequest,
    BindExportUserRequest,
    VerifyConnectionRequest,
    DeleteConnectionRequest,
    ValidateExportRequest,
    PlanExportRequest,
    RunExportRequest,
    GetExportRequest,
    DeleteExportRequest,
    DuplicateExportRequest,
    AttachExportRequest,
    DetachExportRequest,
    GetWebhookRequest,
    DeleteWebhookRequest,
    TestWebhookRequest,
    GetRefreshScheduleRequest,
    GetRunRequest,
    CancelRunRequest,
    ApproveRunRequest,
    ListRejectedProfilesRequest,
    GetSegmentRequest,
    PreviewSegmentRequest,
    RevokePrincipalRequest,
}

addressed! {
    parent:
    ListAuditEntriesRequest,
    ExportAuditLogRequest,
    FindRecipientsRequest,
    ErasePersonRequest,
    GetCheckpointRequest,
    CreateConnectionRequest,
    ListConnectionsRequest,
    ListDestinationTypesRequest,
    BatchAttachExportsRequest,
    BatchDetachExportsRequest,
    BatchUpdateSchedulesRequest,
    RunAllExportsRequest,
    CreateExportRequest,
    ListExportsRequest,
    ListNotificationsRequest,
    CreateWebhookRequest,
    ListWebhooksRequest,
    ListTimeZonesRequest,
    StartRefreshRequest,
    ListRunsRequest,
    WatchRunsRequest,
    ListSegmentsRequest,
}

addressed_within! {
    UpdateConnectionRequest: connection,
    UpdateExportRequest: export,
    UpdateWebhookRequest: webhook,
    UpdateRefreshScheduleRequest: refresh_schedule,
}

of_the_operator! {
    CreateTenantRequest,
    GetTenantRequest,
    ListTenantsRequest,
    UpdateTenantRequest,
    DeleteTenantRequest,
}
