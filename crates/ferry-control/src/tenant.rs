//! Tenants, on the operator's plane.

use crate::Control;
use ferry_domain::authz::action::{CreateTenant, GetTenant};
use ferry_domain::authz::target::{OperatedTenant, Tenants};
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{Error, Reason, Result, Tenant, TenantId, TenantKind, TenantName, Violations, limits};
use ferry_store::NewTenant;
use serde::Serialize;

/// Stores a tenant.
#[derive(Serialize)]
pub struct CreateTenantCommand {
    /// Its id.
    pub tenant_id: String,
    /// For people.
    pub display_name: String,
    /// What it is for.
    pub kind: TenantKind,
    /// Options that were set and are not built yet, by field.
    pub unbuilt: Vec<&'static str>,
    /// The caller's request id.
    pub request_id: String,
}

impl Control {
    /// Stores a tenant.
    pub async fn create_tenant(&self, actor: &Actor, command: CreateTenantCommand) -> Result<Tenant> {
        permit::<CreateTenant>(actor, Tenants)?.spend();
        let mut violations = Violations::new();
        let id = violations.check("tenant_id", TenantId::parse(&command.tenant_id));
        display_name("tenant.display_name", &command.display_name, &mut violations);
        for field in &command.unbuilt {
            violations.add_because(Reason::NotImplemented, *field, "is not supported yet; leave it out");
        }
        let Some(id) = id.filter(|_| violations.is_empty()) else { return Err(violations.into_error()) };
        let write = self.write(&command.request_id, &command)?;
        let uid = uuid::Uuid::new_v4().to_string();
        let new = NewTenant { id, uid, display_name: command.display_name, kind: command.kind };
        self.granted(|store| Ok(store.tenant_create(permit::<CreateTenant>(actor, Tenants)?, new, write)))?.await
    }

    /// Reads a tenant.
    pub async fn get_tenant(&self, actor: &Actor, name: &str) -> Result<Tenant> {
        let name = parse_tenant("name", name)?;
        self.granted(|store| Ok(store.tenant_get(permit::<GetTenant>(actor, OperatedTenant(name))?)))?.await
    }
}

/// Reads the name of a tenant, or says what is wrong with the field.
pub(crate) fn parse_tenant(field: &str, text: &str) -> Result<TenantName> {
    TenantName::parse(text).map_err(|error| Error::invalid(field, error.to_string()))
}

/// Checks a display name.
pub(crate) fn display_name(field: &str, text: &str, violations: &mut Violations) {
    let count = text.chars().count();
    if text.trim().is_empty() || count > limits::DISPLAY_NAME_CHARS {
        violations.add(field, format!("must have 1 to {} characters", limits::DISPLAY_NAME_CHARS));
    } else if text.chars().any(char::is_control) {
        violations.add(field, "must not hold control characters");
    }
}
