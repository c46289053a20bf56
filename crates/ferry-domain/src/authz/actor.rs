//! The caller, as its token says.

use crate::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A role within one tenant. Each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees segments, exports and runs.
    Viewer,
    /// Manages exports on shared connections.
    Contributor,
    /// Manages everything of the tenant.
    Administrator,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Contributor, Self::Administrator];

    /// Reads the claim's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// The word in the claim.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Contributor => "contributor",
            Self::Administrator => "administrator",
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    subject: String,
    tenants: BTreeMap<TenantId, Role>,
    operator: bool,
    expire_time: Timestamp,
}

impl Actor {
    /// What a verified token says. Only authentication calls this outside of tests.
    #[must_use]
    pub fn new(subject: String, tenants: BTreeMap<TenantId, Role>, operator: bool, expire_time: Timestamp) -> Self {
        Self { subject, tenants, operator, expire_time }
    }

    /// The token's `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The role held in a tenant, if any.
    #[must_use]
    pub fn role_in(&self, tenant: &TenantId) -> Option<Role> {
        self.tenants.get(tenant).copied()
    }

    /// Whether the token is for the operator's plane. It opens no tenant's data.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.operator
    }

    /// When the token ends.
    #[must_use]
    pub fn expire_time(&self) -> Timestamp {
        self.expire_time
    }
}
