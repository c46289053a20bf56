//! Phase one: from segments to an immutable plan.
//!
//! The plan file is written and fsynced before the plan is adopted in the store; a crash in between leaves a file that
//! the next attempt replaces. After adoption the plan never changes: its digest is checked each time it is opened for a
//! new owner.

use super::reading::{self, Known};
use super::workflow::Task;
use super::{RunContext, destination, guard, recipient, taking_off, time};
use crate::disk;
use crate::failure::{self, Stop};
use ferry_domain::{Counts, Export, ExportSettings, LeavePolicy, Phase, PlanSummary as Summary, RunState};
use ferry_segments::layout::RunFile;
use ferry_segments::{PlanReader, PlanSummary, SegmentEntry, write_index};
use ferry_store::{Adoption, ExportState, NamedPlan, PlanRecord, StateMark, TakesOff};
use ferry_telemetry::Phase as Part;
use std::collections::HashSet;
use std::sync::Arc;

/// Raised when the same values would be rendered to other bytes.
const RENDERER_VERSION: u32 = 1;

/// A plan that stands: its record and what the account begins with.
pub(super) struct Adopted {
    pub(super) record: PlanRecord,
    pub(super) counts: Counts,
}

/// Opens a plan that was adopted earlier and checks that it is still the same.
pub(super) async fn reopen(context: &Arc<RunContext>, record: PlanRecord) -> Result<Adopted, Stop> {
    verify(context, &record).await?;
    indexed(context, &record).await?;
    Ok(Adopted { record, counts: context.run.counts })
}

/// A plan from before plans had an index gets it now, so that what it has sent and will send is found by it.
async fn indexed(context: &Arc<RunContext>, record: &PlanRecord) -> Result<(), Stop> {
    let (plan, index) = (context.files.of_run(RunFile::Plan), context.files.index());
    if index.exists() {
        return Ok(());
    }
    let (planned, removals, digest) = (record.planned, record.removals, record.digest);
    let written = blocking(move || write_index(&plan, planned, removals, &digest, &index)).await?;
    written.map_err(|error| {
        tracing::error!(%error, "the index of a plan cannot be written");
        failure::internal("the index of this run's plan could not be written; check the disk of the service")
    })?;
    Ok(context.shared.store.recipients_note(&context.lease).await?)
}

