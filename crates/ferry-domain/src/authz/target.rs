//! What an action is done to, with the facts about it that the policy needs.

use crate::name::{NameError, RunParent};
use crate::{
    ConnectionAccess, ConnectionId, ConnectionName, ExportName, RunName, SegmentName, TenantId, TenantName, WebhookName,
};

/// The thing acted on.
pub trait Target {
    /// The tenant whose data it is; nothing on the operator's plane.
    fn tenant(&self) -> Option<&TenantId>;
    /// Its name, for the answer to a caller who may not.
    fn resource(&self) -> String;
    /// Whether the connection behind it is shared with contributors; nothing where no connection matters.
    fn connection_access(&self) -> Option<ConnectionAccess> {
        None
    }
    /// The subject to whom it is closed, whatever their role.
    fn closed_to(&self) -> Option<&str> {
        None
    }
}

macro_rules! plain_target {
    ($name:ty) => {
        impl Target for $name {
            fn tenant(&self) -> Option<&TenantId> {
                Some(&self.tenant)
            }
            fn resource(&self) -> String {
                self.to_string()
            }
        }
    };
}
plain_target!(TenantName);
plain_target!(ConnectionName);
plain_target!(SegmentName);
plain_target!(ExportName);
plain_target!(RunName);
plain_target!(WebhookName);

impl Target for RunParent {
    fn tenant(&self) -> Option<&TenantId> {
        Some(RunParent::tenant(self))
    }
    fn resource(&self) -> String {
        match self {
            Self::Export(export) => export.to_string(),
            Self::Tenant(tenant) => format!("tenants/{tenant}/exports/-"),
        }
    }
}

/// Whose entries: those of a tenant's own chain, or those of a run's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditParent {
    /// What was changed and refused.
    Tenant(TenantName),
    /// What a run sent.
    Run(RunName),
}

impl AuditParent {
    /// Reads a tenant's name, or a run's.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.matches('/').count() {
            0 | 1 => TenantName::parse(text).map(Self::Tenant),
            _ => RunName::parse(text).map(Self::Run),
        }
    }

    /// The tenant whose data it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Tenant(name) => &name.tenant,
            Self::Run(name) => &name.tenant,
        }
    }
}

impl Target for AuditParent {
    fn tenant(&self) -> Option<&TenantId> {
        Some(AuditParent::tenant(self))
    }
    fn resource(&self) -> String {
        match self {
            Self::Tenant(name) => name.to_string(),
            Self::Run(name) => name.to_string(),
        }
    }
}

/// The operator's plane as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenants;

impl Target for Tenants {
    fn tenant(&self) -> Option<&TenantId> {
        None
    }
    fn resource(&self) -> String {
        "tenants".to_owned()
    }
}

/// A tenant seen from the operator's plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatedTenant(pub TenantName);

impl Target for OperatedTenant {
    fn tenant(&self) -> Option<&TenantId> {
        None
    }
    fn resource(&self) -> String {
        self.0.to_string()
    }
}

/// An export that is to be made on a connection. The write repeats `access`: if the connection was unshared in
/// between, it loses as ABORTED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExport {
    /// The name it will have.
    pub name: ExportName,
    /// The connection it will use.
    pub connection: ConnectionId,
    /// Who may use that connection, as read.
    pub access: ConnectionAccess,
}

impl Target for NewExport {
    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.name.tenant)
    }
    fn resource(&self) -> String {
        self.name.to_string()
    }
    fn connection_access(&self) -> Option<ConnectionAccess> {
        Some(self.access)
    }
}

/// An export with what its permissions depend on. The write repeats `version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportTarget {
    /// Its name.
    pub name: ExportName,
    /// Who may use its connection, as read; a detached export is for administrators.
    pub access: ConnectionAccess,
    /// The version that was read.
    pub version: i64,
}

impl Target for ExportTarget {
    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.name.tenant)
    }
    fn resource(&self) -> String {
        self.name.to_string()
    }
    fn connection_access(&self) -> Option<ConnectionAccess> {
        Some(self.access)
    }
}

/// A run with what its permissions depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTarget {
    /// Its name.
    pub name: RunName,
    /// Who may use the connection of its export, as read.
    pub access: ConnectionAccess,
}

impl Target for RunTarget {
    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.name.tenant)
    }
    fn resource(&self) -> String {
        self.name.to_string()
    }
    fn connection_access(&self) -> Option<ConnectionAccess> {
        Some(self.access)
    }
}

/// A run that somebody else than its starter is to let go on. The write repeats `started_by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRun {
    /// Its name.
    pub name: RunName,
    /// The subject who started it, as read.
    pub started_by: String,
}

impl Target for HeldRun {
    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.name.tenant)
    }
    fn resource(&self) -> String {
        self.name.to_string()
    }
    fn closed_to(&self) -> Option<&str> {
        Some(&self.started_by)
    }
}
