//! The proof that the policy was asked.

use super::action::RunExport;
use super::policy::Least;
use super::{Act, Action, Actor, Role, Target};
use crate::{ConnectionAccess, Error, Result, TenantId};
use std::marker::PhantomData;

/// Leave to do `A` once, to one target.
///
/// It is neither `Clone` nor `Send`: it cannot be kept for later, put into a queue or handed to another task. The
/// store takes it apart before its first `await`.
#[must_use = "a permit is spent by the store function that it is given to"]
pub struct Permit<A: Action> {
    actor: Actor,
    target: A::Target,
    visibility: Visibility,
    not_send: PhantomData<*const ()>,
}

/// Which connections the holder's role lets it see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// All of them, with their settings.
    All,
    /// Those shared with contributors: name, display name and type.
    SharedOnly,
    /// None.
    None,
}

/// What a permit proves, taken apart.
#[derive(Debug)]
pub struct Spent<T> {
    /// Who acts.
    pub actor: Actor,
    /// What it is done to.
    pub target: T,
    /// Which connections the actor may see.
    pub visibility: Visibility,
    /// For the record.
    pub act: Act,
}

impl<A: Action> Permit<A> {
    /// Uses the permit up.
    pub fn spend(self) -> Spent<A::Target> {
        let act = Act::of::<A>(&self.actor, &self.target);
        Spent { actor: self.actor, target: self.target, visibility: self.visibility, act }
    }
}

/// Asks the policy. The only maker of permits.
///
/// A role in the tenant is asked for before anything is looked up, so the answer for another tenant's resource is the
/// same whether it exists or not.
pub fn permit<A: Action>(actor: &Actor, target: A::Target) -> Result<Permit<A>> {
    let role = target.tenant().and_then(|tenant| actor.role_in(tenant));
    let allowed = match A::LEAST {
        Least::Operator => actor.is_operator(),
        least => role_suffices(least, role, target.connection_access()),
    };
    if !allowed {
        return Err(Error::PermissionDenied { permission: A::METHOD, resource: target.resource() });
    }
    if target.closed_to() == Some(actor.subject()) {
        return Err(Error::OwnRun { permission: A::METHOD, resource: target.resource() });
    }
    let visibility = match role {
        Some(Role::Administrator) => Visibility::All,
        Some(Role::Contributor) => Visibility::SharedOnly,
        Some(Role::Viewer) | None => Visibility::None,
    };
    Ok(Permit { actor: actor.clone(), target, visibility, not_send: PhantomData })
}

/// Refuses whoever can have no leave for `A` in the tenant, whatever it would be done to. Asked where a permit needs
/// something to be looked up first: else the answer would tell who may not ask whether it is there.
pub fn may_ask<A: Action>(actor: &Actor, tenant: &TenantId, resource: &impl std::fmt::Display) -> Result<()> {
    let best = Some(ConnectionAccess::AdministratorsAndContributors);
    if role_suffices(A::LEAST, actor.role_in(tenant), best) {
        return Ok(());
    }
    Err(Error::PermissionDenied { permission: A::METHOD, resource: resource.to_string() })
}

/// Whether a person with this role may run exports on a connection. What runs in somebody's name while they are not
/// there asks this instead of a permit.
#[must_use]
pub fn may_run(role: Option<Role>, access: ConnectionAccess) -> bool {
    role_suffices(RunExport::LEAST, role, Some(access))
}

fn role_suffices(least: Least, role: Option<Role>, access: Option<ConnectionAccess>) -> bool {
    match least {
        Least::Operator => false,
        Least::Role(least) => role.is_some_and(|held| held >= least),
        Least::ContributorIfShared => match role {
            Some(Role::Administrator) => true,
            Some(Role::Contributor) => access == Some(ConnectionAccess::AdministratorsAndContributors),
            Some(Role::Viewer) | None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::super::action::{ApproveRun, CreateConnection, CreateTenant, GetExport, RunExport};
    use super::super::target::{ExportTarget, HeldRun, Tenants};
    use super::super::{Standing, Token};
    use super::*;
    use crate::{ConnectionName, ExportName, RunName, Timestamp};

    fn actor(role: Option<Role>, operator: bool) -> Actor {
        let acme = TenantId::parse("acme").unwrap();
        let at = Timestamp::from_millis(0);
        let token = Token {
            subject: "somebody".to_owned(),
            tenants: role.map(|role| (acme.clone(), role)).into_iter().collect(),
            lists_tenants: true,
            operator,
            issue_time: at,
            expire_time: at,
        };
        Actor::admit(token, &Standing { tenants: [(acme, None)].into() })
    }

    fn export_on(access: ConnectionAccess) -> ExportTarget {
        let name = ExportName::parse("tenants/acme/exports/weekly").unwrap();
        ExportTarget { name, access, version: 1 }
    }

    #[test]
    fn only_administrators_make_connections() {
        let name = || ConnectionName::parse("tenants/acme/connections/news").unwrap();
        assert!(permit::<CreateConnection>(&actor(Some(Role::Administrator), false), name()).is_ok());
        assert!(permit::<CreateConnection>(&actor(Some(Role::Contributor), false), name()).is_err());
        assert!(permit::<CreateConnection>(&actor(None, true), name()).is_err(), "the operator opens no tenant");
    }

    #[test]
    fn a_contributor_runs_exports_on_shared_connections_alone() {
        let contributor = actor(Some(Role::Contributor), false);
        assert!(permit::<RunExport>(&contributor, export_on(ConnectionAccess::AdministratorsAndContributors)).is_ok());
        assert!(permit::<RunExport>(&contributor, export_on(ConnectionAccess::Administrators)).is_err());
        let viewer = actor(Some(Role::Viewer), false);
        assert!(permit::<RunExport>(&viewer, export_on(ConnectionAccess::AdministratorsAndContributors)).is_err());
    }

    #[test]
    fn a_role_in_one_tenant_opens_no_other() {
        let name = ExportName::parse("tenants/globex/exports/weekly").unwrap();
        assert!(permit::<GetExport>(&actor(Some(Role::Administrator), false), name).is_err());
    }

    #[test]
    fn nobody_approves_their_own_run() {
        let name = || RunName::parse("tenants/acme/exports/weekly/runs/run-1").unwrap();
        let started_by = |subject: &str| HeldRun { name: name(), started_by: subject.to_owned() };
        let administrator = actor(Some(Role::Administrator), false);
        assert!(permit::<ApproveRun>(&administrator, started_by("another")).is_ok());
        assert!(matches!(permit::<ApproveRun>(&administrator, started_by("somebody")), Err(Error::OwnRun { .. })));
        let contributor = permit::<ApproveRun>(&actor(Some(Role::Contributor), false), started_by("another"));
        assert!(matches!(contributor, Err(Error::PermissionDenied { .. })));
    }

    #[test]
    fn the_operators_plane_is_for_operators() {
        assert!(permit::<CreateTenant>(&actor(None, true), Tenants).is_ok());
        assert!(permit::<CreateTenant>(&actor(Some(Role::Administrator), false), Tenants).is_err());
    }
}
