//! Phase one: from segments to an immutable plan.
//!
//! The plan file is written and fsynced before the plan is adopted in the store; a crash in between leaves a file that
//! the next attempt replaces. After adoption the plan never changes: its digest is checked each time it is opened for a
//! new owner.

use super::RunContext;
use crate::failure::{self, Stop};
use crate::lane::Class;
use ferry_destinations::activecampaign::{self, CallError, ContactField, ContactLayout};
use ferry_domain::export::DestinationField;
use ferry_domain::{Counts, Culprit, ExportSettings, Phase, Reason, Severity, Timestamp, limits};
use ferry_segments::layout::RunFile;
use ferry_segments::{
    Catalogue, PackLimits, PlanReader, PlanSummary, Row, SegmentEntry, SnapshotControl, SnapshotSpec, build_plan,
};
use ferry_store::PlanRecord;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Raised when the same values would be rendered to other bytes.
const RENDERER_VERSION: u32 = 1;
/// How long the destination usually needs after the last batch was queued.
const SETTLING: Duration = Duration::from_secs(20);

/// A plan that stands: its record and what the account begins with.
pub(super) struct Adopted {
    pub(super) record: PlanRecord,
    pub(super) counts: Counts,
}

/// Opens a plan that was adopted earlier and checks that it is still the same.
pub(super) async fn reopen(context: &Arc<RunContext>, record: PlanRecord) -> Result<Adopted, Stop> {
    let (path, key, aad) = (context.file_path(RunFile::Plan), context.file_key(), context.file_aad(RunFile::Plan));
    let digest = blocking(move || PlanReader::open(&path, &key, &aad)?.verify()).await?;
    match digest {
        Ok(found) if found == record.digest => {
            let counts = context.run.counts;
            Ok(Adopted { record, counts })
        }
        Ok(_) => {
            tracing::error!("a plan file is not the one that was adopted");
            Err(failure::internal("the plan of this run was changed on the disk; nothing more is sent, run it again"))
        }
        Err(error) => {
            tracing::error!(%error, "a plan file cannot be read");
            Err(failure::internal("the plan of this run cannot be read; nothing more is sent, run it again"))
        }
    }
}

/// Reads the segments and writes the plan.
pub(super) async fn make(context: &Arc<RunContext>) -> Result<Adopted, Stop> {
    let shared = &context.shared;
    shared.store.run_phase(&context.lease, Phase::Reading, shared.now()).await?;
    let segments = segments(context).await?;
    check_destination(context).await?;
    // The destination may have taken its time. Once the tenant is removed no file may be made any more.
    super::work::stop_asked(context).await?.map_or(Ok(()), Err)?;
    let summary = read(context, segments).await?;
    let counts = Counts {
        members: summary.members,
        rejected: summary.rejected,
        twins: summary.twins,
        not_sent: summary.planned,
        ..Counts::default()
    };
    if summary.planned == 0 {
        let warning = "no member of the segments can be sent; nothing was changed at the destination";
        shared.store.run_warn(&context.lease, warning, shared.now()).await?;
    }
    let record = PlanRecord {
        digest: summary.plan_digest,
        planned: summary.planned,
        batch_rows: summary.batch_rows,
        fingerprints: summary.fingerprints,
        connection_generation: context.connection.generation,
        export_version: context.export.version,
        normaliser_version: ferry_segments::NORMALISER_VERSION,
        renderer_version: RENDERER_VERSION,
    };
    let end = estimated_end(context, record.batch_rows.len());
    shared.store.plan_adopt(&context.lease, record.clone(), counts, end, shared.now()).await?;
    Ok(Adopted { record, counts })
}

/// 100 imports a minute, then the last batches settle.
fn estimated_end(context: &RunContext, batches: usize) -> Timestamp {
    let sending = Duration::from_secs_f64(batches as f64 * 60.0 / 100.0);
    context.shared.now().plus(context.shared.scale.real(sending + SETTLING))
}

