//! The caller, as its token says.

use super::Call;
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

/// What a verified token says of its holder. It opens nothing by itself: [`Actor::admit`] takes it together with what
/// is known of its holder since it was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// `sub`.
    pub subject: String,
    /// The role claimed in each tenant.
    pub tenants: BTreeMap<TenantId, Role>,
    /// Whether it lists tenants at all, be it none. One that does lists all of its holder's.
    pub lists_tenants: bool,
    /// Whether it is for the operator's plane.
    pub operator: bool,
    /// `iat`; for a token without one the earliest time at which it can have been issued.
    pub issue_time: Timestamp,
    /// `exp`.
    pub expire_time: Timestamp,
}

/// What is known today of the tenants that a token names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The tenants that exist, each with the time at which the token's subject was last revoked in it.
    pub tenants: BTreeMap<TenantId, Option<Timestamp>>,
}

/// An authenticated caller with the rights that hold now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    subject: String,
    tenants: BTreeMap<TenantId, Role>,
    operator: bool,
    expire_time: Timestamp,
    call: Call,
}

impl Actor {
    /// The caller behind a token. A role counts only in a tenant that exists, and only if the token was issued after
    /// its subject was last revoked there: a token of the very same millisecond is refused.
    #[must_use]
    pub fn admit(token: Token, standing: &Standing) -> Self {
        let Token { subject, mut tenants, operator, issue_time, expire_time, .. } = token;
        tenants.retain(|tenant, _| match standing.tenants.get(tenant) {
            None => false,
            Some(None) => true,
            Some(Some(revoked)) => issue_time > *revoked,
        });
        Self { subject, tenants, operator, expire_time, call: Call::default() }
    }

    /// The same caller, in this call.
    #[must_use]
    pub fn calling(self, call: Call) -> Self {
        Self { call, ..self }
    }

    /// The call that is being served.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_role_counts_in_a_tenant_that_exists_and_for_a_token_issued_after_the_revocation() {
        let acme = TenantId::parse("acme").unwrap();
        let held = |issued: i64, standing: &[(&str, Option<i64>)]| {
            let token = Token {
                subject: "ada".to_owned(),
                tenants: BTreeMap::from([(acme.clone(), Role::Administrator)]),
                lists_tenants: true,
                operator: false,
                issue_time: Timestamp::from_millis(issued),
                expire_time: Timestamp::from_millis(10_000),
            };
            let known = standing
                .iter()
                .map(|(tenant, at)| (TenantId::parse(tenant).unwrap(), at.map(Timestamp::from_millis)))
                .collect();
            Actor::admit(token, &Standing { tenants: known }).role_in(&acme)
        };
        assert_eq!(held(5, &[("acme", None)]), Some(Role::Administrator));
        assert_eq!(held(5, &[]), None, "the tenant is gone");
        assert_eq!(held(5, &[("globex", None)]), None);
        assert_eq!(held(5, &[("acme", Some(4))]), Some(Role::Administrator));
        assert_eq!(held(5, &[("acme", Some(5))]), None);
        assert_eq!(held(5, &[("acme", Some(6))]), None);
    }
}
