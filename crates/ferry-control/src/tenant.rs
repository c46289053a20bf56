//! Tenants, on the operator's plane.

use crate::connection::mask;
use crate::page::{PageRequest, Query};
use crate::{Control, etag};
use ferry_domain::authz::action::{CreateTenant, DeleteTenant, GetTenant, ListTenants, UpdateTenant};
use ferry_domain::authz::target::{OperatedTenant, Tenants};
use ferry_domain::authz::{Actor, permit};
use ferry_domain::{Error, Reason, Result, Tenant, TenantId, TenantKind, TenantName, Violations, limits};
use ferry_segments::layout::tenant_folder;
use ferry_store::{Listed, NewTenant, RemovedTenant, TenantChange};
use serde::Serialize;
use std::time::Duration;

/// Stores a tenant.
#[derive(Serialize)]
pub struct CreateTenantCommand {
    /// Its id.
    pub tenant_id: String,
    /// For people.
    pub display_name: String,
    /// What it is for.
    pub kind: TenantKind,
    /// How long bodies of its audit entries are kept; for ever if nothing.
    pub audit_retention: Option<Duration>,
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
        let audit_retention = retention(command.audit_retention, &mut violations);
        for field in &command.unbuilt {
            violations.add_because(Reason::NotImplemented, *field, "is not supported yet; leave it out");
        }
        let Some(id) = id.filter(|_| violations.is_empty()) else { return Err(violations.into_error()) };
        let write = self.write(&command.request_id, &command)?;
        let uid = uuid::Uuid::new_v4().to_string();
        let new = NewTenant { id, uid, display_name: command.display_name, kind: command.kind, audit_retention };
        self.granted(|store| Ok(store.tenant_create(permit::<CreateTenant>(actor, Tenants)?, new, write)))?.await
    }

    /// Reads a tenant.
    pub async fn get_tenant(&self, actor: &Actor, name: &str) -> Result<Tenant> {
        let name = parse_tenant("name", name)?;
        self.granted(|store| Ok(store.tenant_get(permit::<GetTenant>(actor, OperatedTenant(name))?)))?.await
    }
}

/// Changes a tenant.
#[derive(Serialize)]
pub struct UpdateTenantCommand {
    /// Which.
    pub name: String,
    /// A new display name.
    pub display_name: String,
    /// How long bodies of its audit entries are kept from now on.
    pub audit_retention: Option<Duration>,
    /// The etag that was seen, if any.
    pub etag: String,
    /// Which values change; empty for those that are set.
    pub update_mask: Vec<String>,
    /// Options that were set and are not built yet, by field.
    pub unbuilt: Vec<&'static str>,
    /// The caller's request id.
    pub request_id: String,
}

/// Values of a tenant that can change.
const PATHS: [&str; 3] = ["display_name", "audit_retention", "weight"];
/// Longer than an intent is good for (400 ms): what was recorded before the tombstone has been sent by then, or never
/// is. And longer than a run reads on without looking whether it was taken away (250 ms), so that its files are all
/// there.
const INTENTS_PASSED: Duration = Duration::from_millis(500);

impl Control {
    /// Reads all tenants, with the token of the next page.
    pub async fn list_tenants(&self, actor: &Actor, page: &PageRequest) -> Result<(Listed<Tenant>, String)> {
        permit::<ListTenants>(actor, Tenants)?.spend();
        let query = Query { method: "ListTenants", parent: "", arguments: &[] };
        let page = self.page(&query, page)?;
        let listed = self.granted(|store| Ok(store.tenant_list(permit::<ListTenants>(actor, Tenants)?, page)))?.await?;
        let token = self.next_token(&query, &listed)?;
        Ok((listed, token))
    }

