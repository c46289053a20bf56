//! Who may do what, stated a second time: from the words of the API's documents, not from the code that decides.

use super::cells::{Cell, Claim, Owner, Relation, Sharing};

/// The three roles of a tenant; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Viewer,
    Contributor,
    Administrator,
}

/// What an RPC asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// This role, in the tenant that the request names.
    Least(Role),
    /// A contributor whom the named connection is shared with, else an administrator. To another contributor the
    /// connection does not exist.
    Connection,
    /// A contributor whom the connection of the named export is shared with, else an administrator. Everybody sees the
    /// export, so it is no secret that it is there.
    Export,
    /// An administrator who is not the one that started the named run.
    AnotherAdministrator,
    /// The operator, and nobody of a tenant.
    Operator,
}

/// How a call ends, as far as rights go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Unauthenticated,
    Denied,
    /// `NOT_FOUND` of something that may be there.
    Hidden,
    /// Whatever else: the call was let in.
    Allowed,
}

/// The least role of each RPC. `None` for one that nobody has thought about.
pub(super) fn rule(rpc: &str) -> Option<Rule> {
    use Role::{Administrator, Contributor, Viewer};
    let (service, method) = rpc.split_once('/')?;
    Some(match (service, method) {
        ("ConnectionService", "ListDestinationTypes") => Rule::Least(Viewer),
        ("ConnectionService", "ListConnections") => Rule::Least(Contributor),
        ("ConnectionService", "GetConnection") => Rule::Connection,
        (
            "ConnectionService",
            "CreateConnection" | "UpdateConnection" | "BindExportUser" | "VerifyConnection" | "DeleteConnection",
        ) => Rule::Least(Administrator),
        ("SegmentService", "ListSegments" | "GetSegment") => Rule::Least(Viewer),
        ("SegmentService", "PreviewSegment") => Rule::Least(Contributor),
        ("ExportService", "GetExport" | "ListExports") => Rule::Least(Viewer),
        ("ExportService", "CreateExport") => Rule::Connection,
        (
            "ExportService",
            "UpdateExport"
            | "DeleteExport"
            | "DuplicateExport"
            | "AttachExport"
            | "DetachExport"
            | "BatchAttachExports"
            | "BatchDetachExports"
            | "BatchUpdateSchedules"
            | "ValidateExport"
            | "PlanExport"
            | "RunExport",
        ) => Rule::Export,
        ("ExportService", "RunAllExports") => Rule::Least(Contributor),
        ("RunService", "GetRun" | "ListRuns" | "WatchRuns") => Rule::Least(Viewer),
        ("RunService", "CancelRun" | "ListRejectedProfiles") => Rule::Export,
        ("RunService", "ApproveRun") => Rule::AnotherAdministrator,
        ("NotificationService", "ListNotifications") => Rule::Least(Viewer),
        (
            "NotificationService",
            "CreateWebhook" | "GetWebhook" | "ListWebhooks" | "UpdateWebhook" | "DeleteWebhook" | "TestWebhook",
        ) => Rule::Least(Administrator),
        ("RefreshService", "ListTimeZones" | "GetRefreshSchedule") => Rule::Least(Viewer),
        ("RefreshService", "UpdateRefreshSchedule" | "StartRefresh") => Rule::Least(Administrator),
        ("AuditService", "GetCheckpoint") => Rule::Least(Viewer),
        ("AuditService", "ListAuditEntries" | "ExportAuditLog" | "FindRecipients" | "ErasePerson") => {
            Rule::Least(Administrator)
        }
        ("TenantService", "RevokePrincipal") => Rule::Least(Administrator),
        ("TenantService", "CreateTenant" | "GetTenant" | "ListTenants" | "UpdateTenant" | "DeleteTenant") => {
            Rule::Operator
        }
        _ => return None,
    })
}

/// The answer that the documents promise for a cell.
pub(super) fn expected(rule: Rule, cell: &Cell) -> Outcome {
    if cell.claim.is_malformed() {
        return Outcome::Unauthenticated;
    }
    if rule == Rule::Operator {
        return if cell.claim.is_operator() { Outcome::Allowed } else { Outcome::Denied };
    }
    let role = if cell.relation == Relation::Own { cell.claim.role() } else { None };
    let Some(role) = role else { return Outcome::Denied };
    let least = match rule {
        Rule::Least(least) => least,
        Rule::AnotherAdministrator => Role::Administrator,
        Rule::Connection | Rule::Export | Rule::Operator => Role::Contributor,
    };
    if role < least {
        return Outcome::Denied;
    }
    let is_shared = role == Role::Administrator || cell.sharing == Sharing::Shared;
    match rule {
        Rule::Connection if !is_shared => Outcome::Hidden,
        // An export that is not there is missed by whoever has a role that might have been enough.
        Rule::Export if !is_shared && cell.sharing != Sharing::Removed => Outcome::Denied,
        // What is not there was started by nobody.
        Rule::AnotherAdministrator if cell.owner == Owner::Caller && cell.sharing != Sharing::Removed => {
            Outcome::Denied
        }
        _ => Outcome::Allowed,
    }
}

impl Claim {
    fn is_malformed(self) -> bool {
        matches!(self, Self::NoToken | Self::UnknownWord | Self::TwoRoles | Self::EmptyList)
    }

    fn is_operator(self) -> bool {
        matches!(self, Self::Operator | Self::OperatorAndAdministrator)
    }

    /// Who holds both is both: neither opens or closes what is the other's.
    fn role(self) -> Option<Role> {
        match self {
            Self::Viewer => Some(Role::Viewer),
            Self::Contributor => Some(Role::Contributor),
            Self::Administrator | Self::OperatorAndAdministrator => Some(Role::Administrator),
            _ => None,
        }
    }
}
