//! One pass over the segments: every member becomes a row of the plan, a rejected row, or a twin.
//!
//! Of two rows with the same identity the first goes, in the order of the export's segments and of their files. Rejected
//! rows stand in the order of their lines.
//!
//! Both files appear at the end, the plan last. An error, or a crash before the end, leaves neither of this attempt.

use crate::catalogue::SegmentEntry;
use crate::file_key::FileKey;
use crate::normalise::{self, Email, RejectReason};
use crate::pack::{PackLimits, Packer};
use crate::plan::PlanWriter;
use crate::rejected::{RejectedRow, RejectedWriter, Stage};
use crate::sealed::PlanError;
use crate::source::{SegmentReader, SourceBatch, SourceError};
use arrow_array::{Array, StringArray};
use aws_lc_rs::hmac;
use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a plan is made from and where it goes.
pub struct SnapshotSpec {
    /// In the order in which they are read.
    pub segments: Vec<SegmentEntry>,
    /// The column that holds the address.
    pub email_column: String,
    /// The other mapped columns, in the order of a row's values.
    pub value_columns: Vec<String>,
    /// The tenant's key for identity digests.
    pub digest_key: [u8; 32],
    /// More members than this are no plan.
    pub max_members: u64,
    /// What a batch may hold.
    pub pack: PackLimits,
    /// Where the plan goes.
    pub plan_path: PathBuf,
    /// Where the rejected rows go.
    pub rejected_path: PathBuf,
    /// The key of both.
    pub file_key: FileKey,
    /// What binds the plan to its run.
    pub plan_aad: Vec<u8>,
    /// What binds the rejected rows to their run.
    pub rejected_aad: Vec<u8>,
}

/// A row that can go.
pub struct Row<'a> {
    /// The address, as it is sent.
    pub email: &'a str,
    /// The other mapped values.
    pub values: &'a [Option<&'a str>],
}

/// Looks in and stops from outside.
#[derive(Debug, Default)]
pub struct SnapshotControl {
    /// Set to stop.
    pub cancelled: AtomicBool,
    /// Members so far.
    pub members_read: AtomicU64,
    /// Rows of the plan so far.
    pub planned: AtomicU64,
}

/// What a plan came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSummary {
    /// Rows of all segments.
    pub members: u64,
    /// Rows that cannot go.
    pub rejected: u64,
    /// Rows of an identity that was there before.
    pub twins: u64,
    /// Rows of the plan.
    pub planned: u64,
    /// Rows of each batch.
    pub batch_rows: Vec<u32>,
    /// Over all rows of the plan.
    pub plan_digest: [u8; 32],
    /// What each segment's file was.
    pub fingerprints: Vec<(String, [u8; 32])>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A segment cannot be read.
    #[error("segment `{segment}`: {error}")]
    Source {
        /// Its id.
        segment: String,
        /// Why.
        error: SourceError,
    },
    /// More members than allowed; counted up to where it was noticed.
    #[error("more than {members} members")]
    TooManyProfiles {
        /// Counted so far.
        members: u64,
    },
    /// Stopped from outside.
    #[error("cancelled")]
    Cancelled,
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] PlanError),
}

/// Takes the first bytes of an identity digest as its hash: a keyed digest is spread evenly, and nobody without the key
/// can make two that collide.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        // The array's length comes first, and then its bytes, which replace it.
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Builder<'a> {
    spec: &'a SnapshotSpec,
    render: &'a dyn Fn(&Row<'_>, &mut Vec<u8>),
    digest_key: hmac::Key,
    plan: PlanWriter,
    rejected: RejectedWriter,
    packer: Packer,
    identities: HashSet<[u8; 16], BuildHasherDefault<DigestHasher>>,
    body: Vec<u8>,
    summary: PlanSummary,
}