async fn verify(context: &Arc<RunContext>, record: &PlanRecord) -> Result<(), Stop> {
    let place = context.files.of_run(RunFile::Plan);
    match blocking(move || PlanReader::open(&place.path, &place.key, &place.aad)?.verify()).await? {
        Ok(found) if found == record.digest => Ok(()),
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

/// Takes over the plan of a dry run. The store has just seen that it still stands. Nothing if a guard holds it.
pub(super) async fn take_over(context: &Arc<RunContext>, named: NamedPlan) -> Result<Option<Adopted>, Stop> {
    destination::check(context).await?;
    verify(context, &named.record).await?;
    let NamedPlan { record, counts, summary, held, .. } = named;
    match adopt(context, record, counts, summary, held).await? {
        Adopting::Done(plan) => Ok(*plan),
        Adopting::SomebodySuppressed => Err(failure::person_erased()),
    }
}

/// Reads the segments and writes the plan; one that takes people off reads the state alone. Nothing if a guard holds it:
/// then the run was given up, and waits for its approval.
pub(super) async fn make(context: &Arc<RunContext>) -> Result<Option<Adopted>, Stop> {
    let shared = &context.shared;
    shared.store.run_phase(&context.lease, Phase::Reading, shared.now()).await?;
    let segments = match context.takes_off {
        Some(_) => Vec::new(),
        None => reading::segments(context).await?,
    };
    destination::check(context).await?;
    // The destination may have taken its time. Once the tenant is removed no file may be made any more.
    super::work::stop_asked(context).await?.map_or(Ok(()), Err)?;
    disk::room_to_plan(&shared.data_dir)?;
    let list = list_of(&context.export);
    loop {
        match once(context, segments.clone(), list).await? {
            Adopting::Done(plan) => return Ok(*plan),
            // Each time round there is one more whom this plan leaves out.
            Adopting::SomebodySuppressed => super::work::stop_asked(context).await?.map_or(Ok(()), Err)?,
        }
    }
}

/// Reads, writes and offers one plan.
async fn once(context: &Arc<RunContext>, segments: Vec<SegmentEntry>, list: u32) -> Result<Adopting, Stop> {
    let shared = &context.shared;
    let task = Task::begin(context, Part::Reading);
    // Before anything is read: whoever is suppressed later is not seen, and the adoption knows by the number.
    let suppressed = shared.store.suppressed(&context.lease).await?;
    let suppressions = suppressed.len() as u64;
    let state = shared.store.export_state(&context.lease, context.connection.generation, list).await?;
    let known = known(context, state.as_ref(), list, suppressed).await?;
    let distrust = state.as_ref().is_some_and(|state| state.untrusted);
    let (made, held) = match context.takes_off {
        Some(whom) => (taking_off::plan(context, known, whom).await?, Vec::new()),
        None => {
            let made = reading::read(context, segments, known, distrust).await?;
            let held = guard::held(&context.export, &made);
            (made, held)
        }
    };
    ferry_domain::failpoint!("plan-written");
    task.done();
    warn(context, &made, distrust).await?;
    let counts = Counts {
        members: made.members,
        rejected: made.rejected,
        twins: made.twins,
        excluded: made.excluded,
        unchanged: made.unchanged,
        not_sent: made.planned,
        removals: made.removals,
        removals_not_sent: made.removals,
        ..Counts::default()
    };
    let summary = Summary { adds: made.adds, changes: made.changes, removals: made.removals, refusals: made.excluded };
    let stands_on = (state.map(|state| state.mark()), suppressions);
    adopt(context, record(context, made, stands_on), counts, summary, held).await
}

pub(super) fn list_of(export: &Export) -> u32 {
    let ExportSettings::Activecampaign { list_id, .. } = export.settings;
    list_id
}

/// What is known of the list: by this export, and by others where that keeps people there.
async fn known(
    context: &RunContext,
    state: Option<&ExportState>,
    list: u32,
    suppressed: HashSet<[u8; 16]>,
) -> Result<Known, Stop> {
    let shared = &context.shared;
    let others = match (&context.export.leave_policy, context.takes_off) {
        // An erasure takes the person off, whoever holds them there.
        (_, Some(TakesOff::One(_))) => Vec::new(),
        (LeavePolicy::Unsubscribe, _) => shared.store.other_states(&context.lease, list).await?,
        // Only a list is shared; a field is the export's own.
        (LeavePolicy::Keep | LeavePolicy::SetField { .. }, _) => Vec::new(),
    };
    Ok(Known {
        base: state.map(|state| context.files.state(state)),
        others: others.iter().map(|state| context.files.state_of_another(shared, state)).collect::<Result<_, _>>()?,
        suppressed,
    })
}

fn record(context: &RunContext, made: PlanSummary, (state, suppressions): (Option<StateMark>, u64)) -> PlanRecord {
    PlanRecord {
        digest: made.plan_digest,
        planned: made.planned,
        batch_rows: made.batch_rows,
        removals: made.removals,
        removal_batch_rows: made.removal_batch_rows,
        fingerprints: made.fingerprints,
        connection_generation: context.connection.generation,
        host: context.connection.host.clone(),
        list: list_of(&context.export),
        purpose: Some(recipient::purpose(&context.export)),
        fields: Some(recipient::fields(&context.export)),
        state,
        export_version: context.export.version,
        settings: Some(context.export.settings.clone()),
        leave_policy: Some(context.export.leave_policy.clone()),
        suppressions,
        normaliser_version: ferry_segments::NORMALISER_VERSION,
        renderer_version: RENDERER_VERSION,
    }
}

/// What came of the offer of a plan.
enum Adopting {
    /// It was adopted; nothing if a guard holds it.
    Done(Box<Option<Adopted>>),
    /// Somebody was suppressed meanwhile, whom it may hold.
    SomebodySuppressed,
}

async fn adopt(
    context: &Arc<RunContext>,
    record: PlanRecord,
    counts: Counts,
    summary: Summary,
    held: Vec<String>,
) -> Result<Adopting, Stop> {
    let shared = &context.shared;
    let task = Task::begin(context, Part::Planning);
    let estimated_end = time::estimated_end(context, &record);
    let adoption = Adoption { record: record.clone(), summary, counts, estimated_end, held };
    let adopted = shared.store.plan_adopt(&context.lease, adoption, shared.now()).await?;
    let Some(run) = adopted else { return Ok(Adopting::SomebodySuppressed) };
    ferry_domain::failpoint!("plan-adopted");
    task.done();
    let plan = (run.state != RunState::AwaitingApproval).then_some(Adopted { record, counts });
    Ok(Adopting::Done(Box::new(plan)))
}

async fn warn(context: &Arc<RunContext>, made: &PlanSummary, distrust: bool) -> Result<(), Stop> {
    let shared = &context.shared;
    let warnings = match context.takes_off {
        Some(_) => taking_off::warnings(made, distrust),
        None => warnings(made),
    };
    for warning in warnings {
        shared.store.run_warn(&context.lease, &warning, shared.now()).await?;
    }
    Ok(())
}

/// What a plan has that whoever looks at its run may not expect. For people; it holds no personal data.
fn warnings(made: &PlanSummary) -> Vec<String> {
    let mut warnings = Vec::new();
    let PlanSummary { members, rejected, twins, excluded, .. } = made;
    let nobody = made.planned + made.unchanged == 0;
    if *rejected > 0 {
        let by: Vec<String> = made.rejected_by.iter().map(|(reason, rows)| format!("{rows} {reason}")).collect();
        let by = by.join(", ");
        warnings.push(format!(
            "{rejected} of {members} rows of the segments cannot go as they are ({by}); ListRejectedProfiles tells which"
        ));
    }
    if *members == 0 {
        warnings.push("the segments are empty".to_owned());
    } else if nobody && *excluded > 0 && *rejected == 0 {
        warnings.push(
            "nobody is sent: all members of the segments are kept from going by a rule, since Ferry has unsubscribed \
             them or the destination has refused them before; ListRejectedProfiles tells which"
                .to_owned(),
        );
    } else if nobody {
        warnings.push(format!(
            "nobody is sent: of {members} rows of the segments {rejected} cannot go as they are, {twins} repeat \
             another one, and {excluded} are kept from going by a rule; ListRejectedProfiles tells why"
        ));
    }
    if made.held_elsewhere > 0 {
        warnings.push(held_elsewhere(made));
    }
    if made.refused_before > 0 {
        warnings.push(format!(
            "{} people who left stay as they are: the destination refused to change them not long ago; a run \
             30 days after that asks again, and one with full_resync does so at once",
            made.refused_before
        ));
    }
    warnings
}

/// Some stay on the list.
pub(super) fn held_elsewhere(made: &PlanSummary) -> String {
    format!("{} people who left stay as they are: another export holds them on the list", made.held_elsewhere)
}

/// Runs file work off the async threads.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(panicked = error.is_panic(), "file work ended badly");
        failure::internal("a file of this run could not be handled")
    })
}

