//! The record as a stream for the offline verifier.
//!
//! Order: which log it is; the tenant's own entries ascending, and before the one that ends a run the run's own; at the
//! end those of runs that go on. Checkpoints stand between them, each after the entries that it covers, and each proved
//! to go on from the one before. Memory holds one page, however long the log is.

use crate::Control;
use ferry_domain::authz::action::{ExportAuditLog, GetCheckpoint};
use ferry_domain::authz::{Actor, Call, Denial, Token, permit};
use ferry_domain::{Error, Result, RunName, TenantName};
use ferry_ledger::checkpoint::Signer;
use ferry_store::{AuditRecord, ExportChain, ExportOutline, ProvedCheckpoint, SignedCheckpoint, Store};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Entries that are read at once: also all that memory holds of a log.
const PAGE: u64 = 200;
/// Items that wait for a slow reader.
const WAITING: usize = 16;
/// How long a caller is believed before it is asked again whether the right still holds.
const BELIEVED: Duration = Duration::from_secs(5);
/// Pinned sizes of one call.
const PINS: usize = 100;

/// One item of the stream.
#[derive(Debug)]
pub enum ExportItem {
    /// Which log it is. Comes first.
    Log {
        /// The tenant's id.
        tenant: String,
        /// The tenant's uid.
        uid: String,
        /// The log's origin.
        origin: String,
    },
    /// An entry.
    Entry(Box<AuditRecord>),
    /// A checkpoint, with the key that verifies it.
    Checkpoint(Box<ProvedCheckpoint>, String),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ExportQuery {
    /// `tenants/{tenant}`.
    pub parent: String,
    /// Only entries after this one.
    pub after_number: i64,
    /// Checkpoints that the caller keeps.
    pub pinned_sizes: Vec<i64>,
}

impl Control {
    /// The newest checkpoint, with what it covers of the tenant, and its key.
    pub async fn get_checkpoint(&self, actor: &Actor, parent: &str) -> Result<(ProvedCheckpoint, String)> {
        let name = crate::tenant::parse_tenant("parent", parent)?;
        let read = self.granted(|store| Ok(store.audit_checkpoint(permit::<GetCheckpoint>(actor, name)?)))?;
        let proved = read.await?;
        let key = self.public_key(&proved.signed).await?;
        Ok((proved, key))
    }

    /// Begins a stream. The token is asked again what it opens while the stream goes on.
    pub async fn export_audit_log(
        &self,
        (actor, token): (&Actor, Token),
        query: &ExportQuery,
    ) -> Result<mpsc::Receiver<Result<ExportItem>>> {
        let name = crate::tenant::parse_tenant("parent", &query.parent)?;
        permit::<ExportAuditLog>(actor, name.clone())?.spend();
        let after =
            u64::try_from(query.after_number).map_err(|_| Error::invalid("after_number", "must not be negative"))?;
        if query.pinned_sizes.len() > PINS {
            return Err(Error::invalid("pinned_sizes", format!("must be at most {PINS}")));
        }
        let size = |(at, size): (usize, &i64)| {
            let positive = u64::try_from(*size).ok().filter(|size| *size > 0);
            positive.ok_or_else(|| Error::invalid(format!("pinned_sizes[{at}]"), "must be the size of a checkpoint"))
        };
        let pinned = query.pinned_sizes.iter().enumerate().map(size).collect::<Result<Vec<_>>>()?;
        let outline = self
            .granted(|store| Ok(store.audit_export_outline(permit::<ExportAuditLog>(actor, name.clone())?, pinned)))?;
        let outline = outline.await?;
        let (items, stream) = mpsc::channel(WAITING);
        let export = Export {
            control: self.clone(),
            reader: Reader { token, call: actor.call().clone(), actor: actor.clone(), since: Instant::now() },
            name,
            outline,
            items,
            before: 0,
        };
        tokio::spawn(export.run(after));
        Ok(stream)
    }