    /// Changes a tenant.
    pub async fn update_tenant(&self, actor: &Actor, command: UpdateTenantCommand) -> Result<Tenant> {
        let name = parse_tenant("tenant.name", &command.name)?;
        permit::<UpdateTenant>(actor, OperatedTenant(name.clone()))?.spend();
        let mut violations = Violations::new();
        let seen = etag::parse("tenant.etag", &command.etag, &mut violations);
        let asked = mask(&command.update_mask, &PATHS, &mut violations);
        let renamed =
            if command.update_mask.is_empty() { !command.display_name.is_empty() } else { asked.contains(&PATHS[0]) };
        if renamed {
            display_name("tenant.display_name", &command.display_name, &mut violations);
        }
        let kept = retention(command.audit_retention, &mut violations);
        let is_set = if command.update_mask.is_empty() { kept.is_some() } else { asked.contains(&PATHS[1]) };
        for field in &command.unbuilt {
            violations.add_because(Reason::NotImplemented, *field, "is not supported yet; leave it out");
        }
        violations.into_result()?;
        let write = self.write(&command.request_id, &command)?;
        let to = TenantChange {
            display_name: renamed.then_some(command.display_name),
            audit_retention: is_set.then_some(kept),
        };
        self.granted(|store| {
            Ok(store.tenant_update(permit::<UpdateTenant>(actor, OperatedTenant(name))?, seen, to, write))
        })?
        .await
    }

    /// Removes a tenant. When it returns nothing more of its profiles is sent, and its keys are destroyed.
    pub async fn delete_tenant(&self, actor: &Actor, name: &str, seen: &str, request_id: &str) -> Result<()> {
        let name = parse_tenant("name", name)?;
        permit::<DeleteTenant>(actor, OperatedTenant(name.clone()))?.spend();
        let mut violations = Violations::new();
        let seen = etag::parse("etag", seen, &mut violations);
        violations.into_result()?;
        let write = self.write(request_id, &(name.to_string(), seen))?;
        let removing = self.granted(|store| {
            Ok(store.tenant_delete(permit::<DeleteTenant>(actor, OperatedTenant(name))?, seen, write))
        })?;
        let control = self.clone();
        self.to_its_end(async move {
            let removed = removing.await?;
            tokio::time::sleep(INTENTS_PASSED).await;
            control.finish_removal(&removed).await
        })
        .await
    }

    /// Finishes the removals that a crash interrupted. Called before anything else is done at a start. One that still
    /// cannot be finished keeps nobody else from being served: nothing is sent for it since its tombstone.
    pub async fn finish_removals(&self) -> Result<()> {
        self.finish_connection_removals().await?;
        self.finish_webhook_removals().await;
        for removed in self.store().tenants_to_purge().await? {
            tracing::info!(tenant = %removed.id(), "the removal of a tenant goes on");
            if let Err(error) = self.finish_removal(&removed).await {
                tracing::error!(tenant = %removed.id(), ?error, "a tenant's removal cannot be finished; call DeleteTenant again");
            }
        }
        Ok(())
    }

    /// Keys first: from then on nothing that was sealed for the tenant can be opened, wherever a copy of it lies.
    async fn finish_removal(&self, removed: &RemovedTenant) -> Result<()> {
        let tenant = removed.id().as_str().to_owned();
        let folder = tenant_folder(&self.parts.data_dir, &tenant);
        self.keys(move |vault| vault.destroy_tenant(&tenant)).await?;
        match tokio::fs::remove_dir_all(&folder).await {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::internal("the sealed files of a tenant cannot be removed", error)),
        }
        self.store().tenant_purge(removed, self.now()).await
    }
}

const DAY: u64 = 86_400;

/// Reads a retention, in days.
fn retention(kept: Option<Duration>, violations: &mut Violations) -> Option<u32> {
    let kept = kept?;
    let days = u32::try_from(kept.as_secs() / DAY).ok().filter(|days| *days > 0);
    let whole = kept.as_secs().is_multiple_of(DAY) && kept.subsec_nanos() == 0;
    let days = days.filter(|days| whole && *days <= limits::AUDIT_RETENTION_DAYS_MAX);
    if days.is_none() {
        let most = limits::AUDIT_RETENTION_DAYS_MAX;
        let text = format!("must be a whole number of days, 1 to {most}, like 31536000s; leave it out to keep all");
        violations.add("tenant.audit_retention", text);
    }
    days
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
