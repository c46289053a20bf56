//! Writes a plan, and the index beside it. Compressing, encrypting and digesting happen in a thread of their own, so that
//! they cost the maker of the rows no time.

use crate::file_key::FileKey;
use crate::layout;
use crate::recipients::IndexWriter;
use crate::sealed::{self, Form, PlanError, SealedWriter};
use crate::state::{STANDING_BYTES, Standing};
use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder, StringBuilder};
use arrow_array::{FixedSizeBinaryArray, RecordBatch};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// A row to be sent.
pub struct NewRow<'a> {
    /// The keyed digest of the person's identity.
    pub identity: [u8; 16],
    /// As what they stand at the destination once it was taken.
    pub standing: Standing,
    /// The address, as it is sent.
    pub email: &'a str,
    /// The rendered row.
    pub body: &'a [u8],
}

/// Row groups that wait for the thread: one, while it works on another and a third is filled.
const WAITING: usize = 1;

/// Writes a plan. Dropped before [`PlanWriter::finish`], it leaves nothing.
pub struct PlanWriter {
    form: Form,
    identities: FixedSizeBinaryBuilder,
    standings: FixedSizeBinaryBuilder,
    emails: StringBuilder,
    bodies: BinaryBuilder,
    rows: usize,
    bytes: usize,
    /// Rows of members so far, and of removals.
    members: u64,
    removals: u64,
    sealing: Sealing,
}

impl PlanWriter {
    /// Begins a plan.
    pub fn create(path: &Path, key: &FileKey, aad: &[u8]) -> Result<Self, PlanError> {
        let form = super::form();
        let file = SealedWriter::create(path, key, aad, &form)?;
        let index = IndexWriter::create(&layout::index_beside(path))?;
        Ok(Self {
            form,
            identities: FixedSizeBinaryBuilder::new(16),
            standings: FixedSizeBinaryBuilder::new(i32::try_from(STANDING_BYTES).unwrap_or(i32::MAX)),
            emails: StringBuilder::new(),
            bodies: BinaryBuilder::new(),
            rows: 0,
            bytes: 0,
            members: 0,
            removals: 0,
            sealing: Sealing::begin(Sealed { file, index, digest: [0; 32] })?,
        })
    }

    /// Adds the next row. Removals come after the members.
    pub fn push(&mut self, row: &NewRow<'_>) -> Result<(), PlanError> {
        match (row.standing.is_member(), self.removals) {
            (true, 0) => self.members += 1,
            (true, _) => return Err(PlanError::Sealed("its rows are not in order".to_owned())),
            (false, _) => self.removals += 1,
        }
        self.identities.append_value(row.identity)?;
        self.standings.append_value(Standing::encode(Some(row.standing)))?;
        self.emails.append_value(row.email);
        self.bodies.append_value(row.body);
        self.rows += 1;
        self.bytes += row.body.len();
        if sealed::is_group(self.rows, self.bytes) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), PlanError> {
        (self.rows, self.bytes) = (0, 0);
        let group = RecordBatch::try_new(
            Arc::clone(&self.form.schema),
            vec![
                Arc::new(self.identities.finish()),
                Arc::new(self.standings.finish()),
                Arc::new(self.emails.finish()),
                Arc::new(self.bodies.finish()),
            ],
        )?;
        self.sealing.write(group)
    }

    /// Puts both files into place, durably, the plan last, and returns the digest of its rows.
    pub fn finish(mut self) -> Result<[u8; 32], PlanError> {
        if self.rows > 0 {
            self.flush()?;
        }
        let Sealed { file, index, digest } = self.sealing.end()?;
        index.finish(self.members, self.removals, &digest)?;
        file.finish()?;
        Ok(digest)
    }
}

/// Both files with all rows, not yet in their places.
struct Sealed {
    file: SealedWriter,
    index: IndexWriter,
    digest: [u8; 32],
}

/// The thread that seals row groups.
struct Sealing {
    groups: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<Sealed, PlanError>>>,
}

impl Sealing {
    fn begin(new: Sealed) -> Result<Self, PlanError> {
        let (groups, waiting) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("ferry-seal".to_owned());
        let thread = thread.spawn(move || seal(new, &waiting)).map_err(PlanError::io("no thread can be started"))?;
        Ok(Self { groups: Some(groups), thread: Some(thread) })
    }

    fn write(&mut self, group: RecordBatch) -> Result<(), PlanError> {
        match self.groups.as_ref().map(|groups| groups.send(group)) {
            Some(Ok(())) => Ok(()),
            // It ended before its time: then it has the reason.
            Some(Err(_)) | None => self.end().map(drop),
        }
    }

    fn end(&mut self) -> Result<Sealed, PlanError> {
        self.groups = None;
        let ended = self.thread.take().map(JoinHandle::join);
        ended.and_then(Result::ok).unwrap_or_else(|| Err(PlanError::Sealed("its writer ended too early".to_owned())))
    }
}

impl Drop for Sealing {
    /// Waits for the thread, so that what it wrote is gone when the writer is.
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _unfinished = self.end();
        }
    }
}

fn seal(mut new: Sealed, groups: &Receiver<RecordBatch>) -> Result<Sealed, PlanError> {
    let mut digest = super::digest();
    for group in groups {
        super::digest_rows(&group, &mut digest)?;
        new.file.write(&group)?;
        new.index.write(sealed::column::<FixedSizeBinaryArray>(&group, super::IDENTITY)?.value_data())?;
    }
    Ok(Sealed { digest: digest.finish(), ..new })
}
