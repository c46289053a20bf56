//! The end of a run whose connection was removed, when nobody carried it any more: its account, from what is on record.
//! There is no secret, no key of its files and no state to be moved on; the destination is asked nothing.

use super::account;
use crate::context::Context;
use crate::failure::Stop;
use ferry_domain::{Run, RunState};
use ferry_store::{Lease, Orphan, PlanRecord};
use std::sync::Arc;

/// Ends an orphan, or gives it back to be tried again.
pub(crate) async fn carry_out(shared: Arc<Context>, orphan: Orphan) {
    let Orphan { lease, run, plan } = orphan;
    match end(&shared, &lease, &run, plan.as_ref()).await {
        Ok(_) => {
            tracing::info!(run = %run.name, "run of a removed connection ended");
            shared.ended.notify_one();
        }
        Err(Stop::Fenced) => {}
        Err(stop) => {
            tracing::error!(run = %run.name, ?stop, "a run of a removed connection could not be ended; trying again");
            super::give_up(&shared.store, &shared.shutdown, &lease).await;
        }
    }
}

/// Whatever is on its way is unknown, and whatever was not sent is not.
pub(super) async fn end(
    shared: &Context,
    lease: &Lease,
    run: &Run,
    plan: Option<&PlanRecord>,
) -> Result<RunState, Stop> {
    let counts = match plan {
        None => run.counts,
        Some(plan) => {
            let batches = shared.store.batches(lease).await?;
            account::account(run.counts, plan, &account::outcomes(plan, &batches))
        }
    };
    Ok(shared.store.run_finish(lease, RunState::Cancelled, None, counts, None, shared.now()).await?.state)
}
