//! Runs.

use super::{count, time};
use ferry_control::{WatchEvent, WatchItem, etag};
use ferry_domain::{
    Approval, Counts, Culprit, PauseReason, Phase, PlanSummary, Run, RunError, RunName, RunState, Severity, Trigger,
};
use ferry_proto::v1 as pb;
use ferry_segments::{Action, REASON_NOT_GIVEN, RejectedRow, Sample, Stage};
use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt};

/// What ActiveCampaign documents as causes of a failure that it does not explain (bulk import page).
const CANDIDATES: [&str; 5] =
    ["EMAIL_MALFORMED", "EXCLUSION_LIST", "BOUNCED_BEFORE", "UNSUBSCRIBED_BEFORE", "ACCOUNT_CONTACT_LIMIT"];

/// A run.
pub(crate) fn run(run: Run) -> pb::Run {
    let plan = run.plan_of.clone().map(|dry| RunName { run: dry, ..run.name.clone() });
    pb::Run {
        name: run.name.to_string(),
        uid: run.id().to_string(),
        export: run.export().to_string(),
        state: state(run.state).into(),
        phase: run.phase.map_or(pb::run::Phase::Unspecified, phase).into(),
        trigger: match run.trigger {
            Trigger::OnDemand => pb::run::Trigger::OnDemand,
            Trigger::Schedule => pb::run::Trigger::Schedule,
            Trigger::Refresh => pb::run::Trigger::Refresh,
            Trigger::Retraction => pb::run::Trigger::Retraction,
            Trigger::Erasure => pb::run::Trigger::Erasure,
        }
        .into(),
        started_by: run.started_by,
        counts: Some(counts(&run.counts)),
        batches_total: count(run.batches_total),
        batches_settled: count(run.batches_settled),
        dry_run: run.dry_run,
        plan_summary: run.plan_summary.map(plan_summary),
        plan: plan.map(|plan| plan.to_string()).unwrap_or_default(),
        approval: run.approval.map(approval),
        pause_reason: run.pause_reason.map_or(pb::run::PauseReason::Unspecified, pause_reason).into(),
        resume_time: run.resume_time.map(time),
        warnings: run.warnings,
        error: run.error.map(error),
        etag: etag::of(run.version),
        estimated_end_time: run.estimated_end_time.map(time),
        create_time: Some(time(run.create_time)),
        start_time: run.start_time.map(time),
        end_time: run.end_time.map(time),
    }
}

/// A run with samples of its plan.
pub(crate) fn run_with(found: Run, samples: Vec<Sample>) -> pb::Run {
    let mut run = run(found);
    if let Some(summary) = &mut run.plan_summary {
        summary.samples = samples.into_iter().map(sample).collect();
    }
    run
}

/// What one who watches is told.
pub(crate) fn watched(item: WatchItem) -> pb::WatchRunsResponse {
    use pb::watch_runs_response::Event;
    let event = match item.event {
        WatchEvent::Run(changed) => Event::Run(run(Run::clone(&changed))),
        WatchEvent::SnapshotComplete => Event::SnapshotComplete(true),
        WatchEvent::Heartbeat => Event::Heartbeat(true),
    };
    pb::WatchRunsResponse { event: Some(event), resume_token: item.token.to_string() }
}

fn sample(sample: Sample) -> pb::PlanSample {
    let field = |(destination_field, value)| pb::PlanField { destination_field, value };
    pb::PlanSample {
        action: match sample.action {
            Action::Add => pb::plan_sample::Action::Add,
            Action::Change => pb::plan_sample::Action::Change,
            Action::Remove => pb::plan_sample::Action::Remove,
            Action::Refuse => pb::plan_sample::Action::Refuse,
        }
        .into(),
        email: sample.email,
        fields: sample.values.into_iter().map(field).collect(),
        reason: sample.reason,
    }
}

/// What a plan does. Its samples are given by GetRun alone.
fn plan_summary(summary: PlanSummary) -> pb::PlanSummary {
    pb::PlanSummary {
        adds: count(summary.adds),
        changes: count(summary.changes),
        removals: count(summary.removals),
        refusals: count(summary.refusals),
        samples: Vec::new(),
    }
}

