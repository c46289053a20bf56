//! The first pass: every row of the segments is rejected, a twin of one just seen, or waits for the second pass.
//!
//! The row of somebody whom an erasure suppresses goes no further than here: it is counted, and nothing of it is written.

use super::partition::{PARTS, part_of};
use super::record::Record;
use super::spill::Spill;
use super::{PlanSummary, Renderers, Row, SnapshotControl, SnapshotError, SnapshotSpec};
use crate::normalise::{self, Email, RejectReason};
use crate::pack::Packer;
use crate::rejected::{RejectedRow, RejectedWriter, Stage};
use crate::source::{SegmentReader, SourceBatch};
use arrow_array::{Array, StringArray};
use aws_lc_rs::hmac;
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Batches that are read ahead.
const AHEAD: usize = 2;
/// No byte of a value becomes more bytes than this (`\u0000`), and no value or name has more than `VALUE_BYTES` times
/// this around it. A row that could be too large by that is rendered, to know.
const ESCAPED: usize = 6;
const VALUE_BYTES: usize = 64;
/// Identities of rows just seen, so that one which fills a segment does not fill the disk and then the memory. All other
/// twins are found by the second pass, so tests keep few.
const RECENT: usize = if cfg!(test) { 2 } else { 4_096 };

/// What the first pass leaves to the second.
pub(super) struct Taken {
    /// The rows, by the first bits of their identity.
    pub(super) spill: Spill,
    /// Open: excluded rows come after the rejected ones.
    pub(super) rejected: RejectedWriter,
    pub(super) summary: PlanSummary,
    /// Rows of suppressed people in each segment, twins aside.
    pub(super) suppressed: Vec<u64>,
}

struct Intake<'a> {
    spec: &'a SnapshotSpec,
    renderers: &'a Renderers<'a>,
    identity_key: hmac::Key,
    packer: Packer,
    /// At most, in a rendered row.
    constant_bytes: usize,
    recent: Vec<[u8; 16]>,
    /// Suppressed people who were there already.
    suppressed: HashSet<[u8; 16]>,
    body: Vec<u8>,
    taken: Taken,
}

/// What the reading thread finds, in order.
enum Found {
    Batch(usize, SourceBatch),
    End(usize, [u8; 32]),
}

/// Reads all segments to their ends.
pub(super) fn take_in(
    spec: &SnapshotSpec,
    renderers: &Renderers<'_>,
    spill_path: &Path,
    control: &SnapshotControl,
) -> Result<Taken, SnapshotError> {
    let rejected = RejectedWriter::create(&spec.rejected.path, &spec.rejected.key, &spec.rejected.aad)?;
    let mut intake = Intake {
        spec,
        renderers,
        identity_key: hmac::Key::new(hmac::HMAC_SHA256, &spec.digest_key),
        packer: Packer::new(spec.pack),
        constant_bytes: spec.constants.iter().map(|field| ESCAPED * (field.value.len() + VALUE_BYTES)).sum(),
        recent: vec![[0; 16]; RECENT],
        suppressed: HashSet::new(),
        body: Vec::new(),
        taken: Taken {
            spill: Spill::create(spill_path, PARTS)?,
            rejected,
            summary: PlanSummary::default(),
            suppressed: vec![0; spec.segments.len()],
        },
    };
    std::thread::scope(|scope| {
        let (batches, found) = sync_channel(AHEAD);
        let reading = std::thread::Builder::new().name("ferry-read".to_owned());
        let reading = reading.spawn_scoped(scope, move || {
            let failed = read(spec, control, &batches).err();
            // Nobody listens any more once the other side has failed.
            failed.map(|error| batches.send(Err(error)))
        });
        reading.map_err(crate::PlanError::io("no thread can be started"))?;
        for found in found {
            intake.found(found?, control)?;
        }
        Ok::<_, SnapshotError>(())
    })?;
    intake.taken.spill.seal()?;
    Ok(intake.taken)
}

