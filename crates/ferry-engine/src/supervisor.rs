//! Claims runs and owns their tasks.
//!
//! Woken by the store after a commit that matters, and by a timer in case a wake-up was lost. The wake-up carries no
//! data: what there is to do is read from the store, the same way after a crash as on an ordinary day.

use crate::context::{Context, EngineParts};
use crate::{recipients, run};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Runs that one process carries at once; more of them wait in the queue. Most of them wait for their destinations.
const CONCURRENT_RUNS: usize = 256;
const POLL: Duration = Duration::from_secs(1);

/// A running engine.
pub struct Engine {
    shutdown: CancellationToken,
    supervisor: JoinHandle<()>,
}

impl Engine {
    /// Takes over what an earlier process of this data directory left, and begins to claim runs.
    pub async fn start(parts: EngineParts) -> ferry_domain::Result<Self> {
        let shutdown = CancellationToken::new();
        let context = Arc::new(Context::new(parts, shutdown.clone()));
        context.store.leases_reset(context.now()).await?;
        let supervisor = tokio::spawn(supervise(context));
        Ok(Self { shutdown, supervisor })
    }

    /// Starts nothing new, waits for the requests on their way (at most their deadline), and ends. The runs go on at
    /// the next start.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if let Err(error) = self.supervisor.await {
            tracing::error!(panicked = error.is_panic(), "the supervisor of the runs ended badly");
        }
    }
}

async fn supervise(context: Arc<Context>) {
    let mut changes = context.store.changes();
    let mut runs = JoinSet::new();
    let folding = tokio::spawn(recipients::keep_folding(Arc::clone(&context)));
    loop {
        claim_all(&context, &mut runs).await;
        tokio::select! {
            () = context.shutdown.cancelled() => break,
            _ = changes.changed() => {}
            () = tokio::time::sleep(POLL) => {}
            Some(ended) = runs.join_next() => report(ended),
        }
    }
    while let Some(ended) = runs.join_next().await {
        report(ended);
    }
    if let Err(error) = folding.await {
        tracing::error!(panicked = error.is_panic(), "the folding of recipients ended badly");
    }
}

async fn claim_all(context: &Arc<Context>, runs: &mut JoinSet<()>) {
    end_orphans(context, runs).await;
    // None begins before all are claimed: whom an earlier process left on the way must be known before anybody is sent.
    let mut claims = Vec::new();
    while runs.len() + claims.len() < CONCURRENT_RUNS && !context.shutdown.is_cancelled() {
        match context.store.run_claim(&context.worker, context.now()).await {
            Ok(Some(claimed)) => {
                let began_before = claimed.plan.is_some();
                let recovering = began_before.then(|| context.lanes.recovering(&claimed.connection.host));
                claims.push((claimed, recovering));
            }
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "no run could be claimed; trying again");
                break;
            }
        }
    }
    for (claimed, recovering) in claims {
        runs.spawn(run::carry_out(Arc::clone(context), claimed, recovering));
    }
}

/// Runs whose connection was removed are ended first: they ask nothing of anybody.
async fn end_orphans(context: &Arc<Context>, runs: &mut JoinSet<()>) {
    while !context.shutdown.is_cancelled() {
        match context.store.orphan_claim(&context.worker).await {
            Ok(Some(orphan)) => drop(runs.spawn(run::orphan::carry_out(Arc::clone(context), orphan))),
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "no run of a removed connection could be claimed; trying again");
                break;
            }
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        // The lease stays with this process, so the run goes on at the next start and not in a loop of panics.
        tracing::error!(panicked = error.is_panic(), "the task of a run ended badly");
    }
}
