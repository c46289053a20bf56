//! The durable journal: JSON lines, appended and synced before a request is answered.
//!
//! One thread writes. While it syncs, further records gather, and the next sync covers all of them (group commit).
//! A crash can leave a torn last line, which belongs to a request that was never answered: it is cut off at replay.

mod history;
mod read;
mod record;

pub use history::{AcceptedImport, EndedBatch, History, SeenRequest, read_history};
pub use read::{read_contacts, read_journal};

pub(crate) use read::replay;
pub(crate) use record::{
    AnsweredRecord, Change, Class, Decision, Ended, FailReason, Fate, FinishedRecord, ImportRecord, Record,
    RequestRecord, StartAccount, StartRecord,
};

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, bail};
use tokio::sync::watch;

use crate::lock;

/// The place of a record in the journal of this process, to wait for its sync.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// Appends records; dropped, it writes what is left and ends its thread.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    synced: watch::Receiver<Synced>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    pending: Mutex<Pending>,
    wake: Condvar,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    last: u64,
    /// A record waits for its sync; the others may be written with the next one.
    urgent: bool,
    closed: bool,
}

#[derive(Clone, Copy)]
enum Synced {
    UpTo(u64),
    Failed,
}

impl Journal {
    /// Opens the journal to append, after a torn last line was cut off.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).context("the journal cannot be opened")?;
        let shared = Arc::new(Shared { pending: Mutex::default(), wake: Condvar::new() });
        let (sender, synced) = watch::channel(Synced::UpTo(0));
        let for_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("sim-journal".to_owned())
            .spawn(move || write(&for_writer, file, &sender))
            .context("the journal's thread cannot be started")?;
        Ok(Self { shared, synced, writer: Some(writer) })
    }

    /// Puts a record in line that someone will wait for.
    pub(crate) fn append(&self, record: &Record) -> Ticket {
        self.put(record, true)
    }

    /// Puts a record in line that nobody waits for; it is written with the next one that matters.
    pub(crate) fn note(&self, record: &Record) {
        self.put(record, false);
    }

    fn put(&self, record: &Record, urgent: bool) -> Ticket {
        let mut pending = lock(&self.shared.pending);
        serde_json::to_writer(&mut pending.bytes, record).expect("records have string keys and go to memory");
        pending.bytes.push(b'\n');
        pending.last += 1;
        pending.urgent |= urgent;
        if pending.urgent {
            self.shared.wake.notify_one();
        }
        Ticket(pending.last)
    }

    /// Waits until a record is on disk.
    pub(crate) async fn synced(&self, ticket: Ticket) -> anyhow::Result<()> {
        let mut synced = self.synced.clone();
        let reached = synced
            .wait_for(|state| match state {
                Synced::UpTo(up_to) => *up_to >= ticket.0,
                Synced::Failed => true,
            })
            .await
            .context("the journal is closed")?;
        match *reached {
            Synced::UpTo(_) => Ok(()),
            Synced::Failed => bail!("the journal could not be written"),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        lock(&self.shared.pending).closed = true;
        self.shared.wake.notify_one();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has failed every waiter already.
            let _ = writer.join();
        }
    }
}

/// The writer's life: wait for records, write them all, sync once, tell the waiters; until closed and empty.
fn write(shared: &Shared, mut file: File, synced: &watch::Sender<Synced>) {
    let mut bytes = Vec::new();
    loop {
        let (last, closed) = {
            let mut pending = lock(&shared.pending);
            while !pending.urgent && !pending.closed {
                pending = shared.wake.wait(pending).unwrap_or_else(PoisonError::into_inner);
            }
            pending.urgent = false;
            std::mem::swap(&mut bytes, &mut pending.bytes);
            (pending.last, pending.closed)
        };
        if bytes.is_empty() && closed {
            return;
        }
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        bytes.clear();
        if written.is_err() {
            synced.send_replace(Synced::Failed);
            return;
        }
        synced.send_replace(Synced::UpTo(last));
    }
}