/// Reads all segments and writes the plan and the rejected rows. On an error no file is left.
pub fn build_plan(
    spec: SnapshotSpec,
    render: &dyn Fn(&Row<'_>, &mut Vec<u8>),
    control: &SnapshotControl,
) -> Result<PlanSummary, SnapshotError> {
    let mut builder = Builder {
        plan: PlanWriter::create(&spec.plan_path, &spec.file_key, &spec.plan_aad)?,
        rejected: RejectedWriter::create(&spec.rejected_path, &spec.file_key, &spec.rejected_aad)?,
        digest_key: hmac::Key::new(hmac::HMAC_SHA256, &spec.digest_key),
        packer: Packer::new(spec.pack),
        identities: HashSet::default(),
        body: Vec::new(),
        summary: PlanSummary {
            members: 0,
            rejected: 0,
            twins: 0,
            planned: 0,
            batch_rows: Vec::new(),
            plan_digest: [0; 32],
            fingerprints: Vec::new(),
        },
        render,
        spec: &spec,
    };
    for segment in &spec.segments {
        builder.read(segment, control)?;
    }
    builder.finish()
}

impl Builder<'_> {
    fn read(&mut self, segment: &SegmentEntry, control: &SnapshotControl) -> Result<(), SnapshotError> {
        let failed = |error| SnapshotError::Source { segment: segment.id().to_owned(), error };
        let mut columns = vec![self.spec.email_column.as_str()];
        columns.extend(self.spec.value_columns.iter().map(String::as_str));
        let mut reader = SegmentReader::open(segment, &columns).map_err(failed)?;
        while let Some(found) = reader.next_batch().map_err(failed)? {
            if control.cancelled.load(Ordering::Relaxed) {
                return Err(SnapshotError::Cancelled);
            }
            self.take_in(segment.id(), &found)?;
            control.members_read.store(self.summary.members, Ordering::Relaxed);
            control.planned.store(self.summary.planned, Ordering::Relaxed);
        }
        let fingerprint = reader.finish().map_err(failed)?;
        self.summary.fingerprints.push((segment.id().to_owned(), fingerprint.digest()));
        Ok(())
    }

    fn take_in(&mut self, segment: &str, found: &SourceBatch) -> Result<(), SnapshotError> {
        self.summary.members += (found.lines.len() + found.broken.len()) as u64;
        if self.summary.members > self.spec.max_members {
            return Err(SnapshotError::TooManyProfiles { members: self.summary.members });
        }
        let mut broken = found.broken.iter().peekable();
        let columns: Vec<&StringArray> =
            found.batch.columns().iter().filter_map(|column| column.as_any().downcast_ref()).collect();
        let mut values: Vec<Option<Cow<'_, str>>> = Vec::with_capacity(columns.len());
        for (row, line) in found.lines.iter().enumerate() {
            while let Some(before) = broken.next_if(|broken| broken.line < *line) {
                self.reject(segment, before.line, before.reason, None)?;
            }
            let cell = |column: &&&StringArray| column.is_valid(row);
            let raw = columns.first().filter(cell).map(|column| column.value(row)).unwrap_or_default();
            values.clear();
            // A null reads as an empty text.
            values.extend(columns.iter().skip(1).map(|column| normalise::value(column.value(row))));
            self.row(segment, *line, raw, &values)?;
        }
        broken.try_for_each(|broken| self.reject(segment, broken.line, broken.reason, None))
    }

    fn row(
        &mut self,
        segment: &str,
        line: u64,
        raw: &str,
        values: &[Option<Cow<'_, str>>],
    ) -> Result<(), SnapshotError> {
        let email = match Email::parse(raw) {
            Ok(email) => email,
            Err(reason) => return self.reject(segment, line, reason, Some(raw)),
        };
        let identity = normalise::digest(&self.digest_key, &email);
        if self.identities.contains(&identity) {
            self.summary.twins += 1;
            return Ok(());
        }
        let borrowed: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        self.body.clear();
        (self.render)(&Row { email: email.written(), values: &borrowed }, &mut self.body);
        if !self.packer.fits(self.body.len()) {
            return self.reject(segment, line, RejectReason::RowTooLarge, Some(raw));
        }
        self.identities.insert(identity);
        self.packer.push(self.body.len());
        self.plan.push(identity, &self.body)?;
        self.summary.planned += 1;
        Ok(())
    }

    fn reject(
        &mut self,
        segment: &str,
        line: u64,
        reason: RejectReason,
        raw: Option<&str>,
    ) -> Result<(), SnapshotError> {
        self.summary.rejected += 1;
        self.rejected.push(RejectedRow {
            segment: segment.to_owned(),
            line: Some(line),
            stage: Stage::Rejected,
            reason: reason.as_str().to_owned(),
            email: raw.filter(|raw| !raw.is_empty()).map(str::to_owned),
        })?;
        Ok(())
    }

    fn finish(self) -> Result<PlanSummary, SnapshotError> {
        let mut summary = self.summary;
        self.rejected.finish()?;
        summary.plan_digest = self.plan.finish().inspect_err(|_| {
            // Rejected rows without their plan belong to no run; a next attempt writes over them.
            let _left = std::fs::remove_file(&self.spec.rejected_path);
        })?;
        summary.batch_rows = self.packer.finish();
        Ok(summary)
    }
}

#[cfg(test)]
mod tests;
