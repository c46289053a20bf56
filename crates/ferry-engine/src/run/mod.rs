//! One run, from the claim to its end.
//!
//! ```text
//! claimed ─▶ plan (read, compare, write, adopt) ─▶ work (send, settle) ─▶ finish (account, refused rows, state)
//!             │ already adopted: verify its digest ─┘        │
//!             └─▶ held: waits for an approval                └─▶ paused: waits for a key, or for a time
//! ```
//!
//! After a crash the next claim comes in at the same place: without an adopted plan the run reads again (nothing was
//! sent), with one it goes on with the recorded batches.

pub(crate) mod account;
mod asked;
mod caution;
mod deferred;
mod destination;
mod doubt;
mod feed;
mod files;
mod finish;
mod guard;
pub(crate) mod orphan;
mod plan;
mod reading;
mod recipient;
mod recover;
mod retry;
mod secret;
mod send;
mod settle;
mod taking_off;
mod time;
mod work;
mod workflow;

use crate::context::Context;
use crate::failure::{self, Stop};
use asked::Seen;
use doubt::KeyDoubt;
use ferry_destinations::activecampaign::ActiveCampaign;
use ferry_domain::{Culprit, Export, Reason, Run, RunState, Severity, Timestamp};
use ferry_egress::HostName;
use ferry_lanes::{Class, Lane, Recovering, Slot};
use ferry_store::{Claimed, Lease, LeaseError, NamedPlan, PlanRecord, Store, StoredSecret};
use ferry_telemetry::{Asks, Exchange, RunTrace, Step};
use files::RunFiles;
use finish::Ending;
use plan::Adopted;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a run that could not be brought to its end rests.
const AGAIN: Duration = Duration::from_secs(10);

/// What all parts of one run share.
struct RunContext {
    ending: Ending,
    destination: ActiveCampaign,
    lane: Lane,
    /// Held until it is known whom an earlier process left on the way to the account.
    recovering: Option<Recovering>,
    key_doubt: KeyDoubt,
    seen: Seen,
    /// Cancelled when nothing more may be sent.
    stop_sending: CancellationToken,
    /// Cancelled when no result is waited for any more.
    stop_asking: CancellationToken,
    /// Cancelled when no answer is waited for any more, even to what was asked.
    hang_up: CancellationToken,
}

impl Deref for RunContext {
    type Target = Ending;

    fn deref(&self) -> &Ending {
        &self.ending
    }
}

impl RunContext {
    /// A request of the run that has its turn.
    fn exchange(&self, class: Class, slot: &Slot, attempt: u32, batch: Option<u32>) -> Exchange {
        let (destination, waited) = (self.lane.destination(), slot.waited());
        self.trace.request(Asks { destination, class: class.into(), attempt, batch, waited })
    }

    /// So many rows of a batch came on.
    fn progress(&self, step: Step, rows: i64) {
        let rows = u64::try_from(rows).unwrap_or(0);
        self.shared.telemetry.progress(self.lane.destination(), step, rows, self.trace.tenant());
    }

    /// The destination asks to be left alone for `wait` (its own time). A run does not sit a long one out.
    async fn keep_away(&self, wait: Duration) -> Result<(), Stop> {
        let now = self.shared.now();
        self.lane.asked_to_wait(wait, now).await?;
        not_for_long(&self.lane, now)
    }
}

/// Carries a claimed run to its end, or to the stop of this process.
pub(crate) async fn carry_out(shared: Arc<Context>, claimed: Claimed, recovering: Option<Recovering>) {
    let run = claimed.lease.run();
    let trace = shared.telemetry.run(run.run.as_str(), run.tenant.as_str(), claimed.lease.epoch());
    let state = trace.around(carry_out_traced(shared, claimed, recovering, &trace)).await;
    trace.ended(state.map(RunState::as_str));
}

/// The state that the run has come to; nothing if it is left to another time or owner.
async fn carry_out_traced(
    shared: Arc<Context>,
    claimed: Claimed,
    recovering: Option<Recovering>,
    trace: &RunTrace,
) -> Option<RunState> {
    let name = claimed.lease.run().to_string();
    tracing::info!(run = %name, epoch = claimed.lease.epoch(), "run claimed");
    workflow::begun(&shared, &claimed.lease, &claimed.run, claimed.full_resync);
    ferry_domain::failpoint!("run-claimed");
    let (context, lease) = (Arc::clone(&shared), claimed.lease.clone());
    let went = go(shared, claimed, recovering, trace.clone()).await;
    if went.as_ref().is_ok_and(|state| state.is_terminal()) {
        context.ended.notify_one();
    }
    let state = went.as_ref().ok().copied();
    match went {
        Ok(state) if state.is_terminal() => tracing::info!(run = %name, state = state.as_str(), "run ended"),
        Ok(state) => tracing::info!(run = %name, state = state.as_str(), "run waits"),
        Err(Stop::Shutdown) => tracing::info!(run = %name, "run set aside until the next start"),
        Err(Stop::Fenced) => tracing::warn!(run = %name, "run was taken over by another owner"),
        Err(stop) => {
            tracing::error!(run = %name, ?stop, "a run could not be brought to its end; trying again");
            give_up(&context.store, &context.shutdown, &lease).await;
        }
    }
    state
}

/// Gives a run back after a while, so that it is claimed again: the store, the disk or the keys may be there then.
async fn give_up(store: &Store, shutdown: &CancellationToken, lease: &Lease) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
        match store.run_release(lease).await {
            Ok(()) | Err(LeaseError::Fenced) => return,
            Err(LeaseError::Failed(error)) => tracing::error!(%error, "a run could not be given back; trying again"),
        }
    }
}

