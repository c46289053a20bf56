//! A tenant: a company whose profiles stay apart from all others'.

use crate::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// What the tenant is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantKind {
    /// Real people's data.
    Production,
    /// For trying things out.
    Sandbox,
}

/// A tenant as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id, chosen by the operator.
    pub id: TenantId,
    /// Never used again, even if the id is.
    pub uid: String,
    /// For people.
    pub display_name: String,
    /// Production or sandbox.
    pub kind: TenantKind,
    /// For how many days bodies of its audit entries are kept; for ever if nothing.
    pub audit_retention: Option<u32>,
    /// Raised by each change.
    pub version: i64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was last changed.
    pub update_time: Timestamp,
}
