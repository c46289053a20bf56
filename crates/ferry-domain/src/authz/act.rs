//! What a permit leaves behind for the record: who did what, by which right, and from where.

use super::policy::{self, Least};
use super::{Action, Actor, Role, Target};
use crate::error::Refusal;
use crate::name::tenant_in;
use crate::{ConnectionAccess, Reason, TenantId};

/// Where a call came from. Empty for what no caller asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The x-request-id that its answer carries.
    pub correlation_id: String,
    /// The peer's address.
    pub origin: String,
}

/// Who did what, by which right, and from where. Only a spent permit makes one, and no change is stored without one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Act {
    /// The RPC, as `Service/Method`.
    pub permission: &'static str,
    /// The `sub` of the caller.
    pub subject: String,
    /// The role that the caller held; empty for none.
    pub role: &'static str,
    /// The least role that it took.
    pub required: &'static str,
    /// From where.
    pub call: Call,
}

impl Act {
    pub(super) fn of<A: Action>(actor: &Actor, target: &A::Target) -> Self {
        Self {
            permission: A::METHOD,
            subject: actor.subject().to_owned(),
            role: held(actor, target.tenant(), A::LEAST),
            required: required(A::LEAST, target.connection_access()),
            call: actor.call().clone(),
        }
    }
}

/// Characters of a refused resource's name that go on record.
const REFUSED_NAME: usize = 512;

/// A call that was refused for want of a right, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The RPC.
    pub permission: &'static str,
    /// The name of what it would have been done to, as the caller wrote it; cut if it is long.
    pub resource: String,
    /// The tenant that the name begins with, whether it exists or not.
    pub tenant: Option<TenantId>,
    /// The `sub` of the caller.
    pub subject: String,
    /// The role that the caller held there; empty for none.
    pub role: &'static str,
    /// The least role that it takes, as far as the caller got.
    pub required: &'static str,
    /// `ROLE_TOO_LOW` or `OWN_RUN`.
    pub reason: Reason,
    /// From where.
    pub call: Call,
}

impl Denial {
    /// What was refused to this caller.
    #[must_use]
    pub fn of(actor: &Actor, refusal: Refusal) -> Self {
        let Refusal { permission, resource, reason } = refusal;
        let tenant = tenant_in(&resource);
        let least = policy::line(permission);
        let role = held(actor, tenant.as_ref(), least);
        // A contributor gets as far as the connection, and is refused because it is not shared.
        let contributes = role == Role::Contributor.as_str();
        let access = if contributes {
            ConnectionAccess::Administrators
        } else {
            ConnectionAccess::AdministratorsAndContributors
        };
        Self {
            permission,
            resource: resource.chars().take(REFUSED_NAME).collect(),
            subject: actor.subject().to_owned(),
            role,
            required: required(least, Some(access)),
            reason,
            call: actor.call().clone(),
            tenant,
        }
    }
}

/// The word for the role that counts for something that takes `least`.
#[must_use]
pub fn held(actor: &Actor, tenant: Option<&TenantId>, least: Least) -> &'static str {
    match least {
        Least::Operator if actor.is_operator() => "operator",
        _ => tenant.and_then(|tenant| actor.role_in(tenant)).map_or("", Role::as_str),
    }
}

/// The word for the least role that something takes.
#[must_use]
pub fn required(least: Least, access: Option<ConnectionAccess>) -> &'static str {
    match (least, access) {
        (Least::Operator, _) => "operator",
        (Least::Role(role), _) => role.as_str(),
        (Least::ContributorIfShared, Some(ConnectionAccess::AdministratorsAndContributors)) => {
            Role::Contributor.as_str()
        }
        (Least::ContributorIfShared, _) => Role::Administrator.as_str(),
    }
}