fn approval(approval: Approval) -> pb::Approval {
    pb::Approval {
        reasons: approval.reasons,
        approved_by: approval.approved_by.unwrap_or_default(),
        approve_time: approval.approve_time.map(time),
        expire_time: approval.expire_time.map(time),
    }
}

fn pause_reason(reason: PauseReason) -> pb::run::PauseReason {
    match reason {
        PauseReason::Credentials => pb::run::PauseReason::Credentials,
        PauseReason::Account => pb::run::PauseReason::Account,
        PauseReason::RetryAfter => pb::run::PauseReason::RetryAfter,
    }
}

fn state(state: RunState) -> pb::run::State {
    match state {
        RunState::Queued => pb::run::State::Queued,
        RunState::Processing => pb::run::State::Processing,
        RunState::AwaitingApproval => pb::run::State::AwaitingApproval,
        RunState::Paused => pb::run::State::Paused,
        RunState::Cancelling => pb::run::State::Cancelling,
        RunState::Succeeded => pb::run::State::Succeeded,
        RunState::Failed => pb::run::State::Failed,
        RunState::Skipped => pb::run::State::Skipped,
        RunState::Cancelled => pb::run::State::Cancelled,
        RunState::TimedOut => pb::run::State::TimedOut,
    }
}

fn phase(phase: Phase) -> pb::run::Phase {
    match phase {
        Phase::Reading => pb::run::Phase::Reading,
        Phase::Planning => pb::run::Phase::Planning,
        Phase::Sending => pb::run::Phase::Sending,
        Phase::Settling => pb::run::Phase::Settling,
    }
}

fn counts(counts: &Counts) -> pb::RunCounts {
    pb::RunCounts {
        members: count(counts.members),
        rejected: count(counts.rejected),
        twins: count(counts.twins),
        excluded: count(counts.excluded),
        unchanged: count(counts.unchanged),
        confirmed: count(counts.confirmed),
        refused: count(counts.refused),
        unknown: count(counts.unknown),
        not_sent: count(counts.not_sent),
        queued: count(counts.queued),
        removals: count(counts.removals),
        removals_confirmed: count(counts.removals_confirmed),
        removals_refused: count(counts.removals_refused),
        removals_unknown: count(counts.removals_unknown),
        removals_not_sent: count(counts.removals_not_sent),
    }
}

fn error(error: RunError) -> pb::RunError {
    let reason = error.reason.as_str();
    let code = match error.culprit {
        Culprit::System => Code::Internal,
        Culprit::User => Code::FailedPrecondition,
        Culprit::Destination => Code::Unavailable,
    };
    let info = ErrorDetails::with_error_info(reason.clone(), "ferry.v1", std::collections::HashMap::new());
    let details = tonic::Status::with_error_details(code, &error.message, info);
    let status: tonic_types::Status = prost::Message::decode(details.details()).unwrap_or_default();
    pb::RunError {
        status: Some(status),
        reason,
        severity: match error.severity {
            Severity::Warning => pb::run_error::Severity::Warning,
            Severity::Temporary => pb::run_error::Severity::Temporary,
            Severity::Permanent => pb::run_error::Severity::Permanent,
        }
        .into(),
        culprit: match error.culprit {
            Culprit::System => pb::run_error::Culprit::System,
            Culprit::User => pb::run_error::Culprit::User,
            Culprit::Destination => pb::run_error::Culprit::Destination,
        }
        .into(),
    }
}

/// A row that did not go.
pub(crate) fn rejected(row: RejectedRow) -> pb::RejectedProfile {
    let candidates = match row.destination_reason.as_ref().unwrap_or(&row.reason).as_str() {
        REASON_NOT_GIVEN => CANDIDATES.map(str::to_owned).to_vec(),
        _ => row.destination_reason.into_iter().collect(),
    };
    pb::RejectedProfile {
        segment: row.segment,
        line: row.line.map(count),
        stage: match row.stage {
            Stage::Rejected => pb::rejected_profile::Stage::Rejected,
            Stage::Refused => pb::rejected_profile::Stage::Refused,
            Stage::Excluded => pb::rejected_profile::Stage::Excluded,
        }
        .into(),
        reason: row.reason,
        reason_candidates: candidates,
        email: row.email.unwrap_or_default(),
    }
}