    async fn public_key(&self, signed: &SignedCheckpoint) -> Result<String> {
        let generation = signed.key_generation;
        let seed = self.keys(move |vault| vault.audit_seed(generation)).await?;
        let signer = Signer::new(&signed.origin, &seed);
        Ok(signer.map_err(|error| Error::internal("a signing key cannot be used", error))?.verifier_key().to_string())
    }
}

/// Who reads the stream.
struct Reader {
    token: Token,
    call: Call,
    actor: Actor,
    /// When it was last asked what the token opens.
    since: Instant,
}

struct Export {
    control: Control,
    reader: Reader,
    name: TenantName,
    outline: ExportOutline,
    items: mpsc::Sender<Result<ExportItem>>,
    /// The size of the last checkpoint that was sent; 0 for none.
    before: u64,
}

/// Why a stream ends before its time.
enum End {
    /// Nobody reads it any more.
    Gone,
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Export {
    async fn run(mut self, after: u64) {
        if let Err(End::Failed(error)) = self.all(after).await {
            let error = self.recorded(error).await;
            let _gone = self.items.send(Err(error)).await;
        }
    }

    /// A right that was lost meanwhile is a refused call like any other: on record before it is told.
    async fn recorded(&self, error: Error) -> Error {
        let Some(refusal) = error.refusal() else { return error };
        match self.control.denied(Denial::of(&self.reader.actor, refusal)).await {
            Ok(()) => error,
            Err(unavailable) => unavailable,
        }
    }

    async fn all(&mut self, after: u64) -> Result<(), End> {
        let ExportOutline { tenant, uid, origin, .. } = &self.outline;
        let log = ExportItem::Log { tenant: tenant.to_string(), uid: uid.clone(), origin: origin.clone() };
        self.send(log).await?;
        let newest = self.outline.marks.last_key_value().map(|(size, _)| *size);
        let covered = self.outline.covered;
        let mut own = after;
        self.marks_up_to(own, newest).await?;
        while own < covered {
            let page = self.page(ExportChain::Own, (own, covered)).await?;
            // A gap is for the verifier to find; here it only must not be an endless loop.
            let Some(last) = page.last().map(|record| record.number) else { break };
            for record in page {
                if let Some(run) = ended(&record) {
                    self.run_chain(run, u64::MAX).await?;
                }
                own = record.number;
                self.send(ExportItem::Entry(Box::new(record))).await?;
                self.marks_up_to(own, newest).await?;
            }
            self.mark_between(last, newest).await?;
        }
        let name = self.name.clone();
        let open = self
            .granted(|store, actor| Ok(store.audit_export_open_runs(permit::<ExportAuditLog>(actor, name)?, covered)));
        for (run, entries) in open.await?.await? {
            self.run_chain(run, entries).await?;
        }
        match newest {
            Some(newest) => self.checkpoint(newest).await,
            None => Ok(()),
        }
    }

    async fn run_chain(&mut self, run: RunName, through: u64) -> Result<(), End> {
        let mut sent = 0;
        loop {
            let page = match self.page(ExportChain::Run(run.clone()), (sent, through)).await {
                // The rows of runs go with their tenant, and what was altered by hand names none.
                Err(End::Failed(Error::NotFound { .. })) => return Ok(()),
                page => page?,
            };
            let Some(last) = page.last().map(|record| record.number) else { return Ok(()) };
            for record in page {
                self.send(ExportItem::Entry(Box::new(record))).await?;
            }
            sent = last;
        }
    }

    /// Those checkpoints that must come and cover no more than what was sent. The newest waits for the end.
    async fn marks_up_to(&mut self, own: u64, newest: Option<u64>) -> Result<(), End> {
        while let Some((size, entries)) = self.outline.marks.first_key_value().map(|(size, entries)| (*size, *entries))
        {
            if entries > own || Some(size) == newest {
                break;
            }
            self.outline.marks.pop_first();
            self.checkpoint(size).await?;
        }
        Ok(())
    }

    /// A checkpoint for each page, so that whoever verifies need not remember a whole log.
    async fn mark_between(&mut self, own: u64, newest: Option<u64>) -> Result<(), End> {
        let (name, origin) = (self.name.clone(), self.outline.origin.clone());
        let mark = self
            .granted(|store, actor| Ok(store.audit_export_mark(permit::<ExportAuditLog>(actor, name)?, &origin, own)));
        match mark.await?.await? {
            Some(size) if size > self.before && Some(size) < newest => self.checkpoint(size).await,
            _ => Ok(()),
        }
    }

    async fn checkpoint(&mut self, size: u64) -> Result<(), End> {
        let (name, origin, before) = (self.name.clone(), self.outline.origin.clone(), self.before);
        let proved = self.granted(|store, actor| {
            Ok(store.audit_export_checkpoint(permit::<ExportAuditLog>(actor, name)?, &origin, (before, size)))
        });
        let proved = proved.await?.await?;
        let key = self.control.public_key(&proved.signed).await?;
        self.before = size;
        self.send(ExportItem::Checkpoint(Box::new(proved), key)).await
    }

    async fn page(&mut self, chain: ExportChain, span: (u64, u64)) -> Result<Vec<AuditRecord>, End> {
        let name = self.name.clone();
        let read = self.granted(|store, actor| {
            Ok(store.audit_export_entries(permit::<ExportAuditLog>(actor, name)?, chain, span, PAGE))
        });
        Ok(read.await?.await?)
    }

    /// Begins a store function with a permit of its own, of a caller that was asked not long ago.
    async fn granted<F>(&mut self, begin: impl FnOnce(&Store, &Actor) -> Result<F>) -> Result<F, End> {
        self.still_there().await?;
        Ok(begin(self.control.store(), &self.reader.actor)?)
    }

    /// Asks what the token opens by now, unless that was a moment ago.
    async fn still_there(&mut self) -> Result<(), End> {
        if self.reader.since.elapsed() < BELIEVED {
            return Ok(());
        }
        if self.control.now() >= self.reader.token.expire_time {
            return Err(Error::Unauthenticated.into());
        }
        let admitted = self.control.admit(self.reader.token.clone()).await?;
        self.reader.actor = admitted.calling(self.reader.call.clone());
        self.reader.since = Instant::now();
        permit::<ExportAuditLog>(&self.reader.actor, self.name.clone())?.spend();
        Ok(())
    }

    async fn send(&mut self, item: ExportItem) -> Result<(), End> {
        self.still_there().await?;
        self.items.send(Ok(item)).await.map_err(|_| End::Gone)
    }
}

/// The run that an entry of the tenant's own chain ends.
fn ended(record: &AuditRecord) -> Option<RunName> {
    let entry = record.entry.as_ref().filter(|entry| entry.kind == "RUN_ENDED")?;
    RunName::parse(&entry.object).ok()
}
