//! Exports.

use super::{Call, page};
use crate::convert;
use ferry_control::Control;
use ferry_control::export::{CreateExportCommand, UpdateExportCommand};
use ferry_control::export_many::{AttachExportCommand, BatchCommand, DuplicateExportCommand};
use ferry_control::export_run::RunExportCommand;
use ferry_domain::Run;
use ferry_domain::authz::Actor;
use ferry_proto::v1::export_service_server::ExportService;
use ferry_proto::v1::{self as pb};
use ferry_store::ExportView;
use tonic::{Request, Response, Status};

pub(crate) struct ExportApi {
    control: Control,
}

impl ExportApi {
    pub(crate) fn new(control: Control) -> Self {
        Self { control }
    }

    fn shown(&self, view: ExportView, actor: &Actor) -> pb::Export {
        let permissions = self.control.export_permissions(actor, &view);
        convert::export(view, permissions)
    }

    fn all(&self, views: Vec<ExportView>, actor: &Actor) -> Vec<pb::Export> {
        views.into_iter().map(|view| self.shown(view, actor)).collect()
    }
}

/// A run that was just queued: the trace of the call leads on to its own.
fn traced(run: Run) -> pb::Run {
    ferry_telemetry::started_run(run.id().as_str());
    convert::run(run)
}