async fn segments(context: &Arc<RunContext>) -> Result<Vec<SegmentEntry>, Stop> {
    let root = context.shared.segments_root.clone();
    let tenant = context.lease.run().tenant.as_str().to_owned();
    let catalogue = blocking(move || Catalogue::load(&root, &tenant)).await?.map_err(|error| {
        let message = format!("the catalogue of the tenant's segments cannot be read: {error}");
        failure::failed(Reason::SegmentUnreadable, Culprit::User, Severity::Permanent, message)
    })?;
    context.export.segments.iter().map(|id| usable(&catalogue, id.as_str())).collect()
}

fn usable(catalogue: &Catalogue, id: &str) -> Result<SegmentEntry, Stop> {
    let Some(entry) = catalogue.segment(id) else {
        let message = format!("segment `{id}` is no longer in the tenant's catalogue");
        return Err(failure::failed(Reason::SegmentNotFound, Culprit::User, Severity::Permanent, message));
    };
    match entry.state() {
        ferry_segments::SegmentState::Active => Ok(entry.clone()),
        ferry_segments::SegmentState::Inactive => Err(failure::skipped(
            Reason::SegmentInactive,
            Culprit::User,
            format!("segment `{id}` is inactive; activate it or take it out of the export"),
        )),
        ferry_segments::SegmentState::Failed => Err(failure::skipped(
            Reason::SegmentFailed,
            Culprit::User,
            format!("the last refresh of segment `{id}` failed; mend it, then run again"),
        )),
    }
}

/// The list and the custom fields must exist before a million rows are read for them.
async fn check_destination(context: &Arc<RunContext>) -> Result<(), Stop> {
    let ExportSettings::Activecampaign { list_id, .. } = context.export.settings;
    let list = ask(context, || context.destination.list(list_id)).await?;
    if list.is_none() {
        let message = format!("list {list_id} does not exist in the account; choose another with UpdateExport");
        return Err(failure::failed(Reason::ListNotFound, Culprit::User, Severity::Permanent, message));
    }
    let wanted: Vec<u32> = context.export.field_mappings.iter().filter_map(|m| custom(m.destination_field)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let fields = ask(context, || context.destination.fields()).await?;
    match wanted.iter().find(|number| !fields.iter().any(|(id, _)| id == *number)) {
        None => Ok(()),
        Some(number) => {
            let message = format!("custom field {number} does not exist in the account; map another with UpdateExport");
            Err(failure::failed(Reason::FieldNotFound, Culprit::User, Severity::Permanent, message))
        }
    }
}

fn custom(field: DestinationField) -> Option<u32> {
    match field {
        DestinationField::Custom(number) => Some(number),
        DestinationField::Email
        | DestinationField::FirstName
        | DestinationField::LastName
        | DestinationField::Phone => None,
    }
}

/// Asks the destination something, by a slot of its lane, and again where that may help.
async fn ask<T, F>(context: &Arc<RunContext>, question: impl Fn() -> F) -> Result<T, Stop>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut attempt = 0;
    loop {
        let slot = tokio::select! {
            () = context.stop_sending.cancelled() => return Err(Stop::Shutdown),
            slot = context.lane.slot(Class::Other, context.run_label()) => slot.ok_or(Stop::Shutdown)?,
        };
        // The wait for a slot may have been long: a run that was stopped meanwhile asks nothing more.
        if let Some(stop) = super::work::stop_asked(context).await.unwrap_or_else(Some) {
            slot.unused();
            return Err(stop);
        }
        let answer = question().await;
        slot.answered();
        attempt += 1;
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let keys_left = matches!(error, CallError::CredentialsRefused | CallError::Forbidden)
            && attempt < super::retry::REFUSED_KEYS;
        if !keys_left && (!error.is_retryable() || attempt >= super::retry::ATTEMPTS) {
            return Err(failure::from_call(&error));
        }
        let wait = match &error {
            CallError::RateLimited { retry_after: Some(wait) } => *wait,
            _ => super::retry::backoff(attempt - 1, super::retry::random()),
        };
        tokio::select! {
            () = context.stop_sending.cancelled() => return Err(Stop::Shutdown),
            () = tokio::time::sleep(context.shared.scale.real(wait)) => {}
        }
    }
}

