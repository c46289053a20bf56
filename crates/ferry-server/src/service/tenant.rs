//! Tenants.

use super::{Call, page};
use crate::convert::{duration, time};
use ferry_control::tenant::{CreateTenantCommand, UpdateTenantCommand};
use ferry_control::{Control, etag};
use ferry_domain::{Tenant, TenantKind, TenantName};
use ferry_proto::v1::tenant_service_server::TenantService;
use ferry_proto::v1::{self as pb};
use std::time::Duration;
use tonic::{Request, Response, Status};

pub(crate) struct TenantApi {
    control: Control,
}

impl TenantApi {
    pub(crate) fn new(control: Control) -> Self {
        Self { control }
    }
}

fn shown(tenant: Tenant) -> pb::Tenant {
    pb::Tenant {
        name: TenantName { tenant: tenant.id }.to_string(),
        uid: tenant.uid,
        display_name: tenant.display_name,
        kind: match tenant.kind {
            TenantKind::Production => pb::tenant::Kind::Production,
            TenantKind::Sandbox => pb::tenant::Kind::Sandbox,
        }
        .into(),
        audit_retention: tenant.audit_retention.map(|days| duration(Duration::from_secs(u64::from(days) * 86_400))),
        weight: 1,
        etag: etag::of(tenant.version),
        create_time: Some(time(tenant.create_time)),
        update_time: Some(time(tenant.update_time)),
    }
}

/// Options of the API that are set and that later versions carry out.
fn unbuilt_options(written: &pb::Tenant) -> Vec<&'static str> {
    let set = [("tenant.weight", written.weight > 1)];
    set.into_iter().filter(|(_, set)| *set).map(|(field, _)| field).collect()
}

/// A retention; one that is negative is none that anybody could mean, and is refused like nothing at all.
fn retention(written: Option<prost_types::Duration>) -> Option<Duration> {
    written.map(|written| Duration::try_from(written).unwrap_or(Duration::ZERO))
}

#[tonic::async_trait]
impl TenantService for TenantApi {
    async fn create_tenant(
        &self,
        request: Request<pb::CreateTenantRequest>,
    ) -> Result<Response<pb::CreateTenantResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let written = message.tenant.unwrap_or_default();
        let kind = match written.kind() {
            pb::tenant::Kind::Unspecified | pb::tenant::Kind::Production => TenantKind::Production,
            pb::tenant::Kind::Sandbox => TenantKind::Sandbox,
        };
        let command = CreateTenantCommand {
            unbuilt: unbuilt_options(&written),
            audit_retention: retention(written.audit_retention),
            tenant_id: message.tenant_id,
            display_name: written.display_name,
            kind,
            request_id: message.request_id,
        };
        let stored = self.control.create_tenant(&actor, command).await;
        answer.with(stored, |stored| pb::CreateTenantResponse { tenant: Some(shown(stored)) })
    }

    async fn get_tenant(
        &self,
        request: Request<pb::GetTenantRequest>,
    ) -> Result<Response<pb::GetTenantResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.get_tenant(&actor, &message.name).await;
        answer.with(found, |found| pb::GetTenantResponse { tenant: Some(shown(found)) })
    }

    async fn list_tenants(
        &self,
        request: Request<pb::ListTenantsRequest>,
    ) -> Result<Response<pb::ListTenantsResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let page = page(message.page_size, message.page_token);
        let found = self.control.list_tenants(&actor, &page).await;
        answer.with(found, |(listed, next_page_token)| pb::ListTenantsResponse {
            tenants: listed.items.into_iter().map(shown).collect(),
            next_page_token,
        })
    }

    async fn update_tenant(
        &self,
        request: Request<pb::UpdateTenantRequest>,
    ) -> Result<Response<pb::UpdateTenantResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let written = message.tenant.unwrap_or_default();
        let command = UpdateTenantCommand {
            unbuilt: unbuilt_options(&written),
            audit_retention: retention(written.audit_retention),
            name: written.name,
            display_name: written.display_name,
            etag: written.etag,
            update_mask: message.update_mask.unwrap_or_default().paths,
            request_id: message.request_id,
        };
        let stored = self.control.update_tenant(&actor, command).await;
        answer.with(stored, |stored| pb::UpdateTenantResponse { tenant: Some(shown(stored)) })
    }

    async fn delete_tenant(
        &self,
        request: Request<pb::DeleteTenantRequest>,
    ) -> Result<Response<pb::DeleteTenantResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let removed = self.control.delete_tenant(&actor, &message.name, &message.etag, &message.request_id).await;
        answer.with(removed, |()| pb::DeleteTenantResponse {})
    }

    async fn revoke_principal(
        &self,
        request: Request<pb::RevokePrincipalRequest>,
    ) -> Result<Response<pb::RevokePrincipalResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let revoked = self.control.revoke_principal(&actor, &message.name, &message.subject, &message.request_id).await;
        answer.with(revoked, |at| pb::RevokePrincipalResponse { revoke_time: Some(time(at)) })
    }
}
