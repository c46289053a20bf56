//! What ended runs have sent is folded into recipients files, one run after the other.
//!
//! It happens after a run has ended, however it ended and whoever ended it: all that it takes is on record, and no key.
//! Until the next file is adopted the run's index and its batches answer, so a crash, or a disk that is full, costs time
//! and no answer. Runs of one list are folded in the order of their ends: one that cannot be keeps those after it waiting.

use crate::context::Context;
use crate::run::account;
use ferry_domain::Error;
use ferry_segments::layout::{RecipientsName, index_path};
use ferry_segments::{
    FieldSet, FoldedRecipients, FolderLock, Holder, Outcomes, PlanError, PlanIndex, RecipientsFile, RecipientsFold,
    Removals, SentTimes, fold_recipients,
};
use ferry_store::{PlanRecord, RecipientsAdvance, RecipientsKey, RecipientsRecord, SentBatch, Unfolded};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked for runs that could not be folded.
const LOOK: Duration = Duration::from_secs(60);
/// Changes of the store that come close together are looked at once.
const TOGETHER: Duration = Duration::from_secs(1);

/// Folds what there is, at the start and whenever a run ends.
pub(crate) async fn keep_folding(context: Arc<Context>) {
    // The store ends runs too: those of a removed connection, and those that cannot be claimed.
    let mut changes = context.store.changes();
    loop {
        changes.mark_unchanged();
        fold_all(&context).await;
        tokio::select! {
            () = context.shutdown.cancelled() => return,
            () = context.ended.notified() => {}
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(TOGETHER).await;
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn fold_all(context: &Context) {
    let due = match context.store.recipients_due().await {
        Ok(due) => due,
        Err(error) => return report("?", &Failed::Store(error)),
    };
    let mut waiting: HashSet<RecipientsKey> = HashSet::new();
    for run in due {
        if context.shutdown.is_cancelled() {
            return;
        }
        if waiting.contains(&run.key) {
            continue;
        }
        if let Err(failed) = fold_one(context, &run).await {
            report(run.run.as_str(), &failed);
            waiting.insert(run.key);
        }
    }
}

/// Why a run is not folded yet.
enum Failed {
    Store(Error),
    File(PlanError),
    Thread(tokio::task::JoinError),
    Moved,
}

fn report(run: &str, failed: &Failed) {
    const WHAT: &str = "what a run sent is not in its recipients file yet; its index answers, and it is tried again";
    match failed {
        Failed::Store(Error::Internal(inside) | Error::Unavailable(inside)) => {
            tracing::error!(run, cause = %inside.0, "{WHAT}");
        }
        Failed::Store(error) => tracing::error!(run, %error, "{WHAT}"),
        Failed::File(error) => tracing::error!(run, %error, "{WHAT}"),
        Failed::Moved => tracing::warn!(run, "{WHAT}"),
        Failed::Thread(error) => tracing::error!(run, panicked = error.is_panic(), "{WHAT}"),
    }
}

async fn fold_one(context: &Context, run: &Unfolded) -> Result<(), Failed> {
    let batches = context.store.recipients_batches(run).await.map_err(Failed::Store)?;
    let outcomes = account::outcomes(&run.plan, batches.iter().map(|batch| &batch.record));
    if outcomes.nothing_was_sent() {
        return context.store.recipients_fold(run, None, context.now()).await.map(drop).map_err(Failed::Store);
    }
    let first = path(context, run, 1);
    let lock = blocking(move || FolderLock::take(&first)).await?;
    let base = context.store.recipients(&run.key).await.map_err(Failed::Store)?;
    let number = base.as_ref().map_or(0, |base| base.number) + 1;
    let next = path(context, run, number);
    let work = Work {
        base: base.as_ref().map(|base| RecipientsFile { path: path(context, run, base.number), digest: base.digest }),
        index: index_path(&context.data_dir, run.tenant.as_str(), run.planned_in.as_str()),
        times: times(run, &batches),
        to: next.clone(),
        run: run.clone(),
    };
    let (folded, lock) = blocking(move || work.fold(&outcomes, &lock).map(|folded| (folded, lock))).await?;
    ferry_domain::failpoint!("recipients-folded");
    let (tenant, key) = (run.tenant.clone(), run.key.clone());
    let record = RecipientsRecord { tenant, key, number, digest: folded.digest, rows: folded.rows };
    let advance = RecipientsAdvance { base, next: record };
    // Where nobody can say whether it was adopted, it stays: it is written again, or it counts.
    let adopted = context.store.recipients_fold(run, Some(advance), context.now()).await.map_err(Failed::Store)?;
    let cleaned = blocking(move || {
        clean(&next, adopted);
        drop(lock);
        Ok::<_, PlanError>(())
    });
    cleaned.await?;
    if adopted { Ok(()) } else { Err(Failed::Moved) }
}

/// File work, off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlanError> + Send + 'static,
) -> Result<T, Failed> {
    tokio::task::spawn_blocking(work).await.map_err(Failed::Thread)?.map_err(Failed::File)
}

fn path(context: &Context, run: &Unfolded, number: u64) -> PathBuf {
    let RecipientsKey { export_uid, connection_uid, generation, list } = &run.key;
    let (tenant, generation, list) = (run.tenant.as_str(), *generation, *list);
    RecipientsName { tenant, export_uid, connection_uid, generation, list, number }.path(&context.data_dir)
}

/// What is folded in a thread of its own.
struct Work {
    base: Option<RecipientsFile>,
    index: PathBuf,
    times: SentTimes,
    to: PathBuf,
    run: Unfolded,
}

impl Work {
    fn fold(self, outcomes: &Outcomes, lock: &FolderLock) -> Result<FoldedRecipients, PlanError> {
        let Self { base, index, times, to, run } = self;
        let set = |fields: Vec<String>| FieldSet::new(fields, run.purpose());
        let spec = RecipientsFold {
            base: base.as_ref(),
            index: &PlanIndex::open(&index, &run.plan.digest)?,
            holder: Holder {
                connection: run.connection.clone(),
                connection_uid: run.key.connection_uid.clone(),
                host: run.plan.host.clone(),
                list: run.key.list,
                export: run.export.clone(),
                export_uid: run.key.export_uid.clone(),
            },
            members: set(run.fields()),
            removals: run.fields_of_who_left().map_or(Removals::TakeOff, |fields| Removals::Send(set(fields))),
            times,
            to,
        };
        fold_recipients(&spec, outcomes, lock)
    }
}

/// When the rows of each batch of the plan were sent. A batch that repairs another has rows of it alone.
fn times(run: &Unfolded, batches: &[SentBatch]) -> SentTimes {
    let ends = ends(&run.plan);
    let mut sent = vec![None; ends.len()];
    for batch in batches {
        let place = ends.partition_point(|end| *end <= batch.record.first);
        let (Some(found), Some((first, last))) = (sent.get_mut(place), batch.sent) else { continue };
        let (first, last) = (first.as_millis(), last.as_millis());
        let joined = found.map_or((first, last), |(earlier, later): (i64, i64)| (earlier.min(first), later.max(last)));
        *found = Some(joined);
    }
    let begin = run.begin_time.as_millis();
    let mut times = SentTimes::new(begin);
    for (end, sent) in ends.into_iter().zip(sent) {
        let (first, last) = sent.unwrap_or((begin, begin));
        times.push(end, first, last);
    }
    times
}

fn ends(plan: &PlanRecord) -> Vec<u64> {
    let rows = plan.batch_rows.iter().chain(&plan.removal_batch_rows);
    let end = |end: &mut u64, rows: &u32| {
        *end += u64::from(*rows);
        Some(*end)
    };
    rows.scan(0, end).collect()
}

/// What counts no longer goes: the files before the next one, or the next one where it was not adopted.
fn clean(next: &Path, adopted: bool) {
    let Some(folder) = next.parent() else { return };
    if !adopted {
        drop(std::fs::remove_file(next));
        return;
    }
    let Ok(found) = std::fs::read_dir(folder) else { return };
    let old = |path: &PathBuf| path != next && path.extension().is_some_and(|end| end == "bin");
    for path in found.filter_map(|entry| Some(entry.ok()?.path())).filter(old) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, "an old file of recipients could not be removed; it counts for nothing");
        }
    }
}