/// Reads all segments and sends what it finds, until nobody listens or the reading is stopped from outside.
fn read(
    spec: &SnapshotSpec,
    control: &SnapshotControl,
    batches: &SyncSender<Result<Found, SnapshotError>>,
) -> Result<(), SnapshotError> {
    let mut columns = vec![spec.email_column.as_str()];
    columns.extend(spec.fields.iter().map(|field| field.column.as_str()));
    for (place, segment) in spec.segments.iter().enumerate() {
        let failed = |error| SnapshotError::Source { segment: segment.id().to_owned(), error };
        let mut reader = SegmentReader::open(segment, &columns).map_err(failed)?;
        while let Some(batch) = reader.next_batch().map_err(failed)? {
            super::check(control)?;
            if batches.send(Ok(Found::Batch(place, batch))).is_err() {
                return Ok(());
            }
        }
        let fingerprint = reader.finish().map_err(failed)?;
        if batches.send(Ok(Found::End(place, fingerprint.digest()))).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

impl Intake<'_> {
    fn found(&mut self, found: Found, control: &SnapshotControl) -> Result<(), SnapshotError> {
        match found {
            Found::Batch(segment, batch) => {
                super::check(control)?;
                self.batch(segment, &batch)?;
                control.members_read.store(self.taken.summary.members, Ordering::Relaxed);
            }
            Found::End(segment, fingerprint) => {
                let id = self.spec.segments[segment].id().to_owned();
                self.taken.summary.fingerprints.push((id, fingerprint));
            }
        }
        Ok(())
    }

    fn batch(&mut self, segment: usize, found: &SourceBatch) -> Result<(), SnapshotError> {
        let summary = &mut self.taken.summary;
        summary.members += (found.lines.len() + found.broken.len()) as u64;
        if summary.members > self.spec.max_members {
            return Err(SnapshotError::TooManyProfiles { members: summary.members });
        }
        let mut broken = found.broken.iter().peekable();
        let columns: Vec<&StringArray> =
            found.batch.columns().iter().filter_map(|column| column.as_any().downcast_ref()).collect();
        for (row, line) in found.lines.iter().enumerate() {
            while let Some(before) = broken.next_if(|broken| broken.line < *line) {
                self.unreadable(segment, before.line, before.reason, None)?;
            }
            self.row(segment, *line, &columns, row)?;
        }
        broken.try_for_each(|broken| self.unreadable(segment, broken.line, broken.reason, None))
    }

    fn row(&mut self, segment: usize, line: u64, columns: &[&StringArray], row: usize) -> Result<(), SnapshotError> {
        // A null reads as an empty text.
        let cells = || columns.iter().map(|column| if column.is_valid(row) { column.value(row) } else { "" });
        let raw = cells().next().unwrap_or_default();
        let email = match Email::parse(raw) {
            Ok(email) => email,
            Err(reason) => return self.unreadable(segment, line, reason, Some(raw)),
        };
        let identity = normalise::digest(&self.identity_key, &email);
        if self.spec.suppressed.contains(&identity) {
            self.suppress(segment, identity);
            return Ok(());
        }
        let fits = self.fits(&email, cells().skip(1));
        let recent = usize::from(u16::from_be_bytes([identity[14], identity[15]])) % RECENT;
        if !fits {
            self.reject(segment, line, RejectReason::RowTooLarge, Some(raw))?;
        } else if self.recent[recent] == identity {
            self.taken.summary.twins += 1;
            return Ok(());
        } else {
            self.recent[recent] = identity;
        }
        let index = u32::try_from(segment).unwrap_or(u32::MAX);
        let mut record = Record::new(identity, index, line, email.written());
        record.fits = fits;
        let values = cells().skip(1).filter(|_| fits).map(normalise::value);
        self.taken.spill.push(part_of(&identity, 0), |out| record.write(values, out))?;
        Ok(())
    }

    fn suppress(&mut self, segment: usize, identity: [u8; 16]) {
        let Taken { summary, suppressed, .. } = &mut self.taken;
        if self.suppressed.insert(identity) {
            summary.excluded += 1;
            summary.suppressed += 1;
            suppressed[segment] += 1;
        } else {
            summary.twins += 1;
        }
    }

    /// Whether a row fits into a request by itself.
    fn fits<'a>(&mut self, email: &Email, cells: impl Iterator<Item = &'a str> + Clone) -> bool {
        let lengths = cells.clone().map(str::len).chain([email.written().len()]);
        let most = lengths.map(|length| ESCAPED * (length + VALUE_BYTES)).sum::<usize>() + self.constant_bytes;
        if self.packer.fits(most) {
            return true;
        }
        let values: Vec<_> = cells.map(normalise::value).collect();
        let constants = self.spec.constants.iter().map(|constant| Some(constant.value.as_str()));
        let values: Vec<_> = values.iter().map(Option::as_deref).chain(constants).collect();
        self.body.clear();
        (self.renderers.member)(&Row { email: email.written(), values: &values }, &mut self.body);
        self.packer.fits(self.body.len())
    }

    /// Rejects a row of which nobody knows whose it is.
    fn unreadable(
        &mut self,
        segment: usize,
        line: u64,
        reason: RejectReason,
        raw: Option<&str>,
    ) -> Result<(), SnapshotError> {
        self.taken.summary.unreadable += 1;
        self.reject(segment, line, reason, raw)
    }

    fn reject(
        &mut self,
        segment: usize,
        line: u64,
        reason: RejectReason,
        raw: Option<&str>,
    ) -> Result<(), SnapshotError> {
        self.taken.summary.reject(reason);
        self.taken.rejected.push(RejectedRow {
            segment: self.spec.segments[segment].id().to_owned(),
            line: Some(line),
            stage: Stage::Rejected,
            reason: reason.as_str().to_owned(),
            destination_reason: None,
            email: raw.filter(|raw| !raw.is_empty()).map(str::to_owned),
        })?;
        Ok(())
    }
}
