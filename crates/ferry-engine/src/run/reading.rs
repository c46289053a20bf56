//! Reading the segments of a run into its plan, in a thread of its own.

use super::RunContext;
use super::plan::{blocking, list_of};
use crate::failure::{self, Stop};
use ferry_destinations::activecampaign::{self, ContactField, ContactLayout, Leaving};
use ferry_domain::export::DestinationField;
use ferry_domain::{Culprit, ExportSettings, FieldMapping, LeavePolicy, Reason, Severity, limits};
use ferry_segments::layout::RunFile;
use ferry_segments::{
    Catalogue, ConstantField, Leavers, MappedField, PackLimits, PlanSummary, Renderers, Row, SegmentEntry,
    SnapshotControl, SnapshotError, SnapshotSpec, StateFile, build_plan,
};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How often a run that waits or reads looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(250);

/// What is known of the destination before the segments are read.
pub(super) struct Known {
    /// The export's own state.
    pub(super) base: Option<StateFile>,
    /// Those of other exports that put people on the same list.
    pub(super) others: Vec<StateFile>,
    /// Whom erasures suppress.
    pub(super) suppressed: HashSet<[u8; 16]>,
}

pub(super) async fn segments(context: &Arc<RunContext>) -> Result<Vec<SegmentEntry>, Stop> {
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

/// Reads all segments.
pub(super) async fn read(
    context: &Arc<RunContext>,
    segments: Vec<SegmentEntry>,
    known: Known,
    distrust: bool,
) -> Result<PlanSummary, Stop> {
    in_a_thread(context, move |context, control| {
        let layout = layout(context);
        // Behind the mapped values comes the one that says who is a member, which the layout knows by itself.
        let member = |row: &Row<'_>, out: &mut Vec<u8>| {
            ferry_domain::failpoint!("row-rendered");
            layout.render(row.email, row.values, out)
        };
        let left = |email: &str, out: &mut Vec<u8>| layout.render_left(email, out);
        let spec = spec(context, segments, known, distrust);
        build_plan(&spec, &Renderers { member: &member, left: &left }, control)
    })
    .await
}

/// Makes a plan in a thread of its own, when it is this run's turn. A cancelled run stops it, and so does one that was
/// taken away: the removal of a tenant counts on it that no file is written half a second after (`ferry-control`,
/// `tenant.rs`).
pub(super) async fn in_a_thread(
    context: &Arc<RunContext>,
    make: impl FnOnce(&RunContext, &SnapshotControl) -> Result<PlanSummary, SnapshotError> + Send + 'static,
) -> Result<PlanSummary, Stop> {
    let turn = turn(context).await?;
    let control = Arc::new(SnapshotControl::default());
    let reading = tokio::task::spawn_blocking({
        let (context, control) = (Arc::clone(context), Arc::clone(&control));
        move || {
            let _turn = turn;
            make(&context, &control)
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
                    tracing::error!(panicked = error.is_panic(), "reading the segments ended badly");
                    failure::internal("the segments of this run could not be read")
                })?;
                return summary.map_err(failure::from_snapshot);
            }
            () = context.stop_sending.cancelled(), if cancelled.is_none() => {
                cancelled = Some(Stop::Shutdown);
                control.cancelled.store(true, Ordering::Relaxed);
            }
            () = tokio::time::sleep(LOOK), if cancelled.is_none() => {
                if let Some(stop) = super::work::stop_asked(context).await.unwrap_or_else(Some) {
                    cancelled = Some(stop);
                    control.cancelled.store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Waits until this run may read. One that was stopped meanwhile waits no longer.
async fn turn(context: &RunContext) -> Result<OwnedSemaphorePermit, Stop> {
    let turn = Arc::clone(&context.shared.planning).acquire_owned();
    tokio::pin!(turn);
    loop {
        tokio::select! {
            turn = &mut turn => return turn.map_err(|_| Stop::Shutdown),
            () = context.stop_sending.cancelled() => return Err(Stop::Shutdown),
            () = tokio::time::sleep(LOOK) => super::work::stop_asked(context).await?.map_or(Ok(()), Err)?,
        }
    }
}

pub(super) fn layout(context: &RunContext) -> ContactLayout {
    let list_id = list_of(&context.export);
    let fields = values(context)
        .filter_map(|mapping| match mapping.destination_field {
            DestinationField::Email => None,
            DestinationField::FirstName => Some(ContactField::FirstName),
            DestinationField::LastName => Some(ContactField::LastName),
            DestinationField::Phone => Some(ContactField::Phone),
            DestinationField::Custom(number) => Some(ContactField::Custom(number)),
        })
        .collect();
    let leaving = match context.export.leave_policy.clone() {
        LeavePolicy::Keep => Leaving::Keep,
        LeavePolicy::SetField { field, member_value, left_value } => {
            Leaving::SetField { field, member: member_value, left: left_value }
        }
        LeavePolicy::Unsubscribe => Leaving::Unsubscribe,
    };
    ContactLayout::new(fields, list_id, leaving)
}

fn values(context: &RunContext) -> impl Iterator<Item = &FieldMapping> {
    context.export.field_mappings.iter().filter(|mapping| mapping.destination_field != DestinationField::Email)
}

/// What becomes of those who left, and the value that members go with for it.
fn leavers(policy: &LeavePolicy) -> (Leavers, Vec<ConstantField>) {
    match policy {
        LeavePolicy::Keep => (Leavers::Keep, Vec::new()),
        LeavePolicy::Unsubscribe => (Leavers::Unsubscribe, Vec::new()),
        LeavePolicy::SetField { field, member_value, left_value } => {
            let field = DestinationField::Custom(*field).to_string();
            let member = ConstantField { field: field.clone(), value: member_value.clone() };
            (Leavers::SetField { field, left_value: left_value.clone() }, vec![member])
        }
    }
}

fn spec(context: &RunContext, segments: Vec<SegmentEntry>, known: Known, distrust: bool) -> SnapshotSpec {
    let email = context.export.field_mappings.iter().find(|m| m.destination_field == DestinationField::Email);
    let (leavers, constants) = leavers(&context.export.leave_policy);
    let mapped = |mapping: &FieldMapping| MappedField {
        column: mapping.profile_column.clone(),
        field: mapping.destination_field.to_string(),
    };
    SnapshotSpec {
        segments,
        email_column: email.map(|mapping| mapping.profile_column.clone()).unwrap_or_default(),
        fields: values(context).map(mapped).collect(),
        constants,
        digest_key: context.files.identity_key(),
        max_members: limits::PROFILES_PER_RUN,
        pack: pack(context),
        base: known.base,
        others: known.others,
        suppressed: known.suppressed,
        leavers,
        full_resync: context.full_resync || distrust,
        now_ms: context.shared.now().as_millis(),
        plan: context.files.of_run(RunFile::Plan),
        rejected: context.files.of_run(RunFile::Rejected),
        // For whoever looks at a dry run, or is to approve this one.
        samples: Some(context.files.of_run(RunFile::Samples)),
    }
}

/// What fits into a request.
pub(super) fn pack(context: &RunContext) -> PackLimits {
    let ExportSettings::Activecampaign { exclude_automations, .. } = context.export.settings;
    let overhead = activecampaign::envelope_bytes(exclude_automations);
    PackLimits { max_rows: activecampaign::ROWS_PER_REQUEST, max_bytes: activecampaign::BYTES_PER_REQUEST - overhead }
}
