//! Tenants.

use super::{Call, unbuilt};
use crate::convert::time;
use ferry_control::tenant::CreateTenantCommand;
use ferry_control::{Control, etag};
use ferry_domain::{Tenant, TenantKind, TenantName};
use ferry_proto::v1::tenant_service_server::TenantService;
use ferry_proto::v1::{self as pb};
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
        audit_retention: None,
        weight: 1,
        etag: etag::of(tenant.version),
        create_time: Some(time(tenant.create_time)),
        update_time: Some(time(tenant.update_time)),
    }
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
        let set =
            [("tenant.weight", written.weight > 1), ("tenant.audit_retention", written.audit_retention.is_some())];
        let command = CreateTenantCommand {
            unbuilt: set.into_iter().filter(|(_, set)| *set).map(|(field, _)| field).collect(),
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
        unbuilt(request, "TenantService/ListTenants")
    }

    async fn update_tenant(
        &self,
        request: Request<pb::UpdateTenantRequest>,
    ) -> Result<Response<pb::UpdateTenantResponse>, Status> {
        unbuilt(request, "TenantService/UpdateTenant")
    }

    async fn delete_tenant(
        &self,
        request: Request<pb::DeleteTenantRequest>,
    ) -> Result<Response<pb::DeleteTenantResponse>, Status> {
        unbuilt(request, "TenantService/DeleteTenant")
    }

    async fn revoke_principal(
        &self,
        request: Request<pb::RevokePrincipalRequest>,
    ) -> Result<Response<pb::RevokePrincipalResponse>, Status> {
        unbuilt(request, "TenantService/RevokePrincipal")
    }
}