async fn go(
    shared: Arc<Context>,
    claimed: Claimed,
    recovering: Option<Recovering>,
    trace: RunTrace,
) -> Result<RunState, Stop> {
    let Claimed { lease, run, export, connection, secret, plan, full_resync, plan_of, takes_off } = claimed;
    let export = as_planned(export, plan.as_ref().or(plan_of.as_ref().map(|named| &named.record)));
    let carries_out = run.plan_of.clone();
    let counts = run.counts;
    let files = match RunFiles::open(&shared, &lease, &connection, carries_out) {
        Ok(files) => files,
        Err(_) if plan.is_some() => return without_keys(&shared, &lease, &run, plan.as_ref()).await,
        Err(stop) => return without_files(&shared, &lease, stop).await,
    };
    // What the old account has queued is not asked of the new one.
    let moved = plan.as_ref().is_some_and(|plan| plan.connection_generation != connection.generation);
    let nothing_to_settle = plan.is_none() || moved;
    let ending = Ending { shared, lease, run, export, connection, files, full_resync, takes_off, trace };
    let adopted = plan.map(|record| Adopted { record, counts });
    if ending.run.state == RunState::Cancelling && nothing_to_settle {
        return ending.come_to(adopted.as_ref(), Some(Stop::Cancelled)).await;
    }
    match reach(&ending, secret).await {
        Ok((destination, lane)) => {
            let stop_sending = ending.shared.shutdown.child_token();
            let key_doubt = KeyDoubt::default();
            let stop_asking = CancellationToken::new();
            let context = RunContext {
                ending,
                destination,
                lane,
                recovering,
                key_doubt,
                seen: Seen::default(),
                stop_sending,
                stop_asking,
                hang_up: CancellationToken::new(),
            };
            let context = Arc::new(context);
            through(context, adopted, plan_of).await
        }
        Err(stop) => ending.come_to(adopted.as_ref(), Some(stop)).await,
    }
}

/// The export as it was when the plan was made: a run that was held, paused or killed meanwhile sends what it planned,
/// to where it planned it, whatever the export says by now.
fn as_planned(export: Export, plan: Option<&PlanRecord>) -> Export {
    let Some(plan) = plan else { return export };
    Export {
        settings: plan.settings.clone().unwrap_or(export.settings),
        leave_policy: plan.leave_policy.clone().unwrap_or(export.leave_policy),
        ..export
    }
}

/// What it has sent cannot be brought into the state without its key, so it waits for the key store, unless the key was
/// destroyed with its connection.
async fn without_keys(shared: &Context, lease: &Lease, run: &Run, plan: Option<&PlanRecord>) -> Result<RunState, Stop> {
    match asked::stop_asked(shared, lease).await? {
        Some(Stop::Removed) => orphan::end(shared, lease, run, plan).await,
        _ => Err(Stop::Unsealed),
    }
}

/// A run that cannot even open its files has sent nothing.
async fn without_files(shared: &Context, lease: &Lease, stop: Stop) -> Result<RunState, Stop> {
    let Stop::Ended(state, error) = stop else { return Err(stop) };
    let counts = shared.store.run_counts(lease).await?;
    shared.store.run_finish(lease, state, Some(error), counts, None, shared.now()).await?;
    Ok(state)
}

/// The way to the account: its key, and its lane.
async fn reach(ending: &Ending, secret: StoredSecret) -> Result<(ActiveCampaign, Lane), Stop> {
    let (shared, connection) = (&ending.shared, &ending.connection);
    let secret = secret::open(shared, &ending.lease, connection, secret).await?;
    let host = HostName::parse(&connection.host).map_err(|_| not_allowed())?;
    let destination = ActiveCampaign::new(&shared.egress, &host, secret).map_err(|_| not_allowed())?;
    let now = shared.now();
    let lane = shared.lanes.lane(&connection.host, now).await?;
    not_for_long(&lane, now)?;
    Ok((destination, lane))
}

async fn through(
    context: Arc<RunContext>,
    adopted: Option<Adopted>,
    named: Option<NamedPlan>,
) -> Result<RunState, Stop> {
    let planned = match (&adopted, named) {
        (Some(adopted), _) => plan::reopen(&context, adopted.record.clone()).await.map(Some),
        (None, Some(named)) => plan::take_over(&context, named).await,
        (None, None) => plan::make(&context).await,
    };
    let plan = match planned {
        Ok(Some(plan)) => plan,
        Ok(None) => return Ok(RunState::AwaitingApproval),
        Err(stop) => return context.come_to(adopted.as_ref(), Some(stop)).await,
    };
    if context.run.dry_run {
        return context.come_to_a_plan(&plan).await;
    }
    let mut stopped = work::work(&context, &plan).await?;
    if stopped.is_none() && !plan.record.batch_rows.is_empty() {
        stopped = destination::list_deleted(&context).await;
    }
    context.come_to(Some(&plan), stopped).await
}

/// Whether the account is to be left alone for longer than a run sits out.
fn not_for_long(lane: &Lane, now: Timestamp) -> Result<(), Stop> {
    lane.long_hold(now).map_or(Ok(()), |until| Err(Stop::LongWait { until }))
}

fn vault_failure(error: ferry_vault::VaultError) -> Stop {
    tracing::error!(%error, "a key of the connection could not be opened");
    failure::internal("a key of this connection could not be opened; check the key store of the service")
}

fn not_allowed() -> Stop {
    let message = "the host of the connection is not among those that the operator of this service allows";
    failure::failed(Reason::HostNotAllowed, Culprit::User, Severity::Permanent, message)
}
