//! Connections.

use super::{Call, page};
use crate::convert;
use ferry_control::Control;
use ferry_control::connection::{CreateConnectionCommand, UpdateConnectionCommand};
use ferry_control::connection_removal::DeleteConnectionCommand;
use ferry_domain::authz::{Actor, Role};
use ferry_domain::{Connection, Reason};
use ferry_proto::v1::connection_service_server::ConnectionService;
use ferry_proto::v1::{self as pb};
use tonic::{Request, Response, Status};

pub(crate) struct ConnectionApi {
    control: Control,
}

impl ConnectionApi {
    pub(crate) fn new(control: Control) -> Self {
        Self { control }
    }
}

fn shown(connection: Connection, actor: &Actor) -> pb::Connection {
    let role: Option<Role> = actor.role_in(&connection.name.tenant);
    convert::connection(connection, role)
}

#[tonic::async_trait]
impl ConnectionService for ConnectionApi {
    async fn create_connection(
        &self,
        request: Request<pb::CreateConnectionRequest>,
    ) -> Result<Response<pb::CreateConnectionResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let command = CreateConnectionCommand {
            parent: message.parent,
            connection_id: message.connection_id,
            connection: convert::connection_input(message.connection),
            skip_verification: message.skip_verification,
            request_id: message.request_id,
            validate_only: message.validate_only,
        };
        let stored = self.control.create_connection(&actor, command).await;
        answer.with(stored, |stored| pb::CreateConnectionResponse { connection: Some(shown(stored, &actor)) })
    }

    async fn get_connection(
        &self,
        request: Request<pb::GetConnectionRequest>,
    ) -> Result<Response<pb::GetConnectionResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.get_connection(&actor, &message.name).await;
        answer.with(found, |found| pb::GetConnectionResponse { connection: Some(shown(found, &actor)) })
    }

    async fn list_connections(
        &self,
        request: Request<pb::ListConnectionsRequest>,
    ) -> Result<Response<pb::ListConnectionsResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let page = page(message.page_size, message.page_token);
        let found = self.control.list_connections(&actor, &message.parent, &page).await;
        answer.with(found, |(listed, next_page_token)| pb::ListConnectionsResponse {
            connections: listed.items.into_iter().map(|connection| shown(connection, &actor)).collect(),
            next_page_token,
        })
    }

    async fn update_connection(
        &self,
        request: Request<pb::UpdateConnectionRequest>,
    ) -> Result<Response<pb::UpdateConnectionResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let written = message.connection.unwrap_or_default();
        let command = UpdateConnectionCommand {
            name: written.name.clone(),
            etag: written.etag.clone(),
            connection: convert::connection_input(Some(written)),
            update_mask: message.update_mask.unwrap_or_default().paths,
            request_id: message.request_id,
            validate_only: message.validate_only,
        };
        let stored = self.control.update_connection(&actor, command).await;
        answer.with(stored, |stored| pb::UpdateConnectionResponse { connection: Some(shown(stored, &actor)) })
    }

    async fn bind_export_user(
        &self,
        request: Request<pb::BindExportUserRequest>,
    ) -> Result<Response<pb::BindExportUserResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let stored = self.control.bind_export_user(&actor, &message.name, &message.etag, &message.request_id).await;
        answer.with(stored, |stored| pb::BindExportUserResponse { connection: Some(shown(stored, &actor)) })
    }

    async fn verify_connection(
        &self,
        request: Request<pb::VerifyConnectionRequest>,
    ) -> Result<Response<pb::VerifyConnectionResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let verified = self.control.verify_connection(&actor, &message.name).await;
        answer.with(verified, |(stored, reason)| pb::VerifyConnectionResponse {
            connection: Some(shown(stored, &actor)),
            outcome: reason.map_or_else(|| "OK".to_owned(), Reason::as_str),
        })
    }

    async fn delete_connection(
        &self,
        request: Request<pb::DeleteConnectionRequest>,
    ) -> Result<Response<pb::DeleteConnectionResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let command = DeleteConnectionCommand {
            name: message.name,
            etag: message.etag,
            force: message.force,
            retract: message.retract,
            request_id: message.request_id,
        };
        let removed = self.control.delete_connection(&actor, command).await;
        answer
            .with(removed, |removed| pb::DeleteConnectionResponse { receipt: Some(convert::removal_receipt(removed)) })
    }

    async fn list_destination_types(
        &self,
        request: Request<pb::ListDestinationTypesRequest>,
    ) -> Result<Response<pb::ListDestinationTypesResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let kinds = self.control.list_destination_types(&actor, &message.parent);
        answer.with(kinds, |kinds| pb::ListDestinationTypesResponse {
            destination_types: kinds.iter().map(convert::destination_type).collect(),
        })
    }
}
