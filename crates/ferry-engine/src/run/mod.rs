//! One run, from the claim to its end.
//!
//! ```text
//! claimed ─▶ plan (read, normalise, write, adopt) ─▶ work (send, settle) ─▶ finish (account, refused rows)
//!             └ already adopted: verify its digest ─┘
//! ```
//!
//! After a crash the next claim comes in at the same place: without an adopted plan the run reads again (nothing was
//! sent), with one it goes on with the recorded batches.

mod feed;
mod finish;
mod plan;
mod recover;
mod retry;
mod secret;
mod send;
mod settle;
mod work;

use crate::context::Context;
use crate::failure::{self, Stop};
use crate::lane::Lane;
use ferry_destinations::activecampaign::ActiveCampaign;
use ferry_domain::{Connection, Culprit, Export, Reason, Run, RunState, Severity};
use ferry_egress::HostName;
use ferry_segments::FileKey;
use ferry_segments::layout::RunFile;
use ferry_store::{Claimed, Lease, PlanRecord};
use ferry_vault::{KeyId, Purpose};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// What all parts of one run share.
pub(crate) struct RunContext {
    shared: Arc<Context>,
    lease: Lease,
    run: Run,
    export: Export,
    connection: Connection,
    destination: ActiveCampaign,
    lane: Arc<Lane>,
    identity_key: Zeroizing<[u8; 32]>,
    file_key: Zeroizing<[u8; 32]>,
    /// Cancelled when nothing more may be sent.
    stop_sending: CancellationToken,
}

impl RunContext {
    fn file_path(&self, file: RunFile) -> PathBuf {
        file.path(&self.shared.data_dir, self.lease.run().tenant.as_str(), self.lease.run().run.as_str())
    }

    fn file_aad(&self, file: RunFile) -> Vec<u8> {
        let run = self.lease.run();
        file.aad(run.tenant.as_str(), &self.connection.uid, run.run.as_str())
    }

    fn file_key(&self) -> FileKey {
        FileKey::new(*self.file_key)
    }

    fn run_label(&self) -> &str {
        self.lease.run().run.as_str()
    }
}

/// Carries a claimed run to its end, or to the stop of this process.
pub(crate) async fn carry_out(shared: Arc<Context>, claimed: Claimed) {
    let name = claimed.lease.run().to_string();
    tracing::info!(run = %name, epoch = claimed.lease.epoch(), "run claimed");
    let lease = claimed.lease.clone();
    let planned = claimed.plan.clone();
    let outcome = match prepare(&shared, claimed).await {
        Ok(context) => through(Arc::new(context), planned).await,
        Err(stop) => finish::without_work(&shared, &lease, planned.as_ref(), stop).await,
    };
    match outcome {
        Ok(state) => tracing::info!(run = %name, state = state.as_str(), "run ended"),
        Err(Stop::Shutdown) => tracing::info!(run = %name, "run set aside until the next start"),
        Err(Stop::Fenced) => tracing::warn!(run = %name, "run was taken over by another owner"),
        Err(stop) => tracing::error!(run = %name, ?stop, "the end of a run could not be recorded"),
    }
}

/// Opens what the run needs: keys, the way to the account, its lane.
async fn prepare(shared: &Arc<Context>, claimed: Claimed) -> Result<RunContext, Stop> {
    let Claimed { lease, run, export, connection, secret, plan } = claimed;
    if run.state == RunState::Cancelling && plan.is_none() {
        // With a plan there may be batches to settle first; no new intent is granted meanwhile.
        return Err(Stop::Cancelled);
    }
    let tenant = lease.run().tenant.as_str().to_owned();
    let uid = connection.uid.clone();
    let key = |purpose| KeyId::new(&tenant, &uid, purpose).map_err(vault_failure);
    let file_id = key(Purpose::File)?;
    let identity_id = KeyId::new(&tenant, "", Purpose::Identity).map_err(vault_failure)?;
    let vault = &shared.vault;
    let secret = secret::open(shared, &lease, &connection, secret).await?;
    let host = HostName::parse(&connection.host).map_err(|_| not_allowed())?;
    let destination = ActiveCampaign::new(&shared.egress, &host, secret).map_err(|_| not_allowed())?;
    let lane = shared.lanes.lane(&connection.host, shared.now()).await?;
    Ok(RunContext {
        identity_key: vault.data_key(&identity_id).map_err(vault_failure)?,
        file_key: vault.data_key(&file_id).map_err(vault_failure)?,
        stop_sending: shared.shutdown.child_token(),
        shared: Arc::clone(shared),
        lease,
        run,
        export,
        connection,
        destination,
        lane,
    })
}

async fn through(context: Arc<RunContext>, planned: Option<PlanRecord>) -> Result<RunState, Stop> {
    let plan = match planned.clone() {
        Some(plan) => plan::reopen(&context, plan).await,
        None => plan::make(&context).await,
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(stop) => return finish::without_work(&context.shared, &context.lease, planned.as_ref(), stop).await,
    };
    if context.run.dry_run {
        return finish::planned_only(&context, &plan).await;
    }
    let stopped = work::work(&context, &plan).await?;
    finish::after_work(&context, &plan, stopped).await
}

fn vault_failure(error: ferry_vault::VaultError) -> Stop {
    tracing::error!(%error, "a key of the connection could not be opened");
    failure::internal("a key of this connection could not be opened; check the key store of the service")
}

fn not_allowed() -> Stop {
    let message = "the host of the connection is not among those that the operator of this service allows";
    failure::failed(Reason::HostNotAllowed, Culprit::User, Severity::Permanent, message)
}