#[tonic::async_trait]
impl ExportService for ExportApi {
    async fn create_export(
        &self,
        request: Request<pb::CreateExportRequest>,
    ) -> Result<Response<pb::CreateExportResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let command = CreateExportCommand {
            parent: message.parent,
            export_id: message.export_id,
            export: convert::export_input(message.export),
            request_id: message.request_id,
            validate_only: message.validate_only,
        };
        let stored = self.control.create_export(&actor, command).await;
        answer.with(stored, |view| pb::CreateExportResponse { export: Some(self.shown(view, &actor)) })
    }

    async fn get_export(
        &self,
        request: Request<pb::GetExportRequest>,
    ) -> Result<Response<pb::GetExportResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.get_export(&actor, &message.name).await;
        answer.with(found, |view| pb::GetExportResponse { export: Some(self.shown(view, &actor)) })
    }

    async fn list_exports(
        &self,
        request: Request<pb::ListExportsRequest>,
    ) -> Result<Response<pb::ListExportsResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let page = page(message.page_size, message.page_token);
        let found = self.control.list_exports(&actor, &message.parent, &page, &message.filter, &message.order_by).await;
        answer.with(found, |(listed, next_page_token)| pb::ListExportsResponse {
            exports: listed.items.into_iter().map(|view| self.shown(view, &actor)).collect(),
            next_page_token,
        })
    }

    async fn update_export(
        &self,
        request: Request<pb::UpdateExportRequest>,
    ) -> Result<Response<pb::UpdateExportResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let written = message.export.unwrap_or_default();
        let command = UpdateExportCommand {
            name: written.name.clone(),
            etag: written.etag.clone(),
            export: convert::export_input(Some(written)),
            update_mask: message.update_mask.unwrap_or_default().paths,
            request_id: message.request_id,
            validate_only: message.validate_only,
        };
        let stored = self.control.update_export(&actor, command).await;
        answer.with(stored, |view| pb::UpdateExportResponse { export: Some(self.shown(view, &actor)) })
    }

    async fn delete_export(
        &self,
        request: Request<pb::DeleteExportRequest>,
    ) -> Result<Response<pb::DeleteExportResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let removed = self.control.delete_export(&actor, &message.name, &message.etag, &message.request_id).await;
        answer.with(removed, |()| pb::DeleteExportResponse {})
    }

    async fn validate_export(
        &self,
        request: Request<pb::ValidateExportRequest>,
    ) -> Result<Response<pb::ValidateExportResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let found = self.control.validate_export(&actor, &message.name).await;
        answer.with(found, convert::validation)
    }

    async fn plan_export(
        &self,
        request: Request<pb::PlanExportRequest>,
    ) -> Result<Response<pb::PlanExportResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let queued = self.control.plan_export(&actor, &message.name, &message.request_id).await;
        answer.with(queued, |run| pb::PlanExportResponse { run: Some(traced(run)) })
    }

    async fn run_export(
        &self,
        request: Request<pb::RunExportRequest>,
    ) -> Result<Response<pb::RunExportResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let command = RunExportCommand {
            name: message.name,
            etag: message.etag,
            request_id: message.request_id,
            plan: message.plan,
            full_resync: message.full_resync,
        };
        let queued = self.control.run_export(&actor, command).await;
        answer.with(queued, |run| pb::RunExportResponse { run: Some(traced(run)) })
    }

    async fn duplicate_export(
        &self,
        request: Request<pb::DuplicateExportRequest>,
    ) -> Result<Response<pb::DuplicateExportResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let command = DuplicateExportCommand {
            name: message.name,
            export_id: message.export_id,
            display_name: message.display_name,
            request_id: message.request_id,
        };
        let copy = self.control.duplicate_export(&actor, command).await;
        answer.with(copy, |view| pb::DuplicateExportResponse { export: Some(self.shown(view, &actor)) })
    }

    async fn attach_export(
        &self,
        request: Request<pb::AttachExportRequest>,
    ) -> Result<Response<pb::AttachExportResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let pb::AttachExportRequest { name, connection, etag, request_id } = message;
        let command = AttachExportCommand { name, connection, etag, request_id };
        let stored = self.control.attach_export(&actor, command).await;
        answer.with(stored, |view| pb::AttachExportResponse { export: Some(self.shown(view, &actor)) })
    }

    async fn detach_export(
        &self,
        request: Request<pb::DetachExportRequest>,
    ) -> Result<Response<pb::DetachExportResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let pb::DetachExportRequest { name, etag, request_id } = message;
        let command = AttachExportCommand { name, connection: String::new(), etag, request_id };
        let stored = self.control.detach_export(&actor, command).await;
        answer.with(stored, |view| pb::DetachExportResponse { export: Some(self.shown(view, &actor)) })
    }

    async fn batch_attach_exports(
        &self,
        request: Request<pb::BatchAttachExportsRequest>,
    ) -> Result<Response<pb::BatchAttachExportsResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let pb::BatchAttachExportsRequest { parent, names, connection, request_id } = message;
        let stored = self.control.batch_attach_exports(&actor, BatchCommand { parent, names, connection, request_id });
        answer.with(stored.await, |views| pb::BatchAttachExportsResponse { exports: self.all(views, &actor) })
    }

    async fn batch_detach_exports(
        &self,
        request: Request<pb::BatchDetachExportsRequest>,
    ) -> Result<Response<pb::BatchDetachExportsResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let pb::BatchDetachExportsRequest { parent, names, request_id } = message;
        let command = BatchCommand { parent, names, connection: String::new(), request_id };
        let stored = self.control.batch_detach_exports(&actor, command).await;
        answer.with(stored, |views| pb::BatchDetachExportsResponse { exports: self.all(views, &actor) })
    }

    async fn batch_update_schedules(
        &self,
        request: Request<pb::BatchUpdateSchedulesRequest>,
    ) -> Result<Response<pb::BatchUpdateSchedulesResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let stored = self.control.batch_update_schedules(&actor, convert::batch_update_schedules(message)).await;
        answer.with(stored, |views| pb::BatchUpdateSchedulesResponse { exports: self.all(views, &actor) })
    }

    async fn run_all_exports(
        &self,
        request: Request<pb::RunAllExportsRequest>,
    ) -> Result<Response<pb::RunAllExportsResponse>, Status> {
        let (actor, message, answer) = Call::new(request)?.parts();
        let queued = self.control.run_all_exports(&actor, &message.parent, &message.request_id).await;
        answer.with(queued, |queued| pb::RunAllExportsResponse {
            runs: queued.runs.into_iter().map(traced).collect(),
            already_running: queued.already_running,
        })
    }
}