/// Reads all segments in a thread of its own. A cancelled run stops the reading, and so does one that was taken away: the
/// removal of a tenant counts on it that no file is written half a second after (`ferry-control`, `tenant.rs`).
async fn read(context: &Arc<RunContext>, segments: Vec<SegmentEntry>) -> Result<PlanSummary, Stop> {
    let control = Arc::new(SnapshotControl::default());
    let reading = tokio::task::spawn_blocking({
        let (context, control) = (Arc::clone(context), Arc::clone(&control));
        move || {
            let layout = layout(&context);
            let render = |row: &Row<'_>, out: &mut Vec<u8>| layout.render(row.email, row.values, out);
            build_plan(spec(&context, segments), &render, &control)
        }
    });
    tokio::pin!(reading);
    let mut cancelled = None;
    loop {
        tokio::select! {
            summary = &mut reading => {
                if let Some(stop) = cancelled {
                    return Err(stop);
                }
                let summary = summary.map_err(|error| {
                    tracing::error!(%error, "reading the segments panicked");
                    failure::internal("the segments of this run could not be read")
                })?;
                return summary.map_err(failure::from_snapshot);
            }
            () = context.stop_sending.cancelled(), if cancelled.is_none() => {
                cancelled = Some(Stop::Shutdown);
                control.cancelled.store(true, Ordering::Relaxed);
            }
            () = tokio::time::sleep(Duration::from_millis(250)), if cancelled.is_none() => {
                if let Some(stop) = super::work::stop_asked(context).await.unwrap_or_else(Some) {
                    cancelled = Some(stop);
                    control.cancelled.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

fn layout(context: &RunContext) -> ContactLayout {
    let ExportSettings::Activecampaign { list_id, .. } = context.export.settings;
    let fields = values(context)
        .filter_map(|mapping| match mapping.destination_field {
            DestinationField::Email => None,
            DestinationField::FirstName => Some(ContactField::FirstName),
            DestinationField::LastName => Some(ContactField::LastName),
            DestinationField::Phone => Some(ContactField::Phone),
            DestinationField::Custom(number) => Some(ContactField::Custom(number)),
        })
        .collect();
    ContactLayout::new(fields, list_id)
}

fn values(context: &RunContext) -> impl Iterator<Item = &ferry_domain::FieldMapping> {
    context.export.field_mappings.iter().filter(|mapping| mapping.destination_field != DestinationField::Email)
}

fn spec(context: &RunContext, segments: Vec<SegmentEntry>) -> SnapshotSpec {
    let ExportSettings::Activecampaign { exclude_automations, .. } = context.export.settings;
    let email = context.export.field_mappings.iter().find(|m| m.destination_field == DestinationField::Email);
    let overhead = activecampaign::envelope_bytes(exclude_automations);
    SnapshotSpec {
        segments,
        email_column: email.map(|mapping| mapping.profile_column.clone()).unwrap_or_default(),
        value_columns: values(context).map(|mapping| mapping.profile_column.clone()).collect(),
        digest_key: *context.identity_key,
        max_members: limits::PROFILES_PER_RUN,
        pack: PackLimits {
            max_rows: activecampaign::ROWS_PER_REQUEST,
            max_bytes: activecampaign::BYTES_PER_REQUEST - overhead,
        },
        plan_path: context.file_path(RunFile::Plan),
        rejected_path: context.file_path(RunFile::Rejected),
        file_key: context.file_key(),
        plan_aad: context.file_aad(RunFile::Plan),
        rejected_aad: context.file_aad(RunFile::Rejected),
    }
}

/// Runs file work off the async threads.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "file work panicked");
        failure::internal("a file of this run could not be handled")
    })
}
