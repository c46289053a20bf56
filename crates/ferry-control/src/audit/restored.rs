//! Whether the database is the one that was signed last, by what lies outside of it.

use super::keeper::{Keeper, KeeperParts, Keys, new_origin};
use super::pins::{Pins, Tail, refused};
use crate::control::vault_failure;
use crate::segment::blocking;
use ferry_domain::Result;
use ferry_store::{Acknowledged, AuditLog, Lost, SignedCheckpoint, Store};

/// Checkpoints of one question.
const SOME: u64 = 1_000;

/// What the newest checkpoint outside says of the database.
enum Compared {
    /// Nothing lies outside, and the database never signed anything, or what it signed is lost there.
    NothingOutside,
    /// The database knows it.
    Known(SignedCheckpoint),
    /// The database does not know it, or knows another one of that size. The text says what was found.
    Strange(SignedCheckpoint, String),
}

/// Copies the checkpoints that do not lie outside yet. Refused where what lies there is not this database's.
pub(super) async fn copy_missing(store: &Store, pins: &Pins, keys: &Keys) -> Result<()> {
    let tail = pins.tail(keys)?;
    let log = store.audit_log().await?;
    let after = match compare(store, log.as_ref(), &tail).await? {
        Compared::Strange(_, found) => return Err(refused(format!("{found}. {}", what_to_do(pins)))),
        Compared::Known(known) => Some(known),
        Compared::NothingOutside => None,
    };
    let Some(log) = log else { return Ok(()) };
    say_what_is_lost(&log, after.as_ref(), pins);
    copy_after(store, pins, (tail, after), &log).await
}

/// The same, where the database says that something is not copied yet.
pub(super) async fn copy_uncopied(store: &Store, pins: &Pins, keys: &Keys) -> Result<()> {
    let Some(log) = store.audit_log().await? else { return Ok(()) };
    match store.checkpoint_newest(&log.origin).await? {
        Some(newest) if newest.size > log.copied_size => copy_missing(store, pins, keys).await,
        _ => Ok(()),
    }
}

async fn compare(store: &Store, log: Option<&AuditLog>, tail: &Tail) -> Result<Compared> {
    let Some(outside) = tail.newest.clone() else { return Ok(Compared::NothingOutside) };
    let own = store.checkpoint_at(&outside.origin, outside.size).await?;
    let there = format!("the newest copied checkpoint is of {}, size {}", outside.origin, outside.size);
    let found = match (own, log) {
        (Some(own), _) if own.root == outside.root => return Ok(Compared::Known(outside)),
        (Some(_), _) => format!("{there}, and the database has another one of the same size: its history forked"),
        (None, None) => format!("{there}, and the database has no audit log at all"),
        (None, Some(log)) => {
            let newest = store.checkpoint_newest(&log.origin).await?.map_or(0, |newest| newest.size);
            format!("{there}, and the database ends with {}, size {newest}, and does not know that one", log.origin)
        }
    };
    Ok(Compared::Strange(outside, found))
}

fn what_to_do(pins: &Pins) -> String {
    format!(
        "The database was put back from an older backup, or {} is the copy of another one. Nothing is signed or sent. If \
         the copy is another one's, name the right folder with --checkpoints-dir. If the database was put back, run `ferry \
         audit acknowledge-restore --data-dir DIR --keys-dir DIR`: it begins a new log, says so in the record of each \
         tenant, and lets each export send everybody again",
        pins.notes_path().display()
    )
}

/// A lost copy is no older database: it is written again, and somebody should ask who took it away.
fn say_what_is_lost(log: &AuditLog, after: Option<&SignedCheckpoint>, pins: &Pins) {
    let outside = after.filter(|after| after.origin == log.origin).map_or(0, |after| after.size);
    if outside < log.copied_size {
        tracing::error!(
            copy = %pins.notes_path().display(),
            log = log.origin,
            outside,
            copied = log.copied_size,
            "checkpoints that were copied are no longer there; they are written again from the database: find out who \
             removed them, since without them nobody could tell that the database was put back"
        );
    }
}

async fn copy_after(
    store: &Store,
    pins: &Pins,
    (tail, after): (Tail, Option<SignedCheckpoint>),
    log: &AuditLog,
) -> Result<()> {
    let mut tail = tail;
    let mut origins = store.audit_origins().await?;
    if let Some(after) = &after
        && let Some(place) = origins.iter().position(|origin| *origin == after.origin)
    {
        origins.drain(..place);
    }
    for origin in origins {
        let mut size = after.as_ref().filter(|after| after.origin == origin).map_or(0, |after| after.size);
        loop {
            let some = store.checkpoints_after(&origin, size, SOME).await?;
            let Some(last) = some.last().map(|last| last.size) else { break };
            let (writing, end) = (pins.clone(), tail);
            tail = blocking(move || writing.append(&end, &some)).await??;
            size = last;
        }
        if origin == log.origin && size > log.copied_size {
            store.checkpoint_copied(&origin, size).await?;
        }
    }
    Ok(())
}

/// Whoever was suppressed just before a crash is added to the copy.
pub(super) async fn copy_suppressions(store: &Store, pins: &Pins) -> Result<()> {
    let known = store.suppressed_people().await?;
    let pins = pins.clone();
    blocking(move || {
        let there = pins.suppressions()?;
        let is_there = |one: &ferry_store::SuppressedPerson| {
            there.binary_search_by(|other| (&other.tenant, &other.person).cmp(&(&one.tenant, &one.person))).is_ok()
        };
        let missing: Vec<_> = known.into_iter().filter(|one| !is_there(one)).collect();
        if missing.is_empty() { Ok(()) } else { pins.append_suppressions(&missing) }
    })
    .await?
}

/// Takes it as it is that the database lost a part of its history. Refused where it did not.
pub async fn acknowledge_restore(parts: &KeeperParts) -> Result<Acknowledged> {
    let KeeperParts { store, vault, pins, clock, .. } = parts;
    let keys = Keeper::keys(vault).await?;
    let log = store.audit_log().await?;
    let newest = match compare(store, log.as_ref(), &pins.tail(&keys)?).await? {
        Compared::Strange(newest, _) => newest,
        Compared::Known(_) | Compared::NothingOutside => {
            return Err(refused(
                "there is nothing to acknowledge: the database holds the newest checkpoint of the copy".to_owned(),
            ));
        }
    };
    let key_generation = keys.newest().max(1);
    let held = vault.clone();
    blocking(move || held.ensure_audit_seed(key_generation)).await?.map_err(vault_failure)?;
    let keys = Keeper::keys(vault).await?;
    let origin = new_origin();
    let signer = keys.signer(&origin, key_generation)?;
    let lost = Lost { newest, origin, key_generation, suppressed: pins.suppressions()? };
    let acknowledged = store.restore_acknowledge(lost, signer, clock()).await?;
    copy_missing(store, pins, &keys).await?;
    Ok(acknowledged)
}
