//! How each RPC is called: by the names that it is given and no others.

use super::ask::Ask;
use ferry_proto::v1 as pb;
use prost::Message;
use prost_types::FieldMask;

/// A request id that lets nothing be changed: it is no UUID, which is told last.
fn only_asked(ask: &Ask) -> String {
    if ask.validate_only { "no uuid".to_owned() } else { String::new() }
}

/// The encoded request. `None` for an RPC that is not in these tables.
pub(super) fn request(rpc: &str, ask: &Ask) -> Option<Vec<u8>> {
    let (service, method) = rpc.split_once('/')?;
    match service {
        "ConnectionService" => connections(method, ask),
        "SegmentService" => segments(method, ask),
        "ExportService" => exports(method, ask).or_else(|| batches(method, ask)),
        "RunService" => runs(method, ask),
        "NotificationService" => notifications(method, ask),
        "RefreshService" => refresh(method, ask),
        "AuditService" => audit(method, ask),
        "TenantService" => tenants(method, ask),
        _ => None,
    }
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn connections(method: &str, ask: &Ask) -> Option<Vec<u8>> {
    let name = ask.names.connection.clone();
    let parent = ask.names.tenant.clone();
    let etag = ask.etag.to_owned();
    Some(match method {
        "CreateConnection" => pb::CreateConnectionRequest {
            parent,
            connection: Some(pb::Connection { name, ..connection() }),
            skip_verification: true,
            validate_only: ask.validate_only,
            ..Default::default()
        }
        .encode_to_vec(),
        "GetConnection" => pb::GetConnectionRequest { name }.encode_to_vec(),
        "ListConnections" => pb::ListConnectionsRequest { parent, ..Default::default() }.encode_to_vec(),
        "UpdateConnection" => pb::UpdateConnectionRequest {
            connection: Some(pb::Connection { name, display_name: "Changed".to_owned(), etag, ..Default::default() }),
            update_mask: mask(&["display_name"]),
            ..Default::default()
        }
        .encode_to_vec(),
        "BindExportUser" => pb::BindExportUserRequest { name, etag, ..Default::default() }.encode_to_vec(),
        "VerifyConnection" => pb::VerifyConnectionRequest { name }.encode_to_vec(),
        "DeleteConnection" => {
            pb::DeleteConnectionRequest { name, etag, force: !ask.validate_only, ..Default::default() }.encode_to_vec()
        }
        "ListDestinationTypes" => pb::ListDestinationTypesRequest { parent }.encode_to_vec(),
        _ => return None,
    })
}

fn segments(method: &str, ask: &Ask) -> Option<Vec<u8>> {
    let name = ask.names.segment.clone();
    let parent = ask.names.tenant.clone();
    Some(match method {
        "ListSegments" => pb::ListSegmentsRequest { parent, ..Default::default() }.encode_to_vec(),
        "GetSegment" => pb::GetSegmentRequest { name }.encode_to_vec(),
        "PreviewSegment" => pb::PreviewSegmentRequest { name, row_count: 5 }.encode_to_vec(),
        _ => return None,
    })
}

fn exports(method: &str, ask: &Ask) -> Option<Vec<u8>> {
    let name = ask.names.export.clone();
    let parent = ask.names.tenant.clone();
    let etag = ask.etag.to_owned();
    let whole = pb::Export {
        name: name.clone(),
        connection: ask.names.connection.clone(),
        segments: vec![ask.names.segment.clone()],
        ..export()
    };
    Some(match method {
        "CreateExport" => pb::CreateExportRequest {
            parent,
            export: Some(whole),
            validate_only: ask.validate_only,
            ..Default::default()
        }
        .encode_to_vec(),
        "GetExport" => pb::GetExportRequest { name }.encode_to_vec(),
        "ListExports" => pb::ListExportsRequest { parent, ..Default::default() }.encode_to_vec(),
        "UpdateExport" => pb::UpdateExportRequest {
            export: Some(pb::Export { etag, display_name: "Changed".to_owned(), ..whole }),
            update_mask: mask(&["display_name", "segments"]),
            validate_only: ask.validate_only,
            ..Default::default()
        }
        .encode_to_vec(),
        "DeleteExport" => pb::DeleteExportRequest { name, etag, ..Default::default() }.encode_to_vec(),
        // The id is taken where the original is there.
        "DuplicateExport" => {
            let export_id = if ask.validate_only { "mine".to_owned() } else { String::new() };
            let request_id = only_asked(ask);
            pb::DuplicateExportRequest { name, export_id, request_id, ..Default::default() }.encode_to_vec()
        }
        "AttachExport" => {
            let connection = ask.names.connection.clone();
            pb::AttachExportRequest { name, connection, etag, ..Default::default() }.encode_to_vec()
        }
        "DetachExport" => pb::DetachExportRequest { name, etag, ..Default::default() }.encode_to_vec(),
        "ValidateExport" => pb::ValidateExportRequest { name }.encode_to_vec(),
        "PlanExport" => pb::PlanExportRequest { name, ..Default::default() }.encode_to_vec(),
        "RunExport" => {
            pb::RunExportRequest { name, etag, plan: ask.names.plan.clone(), ..Default::default() }.encode_to_vec()
        }
        "RunAllExports" => pb::RunAllExportsRequest { parent, request_id: only_asked(ask) }.encode_to_vec(),
        _ => return None,
    })
}

fn batches(method: &str, ask: &Ask) -> Option<Vec<u8>> {
    let names = vec![ask.names.export.clone()];
    let parent = ask.names.tenant.clone();
    Some(match method {
        "BatchAttachExports" => {
            let connection = ask.names.connection.clone();
            pb::BatchAttachExportsRequest { parent, names, connection, request_id: only_asked(ask) }.encode_to_vec()
        }
        "BatchDetachExports" => {
            pb::BatchDetachExportsRequest { parent, names, request_id: only_asked(ask) }.encode_to_vec()
        }
        "BatchUpdateSchedules" => pb::BatchUpdateSchedulesRequest {
            parent,
            names,
            mode: pb::batch_update_schedules_request::Mode::KeepIndividual.into(),
            active: Some(true),
            request_id: only_asked(ask),
            ..Default::default()
        }
        .encode_to_vec(),
        _ => return None,
    })
}

fn runs(method: &str, ask: &Ask) -> Option<Vec<u8>> {
    let name = ask.names.run.clone();
    let parent = ask.names.export.clone();
    Some(match method {
        "GetRun" => pb::GetRunRequest { name }.encode_to_vec(),
        "ListRuns" => pb::ListRunsRequest { parent, ..Default::default() }.encode_to_vec(),
        "CancelRun" => pb::CancelRunRequest { name, ..Default::default() }.encode_to_vec(),
        "ApproveRun" => pb::ApproveRunRequest { name, etag: ask.etag.to_owned(), ..Default::default() }.encode_to_vec(),
        "WatchRuns" => {
            pb::WatchRunsRequest { parent, run: ask.names.watched.clone(), ..Default::default() }.encode_to_vec()
        }
        "ListRejectedProfiles" => pb::ListRejectedProfilesRequest { name, ..Default::default() }.encode_to_vec(),
        _ => return None,
    })
}

fn notifications(method: &str, ask: &Ask) -> Option<Vec<u8>> {
    let name = ask.names.webhook.clone();
    let parent = ask.names.tenant.clone();
    let etag = ask.etag.to_owned();
    // Never stored: it is not https.
    let webhook = || pb::Webhook {
        name: name.clone(),
        display_name: "Hook".to_owned(),
        url: "http://hooks.example.com/".to_owned(),
        etag: etag.clone(),
        ..Default::default()
    };
    Some(match method {
        "ListNotifications" => pb::ListNotificationsRequest { parent, ..Default::default() }.encode_to_vec(),
        "CreateWebhook" => {
            pb::CreateWebhookRequest { parent, webhook: Some(webhook()), ..Default::default() }.encode_to_vec()
        }
        "GetWebhook" => pb::GetWebhookRequest { name }.encode_to_vec(),
        "ListWebhooks" => pb::ListWebhooksRequest { parent, ..Default::default() }.encode_to_vec(),
        "UpdateWebhook" => pb::UpdateWebhookRequest { webhook: Some(webhook()), ..Default::default() }.encode_to_vec(),
        "DeleteWebhook" => pb::DeleteWebhookRequest { name, etag, ..Default::default() }.encode_to_vec(),
        "TestWebhook" => pb::TestWebhookRequest { name }.encode_to_vec(),
        _ => return None,
    })
}

fn refresh(method: &str, ask: &Ask) -> Option<Vec<u8>> {
    let name = ask.names.schedule.clone();
    let parent = ask.names.tenant.clone();
    Some(match method {
        "ListTimeZones" => pb::ListTimeZonesRequest { parent }.encode_to_vec(),
        "GetRefreshSchedule" => pb::GetRefreshScheduleRequest { name }.encode_to_vec(),
        "UpdateRefreshSchedule" => pb::UpdateRefreshScheduleRequest {
            refresh_schedule: Some(pb::RefreshSchedule { name, etag: ask.etag.to_owned(), ..Default::default() }),
            update_mask: mask(&["active"]),
            ..Default::default()
        }
        .encode_to_vec(),
        "StartRefresh" => {
            let segment = ask.names.segment.clone();
            let failed = pb::FailedSegment { segment: segment.clone(), cause: "late".to_owned() };
            pb::StartRefreshRequest {
                parent,
                segments: vec![segment],
                failed_segments: vec![failed],
                ..Default::default()
            }
            .encode_to_vec()
        }
        _ => return None,
    })
}

fn audit(method: &str, ask: &Ask) -> Option<Vec<u8>> {
    let parent = ask.names.tenant.clone();
    let email = "nobody.at.all@example.com".to_owned();
    Some(match method {
        "ListAuditEntries" => pb::ListAuditEntriesRequest { parent, ..Default::default() }.encode_to_vec(),
        "ExportAuditLog" => pb::ExportAuditLogRequest { parent, ..Default::default() }.encode_to_vec(),
        "FindRecipients" => pb::FindRecipientsRequest { parent, email }.encode_to_vec(),
        "ErasePerson" => pb::ErasePersonRequest { parent, email, ..Default::default() }.encode_to_vec(),
        "GetCheckpoint" => pb::GetCheckpointRequest { parent }.encode_to_vec(),
        _ => return None,
    })
}

fn tenants(method: &str, ask: &Ask) -> Option<Vec<u8>> {
    let name = ask.names.tenant.clone();
    let etag = ask.etag.to_owned();
    Some(match method {
        // The stage has a tenant of that id; the name is ignored.
        "CreateTenant" => pb::CreateTenantRequest {
            tenant_id: ferry_testkit::TENANT.to_owned(),
            tenant: Some(pb::Tenant { name, display_name: "Taken".to_owned(), ..Default::default() }),
            ..Default::default()
        }
        .encode_to_vec(),
        "GetTenant" => pb::GetTenantRequest { name }.encode_to_vec(),
        "ListTenants" => pb::ListTenantsRequest::default().encode_to_vec(),
        "UpdateTenant" => pb::UpdateTenantRequest {
            tenant: Some(pb::Tenant { name, display_name: "Changed".to_owned(), etag, ..Default::default() }),
            update_mask: mask(&["display_name"]),
            ..Default::default()
        }
        .encode_to_vec(),
        "DeleteTenant" => pb::DeleteTenantRequest { name, etag, ..Default::default() }.encode_to_vec(),
        "RevokePrincipal" => {
            let subject = "nobody.at.all".to_owned();
            pb::RevokePrincipalRequest { name, subject, ..Default::default() }.encode_to_vec()
        }
        _ => return None,
    })
}

/// A connection that can be stored, without its name.
pub(super) fn connection() -> pb::Connection {
    let settings = pb::ActiveCampaignConnection {
        host: ferry_testkit::HOST.to_owned(),
        api_key: "a key that is never used".to_owned(),
        ..Default::default()
    };
    pb::Connection {
        display_name: "Newsletter".to_owned(),
        destination_type: "activecampaign".to_owned(),
        settings: Some(pb::ConnectionSettings {
            settings: Some(pb::connection_settings::Settings::Activecampaign(settings)),
        }),
        consent: Some(pb::Consent { accepted: true, text_version: "2026-11-01".to_owned(), ..Default::default() }),
        ..Default::default()
    }
}

/// An export that can be stored, without names.
pub(super) fn export() -> pb::Export {
    let settings = pb::ActiveCampaignExport { list_id: "3".to_owned(), exclude_automations: None };
    let email = pb::FieldMapping { destination_field: "email".to_owned(), profile_column: "email".to_owned() };
    pb::Export {
        display_name: "Export".to_owned(),
        settings: Some(pb::ExportSettings { settings: Some(pb::export_settings::Settings::Activecampaign(settings)) }),
        field_mappings: vec![email],
        ..Default::default()
    }
}
