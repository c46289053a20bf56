//! One pass over the segments: every member becomes a row of the plan, a rejected row, or a twin.
//!
//! Of two rows with the same identity the first goes, in the order of the export's segments and of their files.

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

struct Builder<'a> {
    spec: &'a SnapshotSpec,
    render: &'a dyn Fn(&Row<'_>, &mut Vec<u8>),
    digest_key: hmac::Key,
    plan: PlanWriter,
    rejected: RejectedWriter,
    packer: Packer,
    identities: HashSet<[u8; 16]>,
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
        identities: HashSet::new(),
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
        for row in &found.broken {
            self.reject(segment, row.line, row.reason, None)?;
        }
        let columns: Vec<&StringArray> =
            found.batch.columns().iter().filter_map(|column| column.as_any().downcast_ref()).collect();
        let mut values: Vec<Option<Cow<'_, str>>> = Vec::with_capacity(columns.len());
        for (row, line) in found.lines.iter().enumerate() {
            let cell = |column: &&&StringArray| column.is_valid(row);
            let raw = columns.first().filter(cell).map(|column| column.value(row)).unwrap_or_default();
            values.clear();
            values.extend(
                columns[1..].iter().map(
                    |column| {
                        if column.is_valid(row) { normalise::value(column.value(row)) } else { None }
                    },
                ),
            );
            self.row(segment, *line, raw, &values)?;
        }
        Ok(())
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
        summary.plan_digest = self.plan.finish()?;
        summary.batch_rows = self.packer.finish();
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::plan::PlanReader;
    use crate::rejected::RejectedReader;
    use std::path::Path;

    fn spec(folder: &Path, csv: &str, max_members: u64) -> SnapshotSpec {
        let tenant = folder.join("acme");
        std::fs::create_dir_all(&tenant).unwrap();
        std::fs::write(tenant.join("s.csv"), csv).unwrap();
        let catalogue = "[[segment]]\nid = \"s\"\ndisplay_name = \"s\"\nformat = \"csv\"\npath = \"s.csv\"\n";
        std::fs::write(tenant.join("catalogue.toml"), catalogue).unwrap();
        SnapshotSpec {
            segments: Catalogue::load(folder, "acme").unwrap().segments().to_vec(),
            email_column: "email".to_owned(),
            value_columns: vec!["name".to_owned()],
            digest_key: [1; 32],
            max_members,
            pack: PackLimits { max_rows: 2, max_bytes: 60 },
            plan_path: folder.join("run/plan.parquet"),
            rejected_path: folder.join("run/rejected.parquet"),
            file_key: FileKey::new([2; 32]),
            plan_aad: b"plan".to_vec(),
            rejected_aad: b"rejected".to_vec(),
        }
    }

    fn render(row: &Row<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{}={:?}", row.email, row.values).as_bytes());
    }

    #[test]
    fn every_member_is_planned_rejected_or_a_twin() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(100);
        let csv =
            format!("email,name\nA@b.cd,Ada\na@B.CD ,Twin\n,None\nbad,Bad\nragged\ne@f.gh,{long}\ng@h.ij,\nk@l.mn,K\n");
        let spec = spec(folder.path(), &csv, 100);
        let (plan, rejected, key) = (spec.plan_path.clone(), spec.rejected_path.clone(), spec.file_key.clone());
        let summary = build_plan(spec, &render, &SnapshotControl::default()).unwrap();
        assert_eq!((summary.members, summary.rejected, summary.twins, summary.planned), (8, 4, 1, 3));
        assert_eq!(summary.batch_rows.iter().sum::<u32>(), 3);
        let rows = PlanReader::open(&plan, &key, b"plan").unwrap().read(10).unwrap();
        let bodies: Vec<&[u8]> = rows.iter().map(|row| &row.body[..]).collect();
        assert_eq!(bodies, [&b"A@b.cd=[Some(\"Ada\")]"[..], b"g@h.ij=[None]", b"k@l.mn=[Some(\"K\")]"]);
        let mut reasons: Vec<(Option<u64>, String)> = RejectedReader::page(&rejected, &key, b"rejected", 0, 10)
            .unwrap()
            .into_iter()
            .map(|row| (row.line, row.reason))
            .collect();
        reasons.sort();
        let expected = [(4, "EMAIL_MISSING"), (5, "EMAIL_MALFORMED"), (6, "ROW_RAGGED"), (7, "ROW_TOO_LARGE")];
        assert_eq!(reasons, expected.map(|(line, reason)| (Some(line), reason.to_owned())));
        assert_eq!(RejectedReader::page(&rejected, &key, b"rejected", 3, 10).unwrap().len(), 1);
    }

    #[test]
    fn too_many_members_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path(), "email,name\na@b.cd,\ne@f.gh,\n", 1);
        let error = build_plan(spec, &render, &SnapshotControl::default()).unwrap_err();
        assert!(matches!(error, SnapshotError::TooManyProfiles { members: 2 }));
        assert_eq!(std::fs::read_dir(folder.path().join("run")).unwrap().count(), 0);
    }
}