/// A plan of such batches, for tests of what is made from its record.
#[cfg(test)]
pub(super) fn record_of(batch_rows: &[u32], removal_batch_rows: &[u32]) -> PlanRecord {
    let sum = |rows: &[u32]| rows.iter().map(|rows| u64::from(*rows)).sum();
    PlanRecord {
        digest: [0; 32],
        planned: sum(batch_rows),
        batch_rows: batch_rows.to_vec(),
        removals: sum(removal_batch_rows),
        removal_batch_rows: removal_batch_rows.to_vec(),
        fingerprints: Vec::new(),
        connection_generation: 1,
        host: String::new(),
        list: 3,
        purpose: None,
        fields: None,
        state: None,
        export_version: 1,
        settings: None,
        leave_policy: None,
        suppressions: 0,
        normaliser_version: 1,
        renderer_version: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_sends_nobody_says_why() {
        let members = PlanSummary { members: 3, ..PlanSummary::default() };
        for (made, says) in [
            (PlanSummary::default(), Some("the segments are empty")),
            (PlanSummary { excluded: 2, twins: 1, ..members.clone() }, Some("kept from going by a rule")),
            (PlanSummary { rejected: 2, twins: 1, ..members.clone() }, Some("2 cannot go as they are")),
            (PlanSummary { rejected: 1, excluded: 2, ..members.clone() }, Some("1 cannot go as they are")),
            (PlanSummary { excluded: 2, planned: 1, adds: 1, ..members.clone() }, None),
            (PlanSummary { excluded: 2, unchanged: 1, ..members }, None),
        ] {
            let found = warnings(&made);
            let expected = usize::from(says.is_some()) + usize::from(made.rejected > 0);
            assert_eq!(found.len(), expected, "{found:?}");
            assert!(says.is_none_or(|says| found.last().is_some_and(|text| text.contains(says))), "{found:?}");
        }
    }

    #[test]
    fn r07_rows_that_cannot_go_are_counted_by_their_reason() {
        let rejected_by = [("EMAIL_MALFORMED", 2), ("ROW_RAGGED", 1)].into();
        let made = PlanSummary { members: 1_000, rejected: 3, rejected_by, planned: 997, ..PlanSummary::default() };
        let text = "3 of 1000 rows of the segments cannot go as they are (2 EMAIL_MALFORMED, 1 ROW_RAGGED); \
                    ListRejectedProfiles tells which";
        assert_eq!(warnings(&made), [text]);
    }

    #[test]
    fn who_stays_for_another_export_and_who_for_a_refusal_are_told_apart() {
        let some = PlanSummary { members: 9, unchanged: 9, ..PlanSummary::default() };
        let found = warnings(&PlanSummary { held_elsewhere: 4, refused_before: 5, ..some.clone() });
        let [held, refused] = found.as_slice() else { panic!("{found:?}") };
        assert!(held.starts_with("4 people") && held.contains("another export"), "{held}");
        assert!(refused.starts_with("5 people") && refused.contains("refused"), "{refused}");
        assert!(warnings(&some).is_empty());
    }
}
